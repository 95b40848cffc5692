"""Criteria 3 and 4: every schedule, stress, and counters read without a lock."""

from __future__ import annotations

import random
from itertools import groupby

import pytest

from grader.acceptance.foundation._sync import BASE, Probes
from grader.judging.compare import CriterionFailed, require
from grader.judging.source_rules import Sources, lock_used
from grader.proxy.submission import Submission

SCHEDULES = 1_500  # of each scenario, in questions of a part each
PART = 500
BYTECODES = 400
PRODUCERS, EACH, ROUNDS = 8, 5_000, 2
READS = 10_000
READ_S = 0.100
TRIES = 5
_TRACE_LINES = 60


def _explore(
    submission: Submission,
    rng: random.Random,
    name: str,
    what: str,
    preempt_in: tuple[str, ...] = (),
) -> None:
    """Run the scenario under many schedules; the first failure is told with its interleaving."""
    probe = Probes(submission)
    left = BYTECODES if preempt_in else SCHEDULES
    while left > 0:
        count, kind, message, trace = probe.explored(
            name, min(left, PART), rng.randrange(1 << 30), list(preempt_in)
        )
        if kind:
            lines = [line for line, _ in groupby(trace.splitlines())]  # a place, not each bytecode
            shown = lines[:1] + lines[1:][-_TRACE_LINES:]
            raise CriterionFailed(f"{what}: {kind}: {message}", "\n".join(shown))
        if count < min(left, PART):
            return  # all there are
        left -= PART


@pytest.mark.criterion("3", points=5, after=BASE)
def test_one_slot_in_every_schedule(submission: Submission, rng: random.Random) -> None:
    """Two producers, one consumer, one slot: right in every interleaving. Run in the worker."""
    _explore(submission, rng, "one slot", "2 producers, 1 consumer, capacity 1")


@pytest.mark.criterion("3", points=5, after=BASE)
def test_shutdown_in_every_schedule(submission: Submission, rng: random.Random) -> None:
    """Shutdown against push against pop: right in every interleaving. Run in the worker."""
    _explore(submission, rng, "shutdown", "shutdown against 2 pushes against a consumer")


@pytest.mark.criterion("3", points=2, after=BASE)
def test_two_consumers_in_every_schedule(submission: Submission, rng: random.Random) -> None:
    """Two consumers: none sleeps beside a command, none takes what is not there."""
    _explore(submission, rng, "two consumers", "2 producers, 2 consumers, capacity 1")


@pytest.mark.criterion("3", points=4, after=BASE)
def test_stress_loses_nothing(submission: Submission) -> None:
    """Eight producers, 5,000 commands each, threads that change places all the time."""
    probe = Probes(submission)
    for number in range(ROUNDS):
        popped, lost, doubled = probe.stress(PRODUCERS, EACH, 1 + number % 2)
        require(
            (popped, lost, doubled) == (PRODUCERS * EACH, 0, 0),
            f"{PRODUCERS} producers pushed {EACH} commands each: {popped} were popped, {lost} are "
            f"lost, {doubled} came twice",
        )


@pytest.mark.criterion("4", points=5, after=BASE)
def test_metrics_do_not_wait_for_the_lock(submission: Submission) -> None:
    """10,000 readings of the metrics, while a thread holds the queue's lock, take 100 ms."""
    probe = Probes(submission)
    for attempt in range(TRIES):
        done, took = probe.read_while_held(READS)
        if done == READS and took <= READ_S:
            return
        require(
            done == READS,
            f"While a thread held the queue's lock, {done} of {READS} readings of the metrics "
            "ended: they wait for it",
        )
        require(
            attempt < TRIES - 1,
            f"{READS} readings of the metrics took {took * 1e3:.0f} ms, 100 ms are asked",
        )


@pytest.mark.criterion("4", points=2, after=BASE)
def test_metrics_know_no_lock(submission: Submission) -> None:
    """The class Metrics takes no lock and makes none. Read from the source."""
    metrics = Sources(submission.sources()).class_named("Metrics")
    for place, lock in lock_used(metrics.nodes()):
        require(False, f"{place}: class Metrics uses {lock}: no lock here")


@pytest.mark.criterion("4", points=3, after=BASE)
def test_a_snapshot_holds_its_inequality(submission: Submission, rng: random.Random) -> None:
    """SAFE_MODE <= dispatched <= pushed, wherever a thread is stopped. Run in the worker."""
    files = tuple(name for name in submission.sources() if name in ("metrics.py", "queue.py"))
    _explore(submission, rng, "snapshot", "A snapshot while others push and pop", files)


__all__ = [
    "test_one_slot_in_every_schedule",
    "test_shutdown_in_every_schedule",
    "test_two_consumers_in_every_schedule",
    "test_stress_loses_nothing",
    "test_metrics_do_not_wait_for_the_lock",
    "test_metrics_know_no_lock",
    "test_a_snapshot_holds_its_inequality",
]
