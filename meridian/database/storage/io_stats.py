"""Counters of the page file: live while it works, frozen when asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

__all__ = ["IoStatistics", "IoStats"]


class IoStatistics(NamedTuple):
    """A frozen copy of `IoStats`."""

    reads: int  # pages read for a caller
    writes: int  # pages written for a caller
    bytes: int  # all bytes moved, formatting and file header included
    calls: int  # preadv and pwritev calls: fewer than pages where neighbours were merged
    syncs: int
    allocs: int
    frees: int


@dataclass(slots=True)
class IoStats:
    """What a page file has done since it was opened, or since `reset`."""

    reads: int = 0
    writes: int = 0
    bytes: int = 0
    calls: int = 0
    syncs: int = 0
    allocs: int = 0
    frees: int = 0

    def reset(self) -> None:
        for name in IoStatistics._fields:
            setattr(self, name, 0)

    def frozen(self) -> IoStatistics:
        return IoStatistics(**asdict(self))
