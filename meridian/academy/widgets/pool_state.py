"""What there is to see of a buffer pool at one moment, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

__all__ = ["Access", "Frame", "Outcome", "PoolState", "Step"]


class Access(NamedTuple):
    """One token of a trace."""

    text: str
    page_id: int
    write: bool = False
    scan: bool = False
    keep: bool = False  # stay pinned
    unpin: bool = False


class Frame(NamedTuple):
    """One frame: an empty one has no page."""

    page_id: int | None
    pins: int
    dirty: bool
    ref: bool


@dataclass(frozen=True, slots=True)
class PoolState:
    """Frames, the policy's memory and the counters after an access.

    `queues` holds page ids, the next to leave first: ``LRU``, or ``A1in``, ``Am`` and ``A1out`` of
    2Q, whose ghosts are the last; CLOCK has none, but a `hand`.
    """

    frames: tuple[Frame, ...]
    hand: int | None
    queues: dict[str, tuple[int, ...]]
    hits: int
    misses: int
    evictions: int
    writebacks: int
    exhausted: int

    def frame_of(self, page_id: int) -> int | None:
        """The frame that holds `page_id`."""
        pages = [frame.page_id for frame in self.frames]
        return pages.index(page_id) if page_id in pages else None

    @property
    def pinned(self) -> list[int]:
        """Pages with a pin, in the order of their frames."""
        return [f.page_id for f in self.frames if f.pins and f.page_id is not None]


class Outcome(Enum):
    """How an access ended. The value is what a picture writes beside it."""

    START = "start"
    HIT = "hit"
    MISS = "miss"
    REFUSED = "refused"
    UNPIN = "unpinned"
    NOT_PINNED = "no pin"


@dataclass(frozen=True, slots=True)
class Step:
    """One access and the state after it. `frame` is the one it used, `victim` the page that left,
    `cleared` the frames whose reference bit the hand cleared, `why` one sentence."""

    access: Access | None
    state: PoolState
    outcome: Outcome
    frame: int | None
    victim: int | None
    cleared: tuple[int, ...]
    why: str
