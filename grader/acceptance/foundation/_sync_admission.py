"""Criteria 5 and 6: the end of a queue, and who gets the next free slot."""

from __future__ import annotations

import math
import random
import time

import pytest

from grader.acceptance.foundation._sync import BASE, Probes
from grader.judging.compare import expect, require
from grader.proxy.submission import Submission

QUEUED = 50
CROWD = 40  # producers that wait; the threads of a box are counted
SHUTDOWN_S = 2.0  # the mission asks for 100 ms; this is a machine with other work
POP_S = 0.010
TRIES = 5


@pytest.mark.criterion("5", points=7, after=BASE)
def test_the_rest_is_drained_in_order(submission: Submission, rng: random.Random) -> None:
    """After shutdown pop gives what is left, in order, and then None, again and again."""
    probe = Probes(submission)
    rows = [(rng.choice((10, 50, 200, 255)), number) for number in range(QUEUED)]
    want = sorted(range(QUEUED), key=lambda n: (-rows[n][0], n))
    got = probe.drained(rows)
    call = f"{QUEUED} commands, shutdown(), {QUEUED + 2} pops"
    require(-2 not in got, f"{call}: a pop waits for ever")
    *popped, pushed, dispatched = got
    expect(popped, [*want, -1, -1], call=f"{call} (numbers of the commands, -1 for None)")
    expect((pushed, dispatched), (QUEUED, QUEUED), call="pushed and dispatched at the end")
    queue = submission.CommandQueue(3)
    sleepers = probe.Sleepers(queue, 4)
    queue.shutdown()
    queue.shutdown()
    expect(queue.is_shutdown, True, "is_shutdown")
    expect(sleepers.ended(), ["NoneType"] * 4, "What shutdown() gives 4 consumers that wait in pop")


@pytest.mark.criterion("5", points=5, after=BASE)
def test_shutdown_sends_producers_away(submission: Submission) -> None:
    """Every push that waits or comes after shutdown raises; nothing of it is stored or counted."""
    probe = Probes(submission)
    queue = submission.CommandQueue(2)
    for number in range(2):
        queue.push(probe.kit.command(50, number))
    rows = [(100, number) for number in range(2, CROWD + 2)]
    crowd = probe.Crowd(queue, rows, len(rows))
    began = time.perf_counter()
    queue.shutdown()
    crowd.ended()
    took = time.perf_counter() - began
    expect(crowd.outcomes, ["QueueShutdown"] * len(rows), "pushes that waited at shutdown()")
    require(took <= SHUTDOWN_S, f"{len(rows)} waiting producers took {took:.2f} s to be sent away")
    late = probe.kit.push_outcome(queue, (255, 99), 1.0)
    expect(late, "QueueShutdown", "push() after shutdown()")
    with submission.raises("QueueShutdown", call="push_many([]) after shutdown()"):
        queue.push_many([])
    expect(probe.size(queue), 2, "len(queue) after pushes that were refused")
    expect(queue.metrics.commands_pushed, 2, "commands_pushed after pushes that were refused")
    expect(probe.pops(queue, 3), [0, 1, -1], "issued_at of what is left, then None")


@pytest.mark.criterion("6", points=4, after=BASE)
def test_ten_producers_two_slots(submission: Submission) -> None:
    """A full queue makes producers wait, counts them, and loses none of their commands."""
    probe = Probes(submission)
    queue = submission.CommandQueue(2)
    rows = [(50, number) for number in range(10)]
    crowd = probe.Crowd(queue, rows, 8)
    time.sleep(0.2)
    expect(probe.size(queue), 2, "len(queue), capacity 2, 10 producers, no consumer")
    expect(queue.waiting_producers, 8, "waiting_producers, capacity 2, 10 producers")
    expect(crowd.count("returned"), 2, "pushes that returned, capacity 2, 10 producers")
    expect(sorted(probe.pops(queue, 10)), list(range(10)), "issued_at of what the consumer gets")
    crowd.ended()
    expect(crowd.count("returned"), 10, "pushes that returned after 10 pops")
    expect((probe.size(queue), queue.waiting_producers), (0, 0), "len and waiting_producers")
    full = submission.CommandQueue(1)
    full.push(probe.kit.command(50, 0))
    late = probe.kit.push_outcome(full, (50, 1), 0.05)
    expect(late, "QueueFull", "push(timeout=0.05) into a full queue")
    expect((probe.size(full), full.waiting_producers), (1, 0), "len and waiting_producers then")


@pytest.mark.criterion("6", points=2, after=BASE)
def test_a_pop_does_not_wait_for_producers(submission: Submission) -> None:
    """A pop takes 10 ms at most, however many producers wait. Measured in the worker."""
    probe = Probes(submission)
    took = math.inf
    for _ in range(TRIES):
        queue = submission.CommandQueue(1)
        queue.push(probe.kit.command(50, 0))
        crowd = probe.Crowd(queue, [(50, n) for n in range(1, CROWD + 1)], CROWD)
        took = min(took, probe.pop_seconds(queue))
        queue.shutdown()
        crowd.ended()
        if took <= POP_S:
            return
    require(False, f"A pop beside {CROWD} waiting producers took {took * 1e3:.1f} ms, 10 asked")


@pytest.mark.criterion("6", points=5, after=BASE)
def test_safe_mode_takes_the_next_slot(submission: Submission, rng: random.Random) -> None:
    """A waiting command is admitted by priority and age, and the very next pop sees it."""
    probe = Probes(submission)
    queue = submission.CommandQueue(3)
    for number in range(3):
        queue.push(probe.kit.command(10, number))
    rows = [(10, number) for number in range(3, 11)]
    crowd = probe.Crowd(queue, rows, 8)
    safe = probe.Crowd(queue, [(255, 99)], 9)
    expect(
        probe.pops(queue, 2),
        [0, 99],
        "issued_at of two pops: queue full of HOUSEKEEPING, 8 more and a SAFE_MODE (99) waiting",
    )
    left = probe.pops(queue, 10)
    expect(left, list(range(1, 11)), "issued_at of the other ten, HOUSEKEEPING all")
    crowd.ended(), safe.ended()
    # Any priorities, any ages: one slot, so that every pop but the first takes a waiting one.
    rows = rng.sample([(p, t) for p in (20, 90, 210) for t in range(8)], 16)
    queue = submission.CommandQueue(1)
    queue.push(probe.kit.command(255, -1))
    crowd = probe.Crowd(queue, rows, len(rows))
    best = [t for _, t in sorted(rows, key=lambda row: (-row[0], row[1]))]
    expect(
        probe.pops(queue, len(rows) + 1),
        [-1, *best],
        f"issued_at, capacity 1, waiting (priority, issued_at): {sorted(rows)}",
    )
    crowd.ended()


@pytest.mark.criterion("6", points=3, after=BASE)
def test_the_reserve_is_for_emergencies(submission: Submission) -> None:
    """With a reserve, an urgent command enters a queue that is full for the others."""
    probe = Probes(submission)
    queue = submission.CommandQueue(4, emergency_reserve=1)
    for number in range(3):
        queue.push(probe.kit.command(10, number))
    late = probe.kit.push_outcome(queue, (199, 3), 0.05)
    expect(late, "QueueFull", "push of priority 199, 3 of 4 slots taken, 1 of them reserved")
    crowd = probe.Crowd(queue, [(10, number) for number in range(4, 8)], 4)
    expect(probe.kit.push_outcome(queue, (255, 99), 0.05), "returned", "push of a SAFE_MODE")
    expect(probe.pops(queue, 1), [99], "issued_at of the very next pop")
    expect(queue.waiting_producers, 4, "waiting_producers: the reserved slot is not for them")
    expect(probe.kit.push_outcome(queue, (200, 98), 0.05), "returned", "push of priority 200")
    expect(probe.pops(queue, 8), [98, 0, 1, 2, 4, 5, 6, 7], "issued_at of all that is left")
    crowd.ended()


__all__ = [
    "test_the_rest_is_drained_in_order",
    "test_shutdown_sends_producers_away",
    "test_ten_producers_two_slots",
    "test_a_pop_does_not_wait_for_producers",
    "test_safe_mode_takes_the_next_slot",
    "test_the_reserve_is_for_emergencies",
]
