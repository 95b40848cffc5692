"""Catalogues to work on without a download: published test orbits, and generated ones of any size.

All are arrays of `TLE_DTYPE` whose numbers have the precision of TLE text, so that every object
can be written as two lines and read back bit for bit. A real catalogue is read from its file with
`meridian.orbital.tle.read_tle_file`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.orbital.elements import (
    EARTH_RADIUS_KM,
    mean_motion_of,
    sun_synchronous_inclination,
)
from meridian.orbital.epoch import epoch_from_key, epoch_key
from meridian.orbital.fragmentation import fragmentation_cloud
from meridian.orbital.tle_layout import TLE_DTYPE, Records, round_to_text
from meridian.orbital.tle_reader import parse_tle_lines
from meridian.orbital.tle_text import ALPHA5_LETTERS, LINE_LENGTH, MAX_ALPHA5, checksum

__all__ = [
    "CONSTELLATION_IDS",
    "constellation",
    "fragmentation_cloud",
    "synthetic_catalog",
    "verification_catalog",
]

Floats = npt.NDArray[np.float64]

CONSTELLATION_IDS = range(90_001, 90_049)
_PLANES, _PER_PLANE = 6, 8
_LOWEST_PERIGEE_KM = 220.0
_EPOCH_SPREAD_DAYS = 3.0


class _Family(NamedTuple):
    """Objects that fly alike; every pair is the range of a uniform draw (B* of its logarithm)."""

    share: float
    altitude_km: tuple[float, float]  # of the semi-major axis, above the equatorial radius
    eccentricity: tuple[float, float]  # drawn towards the lower end, cut so that perigee clears
    inclination: tuple[float, float] | None  # None: Sun-synchronous
    bstar: tuple[float, float]
    arg_perigee: tuple[float, float] = (0.0, 360.0)


# Shares and ranges follow the public catalogue of the 2020s: half debris, large shells at 550 km.
_FAMILIES = (
    _Family(0.160, (535.0, 565.0), (0.0, 0.0004), (53.0, 53.3), (5e-5, 9e-4)),
    _Family(0.040, (555.0, 575.0), (0.0, 0.0006), (69.9, 70.1), (5e-5, 9e-4)),
    _Family(0.040, (1195.0, 1225.0), (0.0, 0.0005), (87.8, 88.0), (1e-5, 2e-4)),
    _Family(0.140, (450.0, 850.0), (0.0, 0.003), None, (2e-5, 8e-4)),
    _Family(0.190, (550.0, 1100.0), (0.0, 0.03), (97.4, 99.6), (1e-4, 5e-3)),
    _Family(0.170, (650.0, 1500.0), (0.0, 0.05), (62.0, 83.2), (1e-4, 5e-3)),
    _Family(0.030, (360.0, 450.0), (0.0, 0.005), (28.4, 97.0), (1e-4, 8e-4)),
    _Family(0.005, (408.0, 422.0), (0.0, 0.0008), (51.6, 51.65), (1e-4, 4e-4)),
    _Family(0.090, (2000.0, 15_000.0), (0.1, 0.65), (4.0, 72.0), (1e-5, 1e-3)),
    _Family(0.020, (20_165.0, 20_200.0), (0.0, 0.02), (53.5, 56.5), (1e-5, 1e-4)),
    _Family(0.015, (19_110.0, 19_150.0), (0.0, 0.01), (63.5, 66.0), (1e-5, 1e-4)),
    _Family(0.010, (23_200.0, 23_240.0), (0.0, 0.001), (54.5, 57.5), (1e-5, 1e-4)),
    _Family(0.015, (20_170.0, 20_195.0), (0.69, 0.735), (62.5, 65.0), (1e-5, 3e-4), (255.0, 285.0)),
    _Family(0.035, (17_900.0, 18_100.0), (0.71, 0.7285), (2.0, 28.5), (1e-5, 1e-3)),
    _Family(0.020, (35_784.5, 35_787.5), (0.0, 0.0006), (0.01, 0.1), (1e-5, 1e-4)),
    _Family(0.020, (35_650.0, 36_250.0), (0.0, 0.01), (1.0, 15.5), (1e-5, 1e-4)),
)


def verification_catalog() -> Records:
    """The 33 element sets that SGP4 programs are checked with (Vallado et al., AIAA 2006-6753).

    Real objects, chosen or edited to reach every branch and error of the theory: some decay, some
    have a perigee below ground. They ship inside the `sgp4` package. Its file carries extra
    columns after the checksum, which are cut off here, and five checksums that the editing left
    wrong, which are made right. In the order of the file; id 20413 stands twice.
    """
    text = (files("sgp4") / "SGP4-VER.TLE").read_text(encoding="ascii")
    lines = [line[: LINE_LENGTH - 1] for line in text.splitlines() if line[:1] in ("1", "2")]
    return parse_tle_lines(f"{line}{checksum(line)}" for line in lines).records


def constellation(*, epoch: float = 26_001.0) -> Records:
    """Meridian's own 48 satellites: six Sun-synchronous planes of eight at 786 km.

    A Walker star: planes 30 degrees of node apart, satellites 45 degrees apart in their plane,
    each plane 30 degrees ahead of the one before. Ids 90001 to 90048, plane by plane.
    """
    plane, slot = np.divmod(np.arange(_PLANES * _PER_PLANE), _PER_PLANE)
    records = np.zeros(len(plane), TLE_DTYPE)
    records["norad_id"] = CONSTELLATION_IDS
    records["intl_designator"] = [
        f"{25 + p:02d}001{ALPHA5_LETTERS[s]}".encode() for p, s in zip(plane, slot, strict=True)
    ]
    records["epoch"] = epoch_from_key(epoch_key(epoch))
    records["mean_motion"] = mean_motion_of(EARTH_RADIUS_KM + 786.0)
    records["eccentricity"] = 0.0001
    records["inclination"] = 98.62
    records["raan"] = 30.0 * plane
    records["mean_anomaly"] = (45.0 * slot + 30.0 * plane) % 360.0
    records["element_set"] = 1
    round_to_text(records)
    return records


def synthetic_catalog(n: int, *, seed: int = 0, epoch: float = 26_001.0) -> Records:
    """`n` objects of all the families that fly, Meridian's 48 first; up to 339,999.

    Ids are unique and rise from 1 (the constellation keeps its own); epochs lie within the three
    days before `epoch`. Perigee clears 220 km, and mean motion, altitude and eccentricity belong
    together. Equal arguments give equal bytes, and a larger catalogue begins with the smaller one
    of the same seed. Launches and pieces are invented: designators are unique, no more.

    Raises `ValueError` for a negative `n` or one beyond the ids that TLE text can write.
    """
    if not 0 <= n <= MAX_ALPHA5:
        raise ValueError(f"Expected 0 to {MAX_ALPHA5} objects, got {n}")
    own = constellation(epoch=epoch)
    if n <= len(own):
        return own[:n].copy()
    records = np.concatenate([own, np.zeros(n - len(own), TLE_DTYPE)])
    _fill(records[len(own) :], np.random.Generator(np.random.PCG64(seed)), epoch_key(epoch))
    return records


def _fill(records: Records, rng: np.random.Generator, now: float) -> None:
    # One row of plain uniform draws an object: its place in the stream depends on nothing else,
    # and the raw stream of PCG64 is the part of NumPy that is promised never to change.
    draws = rng.random((len(records), 11)).T
    shares = np.cumsum([family.share for family in _FAMILIES])
    kind = np.searchsorted(shares[:-1] / shares[-1], draws[0], side="right")

    def between(pairs: list[tuple[float, float]], draw: Floats) -> Floats:
        low, high = np.array(pairs).T
        value: Floats = low[kind] + (high - low)[kind] * draw
        return value

    a = EARTH_RADIUS_KM + between([f.altitude_km for f in _FAMILIES], draws[1])
    low, high = np.array([f.eccentricity for f in _FAMILIES]).T
    # The text rounds the eccentricity; half a unit of its last place must not cost the clearance.
    cut = np.minimum(high[kind], 1.0 - (EARTH_RADIUS_KM + _LOWEST_PERIGEE_KM) / a - 1e-7)
    eccentricity = low[kind] + (cut - low[kind]) * draws[2] ** 2
    inclination = between([f.inclination or (0.0, 0.0) for f in _FAMILIES], draws[3])
    synchronous = np.array([f.inclination is None for f in _FAMILIES])[kind]
    inclination[synchronous] = sun_synchronous_inclination(
        a[synchronous], eccentricity[synchronous]
    )
    index = np.arange(len(records))
    ids = index + 1
    records["norad_id"] = np.where(ids < CONSTELLATION_IDS[0], ids, ids + len(CONSTELLATION_IDS))
    records["intl_designator"] = _designators(index)
    records["epoch"] = epoch_from_key(now - _EPOCH_SPREAD_DAYS * draws[8])
    records["mean_motion"] = mean_motion_of(a)
    records["eccentricity"] = eccentricity
    records["inclination"] = inclination
    records["raan"] = 360.0 * draws[4]
    records["arg_perigee"] = between([f.arg_perigee for f in _FAMILIES], draws[5])
    records["mean_anomaly"] = 360.0 * draws[6]
    drag = between([(np.log10(f.bstar[0]), np.log10(f.bstar[1])) for f in _FAMILIES], draws[7])
    records["bstar"] = 10.0**drag
    records["element_set"] = 1 + (draws[9] * 999).astype(np.int64)
    records["rev_number"] = (draws[10] * 100_000).astype(np.int64)
    round_to_text(records)


def _designators(index: npt.NDArray[np.int64]) -> npt.NDArray[np.bytes_]:
    """Year, number of the launch, piece: 24 pieces a launch, launches dealt over 1958 to 2024."""
    launch, piece = np.divmod(index, len(ALPHA5_LETTERS))
    year = (1958 + launch * 37 % 67) % 100
    number = 1 + launch // 67
    digits = [year // 10, year % 10, number // 100, number // 10 % 10, number % 10]
    text = np.zeros((len(index), 8), np.uint8)
    text[:, :5] = np.stack(digits, -1) + ord("0")
    text[:, 5] = np.frombuffer(ALPHA5_LETTERS.encode(), np.uint8)[piece]
    return text.view("S8").reshape(-1)
