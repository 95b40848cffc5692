"""Races: who runs, in which order, by whose clock, and what the report says of it."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.judging.compare import CriterionFailed
from grader.races.history import Past
from grader.races.race import Race, describe, require_ratio
from grader.races.rounds import Neighbours
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
    data = msgspec.json.decode((toy.out / "plots" / "work.json").read_bytes())
    rows = data["results"]
    assert [(row["subject"], row["peer"]) for row in rows] == [
        ("submission", "a peer"),
        ("submission", "model answer"),
        ("model answer", "a peer"),
    ]
    (pairs,) = {row["pairs"] for row in rows}
    assert 8 <= pairs <= 16  # on a busy machine once more, with up to twice the rounds
    assert {who: len(times) for who, times in data["times_s"].items()} == dict.fromkeys(
        ("submission", "a peer", "model answer"), pairs
    )
    assert data["history"] == []
    page = (toy.out / "feedback.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 1
    assert "the speed of model answer" in page


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
    rows = msgspec.json.decode((tmp_path / "plots" / "fixed-times.json").read_bytes())["results"]
    assert (rows[2]["subject"], rows[2]["ratio"]) == ("model answer", pytest.approx(6.0))
    assert rows[0]["subject_s"] == pytest.approx(0.1)


def noisy(seed: int, median_s: float, noise: float = 0.05) -> Callable[[], float]:
    """A side that takes about `median_s`; log-normal, as times on a real machine nearly are."""
    rng = random.Random(seed)
    return lambda: median_s * rng.lognormvariate(0, noise)


def race_of(ratio: float, seed: int = 1, *, rounds: int = 40, noise: float = 0.05) -> Any:
    return Race("5eed").compare(
        "Near", noisy(seed, 1.0, noise), noisy(~seed, ratio, noise), peer_name="p", unit="call",
        rounds=rounds, target=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("ratio", "met"), [(0.8, False), (1.0, True), (1.25, True)])
def test_the_interval_decides(ratio: float, met: bool) -> None:
    found = [race_of(ratio, seed) for seed in range(30)]
    wrong = [result for result in found if result.met is not met]
    assert len(wrong) <= 2, wrong
    for result in found:
        assert result.ci95[0] <= result.ratio <= result.ci95[1]


def test_a_plain_race_is_short_and_a_close_one_long() -> None:
    assert {race_of(ratio).pairs for ratio in (0.5, 2.0)} == {8}
    close = [race_of(0.975, seed).pairs for seed in range(10)]
    assert max(close) > 16
    assert race_of(0.975, rounds=10).pairs <= 20


def test_what_is_open_is_measured_again_and_that_run_alone_counts() -> None:
    """Somebody else uses the machine during the first rounds."""
    calls = []

    def mine() -> float:
        calls.append(1)
        disturbed = len(calls) <= 1 + 8
        return (0.4, 1.0)[len(calls) % 2] if disturbed else 0.5

    result = Race("5eed").compare(
        "Disturbed", mine, lambda: 1.0, peer_name="p", unit="call", rounds=8, target=1.5
    )
    assert (result.met, result.ratio, result.pairs) == (True, 2.0, 8)
    assert len(calls) == 1 + 8 + 8


def test_the_median_decides_what_stays_open() -> None:
    """Wide as the interval is, a median within 5 % of the target is as good as there."""
    for ratio, met in ((0.96, True), (0.94, False)):
        times = itertools.cycle([0.1 * ratio, ratio, 10 * ratio])

        def peer(times: Any = times) -> float:
            return next(times)

        result = Race("5eed").compare(
            "Open", lambda: 1.0, peer, peer_name="p", unit="call", rounds=9, target=1.0
        )
        assert result.pairs == 18
        assert result.ci95[0] < 0.95 < 1 < result.ci95[1]
        assert (result.ratio, result.met) == (pytest.approx(ratio), met)


def test_the_verdict_says_the_interval() -> None:
    result = race_of(0.8)
    with pytest.raises(CriterionFailed) as told:
        require_ratio(result, "insert")
    low, high = result.ci95
    assert told.value.message == (
        f"insert: {result.ratio:.2f} ({low:.2f} to {high:.2f}) times the speed of p, "
        "expected at least 1.00"
    )
    require_ratio(race_of(1.5), "insert")
    free = Race("5eed").compare("f", lambda: 1.0, lambda: 1.0, peer_name="p", unit="call")
    assert free.met is None
    with pytest.raises(ValueError, match="without a target"):
        require_ratio(free, "free")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 1}, "at least 2 rounds"),
        ({"per": 0}, "per >= 1"),
        ({"target": 0.0}, "positive target"),
        ({"target": -1.0}, "positive target"),
        ({"target": float("nan")}, "positive target"),
    ],
)
def test_a_race_that_cannot_be_run(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Race("5eed").compare("x", lambda: 1.0, lambda: 1.0, peer_name="p", unit="u", **settings)


def test_memory_is_a_share_of_the_peers(tmp_path: Path) -> None:
    class Worker:
        def __init__(self, mib: int) -> None:
            self.mib = mib

        def peak_memory(self) -> int:
            return self.mib * 2**20

    race = Race("5eed")
    one = lambda: 1.0  # noqa: E731
    result = race.compare(
        "m", one, one, peer_name="sqlite3", unit="call", reference=one,
        memory=(Worker(30), Worker(20), Worker(60)),
    )  # fmt: skip
    assert result.memory == pytest.approx(1.5)
    race.compare("unknown", one, one, peer_name="p", unit="call", memory=(Worker(0), Worker(3)))
    entries = race.finish(tmp_path)
    assert [entry.memory for entry in entries] == [pytest.approx(1.5), pytest.approx(0.5), None]
    data = msgspec.json.decode((tmp_path / "plots" / "m.json").read_bytes())
    assert data["peak_bytes"]["model answer"] == 60 * 2**20
    shown = (tmp_path / "plots" / "m.svg").read_text()
    assert "Peak memory: submission 30.0 MiB, sqlite3 20.0 MiB" in shown


def test_an_entry_in_one_line(tmp_path: Path) -> None:
    race = Race("5eed")
    race.compare("Work", lambda: 1.0, lambda: 1.84, peer_name="sqlite3", unit="call")
    (entry,) = race.finish(tmp_path)
    entry.note = ""
    assert describe(entry) == "Work: 1.84 times the speed of sqlite3 (1.84 to 1.84)"
    entry.memory, entry.note = 1.234, "beside the race 0.9 of 2 cores were busy"
    entry.growth, entry.growth_low, entry.growth_high = -0.001, -0.01, 0.02
    assert describe(entry) == (
        "Work: 1.84 times the speed of sqlite3 (1.84 to 1.84); time grows as n^0.00 "
        "(-0.01 to 0.02); peak memory 1.2 times as much; beside the race 0.9 of 2 cores were busy"
    )
    entry.ratio = entry.growth = entry.memory = None
    entry.note = ""
    assert describe(entry) == "Work: not measured against sqlite3"


def test_earlier_attempts_are_in_the_picture(tmp_path: Path) -> None:
    def past(name: str, peer: str, ratio: float, attempt: int) -> Past:
        when = f"2026-11-0{attempt + 1}T10:00:00+00:00"
        return Past(name=name, peer=peer, ratio=ratio, attempt=attempt, when=when)

    mine = [past("Work", "sqlite3", 0.5, 1), past("Work", "sqlite3", 0.9, 2)]
    others = [past("Work", "model answer", 0.3, 1), past("Other", "sqlite3", 0.4, 1)]
    race = Race("5eed", history=[*mine, *others])
    race.compare("Work", lambda: 1.0, lambda: 2.0, peer_name="sqlite3", unit="call")
    race.finish(tmp_path)
    data = msgspec.json.decode((tmp_path / "plots" / "work.json").read_bytes())
    assert [entry["ratio"] for entry in data["history"]] == [0.5, 0.9]
    shown = (tmp_path / "plots" / "work.svg").read_text()
    assert "#1" in shown
    assert "3 Nov" in shown


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("cpu 100 0 100 900 0 0 0 0 0 0", "cpu 300 0 100 900 0 0 0 0 0 0", ""),
        ("cpu 100 0 100 900 0 0 0 0 0 0", "cpu 400 0 100 900 0 0 0 0 0 0", "0.5 of"),
        ("cpu 100 0 100 900 0 0 0 0 0 0", "cpu 300 0 100 900 0 0 0 200 0 0", "1.0 of"),
        ("intr 1", "intr 2", ""),
        ("", "", ""),
    ],
)
def test_what_others_compute_meanwhile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, said: str
) -> None:
    """Two seconds of a race, at a hundred ticks a second: one core of two is its own."""
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    stat = tmp_path / "stat"
    stat.write_text(before + "\ncpu0 1 2 3\n")
    neighbours = Neighbours(stat)
    stat.write_text(after + "\ncpu0 1 2 3\n")
    now[0] += 2
    assert said in neighbours.note()
    assert bool(said) is bool(neighbours.note())
    assert Neighbours(tmp_path / "none").note() == ""


class FakeWorkshop:
    """Says when its processes stand still."""

    def __init__(self, log: list[str], name: str, broken: bool = False) -> None:
        self.log, self.name, self.broken = log, name, broken

    def park(self, on: bool, /) -> None:
        if self.broken:
            raise OSError("no such box")
        self.log.append(f"{self.name} {'parked' if on else 'free'}")


def test_every_box_is_parked_for_the_time_of_a_race() -> None:
    log: list[str] = []
    race = Race("5eed")
    race.workshops = [FakeWorkshop(log, "mine"), FakeWorkshop(log, "peer")]

    def side() -> float:
        log.append("run")
        return 1.0

    race.compare("x", side, side, peer_name="p", unit="u", rounds=2)
    assert log[:2] == ["mine parked", "peer parked"]
    assert set(log[2:-2]) == {"run"}
    assert sorted(log[-2:]) == ["mine free", "peer free"]

    log.clear()

    def broken() -> float:
        raise KeyError

    with pytest.raises(KeyError):
        race.compare("y", broken, side, peer_name="p", unit="u")
    assert sorted(log[-2:]) == ["mine free", "peer free"]

    log.clear()
    race.workshops = [FakeWorkshop(log, "mine"), FakeWorkshop(log, "peer", broken=True)]
    with pytest.raises(OSError, match="no such box"):
        race.compare("z", side, side, peer_name="p", unit="u")
    assert log == ["mine parked", "mine free"]


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
    for top in ("/", "/submission", "/scratch", "/runtime", "/libraries", "/tmp"):
        for folder, folders, files in os.walk(top):
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


# Computes in children of its own, twice as many as there are cores, from the first call on.
BURNER = """
import os
CORES = 2 * (os.cpu_count() or 1)

def work(n):
    for _ in range(5_000): pass
    return n

def burn():
    for i in range(CORES):
        if os.fork() == 0:
            if i % 2:
                try:
                    os.setsid()  # out of the group that is easily stopped
                except OSError:
                    pass
            beats = 0
            path = f"beat-{os.getpid()}"
            while True:
                for _ in range(10_000): pass
                beats += 1
                with open(path, "w") as file:
                    file.write(str(beats))
    return CORES
"""

BURNER_SUITE = """
import time

@pytest.mark.criterion("1", points=100)
def test_race(submission, peer, race):
    '''Nobody computes in the turn of another.'''
    expect(submission.burn() > 0, True)
    folder = submission.host_path("x").parent

    def beats():
        return {path.name: path.read_text() for path in folder.glob("beat-*")}

    deadline = time.monotonic() + 60
    while len(beats()) < 2 and time.monotonic() < deadline:
        submission.work(1)
    mine = submission.prepare(submission.work, [(n,) for n in range(20)])
    other = peer.prepare(peer.work, [(n,) for n in range(20)])
    moved = []

    def turn_of_the_peer():
        before, until = beats(), time.monotonic() + 0.1
        seconds = timed(other.run)
        while time.monotonic() < until:
            other.run()
        moved.append(before != beats())
        return seconds

    race.compare("Work", lambda: timed(mine.run), turn_of_the_peer, peer_name="a peer",
                 unit="call", rounds=8, per=20)
    if any(moved):
        raise CriterionFailed(f"in {sum(moved)} of {len(moved)} turns of the peer it went on")
    before, deadline = beats(), time.monotonic() + 60
    while before == beats():
        submission.work(1)
        if time.monotonic() > deadline:
            raise CriterionFailed("the children are gone: this test would prove nothing")
"""


def test_burning_the_processor_slows_no_peer(toy: Any, bwrap: None) -> None:
    """Children of a submission stand still while it is somebody else's turn."""
    suite = toy.suite_of(BURNER_SUITE)
    honest = BURNER.split("def burn")[0]
    (suite.parent / "peer_own.py").write_text(honest)
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="Race", points=100, benchmark=True),)
    )
    limits = msgspec.structs.replace(toy.limits, cpu_s=200, question_s=60, job_s=250)
    report = toy.judge(BURNER, suite=suite, definition=only, mode="bench", limits=limits)
    assert report.criteria[0].outcome == "passed", report.criteria[0].message
