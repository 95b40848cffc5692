"""The constellation that fills as the course is passed: 48 satellites in six planes of eight.

A Walker delta pattern (48/6/5, after J. G. Walker, 1984): circular orbits of one inclination, the
planes evenly spread around the axis, neighbours 5/48 of a turn out of step. Drawn in
orthographic projection; the phasing and the camera keep all satellites apart in the picture.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from meridian.academy.widgets.base import svg_document

__all__ = ["RULE", "SATELLITES", "Place", "constellation", "places"]

PLANES = 6
PER_PLANE = 8
SATELLITES = PLANES * PER_PLANE
PHASING = 5
RULE = (
    f"One satellite lights up with each passed lesson, in order, until all {SATELLITES} fly. "
    "Each passed capstone puts a ring around one."
)

_INCLINATION = math.radians(60)
_CAMERA_LATITUDE = math.radians(20)
_CAMERA_LONGITUDE = math.radians(56)
_SIZE = 320.0
_EARTH = 70.0
_ORBIT = 138.0
_STARS = 70


class Place(NamedTuple):
    """A point of the picture: right, down, and towards the viewer, in orbit radii."""

    x: float
    y: float
    depth: float

    @property
    def behind_earth(self) -> bool:
        return self.depth < 0 and math.hypot(self.x, self.y) * _ORBIT < _EARTH


def places() -> list[Place]:
    """Where the 48 satellites stand in the picture, in the order in which they light up."""
    return [
        _project(plane, slot * 2 * math.pi / PER_PLANE + plane * PHASING * 2 * math.pi / SATELLITES)
        for plane in range(PLANES)
        for slot in range(PER_PLANE)
    ]


def constellation(lit: int, ringed: int = 0) -> str:
    """SVG of the sky with the first `lit` satellites alight and rings around the first `ringed`.

    More than there are satellites shows all of them. Raises `ValueError` for a negative count.
    """
    if lit < 0 or ringed < 0:
        raise ValueError(f"Counts of satellites cannot be negative, got {lit} lit, {ringed} ringed")
    lit, ringed = min(lit, SATELLITES), min(ringed, SATELLITES)
    satellites = [_satellite(p, i < lit, i < ringed) for i, p in enumerate(places())]
    body = [_DEFINITIONS, _sky(), *_orbits(front=False), _EARTH_DISC, *_orbits(front=True)]
    title = f"{lit} of {SATELLITES} satellites lit, {ringed} with a ring"
    return svg_document(_SIZE, _SIZE, "".join(body + satellites), title=title)


def _project(plane: int, along: float) -> Place:
    """The point `along` (radians from the ascending node) the orbit of one plane."""
    node = plane * 2 * math.pi / PLANES + _CAMERA_LONGITUDE
    # In the equatorial frame: x towards the viewer's meridian, z north.
    u, v = math.cos(along), math.sin(along)
    x = u * math.cos(node) - v * math.cos(_INCLINATION) * math.sin(node)
    y = u * math.sin(node) + v * math.cos(_INCLINATION) * math.cos(node)
    z = v * math.sin(_INCLINATION)
    tilt, lift = math.cos(_CAMERA_LATITUDE), math.sin(_CAMERA_LATITUDE)
    return Place(y, -(z * tilt - x * lift), x * tilt + z * lift)


def _xy(place: Place) -> tuple[float, float]:
    return _SIZE / 2 + _ORBIT * place.x, _SIZE / 2 + _ORBIT * place.y


def _orbits(*, front: bool) -> list[str]:
    """The half of each orbit before or behind the Earth, as one path a plane."""
    paths = []
    for plane in range(PLANES):
        path, pen_down = [], False
        for step in range(121):
            place = _project(plane, step * 2 * math.pi / 120)
            visible = (place.depth >= 0) == front
            if visible:
                x, y = _xy(place)
                path.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
            pen_down = visible
        opacity = 0.45 if front else 0.22
        paths.append(
            f'<path d="{"".join(path)}" fill="none" stroke="#8fb3e0" stroke-opacity="{opacity}"/>'
        )
    return paths


def _satellite(place: Place, lit: bool, ringed: bool) -> str:
    """A small hollow dot, or a bright bus with two panels: the shape tells, not the colour."""
    x, y = _xy(place)
    # Nearer is a little larger; behind the Earth it shines through, faintly.
    size = 1 + 0.18 * place.depth
    opacity = 0.45 if place.behind_earth else 1
    ring = '<circle r="8.5" fill="none" stroke="#8ff0d0" stroke-width="1.6"/>' if ringed else ""
    shape = _LIT if lit else '<circle r="2.3" fill="#0d1626" stroke="#7d8fa9" stroke-width="1.1"/>'
    return (
        f'<g transform="translate({x:.1f} {y:.1f}) scale({size:.2f})" opacity="{opacity}">'
        f"{ring}{shape}</g>"
    )


def _sky() -> str:
    rng = random.Random(SATELLITES)
    stars = "".join(
        f'<circle cx="{rng.uniform(6, _SIZE - 6):.1f}" cy="{rng.uniform(6, _SIZE - 6):.1f}" '
        f'r="{rng.choice((0.5, 0.6, 0.9))}" opacity="{rng.uniform(0.25, 0.8):.2f}"/>'
        for _ in range(_STARS)
    )
    return (
        f'<rect width="{_SIZE:g}" height="{_SIZE:g}" rx="14" fill="url(#night)"/>'
        f'<g fill="#dfe9f7">{stars}</g>'
    )


_DEFINITIONS = (
    '<defs><radialGradient id="night" cx="50%" cy="45%" r="75%">'
    '<stop offset="0" stop-color="#16233b"/><stop offset="1" stop-color="#080d18"/>'
    '</radialGradient><radialGradient id="earth" cx="36%" cy="30%" r="80%">'
    '<stop offset="0" stop-color="#7fb8ea"/><stop offset=".45" stop-color="#2f6fb3"/>'
    '<stop offset="1" stop-color="#0c2444"/></radialGradient>'
    '<radialGradient id="glow"><stop offset="0" stop-color="#ffe39a" stop-opacity=".85"/>'
    '<stop offset="1" stop-color="#ffe39a" stop-opacity="0"/></radialGradient></defs>'
)
_LIT = (
    '<circle r="9" fill="url(#glow)"/><rect x="-7" y="-1.6" width="14" height="3.2" rx=".6" '
    'fill="#ffd977"/><rect x="-2.1" y="-2.8" width="4.2" height="5.6" rx="1" fill="#fff8e1"/>'
)


def _earth_disc() -> str:
    """The globe with three parallels and three meridians, seen from the camera's latitude."""
    centre, lines = _SIZE / 2, []
    for latitude in (-30, 0, 30):
        angle = math.radians(latitude)
        across = _EARTH * math.cos(angle)
        y = centre - _EARTH * math.sin(angle) * math.cos(_CAMERA_LATITUDE)
        high = across * math.sin(_CAMERA_LATITUDE)
        lines.append(
            f'<path d="M{centre - across:.1f} {y:.1f}A{across:.1f} {high:.1f} 0 0 0 '
            f'{centre + across:.1f} {y:.1f}"/>'
        )
    return (
        f'<circle cx="{centre:g}" cy="{centre:g}" r="{_EARTH + 3:g}" fill="#6fb1f0" opacity=".16"/>'
        f'<circle cx="{centre:g}" cy="{centre:g}" r="{_EARTH:g}" fill="url(#earth)"/>'
        f'<g fill="none" stroke="#d8ecff" stroke-opacity=".22">{"".join(lines)}</g>'
    )


_EARTH_DISC = _earth_disc()
