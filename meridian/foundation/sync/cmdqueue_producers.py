"""The producers that wait for a slot of a command queue, in the order of dispatch."""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter

from meridian.foundation.sync.command import Command
from meridian.foundation.sync.primitives import LockLike

__all__ = ["Producer", "Producers"]

_key = attrgetter("key")


class Producer:
    """A thread that waits for a slot: asleep on its gate, which opens when the wait is over."""

    __slots__ = ("admitted", "command", "gate", "key")

    def __init__(self, command: Command, gate: LockLike) -> None:
        self.command = command
        self.gate = gate
        self.admitted = False
        self.key = (0, 0, 0)


class Producers(list[Producer]):
    """Those that wait, the next to be admitted at the end.

    A list, so that the queue asks whether anybody waits at no cost. Not safe between threads.
    """

    __slots__ = ("_arrivals",)

    def __init__(self) -> None:
        super().__init__()
        self._arrivals = 0

    def add(self, producer: Producer) -> None:
        """Put `producer` at its place, behind those that came before it with equal commands."""
        self._arrivals += 1
        command = producer.command
        producer.key = (command.priority, -command.issued_at, -self._arrivals)
        insort(self, producer, key=_key)

    def discard(self, producer: Producer) -> None:
        """Remove `producer`, if it still waits."""
        place = bisect_left(self, producer.key, key=_key)
        if place < len(self) and self[place] is producer:
            del self[place]
