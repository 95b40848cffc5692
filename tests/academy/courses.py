"""The real course with one module open, for tests that walk it to its end."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from meridian.academy.curriculum import Curriculum

ROOT = Path(__file__).resolve().parents[2]


def only(course: Curriculum, key: str) -> Curriculum:
    """`course` with no other module available."""
    replace = msgspec.structs.replace
    tracks = [
        replace(track, modules=tuple(replace(m, available=m.key == key) for m in track.modules))
        for track in course.tracks
    ]
    return Curriculum(course.root, tuple(tracks))


def index_with_only(key: str) -> str:
    """The text of the index in which no other module is available."""
    slug = key.partition("/")[2]
    closed = (ROOT / "curriculum.toml").read_text().replace("available = true", "available = false")
    pattern = rf'(slug = "{slug}"\n(?:[^\[]*\n)*?)available = false'
    return re.sub(pattern, r"\1available = true", closed)
