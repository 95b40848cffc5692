"""Keplerian geometry: conservation laws, the way there and back, and SGP4's own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.orbital import elements as el
from meridian.orbital.catalog import synthetic_catalog
from meridian.orbital.errors import ElementOutOfRange
from meridian.orbital.tle import TLE_DTYPE, array_to_records


def orbits(n: int, seed: int) -> el.Kepler:
    rng = np.random.default_rng(seed)
    e = rng.random(n) * 0.97
    perigee = 6_400 + 40_000 * rng.random(n)
    return el.Kepler(perigee / (1 - e), e, 180 * rng.random(n), *(360 * rng.random((3, n))))


def test_states_obey_the_conservation_laws() -> None:
    kepler = orbits(5_000, seed=1)
    r, v = el.elements_to_state(kepler)
    radius, speed = np.linalg.norm(r, axis=1), np.linalg.norm(v, axis=1)
    a, e = kepler.semi_major_axis_km, kepler.eccentricity
    np.testing.assert_allclose(speed**2, el.MU_KM3_S2 * (2 / radius - 1 / a), rtol=1e-11)
    h = np.cross(r, v)
    np.testing.assert_allclose(
        np.linalg.norm(h, axis=1), np.sqrt(el.MU_KM3_S2 * a * (1 - e**2)), rtol=1e-12
    )
    np.testing.assert_allclose(
        h[:, 2], np.linalg.norm(h, axis=1) * np.cos(np.radians(kepler.inclination)), atol=1e-6
    )
    assert (radius >= a * (1 - e) * (1 - 1e-12)).all()
    assert (radius <= a * (1 + e) * (1 + 1e-12)).all()


def test_elements_survive_the_way_to_a_state_and_back() -> None:
    kepler = orbits(20_000, seed=2)
    r, v = el.elements_to_state(kepler)
    back = el.state_to_elements(r, v)
    np.testing.assert_allclose(back.semi_major_axis_km, kepler.semi_major_axis_km, rtol=1e-11)
    np.testing.assert_allclose(back.eccentricity, kepler.eccentricity, atol=1e-12)
    for name in ("inclination", "raan"):
        np.testing.assert_allclose(getattr(back, name), getattr(kepler, name), atol=1e-9)
    again = el.elements_to_state(back)
    # Perigee and anomaly blur together as e goes to 0; the state they make does not.
    np.testing.assert_allclose(again[0], r, atol=1e-7)
    np.testing.assert_allclose(again[1], v, atol=1e-10)


@pytest.mark.parametrize("e", [0.0, 1e-12, 0.1])
@pytest.mark.parametrize("inclination", [0.0, 1e-10, 90.0, 180.0])
def test_circles_and_equators_have_states_too(e: float, inclination: float) -> None:
    kepler = el.Kepler(*(np.array([x]) for x in (7_000.0, e, inclination, 20.0, 30.0, 40.0)))
    r, v = el.elements_to_state(kepler)
    back = el.state_to_elements(r, v)
    assert all(0.0 <= float(angle[0]) < 360.0 for angle in back[3:])
    again = el.elements_to_state(back)
    np.testing.assert_allclose(again[0], r, atol=1e-8)
    np.testing.assert_allclose(again[1], v, atol=1e-11)


def test_escape_gives_nan_in_every_element_and_nothing_else_does() -> None:
    r = np.array([[7_000.0, 0, 0]] * 3)
    escape = math.sqrt(2 * el.MU_KM3_S2 / 7_000.0)
    v = np.array([[0, escape * 1.01, 0], [0, escape * 0.99, 0], [1.0, escape * 2, 0]])
    found = np.stack(el.state_to_elements(r, v))
    assert np.isnan(found[:, [0, 2]]).all()
    assert np.isfinite(found[:, 1]).all()


@given(st.floats(-50, 50), st.floats(0, 0.9999))
def test_keplers_equation_is_solved(mean: float, e: float) -> None:
    anomaly = float(el.solve_kepler(np.array([mean]), np.array([e]))[0])
    assert anomaly - e * math.sin(anomaly) == pytest.approx(mean, abs=1e-13 * max(1.0, abs(mean)))
    assert abs(anomaly - mean) <= 1.0  # the same turn


def test_keplers_equation_refuses_what_is_no_ellipse() -> None:
    for e in (math.nan, 1.0, 1.5, -0.1):
        with pytest.raises(ElementOutOfRange, match="eccentricity"):
            el.solve_kepler(np.array([0.1, 3.0]), np.array([0.5, e]))
    with pytest.raises(ArithmeticError, match="settle"):
        el.solve_kepler(np.array([math.nan]), np.array([0.5]))
    assert el.solve_kepler(np.empty(0), np.empty(0)).shape == (0,)


def test_size_and_mean_motion_are_inverse_and_agree_with_sgp4() -> None:
    records = synthetic_catalog(500, seed=5)
    a = el.semi_major_axis_km(records["mean_motion"])
    np.testing.assert_allclose(el.mean_motion_of(a), records["mean_motion"], rtol=1e-13)
    for record, size, low, high in zip(
        array_to_records(records),
        a,
        el.perigee_altitude_km(records),
        el.apogee_altitude_km(records),
        strict=True,
    ):
        satellite = record.to_satrec()
        # SGP4 takes the Kozai mean motion apart with J2: some kilometres.
        assert abs(satellite.a * el.EARTH_RADIUS_KM - size) < 12.0
        assert satellite.altp * el.EARTH_RADIUS_KM == pytest.approx(low, abs=12.0)
        assert satellite.alta * el.EARTH_RADIUS_KM == pytest.approx(high, abs=25.0)


def test_geostationary_and_empty() -> None:
    assert float(el.semi_major_axis_km(1.0027379)) == pytest.approx(42_164.2, abs=1.0)
    assert el.perigee_altitude_km(np.zeros(0, TLE_DTYPE)).shape == (0,)


def test_the_sun_synchronous_node_turns_once_a_year() -> None:
    a = el.EARTH_RADIUS_KM + np.array([300.0, 700.0, 5_900.0])
    inclination = el.sun_synchronous_inclination(a, 0.01)
    n = np.sqrt(el.MU_KM3_S2 / a**3)
    rate = (-1.5 * el.J2 * n * (el.EARTH_RADIUS_KM / (a * (1 - 0.01**2))) ** 2) * np.cos(
        np.radians(inclination)
    )
    np.testing.assert_allclose(np.degrees(rate) * 86_400 * 365.2422, 360.0, rtol=1e-12)
    assert float(el.sun_synchronous_inclination(el.EARTH_RADIUS_KM + 700.0, 0.0)) == pytest.approx(
        98.19, abs=0.02
    )
    assert np.isnan(el.sun_synchronous_inclination(el.EARTH_RADIUS_KM + 6_100.0, 0.0))
