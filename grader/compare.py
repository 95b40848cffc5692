"""Comparing what a submission gave with what it should have given, type by type."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

from meridian.errors import MeridianError

__all__ = ["Compared", "CriterionFailed", "MustRaise", "expect", "same", "show"]

_MAX_SHOWN_CHARS = 300


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


def same(got: Any, want: Any) -> bool:
    """Equal in value and in type, all the way down: ``True`` is not 1, a list is no tuple.

    A NaN equals a NaN; dict order does not matter.
    """
    if type(got) is not type(want):
        return False
    if type(want) in (list, tuple):
        return len(got) == len(want) and all(map(same, got, want))
    if type(want) is dict:
        if len(got) != len(want):
            return False
        kinds = {(type(key), key) for key in got}
        return all((type(key), key) in kinds and same(got[key], want[key]) for key in want)
    if type(want) is float:
        return bool(got == want) or (math.isnan(got) and math.isnan(want))
    return bool(got == want)


def expect(got: Any, want: Any, call: str = "", counterexample: str = "") -> None:
    """Nothing when `got` is `same` as `want`, else `CriterionFailed` naming `call` and both."""
    if not same(got, want):
        where = f"{call}: expected" if call else "Expected"
        raise CriterionFailed(
            f"{where} {_difference(got, want)}", counterexample, check=Compared(got, want)
        )


def _difference(got: Any, want: Any) -> str:
    if type(got) is bytes and type(want) is bytes and len(got) == len(want) > 16:
        i = next(i for i, pair in enumerate(zip(got, want, strict=True)) if pair[0] != pair[1])
        return f"byte {i} of {len(want)} to be {want[i]:#04x}, got {got[i]:#04x}"
    return f"{show(want)}, got {show(got)}"


def show(value: Any) -> str:
    """`value` as short text that names its type where that is not plain to see."""
    if isinstance(value, bytes) and len(value) > 48:
        return f"{len(value)} bytes {value[:24].hex()}..{value[-8:].hex()}"
    text = repr(value)
    if len(text) > _MAX_SHOWN_CHARS:
        text = text[: _MAX_SHOWN_CHARS - 3] + "..."
    return text
