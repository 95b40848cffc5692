"""Which page leaves when another must come in: LRU, CLOCK and 2Q, to the letter.

A policy knows frames by number and nothing of files or bytes, so that any cache of frames can use
it. Each follows its definition exactly: replaying a trace gives the same victims every time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

__all__ = ["Clock", "Lru", "Policy", "TwoQueue", "make_policy"]

GHOSTS = "A1out"


class Policy(ABC):
    """Remember how frames were used, and name the one to give up.

    `pins` and `ref_bits` are the owner's arrays, one entry per frame. On a hit the owner sets
    ``ref_bits[frame] = 1`` and calls `touch`, where there is one. It fills free frames first and
    asks for a victim only when every frame holds a page.
    """

    name: str
    touch: Callable[[int], object] | None = None

    def __init__(self, pins: array[int], ref_bits: bytearray) -> None:
        self.pins = pins
        self.ref_bits = ref_bits

    @abstractmethod
    def victim(self) -> int:
        """An unpinned frame to empty, or -1. Its page stays known until `evict`."""

    @abstractmethod
    def load(self, frame: int, key: Hashable, *, scan: bool) -> None:
        """Page `key` is now in `frame`; `scan` says that it will hardly be used again."""

    @abstractmethod
    def evict(self, frame: int, key: Hashable) -> None:
        """Page `key` has left `frame` to make room."""

    def drop(self, frame: int, key: Hashable) -> None:
        """Page `key` has left `frame` because it exists no more."""
        self.evict(frame, key)

    def queues(self) -> dict[str, list[Any]]:
        """What the policy keeps in order, by name, next to leave first: frames; keys of ghosts."""
        return {}

    def _first_unpinned(self, frames: Iterable[int]) -> int:
        pins = self.pins
        return next((frame for frame in frames if not pins[frame]), -1)


class Lru(Policy):
    """Give up the page that was fetched the longest time ago.

    A page of a scan comes in as the oldest.
    """

    name = "lru"

    def __init__(self, pins: array[int], ref_bits: bytearray) -> None:
        super().__init__(pins, ref_bits)
        self._order: OrderedDict[int, None] = OrderedDict()
        self.touch = self._order.move_to_end

    def victim(self) -> int:
        return self._first_unpinned(self._order)

    def load(self, frame: int, key: Hashable, *, scan: bool) -> None:  # noqa: ARG002
        self._order[frame] = None
        if scan:
            self._order.move_to_end(frame, last=False)

    def evict(self, frame: int, key: Hashable) -> None:  # noqa: ARG002
        del self._order[frame]

    def queues(self) -> dict[str, list[Any]]:
        return {"LRU": [*self._order]}


class Clock(Policy):
    """Approximate LRU with one bit per frame: a hit is a store, no list is kept in order.

    The hand skips pinned frames, clears the bit of used ones and stops at the first frame whose
    bit is clear (Corbato 1968; Tanenbaum, *Modern Operating Systems*, 3.4). A page of a scan
    comes in with a clear bit.
    """

    name = "clock"

    def __init__(self, pins: array[int], ref_bits: bytearray) -> None:
        super().__init__(pins, ref_bits)
        self.hand = 0

    def victim(self) -> int:
        pins, ref_bits, hand, frames = self.pins, self.ref_bits, self.hand, len(self.pins)
        for _ in range(2 * frames):
            frame = hand
            hand = hand + 1 if hand + 1 < frames else 0
            if not pins[frame]:
                if not ref_bits[frame]:
                    self.hand = hand
                    return frame
                ref_bits[frame] = 0
        return -1  # all pinned: after two full turns the hand is where it was

    def load(self, frame: int, key: Hashable, *, scan: bool) -> None:  # noqa: ARG002
        self.ref_bits[frame] = not scan

    def evict(self, frame: int, key: Hashable) -> None:  # noqa: ARG002
        self.ref_bits[frame] = 0


class TwoQueue(Policy):
    """Let a page prove itself before it may push out the working set.

    New pages pass through A1in, a FIFO of a quarter of the frames. A page that is asked for again
    after it left there, while its id is still among the ghosts (as many as half the frames),
    enters Am, which is LRU; a page of a scan does not. One pass over a large table touches A1in
    only (Johnson and Shasha, "2Q: A Low Overhead High Performance Buffer Management Replacement
    Algorithm", VLDB 1994).
    """

    name = "2q"

    def __init__(self, pins: array[int], ref_bits: bytearray) -> None:
        super().__init__(pins, ref_bits)
        self.in_target = max(1, len(pins) // 4)
        self.ghost_target = max(1, len(pins) // 2)
        self._in: OrderedDict[int, None] = OrderedDict()
        self._main: OrderedDict[int, None] = OrderedDict()
        self._ghosts: OrderedDict[Hashable, None] = OrderedDict()
        self.touch = self._touch

    def _touch(self, frame: int) -> None:
        if frame in self._main:
            self._main.move_to_end(frame)

    def victim(self) -> int:
        queues = [self._main, self._in]
        if len(self._in) > self.in_target:
            queues.reverse()
        frame = self._first_unpinned(queues[0])
        return frame if frame >= 0 else self._first_unpinned(queues[1])

    def load(self, frame: int, key: Hashable, *, scan: bool) -> None:
        if key in self._ghosts and not scan:
            del self._ghosts[key]
            self._main[frame] = None
        else:
            self._ghosts.pop(key, None)  # it is in memory again, no ghost
            self._in[frame] = None
        while len(self._ghosts) > self.ghost_target:  # only now: `key` had to be found first
            self._ghosts.popitem(last=False)

    def evict(self, frame: int, key: Hashable) -> None:
        if frame in self._in:
            del self._in[frame]
            self._ghosts[key] = None
        else:
            del self._main[frame]

    def drop(self, frame: int, key: Hashable) -> None:
        self.evict(frame, key)
        self._ghosts.pop(key, None)

    def queues(self) -> dict[str, list[Any]]:
        return {"A1in": [*self._in], "Am": [*self._main], GHOSTS: [*self._ghosts]}


_POLICIES: dict[str, type[Policy]] = {kind.name: kind for kind in (Lru, Clock, TwoQueue)}


def make_policy(name: str, pins: array[int], ref_bits: bytearray) -> Policy:
    """The policy called `name`: ``"lru"``, ``"clock"`` or ``"2q"``; else `ValueError`."""
    return _POLICIES[check_policy(name)](pins, ref_bits)


def check_policy(name: str) -> str:
    """`name`, or `ValueError` if no policy is called so."""
    if name not in _POLICIES:
        raise ValueError(f"Expected a policy from {', '.join(_POLICIES)}, got {name!r}")
    return name
