"""Epochs of element sets: the number YYDDD.fraction, and what it means as a time.

24045.5 is noon UTC on day 45 of 2024. Two digits of year, so years below 57 are 20xx (Sputnik flew
in 1957), and the number itself does not sort: 99365.0 is a day before 00001.0. Compare
:func:`epoch_key`. A float64 holds such a number to about a microsecond; TLE text to 0.864 ms.

Every function takes one value or an array, and gives back the same shape.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from meridian.orbital.errors import ElementOutOfRange

__all__ = [
    "datetime_to_epoch",
    "epoch_from_key",
    "epoch_key",
    "epoch_to_datetime",
    "epoch_to_jd",
    "epoch_to_unix_ns",
    "unix_ns_to_epoch",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DAY_NS = 86_400_000_000_000
_UNIX_DAY = date(1970, 1, 1).toordinal()
_EXPECTED = "YYDDD.fraction with YY 0 to 99 and DDD from 1 to below 367"

# Days from 1970-01-01 to the eve of 1 January, so that adding the day of the year (from 1) fits.
_YEAR_EVE = [
    date(y + (2000 if y < 57 else 1900), 1, 1).toordinal() - _UNIX_DAY - 1 for y in range(100)
]
_YEAR_EVES = np.array(_YEAR_EVE, np.int64)
# The same 100 years in the order of time, 1957 to 2056, for the way back.
_EVES_BY_TIME = np.sort(_YEAR_EVES)


def _split(epoch: float) -> tuple[int, float]:
    """Days from 1970 to the eve of the epoch's year, and the day of that year with its fraction."""
    if not math.isfinite(epoch):
        raise ElementOutOfRange("epoch", epoch, _EXPECTED)
    year = math.floor(epoch / 1000.0)
    day = epoch - year * 1000.0
    if not (0 <= year <= 99 and 1.0 <= day < 367.0):
        raise ElementOutOfRange("epoch", epoch, _EXPECTED)
    return _YEAR_EVE[year], day


def _split_array(epoch: npt.NDArray[Any]) -> tuple[IntArray, FloatArray]:
    values = epoch.astype(np.float64)
    good = (values >= 1.0) & (values < 99_367.0)
    year = np.floor(np.where(good, values, 0.0) / 1000.0)
    day = values - year * 1000.0
    good &= (day >= 1.0) & (day < 367.0)
    if not good.all():
        at = np.unravel_index(int(np.argmin(good)), good.shape)
        place = ", ".join(map(str, at))
        raise ElementOutOfRange(f"epoch at [{place}]", float(values[at]), _EXPECTED)
    return _YEAR_EVES[year.astype(np.int64)], day


@overload
def epoch_key(epoch: float) -> float: ...
@overload
def epoch_key(epoch: FloatArray) -> FloatArray: ...
def epoch_key(epoch: float | FloatArray) -> float | FloatArray:
    """Days since 1970-01-01 00:00 UTC: sorts as time passes and subtracts to days.

    Raises `ElementOutOfRange` for a number that is no epoch (the first one of an array).
    """
    if isinstance(epoch, np.ndarray):
        eve, day = _split_array(epoch)
        return eve + day
    start, within = _split(epoch)
    return start + within


@overload
def epoch_from_key(key: float) -> float: ...
@overload
def epoch_from_key(key: FloatArray) -> FloatArray: ...
def epoch_from_key(key: float | FloatArray) -> float | FloatArray:
    """The epoch of a time in days since 1970-01-01 UTC: the inverse of :func:`epoch_key`."""
    keys = np.asarray(key, np.float64)
    days = np.floor(np.where(np.isfinite(keys), keys, np.inf))
    year, day = _calendar(days)
    epochs = year * 1000.0 + (day + (keys - days))
    return epochs if isinstance(key, np.ndarray) else float(epochs)


@overload
def epoch_to_unix_ns(epoch: float) -> int: ...
@overload
def epoch_to_unix_ns(epoch: FloatArray) -> IntArray: ...
def epoch_to_unix_ns(epoch: float | FloatArray) -> int | IntArray:
    """Nanoseconds since 1970-01-01 UTC, rounded to the nearest."""
    if isinstance(epoch, np.ndarray):
        eve, day = _split_array(epoch)
        whole = np.floor(day)
        within = np.rint((day - whole) * DAY_NS).astype(np.int64)
        return (eve + whole.astype(np.int64)) * DAY_NS + within
    start, day_of_year = _split(epoch)
    fraction, whole_days = math.modf(day_of_year)
    return (start + int(whole_days)) * DAY_NS + round(fraction * DAY_NS)


@overload
def unix_ns_to_epoch(unix_ns: int) -> float: ...
@overload
def unix_ns_to_epoch(unix_ns: IntArray) -> FloatArray: ...
def unix_ns_to_epoch(unix_ns: int | IntArray) -> float | FloatArray:
    """The epoch of a time from 1957 to 2056, given in nanoseconds since 1970-01-01 UTC."""
    days, within = np.divmod(np.asarray(unix_ns, np.int64), DAY_NS)
    year, day = _calendar(days)
    epochs = year * 1000.0 + (day + within / DAY_NS)
    return epochs if isinstance(unix_ns, np.ndarray) else float(epochs)


def _calendar(days: npt.NDArray[Any]) -> tuple[IntArray, FloatArray]:
    """Two-digit year and day of the year (from 1) of whole days since 1970-01-01."""
    first, last = date(1957, 1, 1).toordinal() - _UNIX_DAY, date(2057, 1, 1).toordinal() - _UNIX_DAY
    outside = ~((days >= first) & (days < last))
    if outside.any():
        wrong = float(np.ravel(days)[int(np.argmax(outside))])
        raise ElementOutOfRange("day since 1970", wrong, f"{first} to {last - 1} (1957 to 2056)")
    position = np.searchsorted(_EVES_BY_TIME, days, side="left") - 1
    year = (position + 57) % 100
    return year.astype(np.int64), days - _EVES_BY_TIME[position].astype(np.float64)


def epoch_to_jd(epoch: float) -> tuple[float, float]:
    """Julian date as SGP4 takes it: a whole day ending in .5, and the fraction of that day.

    A fraction that was written with eight decimals, as TLE text is, comes back as that decimal.
    """
    start, day = _split(epoch)
    fraction, whole = math.modf(day)
    if round(epoch, 8) == epoch:
        fraction = round(fraction, 8)
    return 2_440_587.5 + start + whole, fraction


def epoch_to_datetime(epoch: float) -> datetime:
    """The epoch as an aware UTC datetime, to the microsecond."""
    micros = round(epoch_to_unix_ns(epoch) / 1000)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def datetime_to_epoch(when: datetime) -> float:
    """The epoch of an aware datetime; a naive one raises `ValueError`, for its zone is a guess."""
    if when.tzinfo is None:
        raise ValueError(f"Expected a datetime with a time zone, got the naive {when!r}")
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    return unix_ns_to_epoch(
        (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    )
