"""Criterion 9: push and pop, beside `queue.PriorityQueue` and the model answer."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.foundation._sync import BASE, Probes, Row, require_order
from grader.judging.compare import require
from grader.proxy.submission import Submission
from grader.races.contest import Contest
from grader.races.race import Race, timed

COMMANDS = 6_000
ROUNDS = 20
TARGET = 1.0  # of the peer's speed
PEER = "queue.PriorityQueue"


class Side:
    """New commands in every round, made outside the clock; the order is checked after it."""

    def __init__(self, side: Submission, seed: int, *, together: bool) -> None:
        self._work = Probes(side).Work()
        self._rng = random.Random(seed)
        self._together = together

    def __call__(self) -> float:
        rows = _rows(self._rng)
        self._work.deal(rows)
        done: list[int] = []
        run = self._work.together if self._together else self._work.alone
        seconds = timed(lambda: done.append(run()))
        require(done == [COMMANDS], f"{COMMANDS} commands were pushed, {done[0]} came out")
        order = self._work.order()
        if self._together:
            require(sorted(order) == list(range(COMMANDS)), "Commands were lost, or came twice")
        else:
            require_order(rows, order, "A round of the race")
        return seconds


def _rows(rng: random.Random) -> list[Row]:
    """Any priority; times that grow, as clocks do."""
    return [(rng.randrange(256), number) for number in range(COMMANDS)]


@pytest.mark.criterion("9", points=3, after=BASE)
def test_half_the_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """A command goes in and out at half the speed of the model answer."""
    _contest(submission, reference, peer, rng, race, together=False).half()


@pytest.mark.criterion("9", points=2, after=BASE)
def test_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """A command goes in and out as fast as through queue.PriorityQueue.

    Or at nine tenths of the model answer's speed.
    """
    _contest(submission, reference, peer, rng, race, together=False).beside_the_peer()


@pytest.mark.criterion("9", points=1, after=BASE)
def test_speed_of_threads(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Three producers and a consumer are as fast as with queue.PriorityQueue.

    Or at nine tenths of the model answer's speed.
    """
    _contest(submission, reference, peer, rng, race, together=True).beside_the_peer()


def _contest(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
    *,
    together: bool,
) -> Contest:
    seed = rng.getrandbits(32)
    name = "Three producers, one consumer" if together else "Push and pop"
    return Contest(
        race=race,
        name=name,
        what=name.lower(),
        target=TARGET,
        submission=submission,
        reference=reference,
        peer=peer,
        peer_name=PEER,
        side=lambda racer: Side(racer, seed, together=together),
        unit="command",
        per=COMMANDS,
        rounds=ROUNDS,
    )


__all__ = ["test_half_the_speed", "test_speed", "test_speed_of_threads"]
