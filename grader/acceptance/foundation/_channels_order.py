"""Criteria 1 and 2: emergencies first, and sources that come and go."""

from __future__ import annotations

import random
from typing import Any

import pytest

from grader.acceptance.foundation._channels import BASE, in_virtual_time, require_report
from grader.judging.compare import require
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

HISTORIES = 6
STEPS = 60
ROUTINE, URGENT = 20, 2
CHURN_FRAMES = 60
CYCLES = 1_000

Event = tuple[str, int, int, int]


@pytest.mark.criterion("1", points=1)  # for each of the two
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_goes_through(submission: Submission, backend: str, rng: random.Random) -> None:
    """A frame of a source is processed, shown to a subscriber and counted."""
    rows, report = in_virtual_time(submission, backend, rng, "goes_through")
    require(rows == [(7, 0, 0)], f"One frame was sent; a subscriber got {len(rows)} frames")
    require_report(
        report,
        "One frame, then a shutdown",
        routed=1,
        processed=1,
        emergency=0,
        rejected=0,
        discarded=0,
        clean=True,
    )


@pytest.mark.criterion("1", points=4, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_emergencies_overtake_the_backlog(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """After a backlog of routine frames, emergencies are processed next, each in its order."""
    rows = in_virtual_time(submission, backend, rng, "overtaking", ROUTINE, URGENT)
    got = [sequence for _, sequence, _ in rows]
    want = [0, *range(ROUTINE, ROUTINE + URGENT), *range(1, ROUTINE)]
    require(
        got == want,
        f"{ROUTINE} routine frames, then {URGENT} emergencies, while the processor works on frame "
        f"0: expected it to take {want[:5]} ..., got {got[:5]} ...",
    )


@pytest.mark.criterion("1", points=4, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_history_lets_an_emergency_wait(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """In random histories no accepted emergency waits while a routine frame is taken.

    Emergencies keep their order, and routine frames of one source theirs.
    """
    for _ in range(HISTORIES):
        config = {
            "feed_capacity": rng.randint(1, 4),
            "emergency_capacity": rng.randint(1, 4),
            "routine_capacity": rng.randint(1, 6),
            "processor_capacity": rng.randint(1, 4),
        }
        kinds = ("routine", "urgent", "hurry", "process")
        steps = [(rng.choice(kinds), rng.randrange(3), rng.randint(1, 4)) for _ in range(STEPS)]
        events = in_virtual_time(submission, backend, rng, "history", config, steps)
        check_history([tuple(event) for event in events], steps)


def check_history(events: list[Any], steps: list[tuple[str, int, int]]) -> None:
    """The definition itself, on what happened."""
    at: dict[str, dict[tuple[int, int, int], int]] = {"sends": {}, "accepted": {}, "takes": {}}
    rests: list[int] = []
    for time, (what, *frame) in enumerate(events):
        if what == "rest":
            rests.append(time)
        else:
            key = (frame[0], frame[1], frame[2])
            require(key not in at[what], f"Frame {key[1]} of source {key[0]} was processed twice")
            at[what][key] = time
    count = sum(number for what, _, number in steps if what != "process")
    require(
        len(at["takes"]) == len(at["accepted"]) == count,
        f"{count} frames were sent, {len(at['accepted'])} accepted, {len(at['takes'])} processed",
    )
    taken = sorted(at["takes"], key=at["takes"].__getitem__)
    waiting = [frame for frame in taken if frame[2]]
    for frame in taken:
        if frame[2]:
            waiting.remove(frame)
            continue
        now = at["takes"][frame]
        rested = max((rest for rest in rests if rest < now), default=-1)
        for urgent in waiting:
            require(
                at["accepted"][urgent] > rested,
                f"The processor took routine frame {frame[1]} of source {frame[0]} while emergency "
                f"{urgent[1]} of source {urgent[0]} waited, accepted long before",
            )
    for later, one in enumerate(taken):
        for earlier in taken[:later]:
            line = "emergencies" if one[2] else f"routine frames of source {one[0]}"
            alike = one[2] == earlier[2] and (one[2] or one[0] == earlier[0])
            require(
                not (alike and at["accepted"][one] < at["sends"][earlier]),
                f"Of the {line}, number {one[1]} was accepted before {earlier[1]} was sent, and "
                "processed after it",
            )


@pytest.mark.criterion("2", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_sources_come_and_go(submission: Submission, backend: str, rng: random.Random) -> None:
    """Sources are added and removed while frames flow, and no accepted frame is lost."""
    accepted, processed, answers = in_virtual_time(submission, backend, rng, "churn", CHURN_FRAMES)
    require(answers == [0] * 5, f"remove_source(drain=True) discards none; it answered {answers}")
    for number in range(10):
        want = list(range(accepted[number]))
        got = sorted(processed[number])
        removed = " (removed)" if number >= 5 else ""
        require(
            got == want,
            f"Source {number}{removed}: {len(want)} frames accepted, {len(got)} processed, "
            f"{len(set(want) - set(got))} of the accepted ones lost",
        )
        require(
            number >= 5 or len(got) == CHURN_FRAMES,
            f"Source {number} was never removed, and {len(got)} of {CHURN_FRAMES} were accepted",
        )


@pytest.mark.criterion("2", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_removal_waits(submission: Submission, backend: str, rng: random.Random) -> None:
    """A source that is removed takes nothing more, and is gone when its frames have moved on."""
    told = in_virtual_time(submission, backend, rng, "drained")
    count = told["accepted"]
    what = f"remove_source(drain=True) with {count} accepted frames before a held processor"
    require(not told["early"], f"{what} returned while they waited: it must wait until none does")
    require(
        told["late"] == "SendClosed",
        f"{what}: try_send() meanwhile must raise SendClosed, got {told['late']}",
    )
    require(
        told["answers"] == [0],
        f"{what}: expected it to answer 0 once the processor goes on, got {told['answers']}",
    )
    require(
        told["again"] == ["nothing"],
        f"{what}: the id must be free when it returns; add_source() gave {told['again']}",
    )
    require(told["processed"] == count, f"{what}: {told['processed']} of them were processed")
    require_report(told["report"], what, routed=count, processed=count, discarded=0, clean=True)


@pytest.mark.criterion("2", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_discarded_is_counted(submission: Submission, backend: str, rng: random.Random) -> None:
    """A source that is removed without draining says how many frames were thrown away."""
    answer, report, accepted = in_virtual_time(submission, backend, rng, "discarded")
    require(
        type(answer) is int and 1 <= answer <= accepted,
        f"remove_source(drain=False) with {accepted} accepted frames before a held processor: "
        f"expected how many were discarded, got {answer!r}",
    )
    processed = accepted - answer
    require_report(
        report,
        f"After remove_source(drain=False) answered {answer}",
        routed=accepted,
        processed=processed,
        discarded=answer,
        clean=True,
    )


@pytest.mark.criterion("2", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_ids_and_ends(submission: Submission, backend: str, rng: random.Random) -> None:
    """An id that is taken, unknown or of another source is refused by name."""
    found = in_virtual_time(submission, backend, rng, "names")
    wanted = {
        "twice": ("DuplicateSource", "add_source() of an id that is there"),
        "unknown": ("UnknownSource", "remove_source() of an id that is not there"),
        "wrong_frame": ("ValueError", "send() of a frame of another source"),
        "closed": ("SendClosed", "send() after close()"),
        "again": ("nothing", "add_source() of an id whose source was closed and is empty"),
        "still_there": (
            "DuplicateSource",
            "add_source() of an id that is there, after a handle of before was closed once more",
        ),
    }
    for what, (name, call) in wanted.items():
        require(found[what] == name, f"{call}: expected {name} to be raised, got {found[what]}")


@pytest.mark.criterion("2", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thousand_sources_leave_nothing(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """A thousand sources come and go, and leave no task. Counted in the worker."""
    before, after, processed = in_virtual_time(submission, backend, rng, "cycles", CYCLES)
    require(
        after <= before,
        f"After {CYCLES} sources came and went {after} tasks live; {before} did before",
    )
    require(processed == CYCLES, f"{CYCLES} sources sent a frame each, {processed} were processed")


__all__ = [
    "test_a_frame_goes_through",
    "test_a_thousand_sources_leave_nothing",
    "test_discarded_is_counted",
    "test_emergencies_overtake_the_backlog",
    "test_ids_and_ends",
    "test_no_history_lets_an_emergency_wait",
    "test_removal_waits",
    "test_sources_come_and_go",
]
