"""Criterion 9: frames a second, from 48 sources to two subscribers."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.foundation._channels import BASE, PROBE
from grader.judging.compare import require
from grader.proxy.submission import Submission
from grader.races.contest import Contest
from grader.races.race import Race, timed

SOURCES, EACH = 48, 250
PAYLOAD_BYTES = 256
ROUNDS = 20
TARGET = 2.0  # times the peer's speed
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
    _contest(submission, reference, peer, rng, race).half()


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
    _contest(submission, reference, peer, rng, race).beside_the_peer()


def _contest(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> Contest:
    seed = rng.getrandbits(32)
    return Contest(
        race=race,
        name="Frames to two subscribers",
        what="Frames to two subscribers",
        target=TARGET,
        submission=submission,
        reference=reference,
        peer=peer,
        peer_name=PEER,
        side=lambda side: Side(side, seed),
        peer_side=lambda side: Side(side, seed, probed=False),
        unit="frame",
        per=SOURCES * EACH,
        rounds=ROUNDS,
    )


__all__ = ["test_half_the_speed", "test_speed"]
