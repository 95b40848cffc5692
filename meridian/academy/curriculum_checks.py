"""What the types of the course index cannot say: names that clash, points that do not add up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from meridian.academy.curriculum_records import Module, Track

__all__ = ["TOTAL_POINTS", "problems"]

TOTAL_POINTS = 100
_OURS = ("grader", "meridian")  # hidden from submissions, even where they are installed
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def problems(tracks: Sequence[Track]) -> Iterable[str]:
    """What is wrong with the index, one sentence each, the entry's key first."""
    modules = [m for track in tracks for m in track.modules]
    names = [t.slug for t in tracks] + [m.key for m in modules]
    names += [f"{m.key}/{lesson.topic}" for m in modules for lesson in m.lessons]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{name!r} is listed {count} times"
        if not all(_SLUG.fullmatch(part) for part in name.split("/")):
            yield f"{name!r} is not made of lower-case letters, digits and single hyphens"
    for module in modules:
        if not module.lessons:
            yield f"{module.key} has no lesson"
        for problem in (*_criteria(module), *_imports(module)):
            yield f"{module.key}{problem}"


def _criteria(module: Module) -> Iterable[str]:
    capstone = module.capstone
    if module.available and not (capstone.package and capstone.criteria):
        yield " is available, so its capstone needs a package and criteria"
    points = sum(c.points for c in capstone.criteria)
    if capstone.criteria and points != TOTAL_POINTS:
        yield f": criteria add up to {points} points, expected {TOTAL_POINTS}"
    ids = Counter(c.id for c in (*capstone.criteria, *capstone.bonus))
    for name, count in ids.items():
        if count > 1:
            yield f": criterion {name!r} is listed {count} times"
    if any(c.points <= 0 for c in (*capstone.criteria, *capstone.bonus)):
        yield ": a criterion must be worth more than 0 points"


def _imports(module: Module) -> Iterable[str]:
    for name, count in Counter(module.capstone.allowed_imports).items():
        top = name.partition(".")[0]
        if count > 1:
            yield f": allowed import {name!r} is listed {count} times"
        if not all(map(str.isidentifier, name.split("."))):
            yield f": allowed import {name!r} is no name of a module, like 'os' or 'os.path'"
        if top in _OURS:
            yield (
                f": allowed import {name!r} is hidden from submissions. Allow the standard "
                "library and installed packages; modules of meridian go into 'library'"
            )
        if module.capstone.package and top == module.capstone.package:
            yield f": allowed import {name!r} is the package itself, which is always allowed"
    for name, count in Counter(module.capstone.library).items():
        if count > 1:
            yield f": library module {name!r} is listed {count} times"
        parts = name.split(".")
        if not all(map(str.isidentifier, parts)) or parts[0] != "meridian" or len(parts) < 2:
            yield f": library module {name!r} is no module of meridian, like 'meridian.orbital.tle'"
