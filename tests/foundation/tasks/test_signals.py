"""Real signals to real processes: the first asks, the second ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.tasks import CancellationToken, signal_monitor
from meridian.foundation.tasks.signals import NotMainThread, SignalTaken
from meridian.testing.settling import settle

TIMEOUT_S = 60
PROGRAM = """
import os, signal, sys, time
import anyio
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.signals import signal_monitor

token = CancellationToken()

def say(*words):
    print(*words, flush=True)

async def main():
    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, token)
        {body}
    say("left")

anyio.run(main, backend={backend!r})
{after}
"""


class Child:
    """A process, spoken to by signals, that answers by lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def signal(self, *signals: signal.Signals) -> None:
        for each in signals:
            self._process.send_signal(each)

    def ends(self) -> int:
        return self._process.wait(TIMEOUT_S)


@contextmanager
def child(backend: str, body: str, after: str = "") -> Iterator[Child]:
    lines = "\n        ".join(body.strip().split("\n"))
    program = PROGRAM.format(body=lines, backend=backend, after=after)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            yield Child(process)
        finally:
            watchdog.cancel()
            process.kill()


def test_the_first_signal_cancels_the_token_and_the_second_ends_the_process(
    anyio_backend: str,
) -> None:
    """The drain that hangs: even held in a shield, in a thread, in ``finally``."""
    body = """
say("ready")
say(await token.cancelled())
try:
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(time.sleep, 600)
finally:
    say("never said")
"""
    with child(anyio_backend, body) as it:
        assert it.says() == "ready"
        it.signal(signal.SIGTERM)
        assert it.says() == "signal SIGTERM"
        it.signal(signal.SIGINT)
        assert it.ends() == 130
        assert it.says() == ""


def test_one_signal_is_a_clean_end_and_the_next_still_counts(anyio_backend: str) -> None:
    """The loop is over, the handler is not: what comes after the drain may hang as well."""
    after = """
say("after")
while True:
    time.sleep(600)
"""
    with child(anyio_backend, 'say("ready")', after) as it:
        assert it.says() == "ready"
        it.signal(signal.SIGINT)
        assert [it.says(), it.says()] == ["left", "after"]
        it.signal(signal.SIGTERM)
        assert it.ends() == 143


def test_others_end_it_and_the_first_signal_then_ends_the_process(anyio_backend: str) -> None:
    body = """
token.cancel("upgrade")
await anyio.wait_all_tasks_blocked()
say("draining")
await anyio.sleep_forever()
"""
    with child(anyio_backend, body) as it:
        assert it.says() == "draining"
        it.signal(signal.SIGTERM)
        assert it.ends() == 143


def test_a_loop_that_is_stuck_can_be_ended(anyio_backend: str) -> None:
    body = """
say("stuck")
for _ in range(600):
    time.sleep(1)
"""
    with child(anyio_backend, body) as it:
        assert it.says() == "stuck"
        it.signal(signal.SIGINT, signal.SIGTERM)
        assert it.ends() in (130, 143), "whichever the kernel delivers last"


def test_only_the_signals_named_are_caught(anyio_backend: str) -> None:
    body = """
group.cancel_scope.cancel()
"""
    after = """
async def usr1():
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: signal_monitor(
            other, signals=[signal.SIGUSR1], task_status=task_status))
        say("ready")
other = CancellationToken()
anyio.run(usr1)
say(other.reason)
say("still here")
time.sleep(600)
"""
    with child(anyio_backend, body, after) as it:
        assert it.says() == "left"
        assert it.says() == "ready"
        it.signal(signal.SIGUSR1)
        assert it.says() == "signal SIGUSR1"
        assert it.says() == "still here"
        it.signal(signal.SIGTERM)
        assert it.ends() == -signal.SIGTERM, "the first monitor was cancelled and took its own off"


# -- in this process -------------------------------------------------------------------------------


@pytest.fixture
def handlers() -> Iterator[Callable[[], list[object]]]:
    """What is installed for the two signals; put back afterwards."""
    assert threading.current_thread() is threading.main_thread()
    both = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(each) for each in both]
    yield lambda: [signal.getsignal(each) for each in both]
    for each, handler in zip(both, before, strict=True):
        signal.signal(each, handler)


@pytest.mark.anyio
async def test_cancelled_it_puts_back_what_it_found(
    handlers: Callable[[], list[object]],
) -> None:
    before, token = handlers(), CancellationToken()
    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, token)
        assert all(now is not then for now, then in zip(handlers(), before, strict=True))
        group.cancel_scope.cancel()
    assert handlers() == before
    assert not token.is_cancelled


@pytest.mark.anyio
async def test_a_later_service_takes_over_from_one_that_has_ended(
    handlers: Callable[[], list[object]],
) -> None:
    first, second = CancellationToken(), CancellationToken()
    before = handlers()
    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, first)
        first.cancel()
    armed = handlers()
    assert armed != before
    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, second)
        assert handlers() != armed
        signal.raise_signal(signal.SIGTERM)
        assert second.is_cancelled
    assert second.reason == "signal SIGTERM"
    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, CancellationToken())
        group.cancel_scope.cancel()
    assert handlers() == [signal.SIG_DFL, signal.default_int_handler], "not an ended service's"


@pytest.mark.anyio
async def test_two_at_once_are_one_too_many(handlers: Callable[[], list[object]]) -> None:
    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, CancellationToken())
        here = handlers()
        with pytest.raises(SignalTaken, match="waits for SIGINT already") as caught:
            await signal_monitor(CancellationToken(), signals=[signal.SIGUSR2, signal.SIGINT])
        assert caught.value.signum == signal.SIGINT
        assert handlers() == here
        assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL, "all or none"
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_off_the_main_thread_it_says_so_at_once(anyio_backend: str) -> None:
    def elsewhere() -> None:
        anyio.run(signal_monitor, CancellationToken(), backend=anyio_backend)

    with pytest.raises(NotMainThread, match="main thread only") as caught:
        await anyio.to_thread.run_sync(elsewhere)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        ([], ValueError, "at least one"),
        ([signal.SIGKILL], ValueError, "SIGKILL cannot be caught"),
        ([signal.SIGTERM, signal.SIGSTOP], ValueError, "SIGSTOP cannot be caught"),
        ([4711], ValueError, "4711"),
        (["SIGTERM"], TypeError, "as an int, got str"),
        ([True], TypeError, "as an int, got bool"),
        (signal.SIGTERM, TypeError, "iterable"),
    ],
)
async def test_what_is_no_signal(
    bad: list[int], error: type[Exception], match: str, handlers: Callable[[], list[object]]
) -> None:
    before = handlers()
    with pytest.raises(error, match=match):
        await signal_monitor(CancellationToken(), signals=bad)
    assert handlers() == before


@pytest.mark.anyio
async def test_a_token_cancelled_before_ends_it_armed(
    handlers: Callable[[], list[object]],
) -> None:
    token, before = CancellationToken(), handlers()
    token.cancel()
    await signal_monitor(token)
    assert handlers() != before
    await checkpoint()
    await settle()
