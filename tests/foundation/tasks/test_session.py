"""A pass ends in one of four ways, and is flushed exactly once in each."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.tasks import (
    CancellationToken,
    PassOutcome,
    PassSession,
    SessionState,
    TaskExit,
    TaskTracker,
    manage_pass,
)
from meridian.foundation.tasks.session import PassUsed, SimulatedLink
from meridian.testing.virtual_loop import run_virtual
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


class Flushed(list[SessionState]):
    """What was flushed, and when."""

    def __call__(self, state: SessionState) -> None:
        self.append(state)

    @property
    def one(self) -> SessionState:
        (state,) = self
        return state


def a_pass(
    flushed: Callable[[SessionState], None],
    receive: Callable[[], Awaitable[bytes | None]] | None = None,
) -> PassSession:
    return PassSession(25544, "gs-svalbard", flushed, receive=receive)


async def shut_down(token: CancellationToken, after_s: float) -> None:
    await anyio.sleep(after_s)
    token.cancel("upgrade")


async def test_the_lesson_run() -> None:
    """100 frames of 50 ms, 30 s limit, shutdown after 1 s."""
    flushed, token = Flushed(), CancellationToken()
    async with anyio.create_task_group() as group:
        group.start_soon(shut_down, token, 1)
        assert await manage_pass(a_pass(flushed), 30, token) is PassOutcome.CANCELLED
    state = flushed.one
    assert 19 <= state.frames <= 20
    assert state.payload_bytes == state.frames * 256
    assert state.elapsed_s == pytest.approx(1)
    assert (state.satellite_id, state.ground_station) == (25544, "gs-svalbard")
    assert (state.outcome, state.error) == (PassOutcome.CANCELLED, None)


async def test_completed() -> None:
    flushed, token = Flushed(), CancellationToken()
    assert await manage_pass(a_pass(flushed), 30, token) is PassOutcome.COMPLETED
    assert token._waiters == {}, "a token that outlives a thousand passes keeps nothing of them"
    assert flushed.one.outcome is PassOutcome.COMPLETED
    assert (flushed.one.frames, flushed.one.elapsed_s) == (100, pytest.approx(5))


async def test_timed_out() -> None:
    flushed = Flushed()
    assert await manage_pass(a_pass(flushed), 2.02, CancellationToken()) is PassOutcome.TIMED_OUT
    assert (flushed.one.frames, flushed.one.elapsed_s) == (40, pytest.approx(2.02))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("antenna"),
        TimeoutError("its own"),
        ExceptionGroup("both", [OSError("a"), ExceptionGroup("deeper", [TimeoutError("b")])]),
    ],
)
async def test_what_operation_expects_is_an_errored_pass(error: Exception) -> None:
    link, flushed = SimulatedLink(3), Flushed()

    async def receive() -> bytes:
        if (frame := await link()) is None:
            raise error
        return frame

    outcome = await manage_pass(a_pass(flushed, receive), 30, CancellationToken())
    assert outcome is PassOutcome.ERRORED
    assert flushed.one.error is error
    assert flushed.one.frames == 3


async def test_a_bug_is_flushed_and_raised() -> None:
    bug, flushed = KeyError("no such antenna"), Flushed()

    async def receive() -> bytes:
        raise bug

    with pytest.raises(KeyError, match="no such antenna"):
        await manage_pass(a_pass(flushed, receive), 30, CancellationToken())
    assert (flushed.one.outcome, flushed.one.error) == (PassOutcome.ERRORED, bug)


async def test_an_aborted_task_flushes_before_it_ends() -> None:
    flushed = Flushed()
    async with TaskTracker() as tracker:
        handle = tracker.spawn(manage_pass, a_pass(flushed), 30, CancellationToken())
        await anyio.sleep(0.52)
        handle.abort()
        assert await handle.join() == TaskExit.Aborted()
    assert (flushed.one.outcome, flushed.one.frames) == (PassOutcome.CANCELLED, 10)


async def test_a_coroutine_that_is_dropped_is_flushed() -> None:
    """The flush is in ``finally`` and waits for nothing: it needs no loop to run it."""
    flushed = Flushed()
    coroutine = manage_pass(a_pass(flushed), 30, CancellationToken())
    coroutine.send(None)
    assert flushed == []
    coroutine.close()
    assert flushed.one.outcome is PassOutcome.CANCELLED


def test_a_coroutine_whose_loop_has_gone_is_flushed(virtual_time: None) -> None:
    """Its cancel scopes object that no loop runs; what was received is recorded all the same."""
    flushed = Flushed()
    coroutine = manage_pass(a_pass(flushed), 30, CancellationToken())

    async def main() -> None:
        coroutine.send(None)

    anyio.run(main)  # asyncio: trio does not let go of a scope that was left open
    with pytest.raises(RuntimeError):
        coroutine.close()
    assert len(flushed) == 1


async def test_a_token_cancelled_before_leaves_no_frame() -> None:
    flushed, token = Flushed(), CancellationToken()
    token.cancel()

    async def receive() -> bytes:
        raise AssertionError("asked for a frame")

    assert await manage_pass(a_pass(flushed, receive), 30, token) is PassOutcome.CANCELLED
    assert flushed.one.frames == 0


async def test_a_token_cancelled_at_the_end_does_no_harm() -> None:
    flushed, token = Flushed(), CancellationToken()

    async def last() -> None:
        token.cancel()

    outcome = await manage_pass(a_pass(flushed, last), 30, token)
    assert outcome is PassOutcome.COMPLETED
    await anyio.sleep(1)  # whatever was posted has run
    assert token._waiters == {}


async def test_no_time_at_all() -> None:
    flushed = Flushed()
    assert await manage_pass(a_pass(flushed), 0, CancellationToken()) is PassOutcome.TIMED_OUT
    assert flushed.one.frames == 0


async def test_a_flush_that_fails_is_heard_and_not_repeated() -> None:
    calls = []

    def flush(state: SessionState) -> None:
        calls.append(state)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await manage_pass(a_pass(flush), 1, CancellationToken())
    assert len(calls) == 1


async def test_a_session_stands_for_one_pass() -> None:
    flushed = Flushed()
    session = a_pass(flushed)
    await manage_pass(session, 1, CancellationToken())
    with pytest.raises(PassUsed, match="satellite 25544 at gs-svalbard has had its pass"):
        await manage_pass(session, 1, CancellationToken())
    assert len(flushed) == 1


@pytest.mark.parametrize(
    ("bad", "error"),
    [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)],
)
async def test_a_duration_that_is_none_leaves_the_session_fresh(
    bad: float, error: type[Exception]
) -> None:
    flushed = Flushed()
    session = a_pass(flushed)
    with pytest.raises(error, match="Expected pass_duration"):
        await manage_pass(session, bad, CancellationToken())
    assert flushed == []
    assert await manage_pass(session, math.inf, CancellationToken()) is PassOutcome.COMPLETED


async def test_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(TypeError, match="flush to be callable"):
        PassSession(1, "gs", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="satellite_id as an int, got bool"):
        PassSession(True, "gs", print)


@given(
    frames=st.integers(0, 30),
    limit_s=st.floats(0, 4),
    shutdown_s=st.floats(0, 4),
    abort_s=st.floats(0, 4),
    backend=st.sampled_from(["asyncio", "trio"]),
)
def test_whatever_comes_first_against_a_model(
    frames: int, limit_s: float, shutdown_s: float, abort_s: float, backend: str
) -> None:
    interval_s = 0.1
    flushed, token = Flushed(), CancellationToken()

    async def main() -> TaskExit[PassOutcome]:
        session = a_pass(flushed, SimulatedLink(frames, interval_s))
        async with TaskTracker() as tracker:
            handle = tracker.spawn(manage_pass, session, limit_s, token)
            tracker.spawn(shut_down, token, shutdown_s)
            await anyio.sleep(abort_s)
            tracker.abort_all()
            return await handle.join()

    exit_ = run_virtual(main, backend=backend)
    ends = {
        "completed": frames * interval_s,
        "timed out": limit_s,
        "cancelled": shutdown_s,
        "aborted": abort_s,
    }
    first, second = sorted(ends.values())[:2]
    if exit_ == TaskExit.Aborted() and not flushed:
        assert abort_s < 1e-3, "it never began"
        return
    state = flushed.one
    assert state.elapsed_s == pytest.approx(first, abs=1e-3)
    assert abs(state.frames - min(frames, first / interval_s)) <= 1.01
    if second - first < 1e-3:
        return  # two at once: either is true
    won = min(ends, key=ends.__getitem__)
    if won == "aborted":
        assert exit_ == TaskExit.Aborted()
        assert state.outcome is PassOutcome.CANCELLED
    else:
        assert exit_ == TaskExit.Ok(PassOutcome(won))
        assert state.outcome is PassOutcome(won)
