"""Replacement policies as their definitions read, with lists and linear searches."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

__all__ = ["NoVictim", "Outcome", "PolicyModel"]


class NoVictim(LookupError):
    """Every frame is pinned."""


class Outcome(NamedTuple):
    """What one access did: `victim` is the page that was evicted for it, if one was."""

    hit: bool
    victim: int | None
    frame: int


class PolicyModel:
    """A buffer pool without pages: which accesses hit, and who is evicted.

    `policy` is "lru", "clock" or "2q". Free frames are used first, lowest number first.

    - lru: victim is the unpinned page whose last access is longest ago.
    - clock: a load and a hit set the frame's bit; the hand skips pinned frames, clears set bits,
      takes the first frame with a clear bit and stops one past it.
    - 2q (Johnson and Shasha, VLDB 1994, simplified): new pages queue in A1in, oldest out first,
      target a quarter of the frames; ids evicted from there are remembered in A1out, half as
      many as frames; a remembered page that is loaded again leaves A1out and joins Am, which is
      LRU. The victim is A1in's oldest while A1in exceeds its target, else Am's least recent;
      where that queue has no unpinned page, the other one's.

    `scan=True` promotes nothing. A hit changes no state. A loaded page is LRU's next victim, has
    a clear bit under CLOCK, and joins A1in under 2Q although it was remembered.
    """

    def __init__(self, policy: str, frames: int) -> None:
        if policy not in ("lru", "clock", "2q"):
            raise ValueError(f"Expected policy 'lru', 'clock' or '2q', got {policy!r}")
        if frames < 1:
            raise ValueError(f"Expected at least 1 frame, got {frames}")
        self.policy = policy
        self.pages: list[int | None] = [None] * frames  # by frame
        self._order: list[int] = []  # lru: pages, next victim first; 2q: Am
        self._bits = [0] * frames
        self._hand = 0
        self._fifo: list[int] = []
        self._ghosts: list[int] = []

    def access(self, page_id: int, pinned: Collection[int] = (), *, scan: bool = False) -> Outcome:
        """Fetch `page_id` while the pages in `pinned` cannot go.

        Raises `NoVictim`, with nothing changed but the clock's hand and bits.
        """
        if page_id in self.pages:
            frame = self.pages.index(page_id)
            if not scan:
                self._touch(page_id, frame)
            return Outcome(True, None, frame)
        remembered = page_id in self._ghosts
        victim = None
        if None in self.pages:
            frame = self.pages.index(None)
        else:
            frame = self._victim_frame(pinned)
            victim = self.pages[frame]
        if remembered:
            self._ghosts.remove(page_id)
        if victim is not None:
            self._forget(victim)
        self.pages[frame] = page_id
        self._load(page_id, frame, to_main=remembered and not scan, scan=scan)
        return Outcome(False, victim, frame)

    def discard(self, page_id: int) -> None:
        """Empty the frame of a page that was freed or failed to load."""
        frame = self.pages.index(page_id)
        self.pages[frame] = None
        self._bits[frame] = 0
        for queue in (self._order, self._fifo):
            if page_id in queue:
                queue.remove(page_id)

    def _touch(self, page_id: int, frame: int) -> None:
        self._bits[frame] = 1
        if page_id in self._order:  # in 2q only Am is here: a hit in A1in does not move
            self._order.remove(page_id)
            self._order.append(page_id)

    def _load(self, page_id: int, frame: int, *, to_main: bool, scan: bool) -> None:
        self._bits[frame] = 0 if scan else 1
        if self.policy == "2q" and not to_main:
            self._fifo.append(page_id)
        elif self.policy != "clock":
            self._order.insert(0 if scan else len(self._order), page_id)

    def _forget(self, victim: int) -> None:
        if victim in self._order:
            self._order.remove(victim)
        if victim in self._fifo:
            self._fifo.remove(victim)
            self._ghosts.append(victim)
            del self._ghosts[: -max(1, len(self.pages) // 2)]

    def _victim_frame(self, pinned: Collection[int]) -> int:
        if self.policy == "clock":
            return self._sweep(pinned)
        candidates = [*self._order, *self._fifo]
        if len(self._fifo) > max(1, len(self.pages) // 4):
            candidates = [*self._fifo, *self._order]
        for page_id in candidates:
            if page_id not in pinned:
                return self.pages.index(page_id)
        raise NoVictim(f"All {len(self.pages)} frames are pinned")

    def _sweep(self, pinned: Collection[int]) -> int:
        for _ in range(2 * len(self.pages)):
            frame = self._hand
            self._hand = (frame + 1) % len(self.pages)
            if self.pages[frame] in pinned:
                continue
            if self._bits[frame] == 0:
                return frame
            self._bits[frame] = 0
        raise NoVictim(f"All {len(self.pages)} frames are pinned")
