"""Another thread, another loop, a fork, a forgotten end: told, and no harm done."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from random import Random

import anyio
import anyio.to_thread
import pytest

from meridian.foundation.channels import ChannelClosed, Full, SendClosed, Sender, channel
from meridian.foundation.sync import WrongThread

pytestmark = pytest.mark.anyio


def elsewhere(use: Callable[[], object]) -> BaseException | None:
    """What `use` raises in another thread."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            use()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def run(call: Callable[[], Awaitable[object]], backend: str) -> object:
    async def main() -> object:
        return await call()

    return anyio.run(main, backend=backend)


async def test_another_thread_is_refused_whatever_it_tries(anyio_backend: str) -> None:
    tx, rx = channel(4, name="mine")
    async with tx, rx:
        for i in range(3):
            await tx.send(i)
        permit = await tx.reserve()
        uses: list[Callable[[], object]] = [
            lambda: tx.try_send(1),
            rx.try_recv,
            rx.try_take,
            lambda: rx.add_waiter(print),
            tx.clone,
            lambda: permit.send(1),
            permit.close,
        ]
        waits: list[Callable[[], Awaitable[object]]] = [
            lambda: tx.send(1),
            lambda: tx.send_timeout(1, 1),
            lambda: tx.send_many([1]),
            tx.reserve,
            tx.closed,
            rx.recv,
            rx.recv_many,
            rx.__anext__,
        ]
        uses += [lambda wait=wait: run(wait, anyio_backend) for wait in waits]  # type: ignore[misc]
        for use in uses:
            error = elsewhere(use)
            assert isinstance(error, WrongThread), use
            assert str(error) == (
                "Channel mine belongs to another thread: "
                "in others use blocking_send and blocking_recv"
            )
        assert len(rx) == 3
        permit.close()
        assert await rx.recv_many() == [0, 1, 2]
        assert rx.statistics().sent == 3


async def test_any_thread_may_close_and_look() -> None:
    tx, rx = channel(4)
    other = tx.clone()
    await tx.send(1)
    async with anyio.create_task_group() as group:
        group.start_soon(tx.closed)
        await anyio.wait_all_tasks_blocked()
        assert elsewhere(other.close) is None
        assert other.is_closed
        assert elsewhere(lambda: (len(rx), rx.capacity, repr(tx), tx.statistics())) is None
        assert elsewhere(rx.close) is None
    assert await rx.recv() == 1
    with pytest.raises(ChannelClosed):
        await rx.recv()
    tx.close()


def test_another_loop_is_refused_as_soon_as_it_matters(anyio_backend: str) -> None:
    tx, rx = channel(1)

    async def first() -> None:
        await tx.send(1)
        await rx.recv()

    async def second() -> None:
        await tx.send(1)
        with pytest.raises(WrongThread):
            await tx.send(2)
        assert await rx.recv() == 1
        with pytest.raises(WrongThread):
            await rx.recv()
        with pytest.raises(WrongThread):
            rx.add_waiter(print)

    anyio.run(first, backend=anyio_backend)
    anyio.run(second, backend=anyio_backend)
    tx.close()
    rx.close()


def test_it_may_be_made_and_filled_before_its_loop_runs(anyio_backend: str) -> None:
    tx, rx = channel(4)
    tx.try_send(1)
    tx.try_send(2)

    async def main() -> list[int]:
        async with tx, rx, anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, close_soon)
            return [item async for item in rx]

    def close_soon() -> None:
        tx.close()

    assert anyio.run(main, backend=anyio_backend) == [1, 2]


def test_it_may_be_made_in_one_thread_and_used_in_another(anyio_backend: str) -> None:
    tx, rx = channel(1)

    async def main() -> None:
        async with tx, rx:
            await tx.send(1)
            assert await rx.recv() == 1

    assert elsewhere(lambda: anyio.run(main, backend=anyio_backend)) is None
    with pytest.raises(WrongThread):
        rx.try_recv()


async def test_a_fork_is_detected() -> None:
    tx, rx = channel(4)
    async with tx, rx:
        await tx.send(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork
            pid = os.fork()
        if pid == 0:
            code = 1
            try:
                refused = 0
                for use in (rx.try_recv, lambda: tx.try_send(2), tx.clone, rx.try_take):
                    try:
                        use()
                    except WrongThread:
                        refused += 1
                tx.close()
                rx.close()
                code = 0 if refused == 4 else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert await rx.recv() == 1
        await tx.send(2)


async def test_a_forgotten_sender_closes_itself_and_says_so() -> None:
    tx, rx = channel(2, name="leaky")
    await tx.send(1)
    with pytest.warns(ResourceWarning, match="A sender of <channel leaky: 1 of 2, .* not closed"):
        del tx
    assert await rx.recv() == 1
    with pytest.raises(ChannelClosed):
        await rx.recv()
    rx.close()


@pytest.mark.parametrize("where", ["here", "cycle", "thread"])
async def test_who_waits_for_a_forgotten_sender_is_let_go(where: str) -> None:
    tx, rx = channel(2)
    ends: list[object] = [tx]
    if where == "cycle":
        cycle: list[object] = [tx]
        cycle.append(cycle)
        ends = [cycle]
        del cycle
    del tx

    async def wait() -> None:
        with pytest.raises(ChannelClosed):
            await rx.recv()

    async def forget() -> None:
        if where == "thread":
            await anyio.to_thread.run_sync(ends.clear)
        elif where == "cycle":
            ends.pop(0)
        else:
            ends.clear()
        gc.collect()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.warns(ResourceWarning, match="A sender of"):
            await forget()
    rx.close()


@pytest.mark.parametrize("thread", [False, True])
async def test_who_waits_for_a_forgotten_receiver_is_let_go(thread: bool) -> None:
    tx, rx = channel(1)
    await tx.send(0)
    ends = [rx]
    del rx

    async def wait() -> None:
        with pytest.raises(SendClosed) as error:
            await tx.send(5)
        assert error.value.item == 5

    async def clear() -> None:
        ends.clear()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.warns(ResourceWarning, match="A receiver of"):
            await (anyio.to_thread.run_sync(ends.clear) if thread else clear())
    tx.close()


def test_an_end_that_outlives_its_loop_does_no_harm(anyio_backend: str) -> None:
    async def main() -> tuple[object, ...]:
        tx, rx = channel(1)
        await tx.send(1)
        with anyio.move_on_after(0):
            await tx.send(2)
        return tx, rx

    def make_and_forget() -> None:
        ends = anyio.run(main, backend=anyio_backend)
        del ends
        gc.collect()  # trio keeps some frames of its last run in a cycle

    with pytest.warns(ResourceWarning):
        make_and_forget()


async def test_what_was_never_used_may_be_dropped() -> None:
    tx, rx = channel(1)
    del tx, rx
    gc.collect()


def test_the_interpreter_may_end_with_open_channels() -> None:
    script = """
import anyio
from meridian.foundation.channels import channel, oneshot
async def main():
    global tx, rx, permit, one
    tx, rx = channel(2)
    await tx.send(1)
    permit = await tx.reserve()
    one = oneshot()
anyio.run(main, backend={backend!r})
"""
    for backend in ("asyncio", "trio"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script.format(backend=backend)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""


async def test_a_full_channel_that_is_misused_stays_as_it_was() -> None:
    tx, rx = channel(1)
    async with tx, rx:
        tx.try_send(1)
        for _ in range(20):
            assert isinstance(elsewhere(lambda: tx.try_send(2)), WrongThread)
            assert isinstance(elsewhere(rx.try_recv), WrongThread)
        with pytest.raises(Full):
            tx.try_send(3)
        assert rx.try_recv() == 1


@pytest.mark.filterwarnings("ignore:A sender of:ResourceWarning")
@pytest.mark.parametrize("seed", [0, 1])
async def test_ends_that_are_collected_anywhere_at_any_moment_do_no_harm(seed: int) -> None:
    """Cycles are collected within any step of the loop, and in a thread of their own."""
    random = Random(seed)
    tx, rx = channel(3)
    got: list[tuple[int, int]] = []
    stop = threading.Event()

    def collect() -> None:
        while not stop.wait(0.001):
            gc.collect(1)

    def litter(end: object) -> None:
        cycle = [end]
        cycle.append(cycle)

    async def send(who: int, mine: Sender[tuple[int, int]]) -> None:
        for i in range(250):
            if random.random() < 0.3:
                litter(await mine.reserve())
            if random.random() < 0.2:
                litter(mine.clone())
            await mine.send((who, i))
        litter(mine)

    before = gc.get_threshold()
    gc.set_threshold(20)
    thread = threading.Thread(target=collect)
    thread.start()
    try:
        async with rx, anyio.create_task_group() as group:
            for who in range(4):
                group.start_soon(send, who, tx.clone())
            tx.close()
            with anyio.fail_after(120):
                while batch := await rx.recv_many(2):
                    got += batch
                    if len(got) == 1000:
                        gc.collect()
    finally:
        gc.set_threshold(*before)
        stop.set()
        thread.join()
    assert [[i for who, i in got if who == k] for k in range(4)] == [list(range(250))] * 4
    assert rx.statistics().max_used <= 3
    assert rx._buffer.reserved == rx._buffer.senders == 0
