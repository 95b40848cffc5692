"""Ending a service in bounded time: ask, wait, insist, and say what became of everyone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from meridian.checks import checked_seconds
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.tracker import TaskHandle, TaskTracker

__all__ = ["ShutdownCoordinator", "ShutdownReport"]


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How a shutdown went. Every task that ran when it began is counted once."""

    reason: str
    drained: int
    """Tasks that ended by themselves, in time."""
    aborted: tuple[str, ...]
    """Tasks that ended only when they were aborted, oldest first."""
    stuck: tuple[str, ...]
    """Tasks that run on though they were aborted: they swallow their cancellation, shield
    themselves from it, or wait for a thread."""
    elapsed_s: float

    @property
    def clean(self) -> bool:
        """Whether all drained."""
        return not (self.aborted or self.stuck)

    def __str__(self) -> str:
        parts = [f"{self.drained} drained", f"{len(self.aborted)} aborted"]
        if self.stuck:
            parts.append(f"stuck: {', '.join(self.stuck)}")
        return f"Shutdown ({self.reason}): {', '.join(parts)}, after {self.elapsed_s:.3f} s"


class ShutdownCoordinator:
    """Drains a tracker's tasks, with one deadline for all of them together.

    The token tells them to come to an end: a state, so that nobody who looks late misses it. Who
    has not ended at the deadline is aborted, and who has not ended `abort_grace_s` later is stuck:
    `shutdown` returns all the same. Leaving the block of a tracker with a stuck task would wait
    for it; a process that must be gone leaves by ``os._exit``.
    """

    def __init__(
        self,
        tracker: TaskTracker,
        token: CancellationToken,
        *,
        drain_deadline_s: float = 10.0,
        abort_grace_s: float = 1.0,
    ) -> None:
        """Both times in seconds, >= 0 and possibly infinite. Raises `TypeError`, `ValueError`."""
        self._tracker = tracker
        self._token = token
        self._drain_deadline_s = checked_seconds("drain_deadline_s", drain_deadline_s)
        self._abort_grace_s = checked_seconds("abort_grace_s", abort_grace_s)
        self._lock = anyio.Lock()
        self._drain: _Drain | None = None
        self.report: ShutdownReport | None = None
        """``None`` until `shutdown` has ended."""

    async def shutdown(self, reason: str = "requested") -> ShutdownReport:
        """Close the tracker, cancel the token, wait, abort who is left, wait again; how it went.

        In the loop of the tracker, but not in one of its tasks, which would wait for itself.
        There is one drain: whoever calls while it runs, or after, gets the same report. The
        reason of who cancelled the token is the one reported. If the caller is cancelled the tasks
        are left as they are; the next call goes on, towards the same deadlines. Raises `TypeError`
        for a reason that is no text.
        """
        if not isinstance(reason, str):
            raise TypeError(f"Expected the reason as str, got {type(reason).__name__}")
        if self._drain is None:
            self._tracker.close()
            self._token.cancel(reason)
            self._drain = _Drain(self._tracker, self._drain_deadline_s, self._abort_grace_s)
        async with self._lock:
            if self.report is None:
                self.report = await self._drain.run(self._token.reason)
            return self.report


class _Drain:
    """The tasks that ran when it began, on their way to an end."""

    def __init__(self, tracker: TaskTracker, drain_deadline_s: float, abort_grace_s: float) -> None:
        self._tasks = tracker.handles()
        self._began_s = anyio.current_time()
        self._deadline_s = self._began_s + drain_deadline_s
        self._abort_grace_s = abort_grace_s
        self._stragglers: list[TaskHandle[Any]] | None = None

    async def run(self, reason: str) -> ShutdownReport:
        await self._wait()
        if (stragglers := self._stragglers) is None:
            stragglers = self._stragglers = [task for task in self._tasks if not task.done]
            for task in stragglers:
                task.abort()
            # From now: if the loop itself was stuck, they still get the time they were promised.
            self._deadline_s = anyio.current_time() + self._abort_grace_s
        await self._wait()
        return ShutdownReport(
            reason=reason,
            drained=len(self._tasks) - len(stragglers),
            aborted=tuple(task.name for task in stragglers if task.done),
            stuck=tuple(task.name for task in stragglers if not task.done),
            elapsed_s=anyio.current_time() - self._began_s,
        )

    async def _wait(self) -> None:
        with anyio.move_on_after(self._deadline_s - anyio.current_time()):
            for task in self._tasks:
                await task.join()
