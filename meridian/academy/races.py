"""A race in one sentence: the same words on the card, on the feedback page and on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["describe", "exponent", "spanned"]


def describe(race: Mapping[str, Any]) -> str:
    """What a benchmark entry of a report says, as one plain line; escape it where it is shown.

    ``Single inserts: 1.84 times the speed of sqlite3 (1.77 to 1.92); peak memory 1.2 times as
    much``. Parts that a race did not measure are left out.
    """
    ratio = race.get("ratio")
    peer = "the model answer" if race["peer"] == "model answer" else race["peer"]
    if ratio is None:
        parts = [f"not measured against {peer}"]
    else:
        bounds = _bounds(race, "low", "high")
        parts = [f"{ratio:.2f} times the speed of {peer}{bounds}"]
    if race.get("growth") is not None:
        bounds = _bounds(race, "growth_low", "growth_high")
        parts.append(f"time grows as {exponent(race['growth'])}{bounds}")
    if race.get("memory") is not None:
        parts.append(f"peak memory {race['memory']:.1f} times as much")
    if race.get("note"):
        parts.append(str(race["note"]))
    return f"{race['name']}: {'; '.join(parts)}"


def spanned(ratio: float, low: float, high: float) -> str:
    """``1.84 (1.77 to 1.92)``"""
    return f"{ratio:.2f} ({low:.2f} to {high:.2f})"


def exponent(power: float) -> str:
    """``n^0.98``; what rounds to zero has no sign."""
    return f"n^{power + 0.0 if abs(power) >= 0.005 else 0.0:.2f}"


def _bounds(race: Mapping[str, Any], low: str, high: str) -> str:
    lower, upper = race.get(low), race.get(high)
    return "" if lower is None or upper is None else f" ({lower:.2f} to {upper:.2f})"
