"""Resetting an exercise: the new version is whole, the old one is never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meridian.academy.attic import Attic, NoSuchVersion
from meridian.academy.curriculum import load

ROOT = Path(__file__).resolve().parents[2]
MODULE = load(ROOT).module("database/01-storage")


class StillClock:
    def now_ns(self) -> int:
        return 1_760_000_000_000_000_000

    def monotonic(self) -> float:
        return 0.0


def build(module, target: Path) -> None:
    (target / "tle_page_manager").mkdir(parents=True)
    (target / "tle_page_manager" / "page.py").write_text("raise NotImplementedError\n")


@pytest.fixture
def attic(tmp_path: Path) -> Attic:
    return Attic(tmp_path, MODULE, build, clock=StillClock())


def work(attic: Attic, text: str) -> None:
    (attic.exercise / "tle_page_manager" / "page.py").write_text(text)


def text_in(folder: Path) -> str:
    return (folder / "tle_page_manager" / "page.py").read_text()


def test_a_missing_exercise_is_built(attic: Attic) -> None:
    assert attic.reset() is None
    assert text_in(attic.exercise) == "raise NotImplementedError\n"
    assert attic.stamps() == []


def test_a_reset_keeps_the_old_version_and_restore_swaps_them(attic: Attic) -> None:
    attic.reset()
    work(attic, "mine\n")
    kept = attic.reset()
    assert kept is not None
    assert (kept.name, text_in(kept)) == ("20251009T085320Z", "mine\n")
    assert text_in(attic.exercise) == "raise NotImplementedError\n"
    work(attic, "second\n")
    again = attic.restore(kept.name)
    assert text_in(attic.exercise) == "mine\n"
    assert again is not None
    assert (again.name, text_in(again)) == ("20251009T085320Z-2", "second\n")
    assert text_in(kept) == "mine\n"  # a restored version stays in the attic too
    assert attic.stamps() == ["20251009T085320Z", "20251009T085320Z-2"]


@pytest.mark.parametrize("stamp", ["", "nope", "..", ".new-1"])
def test_an_unknown_stamp_changes_nothing(attic: Attic, stamp: str) -> None:
    attic.reset()
    work(attic, "mine\n")
    with pytest.raises(NoSuchVersion, match="kept versions: none"):
        attic.restore(stamp)
    assert text_in(attic.exercise) == "mine\n"


def test_a_build_that_fails_changes_nothing(tmp_path: Path, attic: Attic) -> None:
    attic.reset()
    work(attic, "mine\n")

    def broken(module, target: Path) -> None:
        target.mkdir()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Attic(tmp_path, MODULE, broken).reset()
    assert text_in(attic.exercise) == "mine\n"
    assert list(attic.folder.iterdir()) == []


CHILD = """
import sys
from pathlib import Path
from meridian.academy.attic import Attic
from meridian.academy.curriculum import load

def build(module, target):
    (target / "tle_page_manager").mkdir(parents=True)
    (target / "tle_page_manager" / "page.py").write_text("raise NotImplementedError\\n")

Attic(Path(sys.argv[1]), load(Path(sys.argv[2])).module("database/01-storage"), build).reset()
"""


@pytest.mark.parametrize(("point", "in_place"), [("attic.filled", True), ("attic.kept", False)])
def test_a_kill_leaves_the_version_in_place_or_in_the_attic(
    tmp_path: Path, attic: Attic, point: str, in_place: bool
) -> None:
    attic.reset()
    work(attic, "mine\n")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(ROOT)],
        env={**os.environ, "MERIDIAN_FAILPOINT": f"{point}:1:kill"},
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert attic.exercise.exists() == in_place
    if in_place:
        assert text_in(attic.exercise) == "mine\n"
        assert attic.stamps() == []
    else:
        [stamp] = attic.stamps()
        assert text_in(attic.folder / stamp) == "mine\n"
        attic.restore(stamp)
        assert text_in(attic.exercise) == "mine\n"
