"""What is left when an object breaks up: many orbits through one point."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from meridian.orbital.elements import (
    EARTH_RADIUS_KM,
    Kepler,
    elements_to_state,
    mean_motion_of,
    semi_major_axis_km,
    state_to_elements,
)
from meridian.orbital.tle import TleRecord
from meridian.orbital.tle_layout import TLE_DTYPE, Records, check_dtype, round_to_text
from meridian.orbital.tle_text import ALPHA5_LETTERS, MAX_ALPHA5

__all__ = ["fragmentation_cloud"]

Floats = npt.NDArray[np.float64]

_LOWEST_PERIGEE_KM = 150.0  # what dips deeper is gone within a revolution or two
_LARGEST_ECCENTRICITY = 0.95
_SPREAD = 0.4  # standard deviation of log10 of the kick
_ROUNDS = 100


def fragmentation_cloud(
    parent: TleRecord | Records,
    n: int,
    *,
    seed: int = 0,
    kick_m_s: float = 60.0,
    first_id: int = 270_000,
) -> Records:
    """`n` fragments of `parent` (a record, or an array of one row), broken up at its epoch.

    Every fragment starts where the parent is and gets a kick of its own: direction uniform over
    the sphere, size log-normal with median `kick_m_s` and a deviation of 0.4 in log10, the spread
    of NASA's standard breakup model (Johnson et al. 2001). State plus kick is converted back to
    elements. Fragments that would re-enter at once are drawn again. Ids count up from `first_id`
    (270000 is where Space-Track numbers what is not yet catalogued); pieces are named after the
    parent's launch, and repeat after 14,400 of them, which is all that three letters can name.

    Raises `ValueError` for ids beyond 339999, a negative `n` or kick, or a parent so low that
    fragments do not stay up.
    """
    record = _one(parent)
    if n < 0 or first_id < 0 or first_id + n > MAX_ALPHA5 + 1:
        raise ValueError(f"No room for {n} ids from {first_id}: TLE text ends at {MAX_ALPHA5}")
    if not (math.isfinite(kick_m_s) and kick_m_s > 0.0):
        raise ValueError(f"Expected a kick above 0 m/s, got {kick_m_s}")
    rng = np.random.Generator(np.random.PCG64(seed))
    position, velocity = _state(record)
    orbits = np.empty((6, n))
    missing = np.arange(n)
    for _ in range(_ROUNDS):
        if not len(missing):
            break
        kicks = _kicks(rng, len(missing), kick_m_s / 1000.0)
        start = np.broadcast_to(position, kicks.shape)
        drawn = state_to_elements(start, velocity + kicks)
        perigee = drawn.semi_major_axis_km * (1.0 - drawn.eccentricity) - EARTH_RADIUS_KM
        # NaN (escape) compares false, so it is drawn again like a perigee that is too low.
        stays = (perigee >= _LOWEST_PERIGEE_KM) & (drawn.eccentricity <= _LARGEST_ECCENTRICITY)
        orbits[:, missing[stays]] = np.stack(drawn)[:, stays]
        missing = missing[~stays]
    if len(missing):
        raise ValueError(
            f"{len(missing)} of {n} fragments of object {record.norad_id} never stayed in orbit "
            f"with kicks around {kick_m_s} m/s: take a higher parent or smaller kicks"
        )
    return _records(record, Kepler(*orbits), first_id, rng.random(n))


def _one(parent: TleRecord | Records) -> TleRecord:
    if isinstance(parent, TleRecord):
        parent.pack()  # refuses what is no orbit
        return parent
    check_dtype(parent)
    if parent.size != 1:
        raise ValueError(f"Expected one parent, got an array of {parent.size}")
    return TleRecord.unpack(parent.tobytes())


def _state(record: TleRecord) -> tuple[Floats, Floats]:
    angles = (record.inclination, record.raan, record.arg_perigee, record.mean_anomaly)
    a = semi_major_axis_km([record.mean_motion])
    return elements_to_state(
        Kepler(a, np.array([record.eccentricity]), *(np.array([x]) for x in angles))
    )


def _kicks(rng: np.random.Generator, n: int, median: float) -> Floats:
    """Isotropic vectors f8[n, 3] of log-normal length, from uniform draws alone (Box, Muller)."""
    draws = rng.random((n, 4)).T
    normal = np.sqrt(-2.0 * np.log1p(-draws[0])) * np.cos(2.0 * math.pi * draws[1])
    up = 2.0 * draws[2] - 1.0
    around = 2.0 * math.pi * draws[3]
    flat = np.sqrt(1.0 - up * up)
    direction = np.stack([flat * np.cos(around), flat * np.sin(around), up], -1)
    size = median * 10.0 ** (_SPREAD * normal)
    kicks: Floats = size[:, None] * direction
    return kicks


def _records(parent: TleRecord, orbits: Kepler, first_id: int, draws: Floats) -> Records:
    n = len(draws)
    records = np.zeros(n, TLE_DTYPE)
    records["norad_id"] = first_id + np.arange(n)
    records["intl_designator"] = [_piece(parent.intl_designator, i).encode() for i in range(n)]
    records["epoch"] = parent.epoch
    records["mean_motion"] = mean_motion_of(orbits.semi_major_axis_km)
    records["eccentricity"] = orbits.eccentricity
    records["inclination"] = orbits.inclination
    records["raan"] = orbits.raan
    records["arg_perigee"] = orbits.arg_perigee
    records["mean_anomaly"] = orbits.mean_anomaly
    # Fragments are light for their size: more drag than satellites, over two powers of ten.
    records["bstar"] = 10.0 ** (-4.0 + 2.0 * draws)
    records["element_set"] = 1
    records["rev_number"] = parent.rev_number
    round_to_text(records)
    return records


def _piece(designator: str, index: int) -> str:
    launch = designator[:5]
    if len(launch) < 5:  # an object without a launch has none to give
        return ""
    base = len(ALPHA5_LETTERS)
    index = base + index % (base**2 + base**3)
    letters = ""
    while index >= 0:  # AA to ZZ, then AAA to ZZZ: one letter is for what was launched
        index, letter = divmod(index, base)
        letters = ALPHA5_LETTERS[letter] + letters
        index -= 1
    return launch + letters
