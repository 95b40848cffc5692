"""Threads for what would block the loop: files, sockets, and code that releases the GIL.

Pure Python in a thread still shares the GIL with the loop: it delays it, only less. A hop to a
thread and back costs 50 to 100 us, so what takes under about 1 ms is better done in place.

Reference: ``spawn_blocking`` of Tokio, ``to_thread`` of anyio and trio.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import anyio
import anyio.lowlevel

from meridian.checks import checked_int
from meridian.errors import MeridianError
from meridian.foundation.tasks.blocking_job import Job
from meridian.foundation.tasks.exits import has_cancellation
from meridian.foundation.tasks.parking import Waiter, cancel_later
from meridian.foundation.tasks.stacks import check_stack_size, start_thread
from meridian.foundation.tasks.thread_names import show_thread_name

__all__ = ["BlockingPool", "BlockingPoolClosed", "BlockingStats", "spawn_blocking"]

T = TypeVar("T")
_IDLE_S = 10.0  # after which a thread that has nothing to do ends


class BlockingPoolClosed(MeridianError, RuntimeError):
    """A job was given to a pool that takes none any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Blocking pool {name} is closed: make a new one")


class BlockingStats(NamedTuple):
    """What a pool does now; `peak` is of its whole life."""

    running: int  # jobs in a thread
    queued: int  # jobs that wait for one
    peak: int  # the most that ever ran at once
    abandoned: int  # of those running, how many nobody waits for any more


class BlockingPool:
    """At most `max_threads` threads of its own, which take jobs first come, first served.

    The threads are daemons: Python joins other threads before it exits, so one stuck call would
    hold up a whole shutdown. A thread that was idle for 10 s ends. One pool serves any number of
    loops, in any threads.
    """

    def __init__(
        self, max_threads: int = 40, name: str = "meridian-blocking", stack_size: int = 0
    ) -> None:
        """`stack_size` in bytes, 0 for the system's own (8 MiB on Linux, taken as it is used).

        Raises `ValueError` for no threads or a stack the system refuses, `TypeError`.
        """
        self.max_threads = checked_int("max_threads", max_threads, least=1)
        self.stack_size = checked_int("stack_size", stack_size)
        check_stack_size(self.stack_size)
        self.name = name
        self._closed = False
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._queue: OrderedDict[Job[Any], None] = OrderedDict()
        self._threads = self._started = 0
        self._running = self._peak = self._abandoned = 0

    @property
    def stats(self) -> BlockingStats:
        with self._lock:
            return BlockingStats(self._running, len(self._queue), self._peak, self._abandoned)

    async def run(self, fn: Callable[..., T], *args: object, abandon_on_cancel: bool = False) -> T:
        """``fn(*args)`` in a thread, with the context variables of this task.

        Cancelled while the job is queued, it never runs. A thread cannot be stopped: cancelled
        while the job runs, this waits for it, returns what it returns, and the cancellation is
        raised at the task's next await; or, with `abandon_on_cancel`, is raised at once and the
        job's result dropped. Its thread is taken until the job ends, in either case.

        Raises whatever the job raises (a ``StopIteration`` as the cause of a `RuntimeError`, which
        is all a coroutine can do), `BlockingPoolClosed`, and `TypeError` for a coroutine function.
        """
        if not callable(fn) or inspect.iscoroutinefunction(fn):
            raise TypeError(f"Expected a function that is not async, got {fn!r}")
        await anyio.lowlevel.checkpoint_if_cancelled()
        job = Job(fn, args)
        self._submit(job)
        try:
            await job.waiter.wait()
        except BaseException as error:
            if self._withdraw(job):
                raise
            if not has_cancellation(error):  # KeyboardInterrupt, or the coroutine is closed
                self._abandon(job)
                raise
            if abandon_on_cancel and self._abandon(job):
                raise
            await self._outlast(job, error)
        return job.outcome()

    def close(self) -> None:
        """Take no more jobs. Those taken are done, then the threads end. Twice is harmless."""
        with self._lock:
            self._closed = True
            self._work.notify_all()

    # -- in the loop -----------------------------------------------------------------------------

    def _submit(self, job: Job[Any]) -> None:
        with self._lock:
            if self._closed:
                raise BlockingPoolClosed(self.name)
            self._queue[job] = None
            # A thread that was told of a job and has not come yet counts as idle: it still will.
            if len(self._queue) <= self._threads - self._running:
                self._work.notify()
                return
            if self._threads == self.max_threads:
                return
            self._threads += 1
            self._started += 1
            name = f"{self.name}-{self._started}"
        try:
            thread = threading.Thread(target=_serve, args=(self,), name=name, daemon=True)
            start_thread(thread, self.stack_size)
        except RuntimeError:  # the system has no more threads
            with self._lock:
                self._threads -= 1
                if self._threads or self._queue.pop(job, self) is self:
                    return  # another thread will do it, or has
            raise

    def _withdraw(self, job: Job[Any]) -> bool:
        """Take `job` off the queue; whether it was there, and so will never run."""
        with self._lock:
            return self._queue.pop(job, self) is None

    def _abandon(self, job: Job[Any]) -> bool:
        """Wait for it no more; whether it still runs."""
        with self._lock:
            if job.done:
                return False
            job.abandoned = True
            self._abandoned += 1
            return True

    async def _outlast(self, job: Job[Any], error: BaseException) -> None:
        """Wait for a job that runs, whatever comes; `error` is what came first."""
        with anyio.CancelScope(shield=True):
            while self._renew(job):
                try:
                    await job.waiter.wait()
                except asyncio.CancelledError as another:  # asyncio's own knows no shield
                    error = another
                except BaseException:
                    self._abandon(job)
                    raise
        if isinstance(error, asyncio.CancelledError):
            cancel_later(error)

    def _renew(self, job: Job[Any]) -> bool:
        """Give a job that runs a new waiter, since the old one is gone; whether it runs."""
        with self._lock:
            if not job.done:
                job.waiter = Waiter()
            return not job.done

    # -- in the threads --------------------------------------------------------------------------

    def _next(self) -> Job[Any] | None:
        """The job that has waited longest; ``None`` when this thread should end."""
        with self._lock:
            while not self._queue:
                if self._closed or not self._work.wait(_IDLE_S):
                    if self._queue:  # it came in the last moment
                        break
                    self._threads -= 1
                    return None
            job, _ = self._queue.popitem(last=False)
            self._running += 1
            self._peak = max(self._peak, self._running)
            return job

    def _done(self, job: Job[Any]) -> None:
        with self._lock:
            self._running -= 1
            self._abandoned -= job.abandoned
            job.done = True
            waiter = job.waiter
        if not job.abandoned:
            job.post(waiter.wake)

    def __repr__(self) -> str:
        return f"<BlockingPool {self.name} {self.stats}>"


def _serve(pool: BlockingPool) -> None:
    """A thread's life."""
    show_thread_name()
    while (job := pool._next()) is not None:
        job.run()
        pool._done(job)
        del job  # while this thread is idle it holds nothing of the last job


# -- the process's own -----------------------------------------------------------------------------

_pools: weakref.WeakSet[BlockingPool] = weakref.WeakSet()


def _after_fork() -> None:
    """A child process has none of the threads, and no loop that waits for a job."""
    for pool in list(_pools):
        pool._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


_shared = BlockingPool()


async def spawn_blocking(
    fn: Callable[..., T], *args: object, pool: BlockingPool | None = None
) -> T:
    """``fn(*args)`` in a thread of `pool`, by default one of 40 threads that all share.

    As `BlockingPool.run`. Tokio's default is 512 threads, anyio's 40, asyncio's CPUs + 4, at most
    32: whoever blocks for long wants a pool of their own.
    """
    if not isinstance(pool, BlockingPool | None):
        raise TypeError(f"Expected a BlockingPool, got {pool!r}")
    return await (_shared if pool is None else pool).run(fn, *args)
