"""The `grader` command as a script sees it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.records.gradebook import Gradebook
from grader.report import read_report
from tests.grader.conftest import TOY
from tests.grader.labs import small_lab


@pytest.fixture
def lab(toy: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab of its own, with the toy capstone and one that is planned."""
    capstone = msgspec.structs.replace(TOY, allowed_imports=("__future__", "collections", "typing"))
    lab = small_lab(
        toy.folder / "lab", "toys/01-toy", capstone, toy.suite.read_text(), planned=["09-planned"]
    )
    monkeypatch.setenv("MERIDIAN_LAB", str(lab.root))
    return lab.root


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def judge(toy: Any, *more: object, source: str = "from .honest import *\n") -> Any:
    folder = toy.folder / "submission"
    if not folder.exists():
        toy.submission(source)
    return call(
        "run-one", "--capstone", "toys/01-toy", "--submission", folder, "--out", toy.out, *more
    )


def test_a_written_verdict_is_exit_status_0_whatever_it_says(toy: Any, lab: Path) -> None:
    done = judge(toy, source="from .honest import *\ndef add(a, b): return 0\n")
    assert done.exit_code == 0, done.output
    assert "60 of 100 points" in done.output
    assert read_report(toy.out / "report.json").passed is False


def test_events_are_json_lines_that_end_with_the_report(toy: Any, lab: Path) -> None:
    done = judge(toy, "--events", "--mode", "check")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["event"] for event in events[:-1]} == {"stage"}
    assert events[-1] == {"event": "report", "path": str(toy.out / "report.json")}


def test_recorded_submissions_are_listed_with_their_receipt(toy: Any, lab: Path) -> None:
    done = judge(toy, "--record", "--learner", "local", "--attempt", "3")
    assert done.exit_code == 0, done.output
    receipt = done.output.split("Receipt: ")[1].split()[0]
    listed = json.loads(call("gradebook", "--json").output)
    assert [(row["learner"], row["capstone"], row["attempt"]) for row in listed] == [
        ("local", "toys/01-toy", 3)
    ]
    assert listed[0]["receipt"] == receipt
    kept = lab / ".meridian" / "submissions" / f"{listed[0]['submission_sha256']}.tar"
    assert kept.is_file(), "without its files no attempt can be judged again"
    assert receipt in call("gradebook", "--learner", "local").output
    assert call("gradebook", "--learner", "nobody").output == ""
    assert os.stat(lab / ".meridian" / "key").st_mode & 0o777 == 0o600


def test_reports_are_verified_by_the_labs_key(toy: Any, lab: Path) -> None:
    judge(toy, "--mode", "check")
    report = toy.out / "report.json"
    assert "genuine" in call("verify-report", report).output
    other = toy.folder / "other.key"
    other.write_bytes(b"x" * 32)
    assert call("verify-report", report, "--key", other).exit_code == 1
    report.write_text(report.read_text().replace('"score": 100', '"score": 99', 1))
    refused = call("verify-report", report)
    assert refused.exit_code == 1
    assert "NOT genuine" in refused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--capstone", "toys/01-none"), "toys/01-toy"),
        (("--capstone", "toys/09-planned"), "not available yet. Available: toys/01-toy"),
        (("--box", "none"), "Only trusted code"),
        (("--learner", "somebody", "--box", "rlimits"), "No bwrap box"),
    ],
)
def test_the_graders_own_trouble_is_one_line_and_status_70(
    toy: Any, lab: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = judge(toy, *arguments)
    assert done.exit_code == 70
    assert said in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (toy.out / "report.json").exists()


def test_folders_that_do_not_do_are_named_by_their_option(toy: Any, lab: Path) -> None:
    folder = toy.submission("from .honest import *\n")
    file = toy.folder / "file"
    file.write_text("x")
    for submission, out, option, said in (
        (toy.folder / "none", toy.out, "--submission", "There is no folder"),
        (file, toy.out, "--submission", "There is no folder"),
        (folder, file, "--out", "is not a folder"),
        (folder, file / "deeper", "--out", "is not a folder"),
    ):
        done = call(
            "run-one", "--capstone", "toys/01-toy", "--submission", submission, "--out", out
        )
        assert done.exit_code == 2
        assert option in done.output
        assert said in done.output
        assert "Errno" not in done.output
        assert len(done.output.strip().splitlines()) == 1
    assert not toy.out.exists()


def test_a_folder_that_may_not_be_written_is_said_before_judging(
    toy: Any, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grader.commands.shared.os.access", lambda _, mode: not mode & os.W_OK)
    done = judge(toy)
    assert done.exit_code == 2
    assert "--out" in done.output
    assert "may not be written" in done.output


def test_trouble_of_the_system_names_the_file_and_no_number(
    toy: Any, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device", "/data/report.json")

    monkeypatch.setattr("grader.job.run_one", full)
    done = judge(toy)
    assert (done.exit_code, done.output.strip()) == (
        70,
        "grader: No space left on device: /data/report.json",
    )


def test_a_report_that_is_none_is_trouble_too(tmp_path: Path, lab: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    assert call("verify-report", tmp_path / "r.json").exit_code == 70
    assert call("verify-report", tmp_path / "none.json").exit_code == 70


def test_help_names_every_command() -> None:
    text = call("--help").output
    for command in ("run-one", "build", "verify-report", "gradebook"):
        assert command in text


# -- what is said before anything is judged ------------------------------------------------------


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is judged while this test runs."""

    def judged(_: object) -> None:
        raise AssertionError("judged in vain")

    monkeypatch.setattr("grader.job.run_one", judged)


def test_an_attempt_that_is_entered_is_told_before_judging(
    toy: Any, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge(toy, "--mode", "submit", "--record", "--learner", "zoe").exit_code == 0
    monkeypatch.setattr("grader.job.run_one", lambda _: pytest.fail("judged in vain"))
    done = judge(toy, "--record", "--learner", "zoe")
    assert done.exit_code == 70
    assert "attempt 1 of zoe at toys/01-toy is already entered" in done.output
    assert "2 is next" in done.output


@pytest.mark.usefixtures("unjudged")
def test_a_broken_gradebook_is_told_before_judging(toy: Any, lab: Path) -> None:
    path = lab / ".meridian" / "gradebook.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    done = judge(toy, "--record", "--learner", "zoe")
    assert done.exit_code == 70
    assert "not a gradebook" in done.output


@pytest.mark.usefixtures("unjudged")
@pytest.mark.parametrize("name", ["../x", "", "a/b", "x\x1b[31m"])
def test_a_name_that_a_cohort_refuses_is_not_entered(toy: Any, lab: Path, name: str) -> None:
    done = judge(toy, "--record", "--learner", name)
    assert done.exit_code == 2
    assert "--learner: a learner's name has letters" in done.output
    assert not (lab / ".meridian" / "gradebook.sqlite").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("regrade", "--dry-run", "--capstone", "toys/01-toi"), "toys/01-toy"),
        (("regrade", "--dry-run", "--learner", "nobody"), "no attempt of 'nobody'"),
        (("board", "--capstone", "nope"), "nope"),
        (("export", "csv", "--out", "grades", "--learner", "nobody"), "no attempt of 'nobody'"),
    ],
)
def test_a_name_that_is_nowhere_is_said(
    toy: Any, lab: Path, command: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy.folder)
    with Gradebook(lab / ".meridian" / "gradebook.sqlite"):
        pass
    done = call(*command)
    assert done.exit_code == 70, done.output
    assert said in done.output
    assert len(done.output.splitlines()) == 1
    assert call("board", "--capstone", "toys/01-toy").exit_code == 0, "known, without attempts"


def test_without_a_terminal_nothing_precedes_what_is_said(toy: Any, lab: Path) -> None:
    with Gradebook(lab / ".meridian" / "gradebook.sqlite"):
        pass
    done = call("regrade", "--dry-run")
    assert done.output.startswith("0 attempts"), done.output


def test_a_copy_that_failed_names_its_first_file(
    toy: Any, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        reason = "[Errno 28] No space left on device: '/t/a'"
        raise shutil.Error([("/s/a", "/t/a", reason), ("/s/b", "/t/b", reason)])

    monkeypatch.setattr("grader.job.run_one", full)
    said = "grader: No space left on device: '/t/a', and so for 1 more files"
    assert judge(toy).output.strip() == said
