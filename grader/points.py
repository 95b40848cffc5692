"""From the points of single criteria to those of a whole attempt: the one rule there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from meridian.academy.curriculum import Capstone, Criterion

__all__ = ["Total", "total"]


class Total(NamedTuple):
    """What an attempt is worth; `passed` knows nothing of a notebook."""

    points: float
    bonus: float
    passed: bool


def total(
    capstone: Capstone,
    judged: Sequence[Criterion],
    most: float,
    points: Mapping[str, float],
    held: Mapping[str, bool],
) -> Total:
    """Bonus counts up to its cap, and never beyond `most`. Passed means the pass mark, in per cent
    of `most`, and every required criterion of `judged`. `points` and `held`, whether a criterion
    is passed, go by its id.
    """
    earned = sum(points.get(criterion.id, 0) for criterion in capstone.criteria)
    extra = sum(points.get(criterion.id, 0) for criterion in capstone.bonus)
    bonus = min(float(capstone.bonus_cap), extra)
    reached = round(min(most, earned + bonus), 2)
    required = all(held.get(c.id, False) for c in judged if c.required)
    enough = most > 0 and reached * 100 >= capstone.pass_mark * most
    return Total(reached, round(bonus, 2), required and enough)
