"""A small cohort of the storage capstone through the real command, on two workers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from grader.cohort.environment import environment
from tests.grader.cohort.generate import HOSTILE, KEY, generate, labels
from tests.grader.cohort.trial import grade, lab_beside, misjudged

COUNT = 12


@pytest.mark.usefixtures("walls")
def test_a_dozen_of_every_kind(tmp_path: Path) -> None:
    """Right, wrong, hostile and broken, each with the verdict it deserves; then all from the
    cache."""
    labelled = generate(tmp_path / "submissions", COUNT)
    lab = lab_beside(tmp_path)
    arguments = ["--workers", "2", "--mode", "check"]
    assert grade(tmp_path, lab, arguments, None)
    assert misjudged(labelled, tmp_path / "out", "check") == []
    reports = {path: path.read_bytes() for path in (tmp_path / "out").rglob("report.json")}
    assert len(reports) == COUNT
    assert grade(tmp_path, lab, arguments, None)
    assert {path: path.read_bytes() for path in reports} == reports


def test_equal_seeds_are_equal_and_no_two_submissions_are(tmp_path: Path) -> None:
    one = generate(tmp_path / "one", 60, seed=3)
    assert one == generate(tmp_path / "two", 60, seed=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    kinds = [label.kind for label in one]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "right": 20,
        "wrong": 20,
        "hostile": 10,
        "broken": 10,
    }
    assert {label.what for label in one if label.kind == "hostile"} == set(HOSTILE)
    assert len(list(labels(one))) == 60
    found = [tuple(sorted(files.values())) for files in contents(tmp_path / "one").values()]
    written = [files for files in found if files]
    assert len(set(written)) == len(written)


def contents(folder: Path) -> dict[str, dict[str, bytes]]:
    """Every file of every submission but archives, which hold the time they were made."""
    return {
        place.name: {
            str(path.relative_to(place)): path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        for place in folder.iterdir()
        if place.is_dir()
    }


def test_the_environment_of_a_verdict_names_what_it_depends_on() -> None:
    facts = environment(KEY)
    assert len(facts.grader) == len(facts.course) == 64
    assert {"numpy", "numba", "pytest"} <= facts.packages.keys()
    assert facts.differs(facts) == ()
    other = msgspec.structs.replace(facts, python="cpython 2.7", packages={})
    assert facts.differs(other) == ("python", "packages")
