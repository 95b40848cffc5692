"""Comparing what a submission gave with what it should have given, type by type."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any, NamedTuple

from grader.judging.differences import difference, is_numpy, same_arrays, show
from meridian.errors import MeridianError

__all__ = ["Compared", "CriterionFailed", "MustRaise", "expect", "require", "same", "show"]


class Compared(NamedTuple):
    """A check that a replay can make again: these two must be the same."""

    got: Any
    want: Any


class MustRaise(NamedTuple):
    """A check that a replay can make again: the call must raise one of these."""

    names: tuple[str, ...]


class CriterionFailed(MeridianError, AssertionError):
    """A requirement does not hold. `message` and `counterexample` are shown to the learner.

    `check` is what was checked, where a replay can check it as well; `at_ns` when it was found
    out: what the test asks later, to clean up, is no part of it.
    """

    def __init__(
        self,
        message: str,
        counterexample: str = "",
        *,
        check: Compared | MustRaise | None = None,
    ) -> None:
        self.message = message
        self.counterexample = counterexample
        self.check = check
        self.at_ns = time.perf_counter_ns()
        super().__init__(message)


def require(
    holds: bool, message: str, counterexample: str = "", check: Compared | None = None
) -> None:
    """Fail the criterion with this message unless it `holds`; a replay makes `check` again."""
    if not holds:
        raise CriterionFailed(message, counterexample, check=check)


def same(got: Any, want: Any) -> bool:
    """Equal in value and in type, all the way down: ``True`` is not 1, a list is no tuple.

    A NaN equals a NaN at the same place, and -0.0 equals 0.0: where its sign matters, compare
    bytes. The order of a dict or set does not matter. Arrays are equal in dtype (byte order and
    layout included), shape and every value; the bytes between the fields of a record do not count.
    """
    kind = type(want)
    if type(got) is not kind:
        return False
    if kind in (list, tuple):
        return len(got) == len(want) and all(map(same, got, want))
    if kind is dict:
        theirs, ours = _by_key(got), _by_key(want)
        return theirs.keys() == ours.keys() and all(
            _same_in_any_order(theirs[key], ours[key]) for key in ours
        )
    if kind in (set, frozenset):
        return Counter(map(_typed, got)) == Counter(map(_typed, want))
    if kind is float:
        return bool(got == want) or (math.isnan(got) and math.isnan(want))
    if is_numpy(want):
        return bool(same_arrays(got, want))
    return bool(got == want)


def _by_key(value: dict[Any, Any]) -> dict[Any, list[Any]]:
    """The values by typed key; several where several keys are NaN."""
    found: dict[Any, list[Any]] = {}
    for key, item in value.items():
        found.setdefault(_typed(key), []).append(item)
    return found


def _same_in_any_order(got: list[Any], want: list[Any]) -> bool:
    left = list(got)
    for item in want:
        i = next((i for i, other in enumerate(left) if same(other, item)), None)
        if i is None:
            return False
        del left[i]
    return not left


def _typed(value: Any) -> Any:
    """A key that is equal only for values of equal types, all the way down."""
    kind = type(value)
    if kind is tuple:
        return kind, tuple(map(_typed, value))
    if kind is frozenset:
        return kind, frozenset(map(_typed, value))
    if kind is float and math.isnan(value):
        return kind, "nan"
    return kind, value


def expect(got: Any, want: Any, call: str = "", counterexample: str = "") -> None:
    """Nothing when `got` is `same` as `want`, else `CriterionFailed` naming `call` and both.

    What is too long to show is told by the first place where the two differ.
    """
    if not same(got, want):
        where = f"{call}: expected" if call else "Expected"
        raise CriterionFailed(
            f"{where} {difference(got, want, same)}", counterexample, check=Compared(got, want)
        )
