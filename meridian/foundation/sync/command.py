"""Commands for a satellite: what they are, and which comes first."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from meridian.errors import MeridianError

__all__ = ["BadCommand", "Command", "CommandKind", "URGENT", "dispatch_key"]

URGENT = 200
"""Commands of this priority and above may use the emergency reserve of a queue."""


class BadCommand(MeridianError, ValueError):
    """A field of a command is outside of what the satellite accepts."""

    def __init__(self, kind: CommandKind, field: str, expected: str, actual: object) -> None:
        self.kind = kind
        self.field = field
        self.expected = expected
        self.actual = actual
        super().__init__(f"Expected {expected} for {field} of {kind.name}, got {actual!r}")


class CommandKind(Enum):
    """What is asked of the satellite; the value is the usual priority."""

    SAFE_MODE = 255
    ABORT_PASS = 200
    REPOINT = 100
    STATUS_REQUEST = 50
    HOUSEKEEPING = 10


@dataclass(slots=True, frozen=True)
class Command:
    """One command, valid from the moment it exists; make it with :meth:`make`.

    Attributes:
        kind: what to do.
        priority: 0 to 255, higher first. 255 is SAFE_MODE's, and SAFE_MODE has no other.
        issued_at: nanoseconds of the operator's monotonic clock; any integer.
        azimuth: degrees in [0, 360), REPOINT only, where it is required.
        elevation: degrees in [-90, 90], REPOINT only, where it is required.

    Raises `BadCommand`, a `ValueError`, for a field out of range, and `TypeError` for a kind that
    is none.
    """

    kind: CommandKind
    priority: int
    issued_at: int
    azimuth: float | None = None
    elevation: float | None = None

    def __post_init__(self) -> None:
        kind = self.kind
        if not isinstance(kind, CommandKind):
            raise TypeError(f"Expected `CommandKind` for kind, got `{type(kind).__name__}`")
        if not _is_int(self.priority) or not 0 <= self.priority <= 255:
            raise BadCommand(kind, "priority", "an integer in 0..255", self.priority)
        if (self.priority == 255) != (kind is CommandKind.SAFE_MODE):
            expected = "255" if kind is CommandKind.SAFE_MODE else "an integer in 0..254"
            raise BadCommand(kind, "priority", expected, self.priority)
        if not _is_int(self.issued_at):
            raise BadCommand(kind, "issued_at", "an integer of nanoseconds", self.issued_at)
        if kind is not CommandKind.REPOINT:
            if self.azimuth is not None:
                raise BadCommand(kind, "azimuth", "none", self.azimuth)
            if self.elevation is not None:
                raise BadCommand(kind, "elevation", "none", self.elevation)
            return
        if not _is_finite(self.azimuth) or not 0 <= self.azimuth < 360:  # type: ignore[operator]
            raise BadCommand(kind, "azimuth", "degrees in [0, 360)", self.azimuth)
        if not _is_finite(self.elevation) or not -90 <= self.elevation <= 90:  # type: ignore[operator]
            raise BadCommand(kind, "elevation", "degrees in [-90, 90]", self.elevation)

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
        """A command of the usual priority of its kind, issued now, where nothing else is said."""
        if priority is None and isinstance(kind, CommandKind):
            priority = kind.value
        if issued_at is None:
            issued_at = time.monotonic_ns()
        return cls(kind, priority, issued_at, azimuth, elevation)


def dispatch_key(command: Command) -> tuple[int, int]:
    """Sorts commands into the order of dispatch; equals keep the order they are in."""
    return (-command.priority, command.issued_at)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -math.inf < value < math.inf  # false for NaN, and good for integers that are no float
