"""How long to measure: until the answer is plain, and no longer.

The interval is looked at after 8 rounds, after 12, 18 and so on. Looking often tempts chance: at
95 % each, one look in twenty is wrong. Each look therefore asks for 99 %, so that all looks of a
run together err about as seldom as one look at 95 % does. Source: Pocock (1977), "Group sequential
methods in the design and analysis of clinical trials".
"""

from __future__ import annotations

from typing import NamedTuple

from meridian.foundation.profiling.stats import Interval

__all__ = ["LOOK_LEVEL", "Asked", "looks"]

LOOK_LEVEL = 0.99
_FIRST = 8  # with fewer pairs, not even a perfect order of all would be worth much


class Asked(NamedTuple):
    """A value that must be reached, and how much is close enough.

    Between `enough` and `value` lies what no stopwatch can settle in reasonable time. Who reaches
    `value` fails with a chance of a few percent, who stays below `enough` passes as seldom, and
    in between either is right.
    """

    value: float
    enough: float

    def reached(self, interval: Interval) -> bool | None:
        """Whether the measured value is reached; ``None`` while the interval leaves it open."""
        if interval.lo >= self.enough:
            return True
        return False if interval.hi < self.value else None

    def reached_at_last(self, interval: Interval) -> bool:
        """The answer when no more can be measured: what is still open, the median decides."""
        settled = self.reached(interval)
        return interval.est >= self.enough if settled is None else settled


def looks(most: int) -> list[int]:
    """After how many rounds to look, the last time after `most`; all of them even, if `most` is.

    Each run of rounds is about half as long as all before it, so few looks cover any length.
    """
    if most < 2:
        raise ValueError(f"Expected at least 2 rounds, got {most}")
    found = [min(_FIRST, most)]
    while found[-1] < most:
        found.append(min(most, found[-1] + found[-1] // 4 * 2))
    return found
