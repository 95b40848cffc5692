"""Keplerian geometry for arrays: sizes, altitudes, and elements to position and back.

Two-body motion with the constants of WGS-72, which element sets are made for. Mean elements are
treated as osculating ones: good to some kilometres, which is what generators and coarse filters
need. For the position of a real object use `meridian.orbital.propagation`.

Algorithms: Vallado, Fundamentals of Astrodynamics and Applications, 2.2 (Kepler's equation), 2.5
(element conversions).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.orbital.errors import ElementOutOfRange
from meridian.orbital.tle_layout import Records

__all__ = [
    "EARTH_RADIUS_KM",
    "J2",
    "MU_KM3_S2",
    "Kepler",
    "apogee_altitude_km",
    "elements_to_state",
    "mean_motion_of",
    "perigee_altitude_km",
    "semi_major_axis_km",
    "solve_kepler",
    "state_to_elements",
    "sun_synchronous_inclination",
]

Floats = npt.NDArray[np.float64]

EARTH_RADIUS_KM = 6378.135
MU_KM3_S2 = 398_600.8
J2 = 0.001_082_616
_REV_PER_DAY = 86_400.0 / (2.0 * math.pi)  # of 1 rad/s
_SUN_RAD_S = 2.0 * math.pi / (365.2422 * 86_400.0)


class Kepler(NamedTuple):
    """Elements of n orbits, each an array of n: kilometres and degrees."""

    semi_major_axis_km: Floats
    eccentricity: Floats
    inclination: Floats
    raan: Floats
    arg_perigee: Floats
    mean_anomaly: Floats


def semi_major_axis_km(mean_motion: npt.ArrayLike) -> Floats:
    """Kilometres, from revolutions a day."""
    return np.cbrt(MU_KM3_S2 / (np.asarray(mean_motion, np.float64) / _REV_PER_DAY) ** 2)


def mean_motion_of(semi_major_axis: npt.ArrayLike) -> Floats:
    """Revolutions a day, from kilometres."""
    a = np.asarray(semi_major_axis, np.float64)
    return np.sqrt(MU_KM3_S2 / (a * a * a)) * _REV_PER_DAY


def perigee_altitude_km(records: Records) -> Floats:
    """Lowest height above the equatorial radius of each row of a `TLE_DTYPE` array."""
    radius: Floats = semi_major_axis_km(records["mean_motion"]) * (1 - records["eccentricity"])
    return radius - EARTH_RADIUS_KM


def apogee_altitude_km(records: Records) -> Floats:
    """Greatest height above the equatorial radius of each row of a `TLE_DTYPE` array."""
    radius: Floats = semi_major_axis_km(records["mean_motion"]) * (1 + records["eccentricity"])
    return radius - EARTH_RADIUS_KM


def sun_synchronous_inclination(
    semi_major_axis: npt.ArrayLike, eccentricity: npt.ArrayLike
) -> Floats:
    """Degrees at which J2 turns the node once a year, eastward with the Sun.

    NaN where no inclination does (above about 5,970 km of altitude).
    """
    a = np.asarray(semi_major_axis, np.float64)
    p = a * (1.0 - np.asarray(eccentricity, np.float64) ** 2)
    n = np.sqrt(MU_KM3_S2 / (a * a * a))
    cosine = -2.0 * _SUN_RAD_S / (3.0 * J2 * n) * (p / EARTH_RADIUS_KM) ** 2
    return np.degrees(np.arccos(np.where(cosine >= -1.0, cosine, np.nan)))


def solve_kepler(mean_anomaly: Floats, eccentricity: Floats) -> Floats:
    """Eccentric anomaly E of E - e sin E = M, radians, by Newton's method for all at once.

    Starts at M + e sin M, or at pi for e > 0.8, from where Newton's steps never leave the
    solution's side. Raises `ElementOutOfRange` for an eccentricity outside [0, 1) and
    `ArithmeticError` if some value has not settled after 50 steps (a NaN never does).
    """
    outside = ~((eccentricity >= 0.0) & (eccentricity < 1.0))
    if outside.any():
        found = float(eccentricity[int(np.argmax(outside))])
        raise ElementOutOfRange("eccentricity", found, "0 <= eccentricity < 1")
    turns = np.floor((mean_anomaly + math.pi) / (2.0 * math.pi)) * (2.0 * math.pi)
    m = mean_anomaly - turns
    e = eccentricity
    anomaly = np.where(e > 0.8, np.copysign(math.pi, m), m + e * np.sin(m))
    for _ in range(50):
        step = (anomaly - e * np.sin(anomaly) - m) / (1.0 - e * np.cos(anomaly))
        anomaly = anomaly - step
        if np.abs(step).max(initial=0.0) < 1e-11:
            return anomaly + turns
    raise ArithmeticError("Kepler's equation did not settle: is a mean anomaly NaN?")


def _perifocal_axes(kepler: Kepler) -> tuple[Floats, Floats]:
    """Unit vectors towards perigee and 90 degrees after it, f8[n, 3]."""
    raan, inclination, perigee = (
        np.radians(x) for x in (kepler.raan, kepler.inclination, kepler.arg_perigee)
    )
    cos_o, sin_o = np.cos(raan), np.sin(raan)
    cos_i, sin_i = np.cos(inclination), np.sin(inclination)
    cos_w, sin_w = np.cos(perigee), np.sin(perigee)
    p = np.stack(
        [
            cos_o * cos_w - sin_o * sin_w * cos_i,
            sin_o * cos_w + cos_o * sin_w * cos_i,
            sin_w * sin_i,
        ],
        -1,
    )
    q = np.stack(
        [
            -cos_o * sin_w - sin_o * cos_w * cos_i,
            -sin_o * sin_w + cos_o * cos_w * cos_i,
            cos_w * sin_i,
        ],
        -1,
    )
    return p, q


def elements_to_state(kepler: Kepler) -> tuple[Floats, Floats]:
    """Position f8[n, 3] in km and velocity f8[n, 3] in km/s of n elliptic orbits."""
    a, e = kepler.semi_major_axis_km, kepler.eccentricity
    anomaly = solve_kepler(np.radians(kepler.mean_anomaly), e)
    cos_e, sin_e = np.cos(anomaly), np.sin(anomaly)
    shape = np.sqrt(1.0 - e * e)
    rate = np.sqrt(MU_KM3_S2 * a) / (a * (1.0 - e * cos_e))
    p, q = _perifocal_axes(kepler)
    position = (a * (cos_e - e))[:, None] * p + (a * shape * sin_e)[:, None] * q
    velocity = (-rate * sin_e)[:, None] * p + (rate * shape * cos_e)[:, None] * q
    return position, velocity


def state_to_elements(position_km: Floats, velocity_km_s: Floats) -> Kepler:
    """The elliptic orbits through n states, angles in [0, 360).

    An orbit with eccentricity 0 has its perigee at the node, one with inclination 0 its node on
    the x axis. A state at or above escape speed gives NaN in every element.
    """
    r = np.linalg.norm(position_km, axis=1)
    speed2 = np.einsum("ij,ij->i", velocity_km_s, velocity_km_s)
    along = np.einsum("ij,ij->i", position_km, velocity_km_s)
    energy = speed2 / 2.0 - MU_KM3_S2 / r
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(energy < 0.0, -MU_KM3_S2 / (2.0 * energy), np.nan)
    momentum = np.cross(position_km, velocity_km_s)
    h = np.linalg.norm(momentum, axis=1)
    inclination = np.arctan2(np.hypot(momentum[:, 0], momentum[:, 1]), momentum[:, 2])
    node = np.stack([-momentum[:, 1], momentum[:, 0], np.zeros_like(h)], -1)
    flat = np.hypot(momentum[:, 0], momentum[:, 1]) <= 1e-12 * h
    node[flat] = (1.0, 0.0, 0.0)
    node /= np.linalg.norm(node, axis=1)[:, None]
    raan = np.arctan2(node[:, 1], node[:, 0])
    # e cos E and e sin E need no square root of a difference, so that small e stays accurate.
    e_cos = 1.0 - r / a
    e_sin = along / np.sqrt(MU_KM3_S2 * a)
    e = np.hypot(e_cos, e_sin)
    anomaly = np.arctan2(e_sin, e_cos)
    true = np.arctan2(np.sqrt(np.maximum(1.0 - e * e, 0.0)) * np.sin(anomaly), np.cos(anomaly) - e)
    side = np.cross(momentum / h[:, None], node)
    latitude = np.arctan2(
        np.einsum("ij,ij->i", position_km, side), np.einsum("ij,ij->i", position_km, node)
    )
    perigee = np.where(e > 0.0, latitude - true, 0.0)
    mean = np.where(e > 0.0, anomaly - e_sin, latitude)
    lost = np.isnan(a)
    angles = [np.where(lost, np.nan, np.degrees(x) % 360.0) for x in (raan, perigee, mean)]
    return Kepler(a, e, np.where(lost, np.nan, np.degrees(inclination)), *angles)
