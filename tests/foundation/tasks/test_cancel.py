"""A token is cancelled once, for all below it, from anywhere, and whoever comes late sees it."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import threading
import tracemalloc
from types import FrameType
from typing import Any

import anyio
import pytest

from meridian.foundation.tasks import CancellationToken

pytestmark = pytest.mark.anyio


async def test_the_first_call_cancels_it_and_gives_the_reason() -> None:
    token = CancellationToken()
    assert not token.is_cancelled
    assert token.reason == ""
    assert token.cancel("maintenance")
    assert not token.cancel("something else")
    assert token.is_cancelled
    assert token.reason == "maintenance"
    assert await token.cancelled() == "maintenance"
    assert repr(token) == "<CancellationToken cancelled: 'maintenance'>"


async def test_of_many_threads_one_is_the_first() -> None:
    for _ in range(50):
        token, first, barrier = CancellationToken(), [], threading.Barrier(8)

        def cancel(
            token: CancellationToken = token,
            first: list[bool] = first,
            barrier: threading.Barrier = barrier,
        ) -> None:
            barrier.wait()
            first.append(token.cancel("x"))

        threads = [threading.Thread(target=cancel) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(first) == [False] * 7 + [True]


async def test_a_parent_cancels_all_below_and_a_child_nobody_else() -> None:
    parent = CancellationToken()
    child, sibling = parent.child_token(), parent.child_token()
    grandchild = child.child_token()
    child.cancel("mine")
    assert (grandchild.is_cancelled, sibling.is_cancelled, parent.is_cancelled) == (
        True,
        False,
        False,
    )
    parent.cancel("all")
    assert (child.reason, sibling.reason) == ("mine", "all")
    assert parent.child_token().reason == "all", "born cancelled"


async def test_everybody_who_waits_is_woken_from_a_thread() -> None:
    token, woken = CancellationToken(), []

    async def wait(own: CancellationToken) -> None:
        woken.append(await own.cancelled())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for i in range(20):
                group.start_soon(wait, token.child_token() if i % 2 else token)
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(token.cancel, "now")
    assert woken == ["now"] * 20


async def test_a_wait_that_meets_the_cancel_is_never_lost() -> None:
    for _ in range(300):
        token = CancellationToken()
        thread = threading.Thread(target=token.cancel)
        thread.start()
        with anyio.fail_after(30):
            await token.cancelled()
        thread.join()


async def test_a_signal_handler_may_cancel_it() -> None:
    token = CancellationToken()
    before = signal.signal(signal.SIGUSR1, lambda *_: token.cancel("signal") and None)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, os.kill, os.getpid(), signal.SIGUSR1)
            with anyio.fail_after(30):
                assert await token.cancelled() == "signal"
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_a_wait_that_was_cancelled_leaves_nothing_behind() -> None:
    token = CancellationToken()
    for _ in range(100):
        with anyio.move_on_after(0):
            await token.cancelled()
    assert token._waiters == {}


async def test_children_that_nobody_holds_cost_nothing() -> None:
    token = CancellationToken()
    for _ in range(1000):
        token.child_token()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(100_000):
            token.child_token()
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert token._children == {}
    assert grown < 50_000


async def test_a_reason_that_is_no_text_changes_nothing() -> None:
    token = CancellationToken()
    with pytest.raises(TypeError, match="reason as str, got int"):
        token.cancel(7)  # type: ignore[arg-type]
    assert not token.is_cancelled
    assert token.cancel()


async def test_a_long_chain_of_children_is_cancelled_to_its_end() -> None:
    tokens = [CancellationToken()]
    for _ in range(3_000):
        tokens.append(tokens[-1].child_token())
    assert tokens[0].cancel("over")
    assert all(token.is_cancelled and token.reason == "over" for token in tokens)


async def test_a_cancel_that_is_interrupted_is_finished_by_the_next() -> None:
    token = CancellationToken()
    child = token.child_token()
    seen: list[str] = []

    class Interrupt(BaseException):
        pass

    def wake() -> None:
        seen.append("woken")
        if len(seen) == 1:
            raise Interrupt

    token._waiters[0] = wake
    with pytest.raises(Interrupt):
        token.cancel("first")
    assert token.is_cancelled  # for whoever asks, at once
    assert not token.cancel("second")
    assert (token.reason, child.is_cancelled, seen) == ("first", True, ["woken", "woken"])


async def test_interrupted_at_any_instruction_it_can_still_be_cancelled() -> None:
    class Interrupt(BaseException):
        pass

    def interrupted_at(instruction: int, token: CancellationToken) -> bool:
        """Cancel `token`, and have that interrupted before so many instructions were run."""
        left, source = [instruction], CancellationToken.cancel.__code__.co_filename

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename != source:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                if left[0] == 0:
                    raise Interrupt
                left[0] -= 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            token.cancel("first")
        except Interrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    instruction = 0
    while True:
        token = CancellationToken()
        child = token.child_token()
        grandchild = child.child_token()
        woken: list[int] = []
        token._waiters[0] = functools.partial(woken.append, 1)
        interrupted = interrupted_at(instruction, token)
        claimed = token.is_cancelled
        assert token.cancel("second") is not claimed
        assert (child.is_cancelled, grandchild.is_cancelled, bool(woken)) == (True, True, True)
        assert token.reason == child.reason == grandchild.reason
        if not interrupted:
            break
        instruction += 1
    assert instruction > 100, "it was interrupted in all of it"
