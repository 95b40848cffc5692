"""Epochs against the calendar of the standard library."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.orbital import epoch as ep
from meridian.orbital.errors import ElementOutOfRange

UNIX = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(
    datetime(1957, 1, 1), datetime(2056, 12, 31, 23, 59), timezones=st.just(UTC)
).map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
MICROSECOND_DAYS = 1 / 86_400e6


def test_published_vectors() -> None:
    assert ep.epoch_to_datetime(24045.5) == datetime(2024, 2, 14, 12, tzinfo=UTC)
    assert ep.epoch_to_datetime(57001.0) == datetime(1957, 1, 1, tzinfo=UTC)
    assert ep.epoch_to_datetime(56366.0) == datetime(2056, 12, 31, tzinfo=UTC)
    assert ep.epoch_to_unix_ns(70001.0) == 0
    assert ep.epoch_to_unix_ns(26001.0) == 1_767_225_600_000_000_000
    assert ep.epoch_to_jd(179.78495062) == (2451722.5, 0.78495062)
    # A day 366 that the year does not have is the next year's first.
    assert ep.epoch_key(19366.5) == ep.epoch_key(20001.5)


def test_the_key_sorts_across_the_century_where_the_number_does_not() -> None:
    before, after = 99365.9, 1.1
    assert before > after
    assert ep.epoch_key(before) < ep.epoch_key(after)
    assert ep.epoch_key(after) - ep.epoch_key(before) == pytest.approx(0.2)


@given(moments)
def test_every_form_agrees_with_the_calendar(moment: datetime) -> None:
    since = moment - UNIX
    ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    epoch = ep.datetime_to_epoch(moment)
    assert int(epoch // 1000) == moment.year % 100
    assert int(epoch % 1000) == moment.timetuple().tm_yday
    # A float64 epoch keeps about a microsecond.
    assert abs(ep.epoch_to_unix_ns(epoch) - ns) <= 700
    assert abs(ep.epoch_to_datetime(epoch) - moment) <= timedelta(microseconds=1)
    assert ep.epoch_key(epoch) == pytest.approx(ns / 86_400e9, abs=MICROSECOND_DAYS)
    assert ep.unix_ns_to_epoch(ns) == epoch
    assert abs(ep.epoch_from_key(ep.epoch_key(epoch)) - epoch) <= 3e-11
    day, fraction = ep.epoch_to_jd(epoch)
    assert day % 1 == 0.5
    assert (day - 2_440_587.5 + fraction) == pytest.approx(ns / 86_400e9, abs=MICROSECOND_DAYS)


@given(st.lists(moments, min_size=1, max_size=20))
def test_arrays_answer_as_their_elements_do(some: list[datetime]) -> None:
    epochs = np.array([ep.datetime_to_epoch(moment) for moment in some])
    ns = np.array([ep.epoch_to_unix_ns(float(e)) for e in epochs])
    keys = np.array([ep.epoch_key(float(e)) for e in epochs])
    np.testing.assert_array_equal(ep.epoch_to_unix_ns(epochs), ns)
    np.testing.assert_array_equal(ep.epoch_key(epochs), keys)
    np.testing.assert_array_equal(
        ep.unix_ns_to_epoch(ns), [ep.unix_ns_to_epoch(int(t)) for t in ns]
    )
    np.testing.assert_array_equal(
        ep.epoch_from_key(keys), [ep.epoch_from_key(float(k)) for k in keys]
    )
    assert ep.epoch_key(epochs.reshape(1, -1)).shape == (1, len(some))


@given(st.integers(0, 99), st.integers(100_000_000, 36_599_999_999), st.integers(1, 10**9))
def test_later_text_has_a_larger_key(year: int, ticks: int, step: int) -> None:
    later = min(ticks + step, 36_599_999_999)
    first, second = (ep.epoch_key((year * 10**11 + t) / 1e8) for t in (ticks, later))
    assert first < second or ticks == later


@pytest.mark.parametrize(
    "bad",
    [math.nan, math.inf, -math.inf, -1.5, 0.5, 24_000.99, 24_367.0, 24_500.0, 100_001.0, 1e300],
)
def test_what_is_no_epoch_is_refused_alone_and_in_an_array(bad: float) -> None:
    for convert in (ep.epoch_key, ep.epoch_to_unix_ns, ep.epoch_to_datetime, ep.epoch_to_jd):
        with pytest.raises(ElementOutOfRange, match="YYDDD"):
            convert(bad)
    for convert in (ep.epoch_key, ep.epoch_to_unix_ns):
        with pytest.raises(ElementOutOfRange, match=r"Epoch at \[2\]"):
            convert(np.array([24045.5, 1.0, bad, bad]))


def test_times_outside_the_two_digit_years_are_refused() -> None:
    first = ep.epoch_to_unix_ns(57001.0)
    assert ep.unix_ns_to_epoch(first) == 57001.0
    for outside in (first - 1, ep.epoch_to_unix_ns(56366.0) + 86_400 * 10**9, -(2**63)):
        with pytest.raises(ElementOutOfRange, match="1957 to 2056"):
            ep.unix_ns_to_epoch(outside)
    with pytest.raises(ElementOutOfRange):
        ep.epoch_from_key(math.nan)
    with pytest.raises(ElementOutOfRange):
        ep.epoch_from_key(np.array([0.0, 1e9]))


def test_a_datetime_needs_its_zone() -> None:
    with pytest.raises(ValueError, match="naive"):
        ep.datetime_to_epoch(datetime(2024, 2, 14, 12))
    east = timezone(timedelta(hours=9))
    assert ep.datetime_to_epoch(datetime(2024, 2, 14, 21, tzinfo=east)) == 24045.5
