"""Catalogues: published, generated, fragmented; physical, unique, the same on every run."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.orbital import catalog as cat
from meridian.orbital import elements as el
from meridian.orbital.epoch import epoch_key
from meridian.orbital.propagation import propagate_many
from meridian.orbital.tle import (
    TLE_DTYPE,
    array_to_records,
    epoch_to_unix_ns,
    format_tle_lines,
    parse_tle_lines,
    valid_rows,
)

DAY_NS = 86_400 * 10**9
START_NS = epoch_to_unix_ns(26_001.0)


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return cat.synthetic_catalog(100_000, seed=7)


# -- the verification set -----------------------------------------------------------------------


def test_the_verification_set_is_the_published_one() -> None:
    records = cat.verification_catalog()
    assert records.dtype == TLE_DTYPE
    assert len(records) == 33
    assert valid_rows(records).all()
    ids, counts = np.unique(records["norad_id"], return_counts=True)
    assert len(ids) == 32
    assert ids[counts > 1].tolist() == [20413]
    first = array_to_records(records)[0]
    assert first.elements() == (
        *(5, "58002B", 179.78495062, 10.82419157, 0.1859667, 34.2682, 348.7242, 331.7664),
        *(19.3264, 0.28098e-4, 475, 41366),
    )
    # The oldest standard case of all has no designator, and blanks where others have zeros.
    assert records["intl_designator"][records["norad_id"] == 11801].tolist() == [b""]


# -- the constellation ----------------------------------------------------------------------------


def test_the_constellation_is_48_satellites_evenly_spread() -> None:
    own = cat.constellation()
    assert own["norad_id"].tolist() == list(range(90_001, 90_049))
    assert len(set(own["intl_designator"].tolist())) == 48
    np.testing.assert_allclose(el.perigee_altitude_km(own), 786.0, atol=0.8)
    assert own["raan"].reshape(6, 8).T.tolist() == [[0, 30, 60, 90, 120, 150]] * 8
    spacing = np.diff(own["mean_anomaly"].reshape(6, 8), axis=1) % 360
    assert (spacing == 45.0).all()
    assert own["mean_anomaly"][8] == 30.0
    assert (cat.constellation(epoch=25_200.5)["epoch"] == 25_200.5).all()


def test_no_two_of_our_satellites_meet() -> None:
    times = START_NS + np.arange(0, 6_100, 60) * 10**9
    states = propagate_many(cat.constellation(), times)
    for k in range(len(times)):
        position = states.position_km[:, k]
        distance = np.linalg.norm(position[:, None] - position[None, :], axis=-1)
        assert distance[~np.eye(48, dtype=bool)].min() > 50.0


# -- generated catalogues -------------------------------------------------------------------------


def test_every_generated_orbit_is_physical(large: np.ndarray) -> None:
    assert len(large) == 100_000
    assert valid_rows(large).all()
    assert el.perigee_altitude_km(large).min() > 219.9
    assert el.apogee_altitude_km(large).max() < 50_000.0
    for name in ("raan", "arg_perigee", "mean_anomaly"):
        assert 0.0 <= large[name].min() <= large[name].max() < 360.0
    assert (large["bstar"][48:] > 0).all()
    keys = epoch_key(large["epoch"])
    assert keys.max() <= epoch_key(26_001.0)
    assert keys.min() >= epoch_key(26_001.0) - 3.0 - 1e-8


def test_every_kind_of_orbit_flies(large: np.ndarray) -> None:
    low, high = el.perigee_altitude_km(large), el.apogee_altitude_km(large)
    motion, eccentricity, inclination = (
        large[name] for name in ("mean_motion", "eccentricity", "inclination")
    )
    share = {
        "low": np.mean(high < 2_000),
        "geostationary": np.mean((np.abs(motion - 1.0027) < 0.001) & (inclination < 0.2)),
        "transfer": np.mean((low < 1_000) & (np.abs(high - 35_786) < 1_000) & (inclination < 30)),
        "navigation": np.mean((low > 18_000) & (high < 25_000)),
        "molniya": np.mean((eccentricity > 0.68) & (np.abs(inclination - 63.7) < 1.4)),
    }
    assert 0.70 < share["low"] < 0.90
    for name, part in share.items():
        assert part > 0.005, name
    apogee = large["arg_perigee"][(eccentricity > 0.68) & (inclination > 62)]
    assert (np.abs(apogee - 270.0) <= 15.0).all()  # apogee over the northern hemisphere


def test_a_hundred_thousand_objects_take_no_time_worth_waiting_for() -> None:
    before = time.process_time()
    cat.synthetic_catalog(100_000, seed=9)
    assert time.process_time() - before < 2.0  # measured: 0.1 s


def test_ids_and_designators_are_unique(large: np.ndarray) -> None:
    assert large["norad_id"][:48].tolist() == list(cat.CONSTELLATION_IDS)
    assert len(np.unique(large["norad_id"])) == len(large)
    assert (np.diff(large["norad_id"][48:].astype(int)) > 0).all()
    assert len(np.unique(large["intl_designator"])) == len(large)
    assert large["norad_id"].max() == 100_000  # so that Alpha-5 is met


def test_every_generated_object_survives_text_and_a_day_of_sgp4(large: np.ndarray) -> None:
    some = np.concatenate([large[:100], large[100::23], large[-1:]])
    assert parse_tle_lines(format_tle_lines(some)).records.tobytes() == some.tobytes()
    states = propagate_many(some, np.array([START_NS, START_NS + DAY_NS]))
    assert states.ok.all()
    radius = np.linalg.norm(states.position_km, axis=-1) - el.EARTH_RADIUS_KM
    assert (radius > el.perigee_altitude_km(some)[:, None] - 60.0).all()
    assert (radius < el.apogee_altitude_km(some)[:, None] + 60.0).all()


@settings(max_examples=20)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 2**64))
def test_a_catalogue_begins_with_the_smaller_one_of_its_seed(n: int, m: int, seed: int) -> None:
    n, m = sorted((n, m))
    small, big = cat.synthetic_catalog(n, seed=seed), cat.synthetic_catalog(m, seed=seed)
    assert big[:n].tobytes() == small.tobytes()


def test_seeds_differ_and_epochs_move() -> None:
    one, other = cat.synthetic_catalog(500, seed=1), cat.synthetic_catalog(500, seed=2)
    assert (one["raan"][48:] != other["raan"][48:]).mean() > 0.99
    moved = cat.synthetic_catalog(500, seed=1, epoch=100.25)
    assert (epoch_key(moved["epoch"]) <= epoch_key(100.25)).all()
    np.testing.assert_array_equal(moved["mean_motion"], one["mean_motion"])


# Rows are rounded as text is, so that the last bits of a platform do not show in their bytes.
KNOWN = ["e0b6b4002124e742", "1c7ff83f2154522d"]


def digest(records: np.ndarray) -> str:
    return hashlib.blake2b(records.tobytes(), digest_size=8).hexdigest()


def test_the_bytes_are_the_same_in_every_process() -> None:
    code = (
        "import hashlib; from meridian.orbital.catalog import *;"
        "c = synthetic_catalog(2000, seed=11); f = fragmentation_cloud(c[:1], 500, seed=11);"
        "print(*(hashlib.blake2b(x.tobytes(), digest_size=8).hexdigest() for x in (c, f)))"
    )
    here = cat.synthetic_catalog(2000, seed=11)
    expected = [digest(here), digest(cat.fragmentation_cloud(here[:1], 500, seed=11))]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == expected == KNOWN


@pytest.mark.parametrize("n", [0, 1, 47, 48, 49])
def test_small_catalogues_are_the_constellation_first(n: int) -> None:
    records = cat.synthetic_catalog(n)
    assert len(records) == n
    assert records[:48].tobytes() == cat.constellation()[:n].tobytes()
    records["norad_id"] = 0  # the caller's own copy


@pytest.mark.parametrize("n", [-1, 340_000])
def test_a_size_without_ids_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="339999"):
        cat.synthetic_catalog(n)


# -- fragments ------------------------------------------------------------------------------------


def breakup_point(parent: np.ndarray) -> np.ndarray:
    a = el.semi_major_axis_km(parent["mean_motion"])
    names = ("eccentricity", "inclination", "raan", "arg_perigee", "mean_anomaly")
    return el.elements_to_state(el.Kepler(a, *(parent[name] for name in names)))[0]


@pytest.mark.parametrize("row", [3, 60, 200, 4_000])
def test_every_fragment_starts_at_the_break_up_with_a_kick(large: np.ndarray, row: int) -> None:
    parent = large[row : row + 1]
    cloud = cat.fragmentation_cloud(parent, 3_000, seed=5, kick_m_s=60.0)
    assert valid_rows(cloud).all()
    # Text rounds angles to 1e-4 degrees: metres at the Earth, more on a wide orbit.
    reach = float(el.apogee_altitude_km(parent)[0] + el.EARTH_RADIUS_KM)
    offset = np.linalg.norm(breakup_point(cloud) - breakup_point(parent), axis=1)
    assert offset.max() < reach * 1e-4
    names = ("eccentricity", "inclination", "raan", "arg_perigee", "mean_anomaly")

    def velocity(records: np.ndarray) -> np.ndarray:
        a = el.semi_major_axis_km(records["mean_motion"])
        return el.elements_to_state(el.Kepler(a, *(records[name] for name in names)))[1]

    kick = np.linalg.norm(velocity(cloud) - velocity(parent), axis=1) * 1000
    assert 45.0 < np.median(kick) < 70.0
    assert 0.30 < np.std(np.log10(kick)) < 0.45
    assert el.perigee_altitude_km(cloud).min() > 149.0


def test_the_kicks_have_no_direction() -> None:
    parent = cat.constellation()[:1]
    cloud = cat.fragmentation_cloud(parent, 12_000, seed=8)
    assert abs(np.mean(cloud["inclination"] - 98.62)) < 0.05
    faster = np.mean(cloud["mean_motion"] > parent["mean_motion"])
    assert 0.45 < faster < 0.55


def test_fragments_have_ids_names_and_the_epoch_of_the_event() -> None:
    parent = array_to_records(cat.constellation(epoch=26_010.5))[9]
    cloud = cat.fragmentation_cloud(parent, 14_400, first_id=250_000)
    assert cloud["norad_id"].tolist() == list(range(250_000, 264_400))
    designators = set(cloud["intl_designator"].tolist())
    assert len(designators) == 14_400
    assert {piece[:5] for piece in designators} == {b"26001"}
    assert parent.intl_designator.encode() not in designators
    assert (cloud["epoch"] == 26_010.5).all()
    assert parse_tle_lines(format_tle_lines(cloud)).records.tobytes() == cloud.tobytes()
    again = cat.fragmentation_cloud(parent, 14_400, first_id=250_000)
    assert again.tobytes() == cloud.tobytes()
    assert len(cat.fragmentation_cloud(parent, 0)) == 0


def test_a_parent_without_a_launch_has_nameless_fragments() -> None:
    parent = cat.constellation()[:1]
    parent["intl_designator"] = b""
    assert set(cat.fragmentation_cloud(parent, 5)["intl_designator"].tolist()) == {b""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": -1}, "No room"),
        ({"n": 70_001}, "No room for 70001 ids from 270000"),
        ({"n": 1, "first_id": -1}, "No room"),
        ({"n": 1, "kick_m_s": 0.0}, "kick above 0"),
        ({"n": 1, "kick_m_s": math.nan}, "kick above 0"),
        ({"n": 20, "kick_m_s": 1e9}, "never stayed in orbit"),
    ],
)
def test_impossible_clouds_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cat.fragmentation_cloud(cat.constellation()[:1], **change)


def test_a_parent_under_ground_or_more_than_one_is_refused() -> None:
    records = cat.verification_catalog()
    under = records[el.perigee_altitude_km(records) < -1_000]
    with pytest.raises(ValueError, match="higher parent"):
        cat.fragmentation_cloud(under[:1], 10)
    with pytest.raises(ValueError, match="one parent, got an array of 33"):
        cat.fragmentation_cloud(records, 10)
    with pytest.raises(TypeError, match="TLE_DTYPE"):
        cat.fragmentation_cloud("25544", 10)  # type: ignore[arg-type]
