"""The gradebook under several processes, kills and full disks: what was said stays, whole."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.intake.collect import collect
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import GradebookError, GradebookReader
from grader.records.marks import ManualMark, counted, settled
from grader.records.store import SubmissionStore
from grader.report import CriterionReport, NotebookReport
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import KEY, make

ROOT = Path(__file__).parents[3]
TOY = Capstone(
    title="Toy",
    package="toy",
    pass_mark=50,
    criteria=(Criterion(id="1", title="One", points=100, required=True),),
)

WRITER = """
import sys
from pathlib import Path
from grader.records.gradebook import Gradebook
from tests.grader.reports import KEY, make
with Gradebook(Path(sys.argv[1])) as book:
    for attempt in range(1, 100_000):
        receipt = book.record(make(facts={"attempt": attempt, "learner": sys.argv[2]}), KEY)
        print(attempt, receipt, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """A receipt that was printed names an attempt that is there, at whatever point it ended."""
    path = tmp_path / "g.sqlite"
    printed: dict[tuple[str, int], str] = {}
    for learner, lines in (("ada", 1), ("bob", 7), ("eve", 20)):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), learner],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        for _ in range(lines):
            attempt, receipt = process.stdout.readline().split()
            printed[learner, int(attempt)] = receipt
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:  # what it still said before it died
            if line.endswith("\n"):
                attempt, receipt = line.split()
                printed[learner, int(attempt)] = receipt
        process.stdout.close()
        process.wait()
    with Gradebook(path) as book:
        found = {(entry.learner, entry.attempt): entry.receipt for entry in book.attempts()}
        assert printed.items() <= found.items()
        assert len(found) <= len(printed) + 3, "at most one each was entered and never told"
        for (learner, attempt), receipt in found.items():
            facts = book.report(receipt).environment
            assert (facts["learner"], facts["attempt"]) == (learner, attempt)
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def revise(path: str, worker: int) -> None:
    with Gradebook(Path(path)) as book:
        for points in range(20):
            book.adjust(
                "ada", "toy/01", 1, "1", points, capstone=TOY, author=f"w{worker}", why="again"
            )


def test_marks_by_hand_from_several_processes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    with Gradebook(path) as book:
        receipt = book.record(make(), KEY)
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=revise, args=(str(path), i)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with Gradebook(path) as book:
        (entry,) = book.attempts()
        assert (entry.revisions, entry.score) == (60, 19)
        (mark,) = book.manual_marks(receipt)
        assert mark.points == 19


def test_a_first_version_is_brought_up_to_date_by_one_of_many(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "gradebook_v1.sql").read_text())
    old.close()
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            with Gradebook(path) as book:
                assert len(book.attempts()) == 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_full_disk_enters_nothing_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    with Gradebook(path) as book:
        book.record(make(), KEY)
        pages = book._db.execute("PRAGMA page_count").fetchone()[0]
        book._db.execute(f"PRAGMA max_page_count = {pages}")

        def fill() -> None:
            for attempt in range(2, 100):
                book.record(make(facts={"attempt": attempt}), KEY)

        with pytest.raises(sqlite3.OperationalError, match="full"):
            fill()
        kept = len(book.attempts())
    with Gradebook(path) as book:
        assert len(book.attempts()) == kept >= 1
        book.record(make(facts={"attempt": 100}), KEY)


def test_a_kill_while_a_submission_is_kept_leaves_no_half_of_it(tmp_path: Path) -> None:
    source = tmp_path / "source" / "toy"
    source.mkdir(parents=True)
    (source / "__init__.py").write_bytes(b"#" * 900_000)
    kept = collect(tmp_path / "source", tmp_path / "code", "toy")
    script = (
        "import os, signal, sys; from pathlib import Path; from grader.records.store import *;"
        "from grader.intake.collect import *; import grader.report as r;"
        "r.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "c = collect(Path(sys.argv[1]), Path(sys.argv[2]), 'toy');"
        "SubmissionStore(Path(sys.argv[3])).add(Path(sys.argv[2]), c)"
    )
    store = SubmissionStore(tmp_path / "store")
    arguments = [str(tmp_path / name) for name in ("source", "code2", "store")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert kept.sha256 not in store
    store.add(tmp_path / "code", kept)
    store.take(kept.sha256, tmp_path / "again")


# -- the rules of a mark -------------------------------------------------------------------------


def test_marks_follow_the_rules_of_scoring() -> None:
    """The same numbers as the report's own, where no person has said anything."""
    capstone = Capstone(
        title="T",
        package="t",
        pass_mark=70,
        bonus_cap=5,
        criteria=(
            Criterion(id="1", title="a", points=60, required=True),
            Criterion(id="2", title="b", points=40),
        ),
        bonus=(Criterion(id="x", title="c", points=9),),
    )

    def report(one: float, two: float, extra: float, notebook: str = "not_run") -> Any:
        entries = [
            CriterionReport(
                id=key,
                title=key,
                points=most,
                score=score,
                outcome="passed" if score == most else "failed",
            )
            for key, most, score in (("1", 60, one), ("2", 40, two), ("x", 9, extra))
        ]
        return make(criteria=entries, notebook=NotebookReport(outcome=notebook))  # type: ignore[arg-type]

    def totals(*scores: Any, **given: float | None) -> tuple[float, float, bool]:
        made = counted(
            report(*scores), {k.removeprefix("c"): v for k, v in given.items()}, capstone
        )
        return made.score, made.bonus, made.passed

    assert totals(60, 40, 9) == (100, 5, True)
    assert totals(60, 20, 9) == (85, 5, True)
    assert totals(60, 0, 0) == (60, 0, False)
    assert totals(0, 40, 9) == (45, 5, False)
    assert totals(60, 40, 0, "failed") == (100, 0, False)
    assert totals(0, 40, 0, c1=60) == (100, 0, True)
    assert totals(0, 40, 0, c1=59) == (99, 0, False)
    assert totals(60, 40, 0, c1=0) == (40, 0, False)
    assert totals(60, 40, 0, c1=None) == (100, 0, True)
    untouched = settled(make(score=12, bonus=3), [], capstone)
    assert (untouched.score, untouched.bonus) == (12, 3)
    withdrawn = settled(make(score=12), [ManualMark("1", None, "w", "a", "t")], capstone)
    assert withdrawn.score == 12


# -- what the commands print ---------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "curriculum.toml").write_text(
        "[[tracks]]\nslug='toy'\ntitle='T'\nsystem='T'\nsummary='T'\n"
        "[[tracks.modules]]\nslug='01'\ntitle='T'\nsummary='T'\navailable=false\n"
        "lessons=[{topic='one', title='One'}]\n[tracks.modules.capstone]\ntitle='Toy'\n"
        "package='toy'\ncriteria=[{id='1', title='One', points=100}]\n"
    )
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_attempts_are_listed_as_they_stand(lab: Path) -> None:
    with Gradebook(lab / ".meridian" / "gradebook.sqlite") as book:
        receipt = book.record(make(facts={"learner": "a\x1b[31m\nb"}), KEY)
        book.record(make(facts={"learner": "bob"}, judged=False, score=0, passed=False), KEY)
    listed = call("gradebook").output
    assert "a\\x1b[31m b" in listed
    assert len(listed.splitlines()) == 3
    assert "not judged" in listed
    marked = call(
        *("adjust", "--learner", "bob", "--capstone", "toy/01", "--attempt", "1"),
        *("--criterion", "1", "--points", "80", "--why", "read by hand", "--author", "G"),
    )
    assert marked.exit_code == 0, marked.output
    assert "80 of 100" in marked.output
    assert "revised 1x" in call("gradebook", "--learner", "bob").output
    for wrong in (("--points", "5", "--withdraw"), ()):
        done = call(
            *("adjust", "--learner", "bob", "--capstone", "toy/01", "--attempt", "1"),
            *("--criterion", "1", "--why", "x", *wrong),
        )
        assert done.exit_code == 2
        assert "--points" in done.output
    with GradebookReader(lab / ".meridian" / "gradebook.sqlite", read_only=True) as book:
        bobs = book.attempts("bob")[0].receipt
    written = call("feedback", bobs, "--out", str(lab / "bob.html"))
    assert written.exit_code == 0, written.output
    page = (lab / "bob.html").read_text()
    assert "80 points given by G: read by hand" in page
    assert bobs in page
    assert call("feedback", "none").exit_code == 70
    assert receipt in call("gradebook", "--json").output


def test_the_export_command(lab: Path) -> None:
    assert call("export", "csv", "--out", "grades").exit_code == 70, "there is no gradebook"
    with Gradebook(lab / ".meridian" / "gradebook.sqlite") as book:
        book.record(make(), KEY)
    for kind in ("csv", "gradescope", "nbgrader", "prairielearn"):
        done = call("export", kind, "--out", kind)
        assert done.exit_code == 0, done.output
        assert any((lab / kind).iterdir())
    unknown = call("export", "xls", "--out", "x")
    assert unknown.exit_code == 2
    assert "There is no format 'xls'" in unknown.output


def test_a_broken_gradebook_is_named(lab: Path) -> None:
    path = lab / ".meridian" / "gradebook.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    for command in (
        ("gradebook",),
        ("board",),
        ("regrade", "--dry-run"),
        ("export", "csv", "--out", "x"),
    ):
        done = call(*command)
        assert done.exit_code == 70, command
        assert "gradebook.sqlite: not a gradebook" in done.output, done.output
    with pytest.raises(GradebookError):
        Gradebook(path)
