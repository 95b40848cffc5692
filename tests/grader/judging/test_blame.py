"""What the judge's machine did to a submission is no verdict; what it did itself is one."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from grader.box import BoxUnavailable
from grader.box.runtime import prepare_runtime
from grader.limits import MIB
from meridian.academy.curriculum import Criterion
from tests.grader.conftest import TIGHT

IN_PROCESS = {"mode": "check", "box": "none", "trusted": True}
FAILS_WITH = "from .honest import *\nimport os\ndef place(page, slot): raise OSError({})\n"
HIDES_IT = "from .honest import *\ndef place(page, slot): return None\n"
WRITES = """from .honest import *
def save(path, data):
    with open(path, "wb") as file:
        file.write(bytes({size}))
    raise OSError(28, "No space left on device")
"""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `statvfs` says to whom asks for the room on a disk; plenty at first."""
    facts = SimpleNamespace(f_bavail=10**6, f_frsize=4096, f_files=10**6, f_favail=10**6)
    monkeypatch.setattr("grader.judging.blame.os.statvfs", lambda _: facts)
    return facts


def blocks(size_bytes: int) -> int:
    return size_bytes // 4096


def refused(toy: Any, source: str, said: str = "nothing is scored", **more: Any) -> OSError:
    with pytest.raises(OSError, match=said) as trouble:
        toy.judge(source, **{**IN_PROCESS, **more})
    assert not (toy.out / "report.json").exists()
    return trouble.value


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_with_less_room_than_promised_costs_nothing(
    toy: Any, disk: SimpleNamespace, number: int
) -> None:
    disk.f_bavail = blocks(TIGHT.scratch_bytes - MIB)
    error = refused(toy, FAILS_WITH.format(f"{number}, 'full'"))
    assert error.errno == errno.ENOSPC, "so that a cohort waits for room"
    assert "set TMPDIR" in str(error)


def test_the_same_in_a_box_and_on_import(toy: Any, disk: SimpleNamespace, walls: str) -> None:
    disk.f_bavail = 0
    source = "from .honest import *\nraise OSError(28, 'full')\n"
    refused(toy, source, box=walls, trusted=False)


def test_files_are_room_too(toy: Any, disk: SimpleNamespace) -> None:
    disk.f_favail = TIGHT.scratch_files - 1
    said = f"room for {disk.f_favail} files"
    refused(toy, FAILS_WITH.format("28, 'full'"), said)


def test_a_disk_that_counts_no_files_has_room_for_them(toy: Any, disk: SimpleNamespace) -> None:
    disk.f_files = disk.f_favail = 0
    report = toy.judge(FAILS_WITH.format("28, 'full'"), **IN_PROCESS)
    assert report.criteria[1].outcome == "error"


def test_a_cause_counts_like_the_error_itself(toy: Any, disk: SimpleNamespace) -> None:
    disk.f_bavail = blocks(TIGHT.scratch_bytes - MIB)
    source = """from .honest import *
def place(page, slot):
    try:
        raise OSError(28, "full")
    except OSError as error:
        raise ValueError("cannot write") from error
"""
    refused(toy, source)


def test_an_error_that_is_made_up_is_the_submissions_own(toy: Any, disk: SimpleNamespace) -> None:
    for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.ENFILE, errno.EMFILE):
        toy.folder = toy.folder / str(number)
        toy.folder.mkdir()
        report = toy.judge(FAILS_WITH.format(f"{number}, 'made up'"), **IN_PROCESS)
        assert toy.outcomes(report) == {"1": "passed", "2": "error", "3": "passed"}


def test_what_a_submission_wrote_itself_is_no_room_it_lacked(
    toy: Any, disk: SimpleNamespace
) -> None:
    disk.f_bavail = blocks(TIGHT.scratch_bytes - MIB)
    report = toy.judge(WRITES.format(size=2 * MIB), **IN_PROCESS)
    assert report.criteria[2].outcome == "error"


def test_on_a_full_disk_no_failure_counts_and_what_passes_does(
    toy: Any, disk: SimpleNamespace
) -> None:
    disk.f_bavail = blocks(TIGHT.scratch_bytes // 2)
    assert toy.judge(HIDES_IT, **IN_PROCESS).criteria[1].outcome == "failed"
    toy.folder = toy.folder / "full"
    toy.folder.mkdir()
    toy.out = toy.folder / "out"
    disk.f_bavail = blocks(TIGHT.scratch_bytes // 32)
    refused(toy, HIDES_IT)
    toy.folder = toy.folder / "right"
    toy.folder.mkdir()
    assert toy.judge(**IN_PROCESS).score == 100


def test_a_disk_that_breaks_for_the_judge_as_well_is_no_verdict(
    toy: Any, disk: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("grader.judging.blame.os.fsync", broken)
    error = refused(toy, FAILS_WITH.format("5, 'Input/output error'"), "Input/output error")
    assert error.errno == errno.EIO


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOSPC])
def test_the_judges_own_trouble_is_not_blamed_on_the_submission(toy: Any, number: int) -> None:
    suite = toy.suite_of("""
from grader.box.in_process import LoopTransport

@pytest.mark.criterion("1", points=100)
def test_second_worker(submission, monkeypatch):
    '''Starts.'''
    monkeypatch.setattr(LoopTransport, "ask", _fails)
    submission.add(1, 2)
""")
    suite.write_text(
        suite.read_text() + f"\ndef _fails(*_):\n    raise OSError({number}, 'the judge')\n"
    )
    definition = one_criterion(toy)
    with pytest.raises(OSError, match="the judge") as trouble:
        toy.judge(suite=suite, definition=definition, **IN_PROCESS)
    assert trouble.value.errno == number
    assert not (toy.out / "report.json").exists()


def test_no_process_for_a_worker_is_the_machines_doing(toy: Any, bwrap: None) -> None:
    suite = toy.suite_of("""
from grader.box import boxes

@pytest.mark.criterion("1", points=100)
def test_add(submission, monkeypatch):
    '''Starts.'''
    assert submission.add(1, 2) == 3
    monkeypatch.setattr(boxes, "receive", lambda _: (FULL, []))
    monkeypatch.setattr(boxes.ForkServer, "end_worker", lambda *_: {})
    submission.restart()
    submission.add(1, 2)

FULL = {"error": "Resource temporarily unavailable", "errno": 11}
""")
    with pytest.raises(BoxUnavailable, match="no process could be started"):
        toy.judge(suite=suite, definition=one_criterion(toy), mode="check")
    assert not (toy.out / "report.json").exists()


def test_a_runtime_that_finds_no_room_is_one_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if source.name == "protocol.py":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("grader.box.runtime.shutil.copyfile", full)
        with pytest.raises(OSError, match="No space left on device") as trouble:
            prepare_runtime(tmp_path)
    assert not isinstance(trouble.value, shutil.Error)
    assert trouble.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == [], "half of it would be taken for all of it"
    assert (prepare_runtime(tmp_path) / "grader" / "inside" / "protocol.py").is_file()


def one_criterion(toy: Any) -> Any:
    criteria = (Criterion(id="1", title="One", points=100),)
    return msgspec.structs.replace(toy.capstone, criteria=criteria)
