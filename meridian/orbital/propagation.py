"""Where objects are: SGP4 for one or for a catalogue, in kilometres and km/s, TEME frame.

The theory and its constants (WGS-72) are those of the `sgp4` package, Vallado's reference code.
TEME is the inertial frame that element sets are fitted in; turn it before comparing with a ground
station. Accuracy is about a kilometre at epoch and some kilometres a day later, whatever the
digits say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sgp4.api import SGP4_ERRORS, SatrecArray

from meridian.orbital.epoch import DAY_NS
from meridian.orbital.errors import PropagationError
from meridian.orbital.tle import TleRecord, array_to_records, records_to_array
from meridian.orbital.tle_layout import Records

__all__ = ["Propagator", "States", "propagate", "propagate_many", "unix_ns_to_jd"]

Floats = npt.NDArray[np.float64]
Times = int | npt.NDArray[np.int64]

NOT_A_NUMBER = 255
_REASONS = {**SGP4_ERRORS, NOT_A_NUMBER: "the result is not a number: its elements make no orbit"}
_UNIX_EPOCH_JD = 2_440_587.5


class States(NamedTuple):
    """States of n objects at t times (without the axis of t where one time was asked for).

    `position_km` and `velocity_km_s` are f8[n, t, 3]; `error` is u1[n, t]: 0, or SGP4's code
    (1 to 6; 255 for elements that make no orbit), and there the state is NaN.
    """

    position_km: Floats
    velocity_km_s: Floats
    error: npt.NDArray[np.uint8]

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Where there is a state."""
        good: npt.NDArray[np.bool_] = self.error == 0
        return good


def unix_ns_to_jd(unix_ns: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Julian dates as SGP4 takes them: whole days ending in .5, and the fraction of the day."""
    days, within = np.divmod(np.asarray(unix_ns, np.int64), DAY_NS)
    return _UNIX_EPOCH_JD + days, within / DAY_NS


class Propagator:
    """Many objects made ready once, because making one ready costs more than a step.

    The array call of `sgp4` holds the GIL for all it is asked, so it is asked for `chunk` states
    at a time, well under a millisecond: other threads get their turn in between.
    """

    def __init__(self, objects: Records | Sequence[TleRecord], *, chunk: int = 512) -> None:
        """Take a `TLE_DTYPE` array or records.

        Raises `ElementOutOfRange` for what is no orbit, `ValueError` for a chunk below 1.
        """
        if chunk < 1:
            raise ValueError(f"Expected a chunk of at least 1 state, got {chunk}")
        # Both refuse NaN, which SGP4 would carry into every state.
        array = objects if isinstance(objects, np.ndarray) else records_to_array(objects)
        records = array_to_records(array)
        self.norad_ids = array["norad_id"].copy()
        self._chunk = chunk
        satellites = [record.to_satrec() for record in records]
        self._groups = [
            (i, SatrecArray(satellites[i : i + chunk])) for i in range(0, len(satellites), chunk)
        ]

    def __len__(self) -> int:
        return len(self.norad_ids)

    def states(self, unix_ns: Times, *, strict: bool = True) -> States:
        """States of every object at every time (nanoseconds since 1970, one or an array of t).

        Where an object has no state, raises `PropagationError` for the first such object when
        `strict`; otherwise leaves NaN there and the code in `error`.
        """
        times = np.atleast_1d(np.asarray(unix_ns, np.int64))
        if times.ndim != 1:
            raise ValueError(f"Expected one time or a row of times, got shape {times.shape}")
        jd, fraction = unix_ns_to_jd(times)
        shape = (len(self), len(times))
        position, velocity = np.empty((*shape, 3)), np.empty((*shape, 3))
        error = np.empty(shape, np.uint8)
        for start, group in self._groups:
            rows = slice(start, min(start + self._chunk, len(self)))
            step = max(1, self._chunk // (rows.stop - start))
            for at in range(0, len(times), step):
                cell = (rows, slice(at, at + step))
                error[cell], position[cell], velocity[cell] = group.sgp4(
                    jd[cell[1]], fraction[cell[1]]
                )
        lost = ~(np.isfinite(position).all(axis=-1) & np.isfinite(velocity).all(axis=-1))
        error[lost & (error == 0)] = NOT_A_NUMBER
        position[error != 0] = velocity[error != 0] = np.nan
        if strict and error.any():
            i, k = np.argwhere(error)[0].tolist()
            raise _failure(int(self.norad_ids[i]), int(times[k]), int(error[i, k]), error)
        if np.ndim(unix_ns) == 0:
            return States(position[:, 0], velocity[:, 0], error[:, 0])
        return States(position, velocity, error)


def _failure(
    norad_id: int, unix_ns: int, code: int, errors: npt.NDArray[np.uint8]
) -> PropagationError:
    return PropagationError(
        norad_id, unix_ns, code, _REASONS.get(code, "unknown"), int(np.count_nonzero(errors))
    )


def propagate(record: TleRecord, unix_ns: int) -> tuple[Floats, Floats]:
    """Position f8[3] in km and velocity f8[3] in km/s of one object, TEME.

    Raises `PropagationError` where it has none.
    """
    states = Propagator([record]).states(unix_ns)
    return states.position_km[0], states.velocity_km_s[0]


def propagate_many(
    objects: Records | Sequence[TleRecord], unix_ns: Times, *, strict: bool = True
) -> States:
    """States of many objects at some times, once; keep a `Propagator` to ask again."""
    return Propagator(objects).states(unix_ns, strict=strict)
