"""Where a frame came from, said by the frame itself: after a fan-in nothing else can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

__all__ = ["ArchivedReplay", "FrameSource", "LiveUplink", "TaggedFrame"]


@dataclass(frozen=True, slots=True)
class LiveUplink:
    """A pass that is going on."""

    satellite_id: int


@dataclass(frozen=True, slots=True)
class ArchivedReplay:
    """Frames of the past, played again."""

    mission_id: str


FrameSource: TypeAlias = LiveUplink | ArchivedReplay


@dataclass(frozen=True, slots=True)
class TaggedFrame:
    """One frame of a merged stream. `sequence` counts within its source."""

    source: FrameSource
    sequence: int
    payload: bytes

    @property
    def origin(self) -> str:
        """The source in a word or two, for logs and plots.

        A new kind of source that is forgotten here is an error of the type checker, and an
        `AssertionError` at run time: ``match`` alone would fall through.
        """
        match self.source:
            case LiveUplink(satellite_id):
                return f"live {satellite_id}"
            case ArchivedReplay(mission_id):
                return f"replay {mission_id}"
            case other:
                assert_never(other)
