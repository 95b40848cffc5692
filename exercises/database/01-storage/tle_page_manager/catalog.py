"""A small catalog to fill pages with. Given: nothing to write here.

The first 48 objects are Meridian's own constellation, six planes of eight satellites; the rest
are fragments spread over low orbits by fixed strides. No randomness: every call gives the same
records, so a run can be compared with the run before.
"""

from __future__ import annotations

from .tle import TleRecord

PLANES, PER_PLANE = 6, 8


def catalog(count: int = 200) -> list[TleRecord]:
    """The first `count` objects, in catalog number order."""
    if count < 0:
        raise ValueError(f"Expected count >= 0, got {count}")
    return [_satellite(i) if i < PLANES * PER_PLANE else _fragment(i) for i in range(count)]


def _satellite(i: int) -> TleRecord:
    plane, place = divmod(i, PER_PLANE)
    return TleRecord(
        norad_id=70001 + i,
        intl_designator=f"26{plane + 1:03d}{chr(ord('A') + place)}",
        epoch=26040.5,
        mean_motion=14.95,
        eccentricity=0.0001,
        inclination=53.0,
        raan=60.0 * plane,
        arg_perigee=90.0,
        mean_anomaly=(45.0 * place + 7.5 * plane) % 360.0,
        bstar=0.00003,
        element_set=1,
        rev_number=1000 + i,
    )


def _fragment(i: int) -> TleRecord:
    return TleRecord(
        norad_id=80000 + i,
        intl_designator=f"25900{chr(ord('A') + i % 24)}",
        epoch=26040.0 + i % 100 / 100.0,
        mean_motion=13.5 + i * 37 % 250 / 100.0,
        eccentricity=i * 13 % 500 / 10000.0,
        inclination=60.0 + i * 29 % 4000 / 100.0,
        raan=i * 137.5 % 360.0,
        arg_perigee=i * 61.25 % 360.0,
        mean_anomaly=i * 211.75 % 360.0,
        bstar=i * 7 % 100 / 10000.0,
        element_set=i % 1000,
        rev_number=i * 97 % 90000,
    )
