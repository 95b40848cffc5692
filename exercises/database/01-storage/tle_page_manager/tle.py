"""The 82 bytes of one element set.

| field | bytes | meaning |
|---|---|---|
| norad_id | u32 | catalog number, 25544 is the ISS |
| intl_designator | 8s | launch year, number and piece ("98067A"), padded with zero bytes |
| epoch | f64 | YYDDD.fraction: 24045.5 is 14 February 2024, 12:00 UTC |
| mean_motion | f64 | revolutions per day |
| eccentricity | f64 | 0 <= e < 1 |
| inclination | f64 | degrees, 0..180 |
| raan | f64 | right ascension of the ascending node, degrees |
| arg_perigee | f64 | argument of perigee, degrees |
| mean_anomaly | f64 | degrees |
| bstar | f64 | drag term, 1/earth radii |
| element_set | u16 | number of this element set |
| rev_number | u32 | revolution at epoch |
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

TLE_SIZE = 82
TLE = struct.Struct("<I8s8dHI")


@dataclass(frozen=True, slots=True)
class TleRecord:
    """One element set, in the units of the text format. Field order is byte order."""

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

    def pack(self) -> bytes:
        """The 82 bytes.

        `ValueError` for what the bytes cannot say: an id beyond u32, a designator beyond 8 bytes,
        NaN, an eccentricity outside [0, 1), an inclination outside [0, 180].
        """
        raise NotImplementedError(
            "database/01-storage #4: TleRecord.pack() - \"<I8s8dHI\", 82 bytes; refuse what cannot be right"
        )

    @classmethod
    def unpack(cls, buf: bytes | bytearray | memoryview) -> TleRecord:
        """The record in the 82 bytes of `buf`; `ValueError` for any other length."""
        raise NotImplementedError(
            "database/01-storage #4: TleRecord.unpack() - undo pack(); strip the designator's zero bytes"
        )
