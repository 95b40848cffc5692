"""The whole pipeline on a toy capstone: scores, modes, events, refusals, seeds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import grader
from grader.box import BoxUnavailable
from grader.box.tiers import Detection
from grader.judging.judge import SuiteError
from grader.report import Mode, read_report
from grader.software import judging_digest
from grader.spec import draw_seed
from meridian.academy.curriculum import Criterion

GRADER = Path(grader.__file__).parent
ALL_PASSED = {"1": "passed", "2": "passed", "3": "passed"}


def test_honest_work_gets_all_points(toy: Any, bwrap: None) -> None:
    report = toy.judge()
    assert toy.outcomes(report) == ALL_PASSED
    assert (report.score, report.max_score, report.passed) == (100, 100, True)
    assert report.box == "bwrap"
    assert read_report(toy.out / "report.json") == report
    assert report.verify(toy.key)
    assert "100 of 100 points" in (toy.out / "feedback.html").read_text()


@pytest.mark.parametrize(("box", "trusted"), [("rlimits", False), ("none", True)])
def test_every_way_to_run_gives_the_same_verdict(toy: Any, box: str, trusted: bool) -> None:
    report = toy.judge(box=box, trusted=trusted)
    assert toy.outcomes(report) == ALL_PASSED
    assert report.box == box


def test_in_process_judging_leaves_no_module_and_no_path_behind(toy: Any) -> None:
    before = list(sys.path)
    toy.judge(box="none", trusted=True)
    assert sys.path == before
    assert not [name for name in sys.modules if name.split(".")[0] == "toy"]


def test_partial_credit_and_what_the_learner_is_told(toy: Any) -> None:
    report = toy.judge("from .honest import *\ndef place(page, slot): return (page, slot)\n")
    second = report.criteria[1]
    assert (second.outcome, second.score, second.points) == ("failed", 20, 30)
    assert second.message == "A place has a page and a slot"  # and not the suite's own words
    assert (report.score, report.passed) == (90, True)
    text = (toy.out / "report.json").read_text() + (toy.out / "feedback.html").read_text()
    assert "hidden words" not in text


def test_a_required_criterion_missed_fails_whatever_the_score(toy: Any) -> None:
    report = toy.judge("from .honest import *\ndef add(a, b): return a - b\n")
    assert report.score == 60
    assert not report.passed
    first = report.criteria[0]
    assert first.outcome == "failed"
    assert "expected" in first.message


def test_a_stub_says_what_is_to_be_written(toy: Any) -> None:
    stub = "def add(a, b): raise NotImplementedError('toy/01 #1: add() - sum them')\n"
    report = toy.judge("from .honest import *\n" + stub)
    first = report.criteria[0]
    assert first.outcome == "failed"
    assert "Not written yet (toy/__init__.py:2): toy/01 #1: add() - sum them" in first.message


def test_an_exception_is_an_error_with_call_and_line(toy: Any) -> None:
    report = toy.judge("from .honest import *\ndef add(a, b): return {}[a]\n")
    first = report.criteria[0]
    assert first.outcome == "error"
    assert "add raised KeyError" in first.message
    assert "(toy/__init__.py:2)" in first.message


def test_one_import_failure_is_told_once(toy: Any) -> None:
    report = toy.judge("from .not_there import *\n")
    assert toy.outcomes(report) == dict.fromkeys("123", "error")
    assert "No module named 'toy.not_there'" in report.criteria[0].message
    assert [entry.message for entry in report.criteria[1:]] == ["", ""]
    page = (toy.out / "feedback.html").read_text()
    assert page.count("No module named") == 1
    assert report.score == 0


def test_check_judges_without_benchmarks_and_bench_only_them(toy: Any) -> None:
    speed = Criterion(id="4", title="Speed", points=10, benchmark=True)
    definition = msgspec.structs.replace(toy.capstone, criteria=(*toy.capstone.criteria[:1], speed))
    suite = toy.suite_of("""
@pytest.mark.criterion("1", points=40)
def test_add(submission, expect):
    '''Adds.'''
    expect(submission.add(1, 2), 3)

@pytest.mark.criterion("4", points=10)
def test_speed(submission, race):
    '''As fast as itself.'''
    batch = submission.prepare(submission.add, [(1, 2)] * 500)
    once = lambda: timed(batch.run)
    result = race.compare("Adding / twice", once, once, peer_name="itself", unit="add", per=500)
    assert 0.2 < result.ratio < 5
    assert batch.results() == [3] * 500
""")
    settings = {"definition": definition, "suite": suite, "submission": toy.submission()}
    check = toy.judge(mode="check", **settings)
    assert toy.outcomes(check) == {"1": "passed", "4": "not_run"}
    assert (check.score, check.max_score, check.benchmarks) == (40, 40, [])
    bench = toy.judge(mode="bench", **settings)
    assert toy.outcomes(bench) == {"1": "not_run", "4": "passed"}
    assert (bench.score, bench.max_score) == (10, 10)
    (race,) = bench.benchmarks
    assert race.plot == "plots/adding-twice.svg"
    assert (race.name, race.peer, race.unit) == ("Adding / twice", "itself", "add")
    for suffix in ("svg", "png", "json"):
        assert (toy.out / f"plots/adding-twice.{suffix}").stat().st_size > 100
    assert "data:image/svg+xml;base64," in (toy.out / "feedback.html").read_text()


def test_the_judging_code_is_named_by_one_hash(toy: Any) -> None:
    """Every file that a verdict depends on changes it, the suite's helpers and peer included."""
    own, suites = toy.folder / "grader", toy.folder / "suites"
    for name in ("grader/job.py", "grader/box/tiers.py", "suites/test_own.py"):
        (toy.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (toy.folder / name).write_text("X = 1\n")
    seen = [judging_digest(own, suites)]
    assert judging_digest(own, suites) == seen[0]
    changes = (
        "suites/_own_a.py",
        "suites/peer_own.py",
        "suites/test_own.py",
        "grader/box/tiers.py",
    )
    for name in changes:
        (toy.folder / name).write_text("X = 2\n")
        seen.append(judging_digest(own, suites))
    assert len(set(seen)) == 1 + len(changes)
    (own / "acceptance").mkdir()
    (own / "acceptance" / "test_other.py").write_text("")
    assert judging_digest(own, suites) == seen[-1], "another track's suite judges nothing here"
    report = toy.judge(mode="check")
    assert report.environment["grader_sha256"] == judging_digest(GRADER, toy.suite.parent)


def test_bonus_counts_up_to_its_cap_and_never_above_the_maximum(toy: Any) -> None:
    extras = (Criterion(id="more", title="More", points=8),)
    definition = msgspec.structs.replace(toy.capstone, bonus=extras, bonus_cap=5)
    suite = toy.folder / "suite" / "test_own.py"
    suite.parent.mkdir()
    suite.write_text(
        toy.suite.read_text()
        + "\n\n@pytest.mark.criterion('more', points=8)\ndef test_more(submission):\n"
        + "    '''More.'''\n    assert submission.add('a', 'b') == 'ab'\n"
    )
    broken = toy.submission("from .honest import *\ndef place(page, slot): return 0\n")
    report = toy.judge(definition=definition, suite=suite, submission=broken)
    assert (report.score, report.max_score, report.bonus) == (95, 100, 5)
    assert report.criteria[-1].id == "more"


def test_events_name_every_stage_in_order(toy: Any) -> None:
    events: list[dict[str, Any]] = []
    toy.judge(on_event=events.append, mode="check")
    stages = list(dict.fromkeys(event["stage"] for event in events))
    assert stages == ["collect", "audit", "acceptance", "report"]
    tests = [event for event in events if event["message"].startswith("criterion")]
    assert [(event["done"], event["total"]) for event in tests] == [(i, 4) for i in (1, 2, 3, 4)]
    starts = [event for event in events if not event["message"]]
    assert {(event["done"], event["total"]) for event in starts} == {(0, 0)}


def test_the_seed_decides_the_hidden_inputs(toy: Any) -> None:
    suite = toy.suite_of("""
@pytest.mark.criterion("1", points=100)
def test_draw(submission, rng):
    '''Draws.'''
    raise CriterionFailed(f"drew {rng.random()}")
""")
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="Draw", points=100),)
    )
    settings = {"suite": suite, "definition": only, "submission": toy.submission()}

    def drawn(mode: str = "check", **more: Any) -> tuple[str, str]:
        report = toy.judge(mode=mode, **settings, **more)
        return report.seed, report.criteria[0].message

    first = drawn()
    assert drawn() == first
    assert drawn(attempt=2)[1] != first[1]
    assert drawn("submit")[1] != first[1], "a check says nothing about a submission"
    assert drawn("submit", attempt=2, key=b"x" * 32, seed=first[0]) == first
    assert drawn(key=b"x" * 32)[1] != first[1]


def test_every_learner_attempt_and_mode_has_its_own_seed() -> None:
    modes: tuple[Mode, ...] = ("check", "bench", "submit")
    cases = [(who, n, mode) for who in ("local", "a") for n in range(1, 9) for mode in modes]
    seeds = {draw_seed(b"k" * 32, who, n, "toy/01", mode) for who, n, mode in cases}
    assert len(seeds) == len(cases)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def test_it(submission): pass\n", "no mark"),
        ("@pytest.mark.criterion('1', points=3)\ndef test_it(submission): pass\n", "40 points"),
        ("@pytest.mark.criterion('9', points=3)\ndef test_it(submission): pass\n", "points"),
        ("import nothing_like_this\n", "nothing_like_this"),
        ("", "points"),
    ],
)
def test_a_suite_that_does_not_fit_is_the_graders_trouble(toy: Any, body: str, reason: str) -> None:
    with pytest.raises(SuiteError, match=reason):
        toy.judge(suite=toy.suite_of(body))
    assert not (toy.out / "report.json").exists()


def test_a_suite_that_leaves_early_is_no_verdict(toy: Any) -> None:
    suite = toy.folder / "suite" / "test_own.py"
    suite.parent.mkdir()
    body = toy.suite.read_text()
    suite.write_text(body.replace("for _ in range(3):", "pytest.exit('enough')\n    for _ in ():"))
    with pytest.raises(SuiteError, match="0 verdicts of 4 tests"):
        toy.judge(suite=suite)


def test_an_interrupt_ends_the_job_and_cleans_up(toy: Any) -> None:
    cut = "raise KeyboardInterrupt\n    for _ in ():"
    body = toy.suite.read_text().replace("for _ in range(3):", cut)
    suite = toy.folder / "suite" / "test_own.py"
    suite.parent.mkdir()
    suite.write_text(body)
    with pytest.raises(KeyboardInterrupt):
        toy.judge(suite=suite)
    assert not (toy.out / "report.json").exists()


def test_the_environment_does_not_steer_the_judging_pytest(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    monkeypatch.setenv("PYTEST_PLUGINS", "nothing_like_this")
    assert toy.judge(mode="check").score == 100


def test_strangers_are_not_judged_without_walls(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without = Detection("rlimits", "no bwrap", "Install it.")
    found = (Detection("bwrap", "no bwrap", "Install it."), Detection("rlimits"))
    monkeypatch.setattr("grader.box.tiers.survey", lambda: found)
    monkeypatch.setattr("grader.box.tiers.detect", lambda: without)
    for place in ("grader.job.detect", "grader.sides.detect"):
        monkeypatch.setattr(place, lambda: without)
    submission = toy.submission()
    with pytest.raises(BoxUnavailable, match=r"no bwrap\. Install it\."):
        toy.judge(submission=submission, learner="somebody")
    with pytest.raises(BoxUnavailable, match="No bwrap box"):
        toy.judge(submission=submission, box="bwrap")
    own = toy.judge(submission=submission, mode="check")
    assert (own.box, own.environment["box_reason"]) == ("rlimits", "no bwrap")


def test_bad_specs_are_refused(toy: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Only trusted code"):
        toy.judge(submission=tmp_path, box="none")
    with pytest.raises(ValueError, match="Expected mode"):
        toy.judge(submission=tmp_path, mode="grade")
    with pytest.raises(ValueError, match="Expected box"):
        toy.judge(submission=tmp_path, box="docker")


def test_the_job_is_over_in_time_and_says_so(toy: Any) -> None:
    slow = "import time\nfrom .honest import *\ndef add(a, b): time.sleep(0.5); return a + b\n"
    limits = msgspec.structs.replace(toy.limits, job_s=0.9)
    report = toy.judge(slow, limits=limits, mode="check")
    assert report.criteria[0].outcome == "timeout"
    assert report.criteria[2].outcome == "timeout"
    assert report.duration_s < 5


def test_trouble_of_a_peer_is_not_blamed_on_the_learner(toy: Any) -> None:
    suite = toy.suite_of("""
@pytest.mark.criterion("1", points=50)
def test_error(submission, peer):
    '''Races.'''
    peer.fail()

@pytest.mark.criterion("1", points=50)
def test_crash(submission, peer):
    '''Races again.'''
    peer.leave()
""")
    (suite.parent / "peer_own.py").write_text(
        "import os\ndef fail(): raise KeyError('x')\ndef leave(): os._exit(1)\n"
    )
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="Race", points=100),)
    )
    report = toy.judge(suite=suite, definition=only, mode="check")
    message = report.criteria[0].message
    assert "the grader's own peer: fail raised KeyError" in message
    assert "the grader's own peer: Left with exit status 1" in message
