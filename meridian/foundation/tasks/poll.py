"""A small executor: what a task is, what polling it means, and who must wake it.

A future is asked by `poll` and answers at once: ``Ready(value)``, or ``PENDING``, which is also a
promise: it has kept the waker of its `Context`, and whatever it waits for will call it. Only who
was woken is asked again; who breaks the promise never is, silently. Here the executor can tell: it
knows who still holds a waker. Beside it: `poll_timers`, `poll_events`, `poll_futures`.

asyncio and trio do the same with other words: a coroutine is a future that is polled by ``send``
(`from_coroutine`), and what it yields keeps the callback that schedules the task again.

Reference: ``std::future`` and ``std::task`` of Rust; Flitton & Morton, "Async Rust", ch. 1-2.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Literal, Protocol, TypeVar

from meridian.checks import checked_seconds
from meridian.clock import Clock
from meridian.foundation.tasks.poll_events import NoResult, Stalled, StalledTask, StepEvent
from meridian.foundation.tasks.poll_timers import Sleep, Timers
from meridian.foundation.tasks.readiness import PENDING, Pending, Ready

__all__ = ["Context", "Future", "MiniExecutor", "MiniTask", "Waker"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_LONGEST_WAIT_S = 3600.0  # at a time; locks refuse centuries


class Future(Protocol[T_co]):
    """A value that is not there yet. Its progress lives in the object, not in who asks."""

    def poll(self, cx: Context) -> Ready[T_co] | Pending:
        """Get on as far as possible without waiting. Not again after ``Ready``."""


class Context:
    """What a future is given when it is polled: the `waker` of the task it is part of."""

    __slots__ = ("waker",)

    def __init__(self, waker: Waker) -> None:
        self.waker = waker


class Waker:
    """Puts one task back into the queue. May be kept, handed on, and called from any thread."""

    __slots__ = ("__weakref__", "_task")

    def __init__(self, task: MiniTask[Any]) -> None:
        self._task = task

    def wake(self) -> None:
        """Have the task polled again. It is queued once, however often; finished, it is not."""
        self._task._executor._wake(self._task)

    def clone(self) -> Waker:
        """One more reference to this waker: Python counts them, so it is this waker."""
        return self

    def will_wake(self, other: Waker) -> bool:
        """Whether both wake the same task, so that keeping one of them is enough."""
        return self._task is other._task


class MiniTask(Generic[T]):
    """One future on its way through an executor. Also a future: `poll` waits for its end.

    What the future raises ends the task and goes to whoever waits for it; when nobody does, it
    goes out of `MiniExecutor.step`.
    """

    def __init__(self, executor: MiniExecutor, future: Future[T], name: str) -> None:
        self.name = name
        self.polls = 0
        self._executor = executor
        self._future: Future[T] | None = future
        self._queued = False
        self._waker: weakref.ref[Waker] | None = None
        self._joiners: list[Waker] = []
        self._end: Ready[T] | BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether it has returned or raised."""
        return self._end is not None

    @property
    def state(self) -> Literal["queued", "pending", "done", "dropped"]:
        if self.done:
            return "done"
        if self._future is None:
            return "dropped"
        return "queued" if self._queued else "pending"

    @property
    def wakeable(self) -> bool:
        """Whether anybody holds its waker. A pending task without one is never polled again."""
        return self._waker is not None and self._waker() is not None

    def result(self) -> T:
        """What the future returned; raises what it raised, or `NoResult`."""
        match self._end:
            case Ready(value):
                return value
            case None:
                raise NoResult(self.name, self.state)
            case error:
                raise error

    def poll(self, cx: Context) -> Ready[T] | Pending:
        if self._future is not None:
            if not any(kept.will_wake(cx.waker) for kept in self._joiners):
                self._joiners.append(cx.waker.clone())
            return PENDING
        return Ready(self.result())

    def __repr__(self) -> str:
        return f"<MiniTask {self.name} {self.state} after {self.polls} polls>"


class MiniExecutor:
    """Polls tasks in the order they were woken, one at a time, and writes down what it does.

    Time is the executor's own when no `clock` is given: when nothing else can run it jumps to the
    next timer, so that runs take no time and are the same every time. With `SystemClock` the
    waiting is real. Any other clock is moved by whoever holds it, and never waited for.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.trace: list[StepEvent] = []
        self._timers = Timers(clock)
        self._tick = 0
        self._numbers = itertools.count()
        self._tasks: dict[MiniTask[Any], None] = {}
        self._queue: deque[MiniTask[Any]] = deque()
        self._woken = threading.Condition()  # guards the queue: other threads wake tasks
        self._stepping = threading.Lock()

    @property
    def tasks(self) -> tuple[MiniTask[Any], ...]:
        """Those that have not ended, oldest first."""
        return tuple(self._tasks)

    @property
    def run_queue(self) -> tuple[str, ...]:
        """The names of those to be polled, next first."""
        with self._woken:
            return tuple(task.name for task in self._queue)

    def now(self) -> float:
        """Seconds by the clock, or of the executor's own time."""
        return self._timers.now()

    def sleep(self, seconds: float) -> Sleep:
        """A future that is ready in `seconds`. Raises `ValueError` for less than 0, and NaN."""
        return Sleep(self._timers, checked_seconds("a time", seconds))

    def spawn(self, future: Future[T], name: str | None = None) -> MiniTask[T]:
        """Make a task of `future` and queue it. Raises `TypeError` for what has no `poll`."""
        if not callable(getattr(future, "poll", None)):
            what = f"{type(future).__name__}: see from_coroutine()"
            raise TypeError(f"Expected a future, with poll(); got {what}")
        task = MiniTask(self, future, name or f"task-{next(self._numbers)}")
        with self._woken:
            self._tasks[task] = None
            self._wake(task)
        return task

    def step(self) -> StepEvent | None:
        """Poll the next task: what came of it, or ``None`` when none can run now. Never waits."""
        with self._alone():
            self._timers.fire(idle=not self._queue)
            with self._woken:
                if not self._queue:
                    return None
                task = self._queue.popleft()
                task._queued = False  # from here on a wake queues it again
            self._tick += 1
            return self._poll(task)

    def run_until_idle(self) -> list[StalledTask]:
        """Step until nothing can run and no timer will fire; those that are still pending."""
        while self.step() is not None or self._wait(0.0):
            pass
        return self.stalled()

    def block_on(self, future: Future[T], *, patience_s: float = 0.0) -> T:
        """Run everything until `future` is ready; its value, or raises what it raises.

        Raises `Stalled` instead of hanging: when nothing can run, no timer will fire, and in
        `patience_s` of real time no other thread has woken a task.
        """
        with self._alone():
            task = self.spawn(future, f"block_on-{next(self._numbers)}")
        try:
            while not task.done:
                if self.step() is None and not self._wait(patience_s):
                    raise Stalled(self.stalled())
        finally:
            self.drop(task)
        return task.result()

    def stalled(self) -> list[StalledTask]:
        """The tasks that are pending now, and whether there is hope for them."""
        hope = self._timers.next_due() is not None
        return [
            StalledTask(t.name, t.polls, "waiting" if hope or t.wakeable else "lost-waker")
            for t in self.tasks
            if t.state == "pending"
        ]

    def drop(self, task: MiniTask[Any]) -> None:
        """Forget a task that has not ended: its coroutine is closed. Otherwise does nothing."""
        with self._alone():
            if task._future is not None:
                self._end(task, None)

    # -- inside ----------------------------------------------------------------------------------

    def _poll(self, task: MiniTask[Any]) -> StepEvent:
        future = task._future
        assert future is not None, "only live tasks are queued"
        waker = Waker(task) if task._waker is None else task._waker() or Waker(task)
        task._waker = weakref.ref(waker)
        task.polls += 1
        self._note(task, "polled")
        try:
            answer: object = future.poll(Context(waker))
            if not isinstance(answer, Ready | Pending):
                kind = type(future).__name__
                raise TypeError(f"poll() of {kind} answered {answer!r}: Ready(...) or PENDING")
        except BaseException as error:
            alone = not task._joiners
            event = self._end(task, error)
            if alone or not isinstance(error, Exception):
                raise
            return event
        if isinstance(answer, Pending):
            return self._note(task, "pending")
        event = self._note(task, "ready")
        self._end(task, answer)
        return event

    def _end(self, task: MiniTask[Any], end: Ready[Any] | BaseException | None) -> StepEvent:
        with self._woken:
            future, task._future = task._future, None
            assert future is not None, "ended once"
            task._end = end
            del self._tasks[task]
            if task._queued:
                self._queue.remove(task)
            event = self._note(task, "dropped")
        joiners, task._joiners = task._joiners, []
        for joiner in joiners:
            joiner.wake()
        if end is None and hasattr(future, "close"):
            future.close()
        return event

    def _wake(self, task: MiniTask[Any]) -> None:
        with self._woken:
            if task._future is not None and not task._queued:
                task._queued = True
                self._queue.append(task)
                self._note(task, "woken")
                self._woken.notify()

    def _wait(self, patience_s: float) -> bool:
        """Let real time pass until something may have changed; ``False`` when nothing will."""
        began = self.now()
        if (until_due_s := self._timers.real_wait_s()) is not None:
            patience_s = until_due_s
        elif not any(task.wakeable for task in self.tasks):
            return False
        with self._woken:
            woken = self._woken.wait_for(lambda: self._queue, min(patience_s, _LONGEST_WAIT_S))
        return bool(woken) or self.now() > began  # in a loop whose time is virtual it stands still

    def _note(self, task: MiniTask[Any], kind: Any) -> StepEvent:
        event = StepEvent(self._tick, task.name, kind, self.now())
        self.trace.append(event)
        return event

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._stepping.acquire(blocking=False):
            raise RuntimeError("The executor is in a step: polling a task must not step it")
        try:
            yield
        finally:
            self._stepping.release()
