"""Comparing what a submission gave with what it should have given, type by type."""

from __future__ import annotations

import math
from typing import Any

from meridian.errors import MeridianError

__all__ = ["CriterionFailed", "expect", "same", "show"]

_MAX_SHOWN_CHARS = 300


class CriterionFailed(MeridianError, AssertionError):
    """A requirement does not hold. `message` and `counterexample` are shown to the learner."""

    def __init__(self, message: str, counterexample: str = "") -> None:
        self.message = message
        self.counterexample = counterexample
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
        raise CriterionFailed(f"{where} {_difference(got, want)}", counterexample)


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
