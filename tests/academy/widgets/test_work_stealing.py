"""The simulated scheduler keeps its rules, and its picture says what it does."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.widgets.stealing_model import PROGRAMS, StealingRun, simulate
from meridian.academy.widgets.stealing_stepper import WorkStealing
from meridian.academy.widgets.stealing_svg import paint_stealing, said

POLLS = 24 * 3


def words(svg: str) -> str:
    nodes = ET.fromstring(svg).iter()
    return " | ".join(node.text or "" for node in nodes if node.tag.endswith("text"))


def polled(run: StealingRun) -> Counter[str]:
    return Counter(w.running for shot in run.shots for w in shot.workers if w.running)


@given(
    program=st.sampled_from(["fan-out", "outside"]),
    workers=st.integers(1, 8),
    interval=st.integers(1, 127),
    steals=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_task_gets_its_polls_once(
    program: str, workers: int, interval: int, steals: bool, seed: int
) -> None:
    run = simulate(program, workers=workers, interval=interval, steals=steals, seed=seed)
    expected = Counter({str(n): 3 for n in range(1, 25)})
    if program == "fan-out":
        expected["session"] = 1
    assert polled(run) == expected
    assert run.idle + sum(expected.values()) == run.ticks * workers
    sources = Counter(w.source for shot in run.shots[1:] for w in shot.workers)
    assert sources["idle"] == run.idle
    assert sources["stolen"] == run.steals
    assert steals or not run.steals
    for before, after in zip(run.shots, run.shots[1:], strict=False):
        assert len(after.waiting) <= len(before.waiting)


def test_without_stealing_what_one_worker_spawned_stays_with_it() -> None:
    alone = simulate("fan-out", workers=4, steals=False)
    shared = simulate("fan-out", workers=4)
    assert alone.ticks == 1 + POLLS
    assert alone.idle == 3 * alone.ticks
    assert shared.ticks < alone.ticks / 3
    assert shared.idle < 12


def test_the_last_spawned_is_polled_first() -> None:
    run = simulate("fan-out", workers=1)
    order = [shot.workers[0].running for shot in run.shots[1:4]]
    assert order == ["session", "24", "1"]


def test_a_thief_takes_half_of_a_queue() -> None:
    run = simulate("fan-out", workers=2)
    before, after = run.shots[0].workers[0], run.shots[1].workers[1]
    assert not before.queue
    assert after.note == "stole 12 from worker 0"  # of 23: the 24th is in the slot
    assert len(after.queue) == 12  # eleven left, and the one polled woke itself


@pytest.mark.parametrize(("interval", "waited"), [(1, 0), (31, 30), (61, 60), (127, 126)])
def test_a_call_from_outside_waits_for_the_interval(interval: int, waited: int) -> None:
    assert simulate("call", workers=1, interval=interval).call_waited == waited


def test_more_workers_look_more_often() -> None:
    waits = [simulate("call", workers=n).call_waited or 0 for n in (1, 2, 4, 8)]
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] == 7
    assert waits[0] == 60


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="program of fan-out"):
        simulate("fan-in")
    with pytest.raises(ValueError, match="workers >= 1, got 0"):
        simulate("fan-out", workers=0)
    with pytest.raises(ValueError, match="interval >= 1, got 0"):
        simulate("fan-out", interval=0)


@pytest.mark.parametrize("program", PROGRAMS.values())
@pytest.mark.parametrize("workers", [1, 8])
def test_every_tick_has_a_picture(program: str, workers: int) -> None:
    run = simulate(program, workers=workers, interval=127)
    for tick in (0, 1, run.ticks // 2, run.ticks):
        shown = words(paint_stealing(run, tick))
        assert f"after tick {tick} of {run.ticks}" in shown
        assert f"worker {workers - 1}" in shown


def test_a_steal_is_said_and_lettered() -> None:
    run = simulate("fan-out", workers=2)
    assert said(run, 1).startswith("tick 1: worker 1 stole 12 from worker 0. All done after")
    assert " S |" in words(paint_stealing(run, 1))


def test_the_controls_run_it_anew() -> None:
    widget = WorkStealing(workers=4, tick=12)
    with_stealing = widget.run.ticks
    widget.steals.value = False
    assert widget.run.ticks > with_stealing
    assert widget.step.max == widget.run.ticks
    assert widget.step.value == 12
    back, step, end = widget.buttons.values()
    end.click()
    assert widget.step.value == widget.run.ticks
    step.click()
    assert widget.step.value == widget.run.ticks
    widget.steals.value = True  # a shorter run: the tick is brought back into it
    assert widget.step.value == widget.step.max == with_stealing
    back.click()
    assert f"after tick {with_stealing - 1} " in words(widget.svg())
    widget.program.value = "call"
    assert "The call waited" in widget._said.value
    assert "<img" in widget.static_html()
    assert widget.static_text().startswith("[picture] tick")
