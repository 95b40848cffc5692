"""Commands in the order of dispatch: a FIFO for each priority, a mask of those that hold any."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from operator import attrgetter

from meridian.foundation.sync.command import URGENT, Command

__all__ = ["BITS", "Buckets"]

BITS = tuple(1 << priority for priority in range(256))
_issued_at = attrgetter("issued_at")


class Buckets:
    """A priority is one byte, so no heap is needed: the top bit of `mask` names the first FIFO.

    Insertion and removal take constant time while commands of one priority come in the order of
    their `issued_at`. One that comes late is put to its place by bisection. Commands themselves
    are never compared. Not safe between threads.
    """

    __slots__ = ("fifos", "mask")

    def __init__(self) -> None:
        self.fifos: list[deque[Command] | None] = [None] * 256
        self.mask = 0

    def insert(self, command: Command) -> None:
        """Put `command` behind all that are dispatched before it, those of equal rank included."""
        priority = command.priority
        fifo = self.fifos[priority]
        if fifo:
            if fifo[-1].issued_at <= command.issued_at:
                fifo.append(command)
            else:
                place = bisect_right(fifo, command.issued_at, key=_issued_at)
                fifo.insert(place, command)
            return
        if fifo is None:
            fifo = self.fifos[priority] = deque()
        fifo.append(command)
        self.mask |= BITS[priority]

    def first_fifo(self) -> deque[Command]:
        """The FIFO to dispatch from; there is one while `mask` is not zero."""
        return self.fifos[self.mask.bit_length() - 1]  # type: ignore[return-value]

    def remove_from_first(self, most: int) -> None:
        """Remove up to `most` from the first FIFO."""
        top = self.mask.bit_length() - 1
        fifo = self.first_fifo()
        if len(fifo) > most:
            for _ in range(most):
                fifo.popleft()
        else:
            fifo.clear()
            self.mask ^= BITS[top]

    def put_back(self, command: Command) -> None:
        """Make `command` the first of its priority again."""
        fifo = self.fifos[command.priority]
        assert fifo is not None
        fifo.appendleft(command)
        self.mask |= BITS[command.priority]

    def remove(self, command: Command) -> None:
        """Remove the last entry that is this very object."""
        fifo = self.fifos[command.priority]
        assert fifo is not None
        for place in range(len(fifo) - 1, -1, -1):
            if fifo[place] is command:
                del fifo[place]
                break
        if not fifo:
            self.mask &= ~BITS[command.priority]

    def urgent(self) -> int:
        """How many may use the emergency reserve."""
        if not self.mask >> URGENT:
            return 0
        return sum(len(fifo) for fifo in self.fifos[URGENT:] if fifo)

    def recount(self) -> int:
        """Set the mask to what the FIFOs hold, and say how many commands that is."""
        mask = count = 0
        for priority, fifo in enumerate(self.fifos):
            if fifo:
                mask |= BITS[priority]
                count += len(fifo)
        self.mask = mask
        return count
