"""A loop in a thread of its own, with threads for what would block it: the unit of isolation.

More loops do not run more bytecode at once: threads share the GIL. What a second runtime keeps
apart is whatever releases it, and whoever waits: its own loop, its own queue for blocking calls,
its own deadline to end by. Where a loop runs already, as in a notebook, another runs here.

Reference: ``Runtime`` and ``Builder`` of Tokio.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, TypeVar, cast

import anyio

from meridian.checks import checked_seconds
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.exits import TaskExit
from meridian.foundation.tasks.lag import LoopLagMonitor
from meridian.foundation.tasks.parking import Waiter, loop_here
from meridian.foundation.tasks.runtime_config import RuntimeConfig, RuntimePool, RuntimeStats
from meridian.foundation.tasks.runtime_handles import (
    RuntimeNotRunning,
    RuntimeUsed,
    ThreadHandle,
    WouldDeadlock,
    answer,
)
from meridian.foundation.tasks.shutdown import ShutdownCoordinator, ShutdownReport
from meridian.foundation.tasks.stacks import start_thread
from meridian.foundation.tasks.thread_names import show_thread_name
from meridian.foundation.tasks.tracker import TaskTracker, TrackerClosed

__all__ = ["Runtime", "RuntimeConfig", "RuntimeStats", "ThreadHandle"]

T = TypeVar("T")
_GRACE_S = 1.0  # for tasks to end once they are aborted
_PATIENCE_S = 0.5  # with a loop that is late to report


class Runtime:
    """One event loop in one thread, and a pool of blocking threads beside it.

    ``with Runtime(config) as runtime:`` starts it, and at last shuts it down. Other threads talk
    to it: `block_on` waits for a result, `spawn` gives a handle. Tasks fail alone, as those of the
    `TaskTracker` that they are. Its threads are daemons: the process can exit though one is stuck.
    """

    def __init__(self, config: RuntimeConfig | None = None) -> None:
        """Raises `TypeError` or `ValueError` for a configuration that cannot be."""
        self.config = RuntimeConfig() if config is None else config
        if not isinstance(self.config, RuntimeConfig):
            raise TypeError(f"Expected a RuntimeConfig, got {config!r}")
        self.token = CancellationToken()
        """Cancelled when shutdown begins; cancelling it, from anywhere, begins it."""
        self.pool = RuntimePool(self.config)
        """For ``await runtime.pool.run(...)`` in the runtime's tasks."""
        self._lag = LoopLagMonitor(self.config.lag_interval_s)
        self._tracker = TaskTracker(self.config.name)
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._live, name=self.config.name, daemon=True)
        self._lock = threading.Lock()
        self._state = "not started"  # starting, running, shutting down, shut down
        self._up: Future[None] = Future()
        self._report: Future[ShutdownReport] = Future()
        self._drain_s = 10.0
        self._outstanding: set[ThreadHandle[Any]] = set()
        self._post: Callable[[Callable[[], object]], object]  # these two once it is up
        self._context: Context

    # -- its life --------------------------------------------------------------------------------

    def start(self) -> Runtime:
        """Start the loop, and return when it runs. Raises `RuntimeUsed` the second time, and
        whatever ``on_thread_start`` raises.
        """
        if not self._become("starting", "not started"):
            raise RuntimeUsed(self.config.name)
        try:
            start_thread(self._thread, self.pool.stack_size)
        except RuntimeError as error:  # the system has no more threads
            self._end(error)
        self._up.result()
        return self

    def shutdown(self, timeout: float = 10.0, reason: str = "shutdown") -> ShutdownReport:
        """Take no more tasks, cancel `token`, give the tasks `timeout` seconds, and those left then
        a second to be aborted in; how that went.

        Returns by then in any case: a task that refuses, or that holds the loop itself, is stuck,
        and runs on in its daemon thread. Only the first call counts; others get its report. Raises
        `WouldDeadlock` in the loop's own thread (there, cancel `token`), and what ended the loop if
        that was meant for the process.
        """
        if not isinstance(reason, str):
            raise TypeError(f"Expected the reason as str, got {type(reason).__name__}")
        timeout = checked_seconds("timeout", timeout)
        longest_s = timeout + _GRACE_S + _PATIENCE_S
        deadline_s = time.monotonic() + min(longest_s, threading.TIMEOUT_MAX / 2)
        self._check_thread("shut down")
        if self._become("shut down", "not started"):
            self.pool.close()
            self._settle(ShutdownReport(reason, 0, (), (), 0.0))
        if self._become("shutting down", "starting", "running"):
            self._drain_s = timeout
        self.token.cancel(reason)
        try:
            report = self._report.result(deadline_s - time.monotonic())
        except TimeoutError:  # the loop is held: by one of its tasks, or by whoever has the GIL
            names = self._tracker.names()
            self._settle(ShutdownReport(self.token.reason, 0, (), names, longest_s))
            report = self._report.result()
        if not report.stuck and self._thread.ident is not None:
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return report

    def __enter__(self) -> Runtime:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()

    # -- from any thread -------------------------------------------------------------------------

    def spawn(
        self, fn: Callable[..., Awaitable[T]], *args: object, name: str | None = None
    ) -> ThreadHandle[T]:
        """Start ``fn(*args)`` as a task of the loop. Raises `RuntimeNotRunning`."""
        handle = self._expect(fn, name)
        self._launch(handle, fn, args)
        return handle

    def spawn_blocking(
        self, fn: Callable[..., T], *args: object, name: str | None = None
    ) -> ThreadHandle[T]:
        """Start ``fn(*args)`` in a thread of the pool, once one is free. Aborted before that it
        never runs; afterwards it runs to its end. Raises `RuntimeNotRunning`, `TypeError`.
        """
        if not callable(fn) or inspect.iscoroutinefunction(fn):
            raise TypeError(f"Expected a function that is not async, got {fn!r}")
        return self.spawn(self.pool.run, fn, *args, name=name)

    def block_on(self, fn: Callable[..., Awaitable[T]], *args: object) -> T:
        """``await fn(*args)`` in the loop, waited for here; what it returns or raises.

        Interrupted (Ctrl-C), it aborts the task. Raises `TaskAborted` when the runtime is shut
        down meanwhile, `RuntimeNotRunning`, and `WouldDeadlock` in the loop's own thread.
        """
        self._check_thread("block")
        handle = self._expect(fn, None)
        try:  # from before it begins: an interrupt may come at any step
            self._launch(handle, answer, (fn, args))
            value, error = handle.result()
        except BaseException:
            handle.abort()
            raise
        if error is not None:
            raise error
        return cast("T", value)

    def stats(self) -> RuntimeStats:
        """Now, or at its end. Zeros before it starts."""
        lag, pool = self._lag, self.pool.stats
        return RuntimeStats(
            lag.p50, lag.p99, lag.max, len(self._tracker), pool.running, pool.queued
        )

    def __repr__(self) -> str:
        return f"<Runtime {self.config.name} on {self.config.backend}: {self._state}>"

    def _expect(self, fn: object, name: str | None) -> ThreadHandle[Any]:
        """The handle of a task to come."""
        if not callable(fn):
            raise TypeError(f"Expected an async function, got {fn!r}")
        with self._lock:
            if self._state != "running":
                raise RuntimeNotRunning(self.config.name, self._state)
            name = name or f"{self.config.name}-task-{next(self._numbers)}"
            handle: ThreadHandle[Any] = ThreadHandle(name, self._post, self._check_thread)
            self._outstanding.add(handle)
            return handle

    def _launch(
        self,
        handle: ThreadHandle[Any],
        fn: Callable[..., Awaitable[Any]],
        args: tuple[object, ...],
    ) -> None:
        # In the loop's own context: the caller's may tell of another kind of loop.
        begin = functools.partial(self._begin, handle, fn, args)
        self._post(lambda: self._context.copy().run(begin))

    def _become(self, state: str, *of: str) -> bool:
        """Change the state, if it is one of these; whether it was."""
        with self._lock:
            changes = self._state in of
            if changes:
                self._state = state
            return changes

    def _check_thread(self, what: str) -> None:
        if threading.current_thread() is self._thread:
            raise WouldDeadlock(what, self.config.name)

    def _settle(self, outcome: ShutdownReport | BaseException) -> None:
        """This is how it ended, unless that is known already."""
        with self._lock:
            if self._report.done():
                return
            if isinstance(outcome, BaseException):
                self._report.set_exception(outcome)
            else:
                self._report.set_result(outcome)

    # -- in the loop's thread --------------------------------------------------------------------

    def _live(self) -> None:
        ended: BaseException | None = None
        try:
            show_thread_name()
            if self.config.on_thread_start is not None:
                self.config.on_thread_start()
            anyio.run(self._main, backend=self.config.backend)
        except BaseException as error:
            ended = error
        self._end(ended)

    async def _main(self) -> None:
        self._context = copy_context()
        self._post = loop_here()
        async with self._tracker, self._lag:
            self._become("running", "starting")
            self._up.set_result(None)
            await self.token.cancelled()
            self._become("shutting down", "running")
            await self._catch_up()
            coordinator = ShutdownCoordinator(
                self._tracker, self.token, drain_deadline_s=self._drain_s, abort_grace_s=_GRACE_S
            )
            report = await coordinator.shutdown()
            self.pool.close()
            self._settle(report)

    async def _catch_up(self) -> None:
        """Until every task that was accepted has begun: then it is drained as the others are."""
        waiter = Waiter()
        self._post(waiter.wake)
        await waiter.wait()

    def _begin(
        self,
        handle: ThreadHandle[Any],
        fn: Callable[..., Awaitable[Any]],
        args: tuple[object, ...],
    ) -> None:
        try:
            task = self._tracker.spawn(fn, *args, name=handle.name)
        except TrackerClosed:
            self._forget(handle, "the runtime is shut down")
            return
        handle.bind(task)
        task.add_waiter(lambda: self._outstanding.discard(handle))

    def _forget(self, handle: ThreadHandle[Any], reason: str) -> None:
        self._outstanding.discard(handle)
        handle.end(TaskExit.Aborted(reason))

    def _end(self, error: BaseException | None) -> None:
        """The loop is over: nobody waits for it any longer."""
        with self._lock:
            self._state = "shut down"
            left = list(self._outstanding)
        self.pool.close()
        for handle in left:
            reason = "the runtime is shut down" if error is None else f"it ended: {error!r}"
            self._forget(handle, reason)
        if error is not None:
            self._settle(error)
            if not self._up.done():
                self._up.set_exception(error)
