from __future__ import annotations

import math
import os
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from meridian.checks import available_cores, checked_int, checked_seconds


@pytest.mark.parametrize("value", [0, 7, np.int64(7), np.uint8(7), 10**400])
def test_whole_numbers_come_back_as_ints(value: int) -> None:
    got = checked_int("tries", value)
    assert type(got) is int
    assert got == value


@pytest.mark.parametrize("value", [True, 1.0, "1", None, np.float64(1), [1]])
def test_what_is_no_whole_number_is_named(value: object) -> None:
    with pytest.raises(TypeError, match=f"Expected tries as an int, got {type(value).__name__}"):
        checked_int("tries", value)  # type: ignore[arg-type]


def test_bounds_are_included() -> None:
    assert checked_int("port", 1, least=1, most=9) == 1
    assert checked_int("port", 9, least=1, most=9) == 9
    with pytest.raises(ValueError, match="Expected port >= 1, got 0"):
        checked_int("port", 0, least=1, most=9)
    with pytest.raises(ValueError, match="Expected port <= 9, got 10"):
        checked_int("port", 10, least=1, most=9)


@pytest.mark.parametrize(
    "value", [0, 2, 0.5, math.inf, np.float32(0.5), Fraction(1, 2), Decimal(1)]
)
def test_times_come_back_as_floats(value: float) -> None:
    got = checked_seconds("patience", value)
    assert type(got) is float
    assert got == float(value)


@pytest.mark.parametrize("value", [True, "1", None, 1j, [1.0]])
def test_what_is_no_time_is_named(value: object) -> None:
    with pytest.raises(TypeError, match="Expected patience in seconds, got"):
        checked_seconds("patience", value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, -0.001, math.nan, -math.inf, 10**400])
def test_times_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="Expected patience"):
        checked_seconds("patience", value)


def test_zero_and_infinity_are_times_only_where_they_may_be() -> None:
    with pytest.raises(ValueError, match="Expected patience > 0 s, got 0"):
        checked_seconds("patience", 0, positive=True)
    with pytest.raises(ValueError, match="Expected a finite patience"):
        checked_seconds("patience", math.inf, finite=True)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity (Linux)")
def test_a_confined_process_counts_only_its_cores() -> None:
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert available_cores() == len(mine)
