"""A right answer of another kind: one condition for everybody, entries that compare themselves."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Never

from .command import URGENT, Command, CommandKind
from .errors import QueueBroken, QueueFull, QueueShutdown
from .metrics import Metrics
from .primitives import THREADING, Primitives

__all__ = ["CommandQueue"]


@dataclass(order=True)
class _Entry:
    """Its own order, and not that of commands."""

    urgency: int
    issued_at: int
    number: int
    command: Command = field(compare=False)
    admitted: bool = field(compare=False, default=False)


class CommandQueue:
    """Whoever changes anything wakes all; whoever wakes looks whether it is meant."""

    def __init__(
        self, capacity: int, *, emergency_reserve: int = 0, primitives: Primitives = THREADING
    ) -> None:
        if type(capacity) is not int or capacity < 1:
            raise ValueError(f"capacity must be a positive integer, got {capacity!r}")
        if type(emergency_reserve) is not int or not 0 <= emergency_reserve < capacity:
            raise ValueError(f"emergency_reserve must be in 0..{capacity - 1}")
        self.capacity = capacity
        self._reserve = emergency_reserve
        self._clock_ns = primitives.monotonic_ns
        self.changed = primitives.Condition(primitives.Lock())
        self._queued: list[_Entry] = []
        self._waiting: list[_Entry] = []
        self._number = 0
        self._broken: Exception | None = None
        self.is_shutdown = False
        self.metrics = Metrics()

    @property
    def waiting_producers(self) -> int:
        return len(self._waiting)

    def __len__(self) -> int:
        return len(self._queued)

    def push(self, cmd: Command, timeout: float | None = None) -> None:
        with self._changing():
            if self.is_shutdown:
                self._over()
            self._number += 1
            entry = _Entry(-cmd.priority, cmd.issued_at, self._number, cmd)
            if self._fits(entry):
                self._admit(entry)
                return
            heapq.heappush(self._waiting, entry)
            try:
                arrived = self._wait(lambda: entry.admitted or self.is_shutdown, timeout)
            finally:
                if not entry.admitted:
                    self._waiting = [other for other in self._waiting if other is not entry]
                    heapq.heapify(self._waiting)
            if entry.admitted:
                return
            if arrived:
                self._over()
            raise QueueFull(f"no slot within {timeout} s")

    def pop(self, timeout: float | None = None) -> Command | None:
        with self._changing():
            self._wait(self._is_ready, timeout)
            if self._broken:
                self._over()
            if self._queued:
                return self._next()
            if self.is_shutdown:
                return None
            raise TimeoutError(f"no command within {timeout} s")

    def push_many(self, cmds: Sequence[Command]) -> None:
        if self.is_shutdown:
            self._over()
        for cmd in sorted(cmds, key=lambda cmd: (-cmd.priority, cmd.issued_at)):
            self.push(cmd)

    def pop_many(self, limit: int) -> list[Command]:
        with self._changing():
            self._wait(self._is_ready, None)
            if self._broken:
                self._over()
            return [self._next() for _ in range(min(limit, len(self._queued)))]

    def shutdown(self) -> None:
        with self.changed:
            self.is_shutdown = True
            self.changed.notify_all()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The lock is held; what fails is told to all."""
        with self.changed:
            try:
                yield
            except (QueueBroken, QueueFull, QueueShutdown, TimeoutError):
                raise
            except Exception as error:
                self._broken = error
                self.is_shutdown = True
                self.changed.notify_all()
                raise QueueBroken(repr(error)) from error

    def _wait(self, until: Any, timeout: float | None) -> bool:
        """Whether it holds before the time is over."""
        end_ns = None if timeout is None else self._clock_ns() + int(timeout * 1e9)
        while not until():
            left_ns = None if end_ns is None else end_ns - self._clock_ns()
            if left_ns is not None and left_ns <= 0:
                return False
            self.changed.wait(None if left_ns is None else left_ns / 1e9)
        return True

    def _is_ready(self) -> bool:
        return bool(self._queued) or self.is_shutdown

    def _fits(self, entry: _Entry) -> bool:
        if -entry.urgency >= URGENT:
            return len(self._queued) < self.capacity
        common = sum(-other.urgency < URGENT for other in self._queued)
        return len(self._queued) < self.capacity and common < self.capacity - self._reserve

    def _admit(self, entry: _Entry) -> None:
        heapq.heappush(self._queued, entry)
        entry.admitted = True
        self.metrics._count_admission()
        self.changed.notify_all()

    def _next(self) -> Command:
        command = heapq.heappop(self._queued).command
        self.metrics._count_dispatch(safe_mode=command.kind is CommandKind.SAFE_MODE)
        while self._waiting and self._fits(self._waiting[0]):
            self._number += 1
            entry = heapq.heappop(self._waiting)
            entry.number = self._number
            self._admit(entry)
        return command

    def _over(self) -> Never:
        if self._broken:
            raise QueueBroken(repr(self._broken))
        raise QueueShutdown("the queue is shut down")
