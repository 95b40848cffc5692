"""Counters of the buffer pool: live while it works, frozen when asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

__all__ = ["PoolStatistics", "PoolStats"]


class PoolStatistics(NamedTuple):
    """A frozen copy of `PoolStats`, and how the frames stand at that moment."""

    hits: int
    misses: int
    evictions: int
    writebacks: int
    exhausted: int
    frames: int
    resident: int  # frames that hold a page
    pinned: int  # pages with a pin
    dirty: int  # pages newer in memory than in the file
    leaks: int  # handles collected while pinned

    @property
    def hit_rate(self) -> float:
        """Hits per fetch, 0.0 before the first."""
        return _rate(self.hits, self.misses)


@dataclass(slots=True)
class PoolStats:
    """What a pool has done since it was made, or since `reset`."""

    hits: int = 0
    misses: int = 0  # pages read, or tried to be read, from the file
    evictions: int = 0
    writebacks: int = 0  # dirty pages written, by eviction or flush
    exhausted: int = 0  # fetches refused because every frame was pinned

    @property
    def hit_rate(self) -> float:
        """Hits per fetch, 0.0 before the first."""
        return _rate(self.hits, self.misses)

    def reset(self) -> None:
        for counter in fields(self):
            setattr(self, counter.name, 0)


def _rate(hits: int, misses: int) -> float:
    return hits / (hits + misses) if hits + misses else 0.0
