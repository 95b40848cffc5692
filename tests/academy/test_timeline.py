"""Recording who holds the loop: steps, names, marks and ends, on both event loops."""

from __future__ import annotations

import itertools
import threading

import anyio
import anyio.lowlevel
import pytest

from meridian.academy.timeline import Lane, RecordingLost, Step, Timeline, mark, record

backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def child(turns: int) -> str:
    mark("begun")
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    return "what a task returns is not lost"


async def siblings() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(child, 2, name="gs-atacama")
        tasks.start_soon(child, 4, name="gs-svalbard")


async def failing() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever, name="waits")
        await anyio.lowlevel.checkpoint()
        raise ValueError("a bad frame")


@backends
def test_every_task_has_a_lane_with_its_steps(backend: str) -> None:
    timeline = record(siblings, backend=backend)
    assert [lane.name for lane in timeline.lanes] == ["main", "gs-atacama", "gs-svalbard"]
    assert timeline.error == ""
    # One step more than awaits.
    assert [len(lane.steps) for lane in timeline.lanes[1:]] == [3, 5]
    for lane in timeline.lanes:
        assert [each.kind for each in lane.marks][-1] == "ended"
        assert lane.end_s is not None
        assert lane.end_s >= lane.steps[-1].end_s
    assert timeline.lane("gs-atacama").marks[0].label == "begun"


@backends
def test_steps_never_overlap_and_tell_who_ran(backend: str) -> None:
    timeline = record(siblings, backend=backend)
    steps = sorted((s.start_s, s.end_s) for lane in timeline.lanes for s in lane.steps)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(steps))
    assert sum(lane.busy_s for lane in timeline.lanes) <= timeline.duration_s


@backends
def test_a_failure_is_kept_with_the_picture(backend: str) -> None:
    timeline = record(failing, backend=backend)
    assert "a bad frame" in timeline.error
    assert timeline.lane("main").marks[-1].kind == "failed"
    assert timeline.lane("waits").marks[-1].kind == "cancelled"


def test_what_is_thrown_into_a_task_is_marked() -> None:
    marks = record(failing, backend="asyncio").lane("waits").marks
    assert [(each.label, each.kind) for each in marks] == [
        ("CancelledError", "raised"),
        ("CancelledError", "cancelled"),
    ]


@pytest.mark.parametrize(
    ("backend", "name"), [("asyncio", "CancelledError"), ("trio", "Cancelled")]
)
def test_a_cancellation_is_marked_where_it_is_thrown_in(backend: str, name: str) -> None:
    async def parent() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever, name="child")
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    marks = record(parent, backend=backend).lane("child").marks
    assert [(each.label, each.kind) for each in marks] == [(name, "raised"), (name, "cancelled")]


def test_names_given_twice_are_numbered() -> None:
    async def twins() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(child, 1, name="twin")

    assert [lane.name for lane in record(twins).lanes] == ["main", "twin", "twin 2"]


@backends
def test_it_runs_beside_a_loop_that_runs_already(backend: str) -> None:
    async def outer() -> Timeline:
        return record(siblings, backend=backend)

    assert len(anyio.run(outer).lanes) == 3


def test_a_clock_may_be_given() -> None:
    ticks = iter(range(10_000))
    timeline = record(siblings, clock=lambda: float(next(ticks)))
    assert all(step.end_s - step.start_s >= 1 for lane in timeline.lanes for step in lane.steps)


def test_marks_outside_are_nothing() -> None:
    mark("nobody records")


def test_lanes_are_chosen_by_name() -> None:
    timeline = record(siblings)
    assert [lane.name for lane in timeline.only("gs-svalbard", "main").lanes] == [
        "gs-svalbard",
        "main",
    ]
    with pytest.raises(LookupError, match="there are main, gs-atacama, gs-svalbard"):
        timeline.lane("gs-nowhere")


def test_a_program_that_does_not_end_is_told(request: pytest.FixtureRequest) -> None:
    over = threading.Event()
    request.addfinalizer(over.set)

    async def stuck() -> None:
        over.wait()

    with pytest.raises(RecordingLost, match=r"within 0\.1 s"):
        record(stuck, within_s=0.1)


def test_other_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="'asyncio' or 'trio', got 'curio'"):
        record(siblings, backend="curio")


def made(*lanes: Lane) -> Timeline:
    return Timeline(list(lanes))


def test_an_empty_timeline_has_no_length() -> None:
    assert made().duration_s == 0
    assert made(Lane("a", 1.0, None, [Step(1.0, 3.0)])).duration_s == 3
