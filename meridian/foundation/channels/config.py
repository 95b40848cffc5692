"""What the control plane may change while sessions run; distributed by `watch`."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ControlPlaneConfig"]


@dataclass(frozen=True, slots=True)
class ControlPlaneConfig:
    """The settings of every session. A new one replaces the old: none is ever changed in place.

    A session that a reload finds running counts `session_timeout_s` from its own start. Counted
    from the reload, a timeout that is reloaded often enough would never come.

    Raises `ValueError` for a size that is no int of at least 1, or a timeout that is not above 0.
    """

    max_frame_size: int = 65_536
    """Bytes of payload; a larger frame is refused."""
    session_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if type(self.max_frame_size) is not int or self.max_frame_size < 1:
            raise ValueError(
                f"Expected max_frame_size of at least 1 byte, got {self.max_frame_size!r}"
            )
        timeout_s = self.session_timeout_s
        number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
        if not (number and math.isfinite(timeout_s) and timeout_s > 0):
            raise ValueError(f"Expected session_timeout_s above 0 s, got {timeout_s!r}")
