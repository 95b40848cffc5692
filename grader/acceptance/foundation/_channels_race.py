"""Criterion 9: frames a second, from 48 sources to two subscribers."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.foundation._channels import BASE, PROBE
from grader.judging.compare import require
from grader.proxy.submission import Submission
from grader.races.race import Race, require_ratio, timed

SOURCES, EACH = 48, 250
PAYLOAD_BYTES = 256
ROUNDS = 20
HALF = 0.5  # of the model answer's speed
TARGET = 2.0  # times the peer's speed; where there is no model answer, the half is half of that
PEER = "asyncio queues"


class Side:
    """New frames in every round, made outside the clock."""

    def __init__(self, side: Submission, seed: int, *, probed: bool = True) -> None:
        made = side.probe(PROBE).Race(side.module()) if probed else side.Race()
        self._race = made
        self._rng = random.Random(seed)

    def __call__(self) -> float:
        self._race.deal(SOURCES, EACH, self._rng.randbytes(PAYLOAD_BYTES))
        done: list[object] = []
        seconds = timed(lambda: done.append(self._race.run()))
        count = SOURCES * EACH
        require(
            done == [[count, count]],
            f"{SOURCES} sources sent {count} frames; the two subscribers, which read all the time, "
            f"received {done[0]}. What a subscriber misses is lost to it: let other tasks run "
            "before more frames are shown than it may be behind",
        )
        return seconds


@pytest.mark.criterion("9", points=3, after=BASE)
def test_half_the_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Frames of 48 sources reach two subscribers at half the model answer's speed at least."""
    seed = rng.getrandbits(32)
    result = race.compare(
        "Half the model answer's speed",
        Side(submission, seed),
        Side(reference, seed) if reference else Side(peer, seed, probed=False),
        peer_name="model answer" if reference else PEER,
        unit="frame",
        rounds=ROUNDS,
        per=SOURCES * EACH,
        target=HALF if reference else HALF * TARGET,
    )
    require_ratio(result, "Frames to two subscribers")


@pytest.mark.criterion("9", points=3, after=BASE)
def test_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Frames of 48 sources reach two subscribers twice as fast as through asyncio's queues.

    Or at nine tenths of the model answer's speed. The mission asks for 100,000 frames a second.
    """
    seed = rng.getrandbits(32)
    result = race.compare(
        "Frames to two subscribers",
        Side(submission, seed),
        Side(peer, seed, probed=False),
        peer_name=PEER,
        unit="frame",
        rounds=ROUNDS,
        per=SOURCES * EACH,
        target=TARGET,
        reference=Side(reference, seed) if reference else None,
        memory=(submission, peer, reference),
    )
    require_ratio(result, "Frames to two subscribers")


__all__ = ["test_half_the_speed", "test_speed"]
