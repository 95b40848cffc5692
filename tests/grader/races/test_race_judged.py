"""Races of a submission, judged for real: the model answer, the clock, the box."""

from __future__ import annotations

from typing import Any

import msgspec

from meridian.academy.curriculum import Criterion
from tests.grader.conftest import TOY

RACE_ALONE = msgspec.structs.replace(
    TOY, criteria=(Criterion(id="1", title="Race", points=100, benchmark=True),)
)
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
    settings = {"suite": suite, "definition": RACE_ALONE, "mode": "bench"}
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
    assert "the speed of the model answer" in page


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
    report = toy.judge(cheat, suite=suite, definition=RACE_ALONE, mode="bench")
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
    report = toy.judge(
        spy,
        suite=suite,
        definition=RACE_ALONE,
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
    limits = msgspec.structs.replace(toy.limits, cpu_s=200, question_s=60, job_s=250)
    report = toy.judge(BURNER, suite=suite, definition=RACE_ALONE, mode="bench", limits=limits)
    assert report.criteria[0].outcome == "passed", report.criteria[0].message
