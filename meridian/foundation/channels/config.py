"""What the control plane may change while sessions run; distributed by `watch`."""

from __future__ import annotations

from dataclasses import dataclass

from meridian.checks import checked_int, checked_seconds

__all__ = ["ControlPlaneConfig"]


@dataclass(frozen=True, slots=True)
class ControlPlaneConfig:
    """The settings of every session. A new one replaces the old: none is ever changed in place.

    A session that a reload finds running counts `session_timeout_s` from its own start. Counted
    from the reload, a timeout that is reloaded often enough would never come.

    Raises `TypeError` or `ValueError` for a size that is no int of at least 1, or a timeout that
    is no finite time above 0.
    """

    max_frame_size: int = 65_536
    """Bytes of payload; a larger frame is refused."""
    session_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        checked_int("max_frame_size", self.max_frame_size, least=1)
        checked_seconds("session_timeout_s", self.session_timeout_s, positive=True, finite=True)
