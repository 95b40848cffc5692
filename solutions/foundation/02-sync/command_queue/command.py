"""Commands for a satellite."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import Enum

__all__ = ["URGENT", "Command", "CommandKind"]

URGENT = 200  # commands of this priority and above may use the emergency reserve


class CommandKind(Enum):
    """What is asked of the satellite; the value is the usual priority."""

    SAFE_MODE = 255
    ABORT_PASS = 200
    REPOINT = 100
    STATUS_REQUEST = 50
    HOUSEKEEPING = 10


@dataclass(slots=True, frozen=True)
class Command:
    """One command; make it with `Command.make`.

    - `priority` is an integer in 0..255 (a bool is none). 255 is SAFE_MODE's, and SAFE_MODE has no
      other.
    - `issued_at`, in nanoseconds, is any integer: past, future, equal to another's.
    - REPOINT has a finite `azimuth` in [0, 360) and `elevation` in [-90, 90], int or float; the
      others have neither.
    """

    kind: CommandKind
    priority: int
    issued_at: int
    azimuth: float | None = None
    elevation: float | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for a command that the lines above rule out."""
        ### BEGIN SOLUTION #1: Command - ValueError for every field that is out of range
        if not _is_int(self.priority) or not 0 <= self.priority <= 255:
            raise ValueError(f"priority must be an integer in 0..255, got {self.priority!r}")
        if (self.priority == 255) != (self.kind is CommandKind.SAFE_MODE):
            raise ValueError(f"{self.kind.name} cannot have priority {self.priority}")
        if not _is_int(self.issued_at):
            raise ValueError(f"issued_at must be an integer, got {self.issued_at!r}")
        if self.kind is CommandKind.REPOINT:
            if not _is_finite(self.azimuth) or not 0 <= self.azimuth < 360:  # type: ignore[operator]
                raise ValueError(f"azimuth must be in [0, 360), got {self.azimuth!r}")
            if not _is_finite(self.elevation) or not -90 <= self.elevation <= 90:  # type: ignore[operator]
                raise ValueError(f"elevation must be in [-90, 90], got {self.elevation!r}")
        elif self.azimuth is not None or self.elevation is not None:
            raise ValueError(f"{self.kind.name} has no azimuth and no elevation")
        ### END SOLUTION

    @classmethod
    def make(
        cls,
        kind: CommandKind,
        *,
        priority: int | None = None,
        issued_at: int | None = None,
        azimuth: float | None = None,
        elevation: float | None = None,
    ) -> Command:
        """A command of its kind's usual priority, issued now, where nothing else is said."""
        if priority is None:
            priority = kind.value
        if issued_at is None:
            issued_at = time.monotonic_ns()
        return cls(kind, priority, issued_at, azimuth, elevation)


### BEGIN SOLUTION
def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -math.inf < value < math.inf  # false for NaN, and good for integers that are no float


### END SOLUTION
