"""Tricks in a race: each either gains nothing or loses its points, by what the judge measures.

Nothing here depends on how fast the machine is: what is slow is a thousand times slower than its
peer, and a side that must stand still is watched in its file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meridian.academy.curriculum import Criterion

ATTACKS = Path(__file__).parent / "attacks"
ROWS = tomllib.loads((ATTACKS / "rows.toml").read_text())["racing"]
GIVEN = """
def quick(n):
    return n * n % 1_000_003

def slow(n):
    for _ in range(1_000_000):
        pass
    return quick(n)
"""
SUITE = """
def said(submission):
    ticks = []
    for number in range(4):
        try:
            ticks.append(submission.read(f"ticks{number}"))
        except CriterionFailed:
            ticks.append(b"")
    return ticks


@pytest.mark.criterion("1", points=100)
def test_race(submission, race, rng):
    '''Work keeps up with its peer.'''
    moved = []

    def mine():
        inputs = [rng.randrange(10**9) for _ in range(5)]
        batch = submission.prepare(submission.work, [(n,) for n in inputs])
        seconds = timed(batch.run)
        for n, got in zip(inputs, batch.results(), strict=True):
            expect(got, n * n % 1_000_003, call=f"work({n})")
        return seconds

    def peer():
        before = said(submission)
        seconds = timed(lambda: [n * n % 1_000_003 for n in range(50_000)])
        moved.append(before != said(submission))
        return seconds

    result = race.compare("work", mine, peer, peer_name="fifty thousand of it", unit="call",
                          rounds=8, per=5)
    if any(moved):
        raise CriterionFailed("It ran while the peer was measured")
    if result.ratio < 0.2:
        raise CriterionFailed(f"Reached {result.ratio:.3f} times the speed, 0.2 is asked")
"""


def test_every_attack_has_a_row() -> None:
    assert {path.stem for path in (ATTACKS / "racing").glob("*.py")} == set(ROWS)


@pytest.mark.parametrize("name", ["honest", *sorted(ROWS)])
def test_attack(toy: Any, walls: str, name: str) -> None:
    attack = "from .given import quick as work\n"
    if name != "honest":
        attack = (ATTACKS / "racing" / f"{name}.py").read_text()
    one = (Criterion(id="1", title="Race", points=100, benchmark=True),)
    hole = ROWS.get(name, {}).get("hole", "")
    report = toy.judge(
        submission=toy.submission(attack, given=GIVEN),
        suite=toy.suite_of(SUITE),
        definition=msgspec.structs.replace(toy.capstone, criteria=one),
        mode="bench",
        box=walls,
    )
    row = ROWS.get(name, {"outcomes": "passed"})
    (criterion,) = report.criteria
    if hole and criterion.outcome != row["outcomes"]:
        pytest.xfail(hole)
    assert criterion.outcome == row["outcomes"], criterion.message
    assert row.get("words", "") in criterion.message
