"""The command as an instructor and a script see it, and how it tells how far it is."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from grader.cli import app
from grader.cohort import progress
from grader.cohort.discover import Oddity
from grader.cohort.disk import alone_on
from grader.cohort.summary import Row, Summary
from meridian.testing import VirtualClock
from tests.grader.cohort.toys import BROKEN, KEY, WRONG, Cohort


def call(cohort: Cohort, *more: object) -> Any:
    arguments = ["cohort", "run", cohort.submissions, "--capstone", KEY, "--out", cohort.out, *more]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("walls")
def test_a_run_from_a_script(cohort: Cohort) -> None:
    cohort.add("ann")
    cohort.add("bob", WRONG)
    cohort.add("cid", BROKEN)
    (cohort.submissions / "notes\x1b[2J.txt").write_text("")
    done = call(cohort, "--workers", 2)
    assert done.exit_code == 0, done.output
    assert "3 submissions: 1 passed, 0 from the cache" in done.stdout
    assert "Outcomes: " in done.stdout
    assert "1 not judged:" in done.stdout
    assert "\x1b" not in done.output
    assert "Judging: 3 of 3" in done.stderr
    again = call(cohort, "--json", "--only", "changed", "--workers", 1)
    assert again.exit_code == 0
    summary = json.loads(again.stdout)
    assert [(r["learner"], r["score"], r["cached"]) for r in summary["submissions"]] == [
        ("ann", 100, True),
        ("bob", 60, True),
        ("cid", 0, True),
    ]
    events = call(cohort, "--events")
    heard = [json.loads(line)["event"] for line in events.stdout.splitlines()]
    assert (heard[0], heard[-1]) == ("found", "end")


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (["--capstone", "toys/02-none"], 70, "No module"),
        (["--capstone", "toys/01-to"], 70, "the nearest is"),
        (["--workers", "0"], 2, "workers"),
        (["--only", "some"], 2, "only"),
        (["--mode", "bench"], 2, "mode"),
        (["--box", "none"], 70, "Only trusted code"),
        (["--box", "rlimits"], 70, "box on this machine"),
    ],
)
def test_calls_that_cannot_be(cohort: Cohort, more: list[str], status: int, words: str) -> None:
    cohort.add("ann")
    done = call(cohort, *more)
    assert done.exit_code == status, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_no_folder(cohort: Cohort) -> None:
    cohort.submissions.rmdir()
    done = call(cohort)
    assert done.exit_code == 2
    assert "There is no folder" in done.output


def test_a_second_run_is_refused(cohort: Cohort) -> None:
    cohort.add("ann")
    with alone_on(cohort.queue):
        done = call(cohort)
    assert done.exit_code == 70
    assert "wait for it or end it" in done.output


def test_a_queue_of_ones_own_choice(cohort: Cohort) -> None:
    queue = cohort.folder / "elsewhere" / "q.sqlite"
    done = call(cohort, "--queue", queue)
    assert done.exit_code == 0
    assert queue.exists()
    queue.write_bytes(b"no database" * 500)
    done = call(cohort, "--queue", queue)
    assert done.exit_code == 70
    assert "not a queue" in done.output


def test_places_that_cannot_be_used(cohort: Cohort) -> None:
    """Said before anything is judged, each with what to do."""
    cohort.add("ann")
    (cohort.folder / "file").write_text("")
    for more, status, words in (
        (["--out", cohort.folder / "file"], 2, "is not a folder. Name a folder for the results"),
        (["--queue", cohort.submissions], 70, "name another file with --queue"),
    ):
        done = call(cohort, *more)
        assert (done.exit_code, words in done.output) == (status, True), done.output
        assert "Traceback" not in done.output
    done = CliRunner().invoke(app, ["export", "csv", "--out", str(cohort.folder / "file")])
    assert (done.exit_code, "is not a folder" in done.output) == (2, True)


def test_a_database_without_room_is_trouble(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("grader.cohort.run", full)
    done = call(cohort)
    assert done.exit_code == 70
    assert "(database or disk is full). Look at the room" in done.output


# -- how far it is -------------------------------------------------------------------------------


def at(done: int, running: int = 2, failed: int = 0, lane: str = "judge") -> dict[str, Any]:
    counts = {"total": 300, "done": done, "running": running, "failed": failed}
    return {"event": "progress", "lane": lane, **counts}


TROUBLE = {
    "event": "trouble",
    "learner": "ann",
    "attempt": 1,
    "lane": "judge",
    "tries": 3,
    "state": "person",
    "reason": "SuiteError: \x1b[31mred",
}


def test_lines_in_a_log() -> None:
    """Rate and time left count from what was there at the start: the cache is free."""
    clock, out = VirtualClock(), io.StringIO()
    tell = progress.lines(out, clock)
    tell({"event": "found", "submissions": 300, "odd": 0})
    tell(at(100))
    for done in range(101, 121):
        clock.advance(3)
        tell(at(done))
    tell(TROUBLE)
    tell(at(299, running=0, failed=1))
    tell({**at(0, lane="races"), "total": 0})
    clock.advance(100)
    tell(at(0, running=1, lane="races"))
    assert out.getvalue().splitlines() == [
        "Judging: 100 of 300, 2 running",
        "Judging: 104 of 300, 2 running, 20 a minute, 10 min left",
        "Judging: 108 of 300, 2 running, 20 a minute, 10 min left",
        "Judging: 112 of 300, 2 running, 20 a minute, 9 min left",
        "Judging: 116 of 300, 2 running, 20 a minute, 9 min left",
        "Judging: 120 of 300, 2 running, 20 a minute, 9 min left",
        "ann, attempt 1 needs a person: SuiteError: \\x1b[31mred",
        "Judging: 300 of 300, 0 running, 1 failed, 200 a minute",
        "Racing: 0 of 300, 1 running",
    ]


def test_a_bar_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, legacy_windows=False)
    with progress.terminal_bar(console) as tell:
        tell({"event": "found", "submissions": 300, "odd": 0})
        tell({"event": "taken_in", "done": 4, "total": 300})
        tell(at(7))
        tell(TROUBLE)
        tell(at(250, failed=2))
        tell({"event": "end", "path": "x"})
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "Judging" in shown
    assert "252/300" in shown
    assert "2 failed" in shown
    assert "\\x1b[31mred" in shown


def test_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """One output for each lane, replaced in place."""
    shown: list[str] = []

    class Handle:
        def update(self, bundle: dict[str, str], **_: object) -> None:
            shown.append(bundle["text/plain"])

    def display(bundle: dict[str, str], **_: object) -> Handle:
        shown.append(bundle["text/plain"])
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    with progress.meter(notebook=True) as tell:
        tell(at(100))
        tell(at(299, running=0, failed=1))
        tell(at(0, running=1, lane="races"))
    assert "Judging (0 running, 1 failed" in shown[-3]
    assert "300 of 300" in shown[-3]
    assert shown[-1] == "Racing (1 running): 0 of 300, stopped"


def test_what_is_told_at_the_end() -> None:
    rows = [
        Row(learner="ann", attempt=1, state="done", cached=True, passed=True, outcome="passed"),
        Row(learner="bob", attempt=2, state="person", cached=False, note="killed\nthrice"),
    ]
    summary = Summary(
        submissions=rows,
        odd=[Oddity(Path("x/readme\x07.txt"), "a file")],
        out=Path("graded"),
        peak_bytes=1,
        coordinator_peak_bytes=1,
    )
    assert list(progress.summary_lines(summary)) == [
        "2 submissions: 1 passed, 1 from the cache",
        "Outcomes: 1 passed",
        "  bob, attempt 2: needs a person: killed\\nthrice",
        "1 not judged:",
        "  readme\\x07.txt: a file",
        "Reports, and feedback to hand out: graded",
    ]
