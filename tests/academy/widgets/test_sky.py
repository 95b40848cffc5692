"""The constellation: 48 satellites that never hide each other, lit and ringed in order."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.widgets import sky

SVG = "{http://www.w3.org/2000/svg}"


def shapes(svg: str) -> tuple[int, int, int]:
    """How many satellites a picture shows, lit and ringed, by counting its shapes."""
    root = ET.fromstring(svg)
    groups = [g for g in root.iter(f"{SVG}g") if "scale" in g.get("transform", "")]
    lit = sum(any(r.get("fill") == "#ffd977" for r in g.iter(f"{SVG}rect")) for g in groups)
    ringed = sum(any(c.get("r") == "8.5" for c in g.iter(f"{SVG}circle")) for g in groups)
    return len(groups), lit, ringed


@given(st.integers(0, 80), st.integers(0, 80))
def test_the_first_ones_are_lit_and_ringed_and_never_more_than_there_are(
    lit: int, ringed: int
) -> None:
    assert shapes(sky.constellation(lit, ringed)) == (48, min(lit, 48), min(ringed, 48))


def test_no_satellite_hides_another() -> None:
    distances = (
        math.dist((a.x, a.y), (b.x, b.y)) for a, b in itertools.combinations(sky.places(), 2)
    )
    assert min(distances) > 0.1


def test_every_satellite_stands_on_the_unit_sphere() -> None:
    for place in sky.places():
        assert math.isclose(math.hypot(*place), 1)


def test_each_plane_is_inclined_alike() -> None:
    """Eight satellites of a plane span a plane through the centre: their cross products agree."""
    for start in range(0, sky.SATELLITES, sky.PER_PLANE):
        a, b, *rest = sky.places()[start : start + sky.PER_PLANE]
        normal = _cross(a, b)
        for c in rest:
            assert abs(sum(n * x for n, x in zip(normal, c, strict=True))) < 1e-9


def _cross(a: sky.Place, b: sky.Place) -> tuple[float, float, float]:
    return (
        a.y * b.depth - a.depth * b.y,
        a.depth * b.x - a.x * b.depth,
        a.x * b.y - a.y * b.x,
    )


def test_the_picture_is_the_same_every_time_and_says_what_it_shows() -> None:
    assert sky.constellation(7, 2) == sky.constellation(7, 2)
    assert 'aria-label="7 of 48 satellites lit, 2 with a ring"' in sky.constellation(7, 2)


@pytest.mark.parametrize(("lit", "ringed"), [(-1, 0), (0, -1)])
def test_a_negative_count_is_refused(lit: int, ringed: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        sky.constellation(lit, ringed)
