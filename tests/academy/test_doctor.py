"""The doctor: what is wrong is found, and each finding that is not good names its fix."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from meridian.academy import doctor
from meridian.academy.curriculum import Curriculum, load
from meridian.academy.doctor import Diagnosis, Tier, examine
from meridian.academy.lab import NoFreePort
from meridian.academy.progress import ProgressStore
from tests.academy.courses import only

ROOT = Path(__file__).resolve().parents[2]


def look(tmp_path: Path, tier: Tier | None = None) -> Diagnosis:
    course = Curriculum(tmp_path, only(load(ROOT), "database/01-storage").tracks)
    store = ProgressStore(curriculum=course)
    return examine(course, store, detect_box=lambda: tier or Tier("bwrap"))


def finding(diagnosis: Diagnosis, name: str):
    [found] = [item for item in diagnosis.findings if item.name == name]
    return found


def test_this_machine_runs_the_course(tmp_path: Path) -> None:
    diagnosis = look(tmp_path)
    assert diagnosis.ready, [f for f in diagnosis.findings if not f.ok]
    assert diagnosis.verdict == "Ready. 0 of 1 modules started."
    assert {f.name for f in diagnosis.findings} == {
        "Python",
        "Packages",
        "Box",
        "Port",
        "Disk space",
        "Disk writes",
        "Kernel cache",
        "Browser",
        "Your record",
    }
    for item in diagnosis.findings:
        assert item.said
        assert bool(item.fix) == (not item.ok)
    assert list((tmp_path / ".meridian").iterdir()) == []


def test_a_started_module_is_counted(tmp_path: Path) -> None:
    course = Curriculum(tmp_path, only(load(ROOT), "database/01-storage").tracks)
    ProgressStore(curriculum=course).record_quiz("database/01-storage/3", 1, 5, "d")
    assert look(tmp_path).verdict == "Ready. 1 of 1 modules started."


def test_a_weaker_box_is_said_and_does_not_stop_the_course(tmp_path: Path) -> None:
    diagnosis = look(tmp_path, Tier("rlimits", "bubblewrap is not installed", "Install it"))
    box = finding(diagnosis, "Box")
    assert (box.ok, box.required, box.fix) == (False, False, "Install it")
    assert "rlimits" in box.said
    assert "bubblewrap is not installed" in box.said
    assert diagnosis.ready


def test_a_grader_that_does_not_start_is_a_problem(tmp_path: Path) -> None:
    def broken() -> Tier:
        raise ImportError("no module named grader")

    course = Curriculum(tmp_path, only(load(ROOT), "database/01-storage").tracks)
    diagnosis = examine(course, ProgressStore(curriculum=course), detect_box=broken)
    assert not diagnosis.ready
    assert "no module named grader" in finding(diagnosis, "Box").said
    assert diagnosis.verdict == "Not ready: 1 of 9 findings need a fix."


def test_an_old_python_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_PYTHON", (9, 9))
    assert not look(tmp_path).ready
    assert "Use Python 9.9 or later" in finding(look(tmp_path), "Python").fix


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        (["no-such-package-of-ours>=1"], "no-such-package-of-ours is missing"),
        (["msgspec>=99"], "needs >=99"),
        (["msgspec>=0.1", "absent ; python_version < '3'"], ""),
    ],
)
def test_packages_are_compared_with_what_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: list[str], said: str
) -> None:
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: requires)
    packages = finding(look(tmp_path), "Packages")
    assert packages.ok == (not said)
    assert said in packages.said
    assert bool(packages.fix) == (not packages.ok)


def test_an_installation_without_metadata_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-package-of-ours")
    assert finding(look(tmp_path), "Packages").said == "no-such-package-of-ours is not installed"


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    room = finding(look(tmp_path), "Disk space")
    assert not room.ok
    assert room.said.startswith("0.0 GiB free")


def test_a_folder_that_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> float:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor, "_fsync_ms", refuse)
    writes = finding(look(tmp_path), "Disk writes")
    assert not writes.ok
    assert "chmod" in writes.fix


def test_a_slow_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_fsync_ms", lambda _: 80.0)
    diagnosis = look(tmp_path)
    assert finding(diagnosis, "Disk writes").said == "fsync takes 80.00 ms (median of 5)"
    assert diagnosis.ready


def test_no_free_port_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise NoFreePort(8888, 8937)

    monkeypatch.setattr(doctor, "find_port", none)
    assert not look(tmp_path).ready


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "below"))
    diagnosis = look(tmp_path)
    assert not finding(diagnosis, "Kernel cache").ok
    assert "NUMBA_CACHE_DIR" in finding(diagnosis, "Kernel cache").fix
    assert diagnosis.ready


def test_no_browser_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    diagnosis = look(tmp_path)
    assert not finding(diagnosis, "Browser").ok
    assert diagnosis.ready


def test_a_damaged_record_is_a_problem_once(tmp_path: Path) -> None:
    (tmp_path / ".meridian").mkdir()
    (tmp_path / ".meridian" / "progress.json").write_text("{")
    diagnosis = look(tmp_path)
    assert not diagnosis.ready
    assert "meridian import" in finding(diagnosis, "Your record").said
    assert look(tmp_path).ready
