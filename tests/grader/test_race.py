"""Races: who runs, in which order, by whose clock, and what the report says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.race import Race
from meridian.academy.curriculum import Criterion

RACE_SUITE = """
@pytest.mark.criterion("1", points=100)
def test_race(submission, reference, peer, race):
    '''Fast enough.'''
    sides = [side and side.prepare(side.work, [(n,) for n in range(50)])
             for side in (submission, peer, reference)]
    mine, other, model = [side and (lambda side=side: timed(side.run)) for side in sides]
    race.compare("Work", mine, other, peer_name="a peer", unit="call", rounds=8, per=50,
                 reference=model)
    if reference is not None:
        expect(reference.WHO, "model")
        expect(submission.WHO, "learner")
"""


def test_the_model_answer_races_in_the_same_rounds(toy: Any) -> None:
    work = "def work(n):\n    for _ in range({}): pass\n    return n\n"
    suite = toy.suite_of(RACE_SUITE)
    (suite.parent / "peer_own.py").write_text(work.format(1_000))
    model = toy.folder / "solution" / "toy"
    model.mkdir(parents=True)
    (model / "__init__.py").write_text("WHO = 'model'\n" + work.format(2_000))
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="Race", points=100, benchmark=True),)
    )
    settings = {"suite": suite, "definition": only, "mode": "bench"}
    settings["submission"] = toy.submission("WHO = 'learner'\n" + work.format(20_000))

    alone = toy.judge(**settings, solution=toy.folder)  # a course without a model answer
    assert [race.peer for race in alone.benchmarks] == ["a peer"]

    report = toy.judge(**settings, solution=model.parent)
    assert toy.outcomes(report) == {"1": "passed"}, report.criteria[0].message
    assert [(race.name, race.peer) for race in report.benchmarks] == [
        ("Work", "a peer"),
        ("Work", "model answer"),
    ]
    by_peer, by_model = (race.ratio for race in report.benchmarks)
    assert by_peer < by_model < 0.8
    assert len({race.plot for race in report.benchmarks}) == 1
    rows = msgspec.json.decode((toy.out / "plots" / "work.json").read_bytes())
    assert [(row["subject"], row["peer"]) for row in rows] == [
        ("submission", "a peer"),
        ("submission", "model answer"),
        ("model answer", "a peer"),
    ]
    (pairs,) = {row["pairs"] for row in rows}
    assert pairs in (8, 16)  # on a busy machine once more, with twice the rounds
    page = (toy.out / "feedback.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 1
    assert "times as fast as model answer" in page


def test_a_race_takes_every_side_in_turn_and_back(tmp_path: Path) -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return seconds

        return run

    race = Race("5eed")
    sides = {"mine": 1.0, "peer": 2.0, "model": 0.5, "model's peer": 3.0}
    mine, peer, model, models_peer = (side(*item) for item in sides.items())
    result = race.compare(
        "Fixed times", mine, peer, peer_name="p", unit="call", rounds=6, per=10,
        reference=model, reference_peer=models_peer,
    )  # fmt: skip
    assert (result.ratio, result.pairs) == (pytest.approx(2.0), 6)
    warm_up, rounds = order[:4], [order[i : i + 4] for i in range(4, len(order), 4)]
    assert warm_up == list(sides)
    assert len(rounds) == 6
    for there, back in zip(rounds[::2], rounds[1::2], strict=True):
        assert sorted(there) == sorted(sides)
        assert back == there[::-1]
    assert len({tuple(there) for there in rounds[::2]}) > 1
    with pytest.raises(ValueError, match="raced already"):
        race.compare("Fixed times", mine, peer, peer_name="p", unit="call")
    entries = race.finish(tmp_path)
    assert [(e.peer, e.ratio) for e in entries] == [
        ("p", pytest.approx(2.0)),
        ("model answer", pytest.approx(0.5)),
    ]
    rows = msgspec.json.decode((tmp_path / "plots" / "fixed-times.json").read_bytes())
    assert (rows[2]["subject"], rows[2]["ratio"]) == ("model answer", pytest.approx(6.0))
    assert rows[0]["subject_s"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("ratio", "target", "again"),
    [(0.90, 1.0, True), (0.80, 1.0, False), (1.0, 1.0, False), (0.9, None, False)],
)
def test_a_target_just_missed_is_measured_again(
    ratio: float, target: float | None, again: bool
) -> None:
    """The second run has twice the rounds, and it alone counts."""
    calls = []

    def mine() -> float:
        calls.append(1)
        return 1.0 if len(calls) <= 7 else 0.5

    result = Race("5eed").compare(
        "Near", mine, lambda: ratio, peer_name="p", unit="call", rounds=6, target=target
    )
    assert len(calls) == (19 if again else 7)
    assert result.pairs == (12 if again else 6)
    assert result.ratio == pytest.approx(2 * ratio if again else ratio)


def test_the_clock_of_a_race_is_the_judges(toy: Any) -> None:
    cheat = """
import time
time.perf_counter = time.monotonic = time.process_time = lambda: 0.0

def quick(n): return n

def slow(n):
    for _ in range(20_000): pass
    return n
"""
    suite = toy.suite_of("""
@pytest.mark.criterion("1", points=100)
def test_race(submission, race):
    '''Slow is slower.'''
    slow = submission.prepare(submission.slow, [(n,) for n in range(100)])
    quick = submission.prepare(submission.quick, [(n,) for n in range(100)])
    result = race.compare("slow", lambda: timed(slow.run), lambda: timed(quick.run),
                          peer_name="quick", unit="call", rounds=8, per=100)
    if result.ratio > 0.5:
        raise CriterionFailed(f"ratio {result.ratio}")
""")
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="Race", points=100, benchmark=True),)
    )
    report = toy.judge(cheat, suite=suite, definition=only, mode="bench")
    assert report.criteria[0].outcome == "passed", report.criteria[0].message
    assert report.benchmarks[0].ratio is not None
    assert report.benchmarks[0].ratio < 0.5


def test_the_submission_cannot_find_the_model_answer(toy: Any, bwrap: None) -> None:
    spy = """
import os
import sys

SYSTEM = ("/usr", "/proc", "/sys", "/dev", sys.base_prefix, sys.prefix)

def look():
    found = set()
    for folder, folders, files in os.walk("/"):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in SYSTEM]
        found.update(files)
    return sorted(found)
"""
    suite = toy.suite_of("""
@pytest.mark.criterion("1", points=100)
def test_look(submission, reference):
    '''Finds nothing.'''
    expect("only_the_model_has_it.py" in reference.look(), True)
    expect("only_the_model_has_it.py" in submission.look(), False)
    expect("honest.py" in submission.look(), True)
""")
    model = toy.folder / "solution" / "toy"
    model.mkdir(parents=True)
    (model / "__init__.py").write_text(spy)
    (model / "only_the_model_has_it.py").write_text("X = 1\n")
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="Look", points=100, benchmark=True),)
    )
    report = toy.judge(
        spy,
        suite=suite,
        definition=only,
        mode="bench",
        solution=model.parent,
        limits=msgspec.structs.replace(toy.limits, question_s=60),
    )
    assert report.criteria[0].outcome == "passed", report.criteria[0].message
