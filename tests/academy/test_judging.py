"""`check`, `bench`, `submit`: what the learner sees and what is kept. The grader is a fake here."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest
from rich.console import Console

import grader.job
from grader.job import JobSpec
from grader.report import BenchmarkEntry, CriterionReport, Report
from meridian.academy.commands.bars import stage_bars, stage_lines
from meridian.academy.commands.verdict import printable, race_lines
from meridian.academy.curriculum import load
from meridian.academy.progress import ProgressStore
from meridian.academy.widgets.stages import STAGES
from tests.grader.reports import make

MODULE = "database/01-storage"


class FakeGrader:
    """Judges as it is told, and remembers what it was asked."""

    def __init__(self, lab: Path) -> None:
        self.capstone = load(lab).capstone(MODULE)
        self.judged = (*self.capstone.criteria, *self.capstone.bonus)
        self.outcomes = {criterion.id: "passed" for criterion in self.capstone.criteria}
        self.outcomes |= {criterion.id: "failed" for criterion in self.capstone.bonus}
        self.jobs: list[JobSpec] = []
        self.message = ""

    def run_one(self, spec: JobSpec) -> Report:
        self.jobs.append(spec)
        for done, stage in enumerate(STAGES):
            assert spec.on_event is not None
            event = {"event": "stage", "stage": stage, "done": done, "total": 6, "message": "m"}
            spec.on_event(event)
        spec.on_event({"event": "report", "path": str(spec.out / "report.json")})
        report = self.report(spec)
        spec.out.mkdir(exist_ok=True)
        (spec.out / "report.json").write_text("{}")
        (spec.out / "feedback.html").write_text("<html>")
        return report

    def report(self, spec: JobSpec) -> Report:
        criteria = []
        for criterion in self.judged:
            outcome = self.outcomes[criterion.id]
            if criterion.benchmark == (spec.mode == "check") and spec.mode != "submit":
                outcome = "not_run"
            criteria.append(
                CriterionReport(
                    id=criterion.id,
                    title=criterion.title,
                    points=criterion.points,
                    score=criterion.points if outcome == "passed" else 0,
                    outcome=outcome,
                    message=self.message if outcome == "failed" else "",
                    counterexample="compact() after 2 deletes" if outcome == "failed" else "",
                )
            )
        score = sum(c.score for c in criteria)
        return make(
            capstone=spec.capstone,
            score=score,
            passed=spec.mode == "submit" and score >= 70,
            criteria=criteria,
            benchmarks=[
                BenchmarkEntry(
                    name="get_many", ratio=2.5, spread=0.1, peer="sqlite3", unit="records"
                )
            ],
            environment={},
        )


@pytest.fixture
def fake(lab: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGrader:
    fake = FakeGrader(lab)
    monkeypatch.setattr(grader.job, "run_one", fake.run_one)
    return fake


@pytest.fixture
def store(lab: Path) -> ProgressStore:
    store = ProgressStore(curriculum=load(lab))
    for number in (1, 2, 3):
        store.record_quiz(f"{MODULE}/{number}", 5, 5, "d")
    return store


def test_a_check_that_passes(lab: Path, meridian, fake: FakeGrader, store: ProgressStore) -> None:
    result = meridian("check", MODULE)
    assert result.status == 0
    folder = lab / ".meridian" / "reports" / MODULE / "check"
    for shown in (
        "Checked: 7 of 7 criteria passed, 90 of 100 points so far",
        "Page I/O at the right offset",
        "required",
        "bonus",
        "10 of 10",
        "not judged",
        "box 'bwrap'",
        f"Feedback: {folder / 'feedback.html'}",
        f"Next:     meridian bench {MODULE}, or meridian submit {MODULE}",
    ):
        assert shown in result.out
    assert "Asking questions ..." in result.err
    [job] = fake.jobs
    assert (job.capstone, job.mode, job.out, job.attempt) == (MODULE, "check", folder, 1)
    assert job.submission == lab / "exercises" / MODULE
    assert store.record().capstones[MODULE].checks == 1
    assert store.next_step().command == f"meridian submit {MODULE}"


def test_a_race_knows_the_earlier_ones(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(spec: JobSpec) -> Report:
        report = fake.run_one(spec)
        report.write(spec.out / "report.json")
        return report

    monkeypatch.setattr(grader.job, "run_one", written)
    for command in ("bench", "submit", "bench", "check"):
        meridian(command, MODULE)
    assert [len(job.history) for job in fake.jobs] == [0, 1, 2, 0]
    assert {past.name for past in fake.jobs[2].history} == {"get_many"}


def test_a_check_that_fails_shows_the_counterexample(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    fake.outcomes["5"] = "failed"
    fake.message = "slot 2 moved"
    result = meridian("check", MODULE)
    assert result.status == 1
    assert "Checked: 6 of 7 criteria passed" in result.out
    assert "slot 2 moved" in result.out
    assert "Smallest input that shows it:" in result.out
    assert "compact() after 2 deletes" in result.out
    assert f"then meridian check {MODULE}" in result.out
    assert store.next_step().command == f"meridian check {MODULE}"


def test_a_plot_of_several_races_is_named_once(tmp_path: Path) -> None:
    races = [
        {"name": "Inserts", "ratio": 1.5, "peer": "sqlite3", "plot": "plots/inserts.svg"},
        {"name": "Inserts", "ratio": 0.9, "peer": "model answer", "plot": "plots/inserts.svg"},
        {"name": "Gets", "ratio": None, "peer": "sqlite3", "plot": ""},
    ]
    assert list(race_lines(races, tmp_path)) == [
        "Inserts: 1.50 times the speed of sqlite3",
        "Inserts: 0.90 times the speed of the model answer",
        f"   {tmp_path / 'plots' / 'inserts.svg'}",
        "Gets: not measured against sqlite3",
    ]


def test_a_check_of_nothing_written_names_the_next_thing_alone(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    fake.outcomes = dict.fromkeys(fake.outcomes, "failed")
    fake.message = "Pages. Not written yet (page.py:3): database/01-storage #1: read()"
    result = meridian("check", MODULE)
    assert result.status == 1
    assert "Checked: 0 of 7 criteria written" in result.out
    assert result.out.count("not written yet") == 7 + 4
    assert "failed" not in result.out
    assert result.out.count("#1: read()") == 1
    assert f"Next:     write exercises/{MODULE}, then meridian check {MODULE}" in result.out
    fake.outcomes["2"] = "passed"
    assert "1 of 7 criteria passed, 6 not written yet" in meridian("check", MODULE).out


def test_a_second_check_replaces_the_first_report(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    meridian("check", MODULE)
    old = lab / ".meridian" / "reports" / MODULE / "check" / "old.png"
    old.touch()
    meridian("check", MODULE)
    assert not old.exists()
    assert store.record().capstones[MODULE].checks == 2


def test_submissions_are_numbered_and_kept(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    fake.outcomes.update({"3": "timeout", "5": "crashed"})
    first = meridian("submit", MODULE)
    assert first.status == 1
    assert "Not passed: 60 of 100 points\n70 points and every required criterion" in first.out
    fake.outcomes.update({"3": "passed", "5": "passed"})
    second = meridian("submit", MODULE)
    assert second.status == 0
    assert "Passed: 100 of 100 points" in second.out
    assert "Next:     meridian status" in second.out
    assert "get_many: 2.50 times the speed of sqlite3\n" in second.out
    assert [job.attempt for job in fake.jobs] == [1, 2]
    assert [job.out.name for job in fake.jobs] == ["submit-001", "submit-002"]
    assert all((job.out / "report.json").exists() for job in fake.jobs)
    assert store.capstone_state(MODULE) == "passed"
    best = store.record().capstones[MODULE].best
    assert best is not None
    assert lab / best.path == fake.jobs[1].out
    assert not Path(best.path).is_absolute()  # the record is carried to other machines


def test_a_report_that_was_never_recorded_is_not_overwritten(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    lost = lab / ".meridian" / "reports" / MODULE / "submit-001"
    lost.mkdir(parents=True)
    (lost / "report.json").write_text("kept")
    meridian("submit", MODULE)
    assert (lost / "report.json").read_text() == "kept"
    assert fake.jobs[0].out.name == "submit-002"


def test_a_race_judges_the_benchmark_alone(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    result = meridian("bench", MODULE)
    assert result.status == 0
    assert "Raced: 1 of 1 criteria passed" in result.out
    assert "Page I/O" not in result.out
    fake.outcomes["8"] = "failed"
    assert meridian("bench", MODULE).status == 1
    assert MODULE not in store.record().capstones  # a race is practice


def test_json_and_events_are_for_programs(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    result = meridian("check", MODULE, "--json")
    assert result.json["criteria"][7]["outcome"] == "not_run"
    assert result.err == ""
    result = meridian("submit", MODULE, "--events")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [event.get("stage") for event in events[:-1]] == list(STAGES)
    assert events[-1] == {"event": "report", "path": str(fake.jobs[1].out / "report.json")}
    assert result.err == ""


def test_a_locked_capstone_opens_anyway_and_is_noted(lab: Path, meridian, fake: FakeGrader) -> None:
    store = ProgressStore(curriculum=load(lab))
    store.record_quiz(f"{MODULE}/1", 5, 5, "d")
    refused = meridian("check", MODULE)
    assert refused.status == 2
    assert f"unlocks with the quizzes of {MODULE}/2, {MODULE}/3" in refused.err
    assert f"meridian check {MODULE} --anyway" in refused.err
    assert fake.jobs == []
    assert meridian("check", MODULE, "--anyway").status == 0
    assert len(store.record().capstones[MODULE].opened_locked_at) == 1
    assert meridian("submit", MODULE).status == 0  # asked once is enough
    assert len(store.record().capstones[MODULE].opened_locked_at) == 1


def test_what_cannot_be_judged_is_wrong_use(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore, tmp_path: Path
) -> None:
    for argv, said in (
        (("database/01-storge",), "the nearest is 'database/01-storage'"),
        (("database/02-btree",), "planned, not available yet"),
        ((MODULE, "--submission", str(tmp_path / "none")), "meridian reset database/01-storage"),
    ):
        result = meridian("check", *argv)
        assert result.status == 2
        assert said in result.err
    assert fake.jobs == []
    other = tmp_path / "other"
    other.mkdir()
    assert meridian("check", MODULE, "--submission", str(other)).status == 0
    assert fake.jobs[0].submission == other


def test_a_grader_in_trouble_is_one_line_and_nothing_is_recorded(
    lab: Path, meridian, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(spec: JobSpec) -> Report:
        raise OSError(28, "No space left on device", str(spec.out))

    monkeypatch.setattr(grader.job, "run_one", full)
    result = meridian("submit", MODULE)
    assert result.status == 2
    assert "No space left on device" in result.err
    assert "Traceback" not in result.err
    assert store.capstone_state(MODULE) == "new"


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_cancelled_job_unwinds_and_nothing_is_recorded(
    lab: Path, meridian, store: ProgressStore, monkeypatch: pytest.MonkeyPatch, sent, status: int
) -> None:
    unwound = []

    def endless(spec: JobSpec) -> Report:
        try:
            signal.raise_signal(sent)
            raise AssertionError("the signal was ignored")
        finally:
            unwound.append(spec)

    monkeypatch.setattr(grader.job, "run_one", endless)
    before = signal.getsignal(signal.SIGTERM)
    assert meridian("submit", MODULE).status == status
    assert len(unwound) == 1
    assert not unwound[0].out.exists()
    assert store.capstone_state(MODULE) == "new"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_submission_cannot_steer_the_terminal(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore
) -> None:
    fake.outcomes["1"] = "failed"
    fake.message = "\x1b]0;owned\x07[bold]not markup[/bold]"
    out = meridian("check", MODULE).out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]" in out


def test_printable_keeps_text_and_shows_the_rest() -> None:
    assert printable("é ✓\n\tx") == "é ✓\n\tx"
    assert printable("\x1b[31m\x00\u202e") == "\\x1b[31m\\x00\\u202e"


@pytest.mark.parametrize("bars", [stage_bars, stage_lines])
def test_progress_takes_any_event(bars) -> None:
    screen = io.StringIO()
    with bars(Console(file=screen, force_terminal=bars is stage_bars, width=100)) as on_event:
        on_event({"event": "stage", "stage": "acceptance", "done": 1, "total": 3, "message": "[x]"})
        on_event({"event": "stage", "stage": "acceptance", "done": 3, "total": 3})
        on_event({"event": "stage", "stage": "later", "done": 0, "total": 0, "message": None})
        on_event({"event": "report", "path": "x"})
    text = screen.getvalue()
    assert "Asking questions" in text
    assert "later" in text


def test_a_submission_that_could_not_be_judged_is_no_attempt(
    lab: Path, meridian, fake: FakeGrader, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(spec: JobSpec) -> Report:
        report = fake.run_one(spec)
        report.judged = report.passed = False
        report.criteria[0].outcome = "refused"
        report.criteria[0].message = "tle.py: SyntaxError"
        return report

    with monkeypatch.context() as patch:
        patch.setattr(grader.job, "run_one", refused)
        for _ in range(2):
            done = meridian("submit", MODULE)
            assert done.status == 1
            assert "This attempt does not count" in done.out
            assert "not-judged/feedback.html" in done.out
    known = store.record().capstones.get(MODULE)
    assert known is None or known.submissions == ()
    meridian("submit", MODULE)
    assert [job.attempt for job in fake.jobs] == [1, 1, 1]
    reports = lab / ".meridian" / "reports" / MODULE
    assert sorted(path.name for path in reports.iterdir()) == ["not-judged", "submit-001"]
