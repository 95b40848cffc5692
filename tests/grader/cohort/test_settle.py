"""What is handed out is what the gradebook says, and the same page is made everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.cohort.enter import enter_reports
from grader.cohort.environment import Environment
from grader.cohort.intake import as_entry
from grader.cohort.queue import Queue
from grader.cohort.sealed import Results, job_secret, seal
from grader.cohort.settle import Result, Settler
from grader.cohort.summary import Row, summarize
from grader.cohort.task import Task
from grader.limits import Limits
from grader.records.board_server import BoardServer
from grader.records.gradebook import Gradebook
from grader.records.pages import learner_page_of
from grader.report import BenchmarkEntry, CriterionReport, Report, lab_key, read_report
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import KEY, make

CAPSTONE = Capstone(
    title="Toy",
    package="toy",
    criteria=(
        Criterion(id="1", title="Adding", points=60, required=True),
        Criterion(id="2", title="Counting", points=40),
    ),
)
RACE = BenchmarkEntry(
    name="sum", ratio=2.0, spread=0.1, peer="sum()", unit="call", plot="plots/sum.svg"
)
RUN_SECRET = b"run" * 10


def judged(score: float, **changes: Any) -> Report:
    missed = CriterionReport(id="2", title="Counting", points=40, outcome="failed")
    return make(
        score=score,
        passed=score >= 70,
        seed="5eed",
        criteria=[
            CriterionReport(id="1", title="Adding", points=60, score=60, outcome="passed"),
            missed if score < 100 else msgspec.structs.replace(missed, score=40, outcome="passed"),
        ],
        **changes,
    )


class Settling:
    """Settles one result after the other, as the runs of a cohort do."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "graded"
        self.results = Results(folder / "results")
        self.queue = Queue(folder / "q.sqlite", "run", capstone="toy/01", mode="submit")
        self.book = Gradebook(folder / "gradebook.sqlite")
        self.grader = 0

    @property
    def place(self) -> Path:
        return self.out / "reports" / "ada" / "attempt-1"

    @property
    def page(self) -> str:
        return (self.out / "feedback" / "ada" / "feedback.html").read_text()

    def settle(self, report: Report, plots: dict[str, bytes] | None = None) -> Row:
        """One run in which the job of attempt 1 of ada comes to `report`."""
        self.grader += 1  # as by another suite: nothing is had from the cache
        environment = Environment(
            grader=str(self.grader), course="", python="", platform="", packages={}
        )
        task = Task(
            capstone="toy/01",
            mode="submit",
            lane="judge",
            learner="ada",
            attempt=1,
            seed="5eed",
            box="bwrap",
            trusted=False,
            limits=Limits(),
            environment=environment,
            submission_sha256=report.submission_sha256,
        )
        entry = as_entry(task, self.results, RUN_SECRET)
        secret = job_secret(RUN_SECRET, entry.cache_key)
        files = {"report.json": msgspec.json.encode(report), **(plots or {})}
        self.results.put(entry.cache_key, seal(files, secret), secret)
        self.queue.enter([as_entry(task, self.results, RUN_SECRET)])
        latest = {"ada": 1}
        settler = Settler(
            *(self.queue, self.results, RUN_SECRET, KEY, CAPSTONE, self.out, self.book, latest)
        )
        (job,) = self.queue.judged()
        assert isinstance(settler.settle(job), Result)
        (row,) = summarize(self.queue.jobs(), [], self.out, 0).submissions
        return row


@pytest.fixture
def settling(tmp_path: Path) -> Settling:
    return Settling(tmp_path)


def test_a_verdict_that_is_not_recorded_is_not_handed_out(settling: Settling) -> None:
    first = settling.settle(judged(100))
    assert (first.score, first.passed, first.note) == (100, True, "")
    before = (settling.page, (settling.place / "report.json").read_bytes())
    again = settling.settle(judged(60))
    assert (again.score, again.passed, again.outcome) == (100, True, "passed")
    assert again.receipt == first.receipt
    assert "not recorded" in again.note
    assert (settling.page, (settling.place / "report.json").read_bytes()) == before


def test_marks_by_hand_stay_on_the_page(settling: Settling) -> None:
    settling.settle(judged(60))
    assert "Marked by hand" not in settling.page
    settling.book.adjust(
        *("ada", "toy/01", 1, "2", 20), capstone=CAPSTONE, author="Q. Marker", why="half of it"
    )
    again = settling.settle(judged(60))
    assert (again.score, again.passed, again.note) == (80, True, "")
    assert "half of it" in settling.page
    assert read_report(settling.place / "report.json").verify(KEY)


def test_the_page_says_what_is_required_and_is_the_same_everywhere(settling: Settling) -> None:
    row = settling.settle(judged(60, benchmarks=[RACE]), {"plots/sum.svg": b"<svg>race</svg>"})
    assert "required</span>" in settling.page
    assert f"{CAPSTONE.pass_mark} points and every required" in settling.page
    assert "data:image/svg+xml" in settling.page
    assert (settling.place / "plots" / "sum.svg").read_bytes() == b"<svg>race</svg>"
    assert learner_page_of(settling.book, row.receipt, CAPSTONE) == settling.page
    with BoardServer(settling.book.path, {"toy/01": CAPSTONE}.get) as server:
        assert server.page(f"/{server.token}/feedback/{row.receipt}") == settling.page


def test_plots_are_of_the_verdict_they_come_with(settling: Settling) -> None:
    settling.settle(judged(60, benchmarks=[RACE]), {"plots/sum.svg": b"<svg>first</svg>"})
    page = settling.page
    other = msgspec.structs.replace(RACE, ratio=3.0)
    settling.settle(judged(100, benchmarks=[other]), {"plots/sum.svg": b"<svg>second</svg>"})
    assert settling.page == page
    assert (settling.place / "plots" / "sum.svg").read_bytes() == b"<svg>first</svg>"


def test_a_regrade_that_lets_the_races_stand_has_their_plots(settling: Settling) -> None:
    settling.settle(judged(60, benchmarks=[RACE]), {"plots/sum.svg": b"<svg>race</svg>"})
    before = settling.page
    regraded = judged(100, benchmarks=[RACE])
    settling.book.regrade(regraded, KEY, capstone=CAPSTONE, author="Q. Marker", why="new suite")
    row = settling.settle(judged(60, benchmarks=[RACE]), {"plots/sum.svg": b"<svg>race</svg>"})
    assert (row.score, row.passed) == (100, True)
    assert settling.page != before
    assert "data:image/svg+xml" in settling.page
    assert (settling.place / "plots" / "sum.svg").is_file()


def test_a_report_that_is_entered_brings_its_plots(tmp_path: Path) -> None:
    """Judged elsewhere, its page here shows the races that were run there, and nothing else."""
    key = lab_key(tmp_path / ".meridian")
    elsewhere = msgspec.structs.replace(RACE, name="sort", plot="../secret.svg")
    made_there = msgspec.json.encode(judged(60, benchmarks=[RACE, elsewhere]))
    report = msgspec.json.decode(made_there, type=Report)
    report.sign(key)
    made = tmp_path / "made" / "ada"
    (made / "plots").mkdir(parents=True)
    (made / "plots" / "sum.svg").write_text("<svg>race</svg>")
    (tmp_path / "made" / "secret.svg").write_text("<svg>secret</svg>")
    report.write(made / "report.json")
    (entered,) = enter_reports(tmp_path / "made", tmp_path)
    assert entered.problem == ""
    with Gradebook(tmp_path / ".meridian" / "gradebook.sqlite") as book:
        page = learner_page_of(book, entered.receipt, CAPSTONE)
    assert page.count("data:image/svg+xml") == 1
    kept = [path for path in (tmp_path / ".meridian" / "plots").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == ["sum.svg"]
