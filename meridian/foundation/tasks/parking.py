"""Suspending one task until another lets it go on: the floor under tokens, select and channels.

asyncio and trio differ in how a task sleeps and in what a cancellation may overtake. `Waiter`
gives both the same exact promise, which everything above relies on for losing nothing.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable

import anyio.lowlevel

__all__ = [
    "Budget",
    "Waiter",
    "Waiters",
    "call_at",
    "cancel_later",
    "current_budget",
    "loop_here",
    "task_here",
]


class Waiter:
    """One task's sleep. Either `wait` returns, and `wake` has returned ``True`` once; or `wait`
    raises the cancellation, and every `wake` returns ``False``. Never both, never neither.

    So what is handed over together with a ``True`` has an owner, and what is not can be offered
    to the next waiter. A cancellation that arrives after the wake is raised at the task's next
    await.
    """

    __slots__ = ("_resume", "_state")

    def __init__(self) -> None:
        self._state = "new"  # then asleep, and at last woken or gone
        self._resume: Callable[[], bool] | None = None

    @property
    def woken(self) -> bool:
        return self._state == "woken"

    def wake(self) -> bool:
        """Let the task go on; whether this call did it. In the loop's own thread only."""
        if self._state in ("woken", "gone") or (self._resume is not None and not self._resume()):
            return False
        self._state = "woken"
        return True

    async def wait(self) -> None:
        """Sleep until `wake`. Once only; returns at once when it was woken before."""
        if self.woken:
            return
        self._state = "asleep"
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            await self._wait_trio()
        else:
            await self._wait_asyncio(loop)

    async def _wait_asyncio(self, loop: asyncio.AbstractEventLoop) -> None:
        future = loop.create_future()
        self._resume = functools.partial(_settle, future)
        try:
            await future
        except asyncio.CancelledError as error:
            if not self.woken:
                self._state = "gone"
                raise
            cancel_later(error)

    async def _wait_trio(self) -> None:
        import trio

        task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._state = "gone"
            return trio.lowlevel.Abort.SUCCEEDED

        def resume() -> bool:
            trio.lowlevel.reschedule(task)
            return True

        self._resume = resume
        await trio.lowlevel.wait_task_rescheduled(abort)


def cancel_later(error: asyncio.CancelledError) -> None:
    """Let a cancellation that asyncio raised too early or too late strike where the task sleeps
    next; trio does that by itself.

    Unless it is taken back before, as ``asyncio.timeout`` does when its block ends.
    """
    task = asyncio.current_task()
    assert task is not None
    requested = task.cancelling()

    def strike() -> None:
        if task.cancelling() >= requested:
            task.uncancel()
            task.cancel(*error.args)

    asyncio.get_running_loop().call_soon(strike)


def _settle(future: asyncio.Future[None]) -> bool:
    if future.done():  # cancelled, though the task has not run since
        return False
    future.set_result(None)
    return True


def loop_here() -> Callable[[Callable[[], object]], bool]:
    """How any thread, or a signal handler, has something called in the loop of this thread.

    The result says whether the loop is still there. What comes after it has ended is dropped:
    nobody waits there. Raises `RuntimeError` where no loop runs.
    """
    post: Callable[[Callable[[], object]], object]
    try:
        post = asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        post = trio.lowlevel.current_trio_token().run_sync_soon

    def call(function: Callable[[], object]) -> bool:
        try:
            post(function)
        except RuntimeError:  # closed
            return False
        return True

    return call


def call_at(when: float, function: Callable[[], object]) -> Callable[[], object]:
    """Have `function` called in this loop at `when`, by `anyio.current_time`. It must not raise.

    The result takes that back; a call that is due already may come all the same.
    """
    try:
        return asyncio.get_running_loop().call_at(when, function).cancel
    except RuntimeError:
        import trio

    scope = trio.CancelScope()

    async def wait() -> None:
        with scope:
            await trio.sleep_until(when)
            function()

    trio.lowlevel.spawn_system_task(wait)
    return scope.cancel


def task_here() -> object:
    """The task that runs in this thread, to be compared with another and for nothing else.

    Raises `RuntimeError` where no loop runs.
    """
    try:
        return asyncio.current_task()
    except RuntimeError:
        import trio

        return trio.lowlevel.current_task()


class Waiters:
    """Those who want to be called, in the order they came. One loop's; see `Selectable`."""

    __slots__ = ("_next", "_wakes")

    def __init__(self) -> None:
        # Ordered: finding the first of a dict takes as long as many have been taken off its front.
        self._wakes: OrderedDict[int, Callable[[], object]] = OrderedDict()
        self._next = 0

    def __len__(self) -> int:
        return len(self._wakes)

    def add(self, wake: Callable[[], object]) -> Callable[[], bool]:
        """Remember `wake`; the result takes it off, and says whether it was there to be called."""
        number, self._next = self._next, self._next + 1
        self._wakes[number] = wake
        return lambda: self._wakes.pop(number, None) is not None

    def call_first(self) -> None:
        """Call the one that has waited longest, and forget it."""
        if self._wakes:
            self._wakes.popitem(last=False)[1]()

    def call_all(self) -> None:
        """Call all that are here now, and forget them."""
        wakes, self._wakes = self._wakes, OrderedDict()
        for wake in wakes.values():
            wake()


class Budget:
    """How many operations a task may do in a row before it lets others run.

    Suspending on every call costs microseconds, never suspending starves the loop; so an
    operation that need not wait yields every `TURN` times (Tokio's cooperative budget).
    """

    __slots__ = ("left",)

    TURN = 128

    def __init__(self) -> None:
        self.left = self.TURN

    def spend(self) -> bool:
        """Whether it is used up now: then `await` `turn`."""
        self.left -= 1
        return self.left <= 0

    async def turn(self) -> None:
        """Let every other task run once, and meet a cancellation. The budget is full again."""
        self.left = self.TURN
        await anyio.lowlevel.checkpoint()
        self.left = self.TURN  # those who ran in between have spent theirs


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.budget = Budget()


_of_thread = _OfThread()


def current_budget() -> Budget:
    """The budget of the loop that runs in this thread: one task runs at a time."""
    return _of_thread.budget
