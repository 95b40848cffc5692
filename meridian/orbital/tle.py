"""Two-line element sets: the one record of an orbit that every track shares.

:class:`TleRecord` is one object, `TLE_DTYPE` the row of an array of them, both the same 82 bytes.
Catalogue files become arrays with :func:`read_tle_file`; the hot paths of the package work on such
arrays and meet a `TleRecord` only at their edges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from meridian.orbital.epoch import (
    datetime_to_epoch,
    epoch_from_key,
    epoch_key,
    epoch_to_datetime,
    epoch_to_jd,
    epoch_to_unix_ns,
    unix_ns_to_epoch,
)
from meridian.orbital.errors import (
    BadChecksum,
    BadColumns,
    BadLineLength,
    BadTleFile,
    CatalogNumberMismatch,
    ElementOutOfRange,
    StrayLines,
    TleError,
)
from meridian.orbital.tle_layout import (
    TLE_DTYPE,
    Elements,
    Records,
    check_dtype,
    pack_elements,
    unpack_elements,
    valid_rows,
)
from meridian.orbital.tle_reader import TleTable, parse_tle_lines, read_tle_file
from meridian.orbital.tle_text import (
    MAX_ALPHA5,
    checksum,
    format_lines,
    from_alpha5,
    parse_lines,
    to_alpha5,
)

if TYPE_CHECKING:
    from sgp4.api import Satrec

__all__ = [
    "TLE_DTYPE",
    "BadChecksum",
    "BadColumns",
    "BadLineLength",
    "BadTleFile",
    "CatalogNumberMismatch",
    "ElementOutOfRange",
    "StrayLines",
    "TleError",
    "TleRecord",
    "TleTable",
    "array_to_records",
    "checksum",
    "datetime_to_epoch",
    "epoch_from_key",
    "epoch_key",
    "epoch_to_datetime",
    "epoch_to_jd",
    "epoch_to_unix_ns",
    "format_tle_lines",
    "from_alpha5",
    "parse_tle_batch",
    "parse_tle_lines",
    "read_tle_file",
    "records_to_array",
    "to_alpha5",
    "unix_ns_to_epoch",
    "valid_rows",
    "validate_tle",
]

_JD_1949 = 2_433_281.5  # SGP4 counts from 31 December 1949
_RADIANS = math.pi / 180.0


class TleRecord(msgspec.Struct, frozen=True):
    """One object's orbit at its epoch, so that code passes a value with names instead of columns.

    Angles are degrees, `mean_motion` revolutions a day, `bstar` 1/Earth radii, `epoch`
    YYDDD.fraction UTC (see `meridian.orbital.epoch`). `name` is for people: it is not packed.
    Building one checks nothing; `pack` and `to_lines` refuse what their form cannot hold.
    """

    norad_id: int
    intl_designator: str
    epoch: float
    mean_motion: float
    eccentricity: float
    inclination: float
    raan: float
    arg_perigee: float
    mean_anomaly: float
    bstar: float
    element_set: int
    rev_number: int
    name: str = ""

    def elements(self) -> Elements:
        """The twelve values without the name, in the order of the layout."""
        return (
            self.norad_id,
            self.intl_designator,
            self.epoch,
            self.mean_motion,
            self.eccentricity,
            self.inclination,
            self.raan,
            self.arg_perigee,
            self.mean_anomaly,
            self.bstar,
            self.element_set,
            self.rev_number,
        )

    def pack(self) -> bytes:
        """The 82 bytes of a `TLE_DTYPE` row.

        Raises `ElementOutOfRange` (a `ValueError`) for an id above 2^32 - 1, a designator over 8
        bytes or not ASCII, NaN or infinity, an eccentricity outside [0, 1) or an inclination
        outside [0, 180]; `TypeError` for a value of another kind.
        """
        return pack_elements(self.elements())

    @classmethod
    def unpack(cls, buffer: bytes | bytearray | memoryview, name: str = "") -> TleRecord:
        """The record in exactly 82 bytes; what `pack` would refuse raises the same errors."""
        return cls(*unpack_elements(buffer), name)

    @classmethod
    def from_lines(cls, line_1: str, line_2: str, name: str = "") -> TleRecord:
        """The record two lines describe; a name line's leading ``0`` is dropped.

        Raises the `TleError` that names line, column, what stands there and what should.
        """
        return cls(*parse_lines(line_1, line_2), name.removeprefix("0 ").strip())

    def to_lines(self) -> tuple[str, str]:
        """The two lines of 69 columns, numbers rounded to what the columns show.

        Exact for every record that came from text. What a record does not carry is written as
        classification ``U``, zero derivatives and ephemeris type 0. Raises `ElementOutOfRange`
        for what no column holds, such as an id above 339999.
        """
        return format_lines(self.elements())

    def to_satrec(self) -> Satrec:
        """The object of the `sgp4` package, initialised with WGS-72 as TLEs are made for.

        An id that TLE text cannot hold (above 339999) is shown as 0 there, for `sgp4` keeps the
        five columns of text. Elements that make no orbit show in the ``error`` of the result.
        """
        from sgp4.api import WGS72, Satrec

        day, fraction = epoch_to_jd(self.epoch)
        satellite = Satrec()
        satellite.sgp4init(
            WGS72,
            "i",
            0,
            (day + fraction) - _JD_1949,
            self.bstar,
            0.0,
            0.0,
            self.eccentricity,
            self.arg_perigee * _RADIANS,
            self.inclination * _RADIANS,
            self.mean_anomaly * _RADIANS,
            self.mean_motion / (1440.0 / (2.0 * math.pi)),
            self.raan * _RADIANS,
        )
        # `sgp4init` writes 180000 as "I0000", a letter that Alpha-5 does not have.
        satellite.satnum_str = to_alpha5(self.norad_id if self.norad_id <= MAX_ALPHA5 else 0)
        # The sum above has lost microseconds, as it does in the reference code; times are
        # counted from these, which have not.
        satellite.jdsatepoch, satellite.jdsatepochF = day, fraction
        satellite.epochyr = int(self.epoch // 1000.0)
        satellite.epochdays = int(self.epoch % 1000.0) + fraction
        satellite.intldesg = self.intl_designator
        satellite.elnum = self.element_set
        satellite.revnum = self.rev_number
        return satellite


def validate_tle(line_1: str, line_2: str) -> None:
    """Raise the `TleError` for the first thing wrong with two lines; its `kind` says what.

    Looked at in this order: length, line number and columns, checksum, whether both lines have the
    same catalogue number, and the ranges of the elements: inclination 0 to 180 degrees, other
    angles up to 360, mean motion above 0, day of the year 1 to below 367. The eccentricity has an
    implied decimal point before it, so it is below 1 as it stands.
    """
    parse_lines(line_1, line_2)


def parse_tle_batch(raw: str) -> tuple[list[TleRecord], list[TleError]]:
    """The sets in `raw` as records, and an error for each that could not be read."""
    table = parse_tle_lines(raw, strict=False)
    return array_to_records(table.records, table.names), table.rejects


def records_to_array(records: Iterable[TleRecord]) -> Records:
    """Records as an array of `TLE_DTYPE`; raises as `TleRecord.pack` does. Names stay behind."""
    packed = bytearray(b"".join(record.pack() for record in records))
    return np.frombuffer(packed, TLE_DTYPE)


def array_to_records(array: Records, names: Sequence[str] | None = None) -> list[TleRecord]:
    """The rows of a one-dimensional `TLE_DTYPE` array as records, with `names` if given.

    Raises as `TleRecord.unpack` does, and `ValueError` for another number of names.
    """
    check_dtype(array)
    if names is None:
        names = [""] * len(array)
    if len(names) != len(array):
        raise ValueError(f"Got {len(names)} names for {len(array)} records")
    good = valid_rows(array)
    if not good.all():
        TleRecord.unpack(array[int(np.argmin(good))].tobytes())  # raises, by name
    rows: list[list[Any]] = [[*row, name] for row, name in zip(array.tolist(), names, strict=True)]
    for row in rows:
        row[1] = row[1].decode()
    return [TleRecord(*row) for row in rows]


def format_tle_lines(array: Records, names: Sequence[str] | None = None) -> str:
    """A catalogue file's text: two lines an object, or three where it has a name."""
    parts: list[str] = []
    for record in array_to_records(array, names):
        parts += [f"0 {record.name}"] if record.name else []
        parts += record.to_lines()
    return "".join(f"{line}\n" for line in parts)
