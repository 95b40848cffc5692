"""A right answer of another kind: a sorted list per priority, steps that one helper guards."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TypeVar

from .command import URGENT, Command, CommandKind
from .errors import QueueBroken, QueueFull, QueueShutdown
from .metrics import Metrics
from .primitives import THREADING, Primitives

__all__ = ["CommandQueue"]

T = TypeVar("T")
_AGE = itemgetter(0, 1)


class CommandQueue:
    """256 lanes; a mark of each that holds something is not kept, 256 are looked through."""

    def __init__(
        self, capacity: int, *, emergency_reserve: int = 0, primitives: Primitives = THREADING
    ) -> None:
        for value, least in ((capacity, 1), (emergency_reserve, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"expected an integer >= {least}, got {value!r}")
        if emergency_reserve >= capacity:
            raise ValueError("the reserve is as large as the queue")
        self._primitives = primitives
        self._mutex = primitives.Lock()
        self._arrived = primitives.Condition(self._mutex)
        self._left = primitives.Condition(self._mutex)
        self._capacity, self._common = capacity, capacity - emergency_reserve
        self._lanes: dict[int, list[tuple[int, int, Command]]] = {}
        self._length = self._urgent = self._arrivals = 0
        self._waiting: list[tuple[int, int, int, Command, list[bool]]] = []
        self._ended: Exception | None = None
        self._metrics = Metrics()

    capacity = property(lambda self: self._capacity)
    metrics = property(lambda self: self._metrics)
    is_shutdown = property(lambda self: self._ended is not None)
    waiting_producers = property(lambda self: len(self._waiting))

    def __len__(self) -> int:
        return self._length

    def push(self, cmd: Command, timeout: float | None = None) -> None:
        self._locked(lambda: self._push(cmd, timeout))

    def push_many(self, cmds: Sequence[Command]) -> None:
        self._locked(self._refuse_after_the_end)
        for cmd in sorted(cmds, key=lambda c: (-c.priority, c.issued_at)):
            self.push(cmd)

    def pop(self, timeout: float | None = None) -> Command | None:
        return self._locked(lambda: self._pop(timeout))

    def pop_many(self, limit: int) -> list[Command]:
        first = self.pop()
        if first is None:
            return []
        return [first, *self._locked(lambda: self._rest(limit - 1))]

    def shutdown(self) -> None:
        with self._mutex:
            if self._ended is None:
                self._end(QueueShutdown("the queue is shut down"))

    def _locked(self, step: Callable[[], T]) -> T:
        with self._mutex:
            try:
                return step()
            except (QueueShutdown, QueueFull, QueueBroken, TimeoutError):
                raise
            except Exception as error:
                self._end(QueueBroken(repr(error)))
                raise QueueBroken(repr(error)) from error

    def _end(self, why: Exception) -> None:
        self._ended = why
        self._arrived.notify_all()
        self._left.notify_all()

    def _refuse_after_the_end(self) -> None:
        if self._ended is not None:
            raise type(self._ended)(*self._ended.args)

    def _push(self, cmd: Command, timeout: float | None) -> None:
        self._refuse_after_the_end()
        if self._takes(cmd):
            self._admit(cmd)
            return
        self._arrivals += 1
        admitted: list[bool] = []
        insort(self._waiting, (-cmd.priority, cmd.issued_at, self._arrivals, cmd, admitted))
        try:
            for left_s in self._until(timeout):
                self._left.wait(left_s)
                if admitted:
                    return
                self._refuse_after_the_end()
        finally:
            if not admitted:
                self._waiting = [one for one in self._waiting if one[-1] is not admitted]
        raise QueueFull("no slot in time")

    def _pop(self, timeout: float | None) -> Command | None:
        if not self._length and self._ended is None:
            for left_s in self._until(timeout):
                self._arrived.wait(left_s)
                if self._length or self._ended is not None:
                    break
            else:
                raise TimeoutError("no command in time")
        if isinstance(self._ended, QueueBroken):
            raise QueueBroken(*self._ended.args)
        return self._take() if self._length else None

    def _rest(self, limit: int) -> list[Command]:
        return [self._take() for _ in range(min(limit, self._length))]

    def _until(self, timeout: float | None):
        """Seconds that are left, again and again, until none are."""
        if timeout is None:
            while True:
                yield None
        end_ns = self._primitives.monotonic_ns() + int(timeout * 1e9)
        while (left_ns := end_ns - self._primitives.monotonic_ns()) > 0:
            yield left_ns / 1e9

    def _takes(self, cmd: Command) -> bool:
        common = self._length - self._urgent
        return self._length < self._capacity and (cmd.priority >= URGENT or common < self._common)

    def _admit(self, cmd: Command) -> None:
        self._arrivals += 1
        lane = self._lanes.setdefault(cmd.priority, [])
        insort(lane, (cmd.issued_at, self._arrivals, cmd), key=_AGE)
        self._length += 1
        self._urgent += cmd.priority >= URGENT
        self._metrics._count_admission()
        self._arrived.notify()

    def _take(self) -> Command:
        best = max(priority for priority, lane in self._lanes.items() if lane)
        cmd = self._lanes[best].pop(0)[2]
        self._length -= 1
        self._urgent -= best >= URGENT
        self._metrics._count_dispatch(safe_mode=cmd.kind is CommandKind.SAFE_MODE)
        while self._waiting and self._takes(self._waiting[0][3]):
            *_, waiting, admitted = self._waiting.pop(0)
            admitted.append(True)
            self._admit(waiting)
            self._left.notify_all()
        return cmd
