"""The widgets of the event-loop lesson: a stepper over an executor, three programs with a knob."""

from __future__ import annotations

import pytest
from svg_words import words

from meridian.academy.widgets.executor_runs import run_program
from meridian.academy.widgets.executor_stepper import ExecutorStepper
from meridian.academy.widgets.executor_svg import paint_executor
from meridian.academy.widgets.fetch_beside_commands import FetchBesideCommands, beside_commands
from meridian.academy.widgets.held_loop import HeldLoop
from meridian.academy.widgets.station_fetches import StationFetches, fetches

# -- the executor ----------------------------------------------------------------------------------


def test_every_task_ends_when_wakers_are_kept() -> None:
    shots = run_program()
    assert [task.state for task in shots[-1].tasks] == ["done", "done", "done"]
    assert shots[0].queue == ("session", "validator", "heartbeat")
    assert not any(task.lost for shot in shots for task in shot.tasks)
    assert any("session was woken" in shot.said for shot in shots)


def test_a_forgotten_waker_is_never_polled_again_and_no_error_is_raised() -> None:
    shots = run_program(forgets=True)
    session = shots[-1].tasks[0]
    assert (session.state, session.polls, session.lost) == ("pending", 1, True)
    assert [task.state for task in shots[-1].tasks[1:]] == ["done", "done"]
    assert shots[-1].said.endswith("nobody holds its waker. No error.")
    assert shots[1].tasks[0].lost  # at once: nobody kept it


@pytest.mark.parametrize("forgets", [False, True])
def test_every_shot_is_painted_with_queue_and_states(forgets: bool) -> None:
    shots = run_program(forgets=forgets)
    for number, shot in enumerate(shots):
        said = words(paint_executor(shot, number, len(shots) - 1))
        for task in shot.tasks:
            assert task.name in said
            assert task.state in said
        assert ("empty" in said) == (not shot.queue)
        assert any("waker lost" in word for word in said) == any(t.lost for t in shot.tasks)


def test_the_stepper_walks_and_keeps_within_its_steps() -> None:
    widget = ExecutorStepper()
    back, step, run = widget.buttons.values()
    back.click()
    assert widget.step.value == 0
    step.click()
    assert widget.said == "The executor polls session: PENDING."
    run.click()
    assert widget.step.value == widget.step.max
    assert "every task is done" in widget.said
    assert "<img" in widget.static_html()


def test_the_checkbox_runs_the_program_anew() -> None:
    widget = ExecutorStepper(step=99)
    longest = widget.step.max
    widget.forgets.value = True
    assert widget.step.max == longest - 1
    assert "No error" in widget.said
    widget.forgets.value = False
    assert widget.step.max == longest


# -- programs with a knob --------------------------------------------------------------------------


def test_in_turn_is_the_sum_and_joined_the_longest() -> None:
    latencies_s = {"a": 0.18, "b": 0.12, "c": 0.05}
    assert fetches(latencies_s, joined=False).duration_s == pytest.approx(0.35)
    assert fetches(latencies_s, joined=True).duration_s == pytest.approx(0.18)
    assert [lane.name for lane in fetches(latencies_s, joined=True).lanes] == ["a", "b", "c"]


def test_sliders_and_the_checkbox_change_the_picture() -> None:
    widget = StationFetches(180, 120)
    assert widget.shown.words == "300 ms, in turn: the sum of both"
    widget.joined.value = True
    assert widget.shown.words == "180 ms, joined: as long as the slower"
    widget.svalbard.value = 250
    assert widget.shown.words.startswith("250 ms")
    assert "gs-svalbard" in words(widget.children[2].value)


def test_a_fetch_begun_once_arrives_beside_the_commands() -> None:
    timeline = beside_commands(again=False)
    assert [lane.name for lane in timeline.lanes] == ["commands", "fetch 1"]
    assert timeline.lanes[1].end_s == pytest.approx(0.2)
    assert [mark.label for mark in timeline.lanes[0].marks] == [
        "REPOINT",
        "STATUS",
        "RESET",
        "SAFE_MODE",
    ]


def test_a_fetch_begun_anew_is_thrown_away_by_every_command() -> None:
    timeline = beside_commands(again=True)
    ends = [lane.marks[-1].kind for lane in timeline.lanes[1:]]
    assert ends == ["cancelled"] * 4 + ["ended"]
    assert timeline.lanes[-1].end_s == pytest.approx(0.44)


def test_the_toggle_tells_the_difference() -> None:
    widget = FetchBesideCommands()
    assert widget.shown.words == "the catalog is there after 200 ms"
    widget.again.value = True
    assert widget.shown.words.startswith("the catalog is there after 440 ms; 4 attempts")


def test_a_validator_without_an_await_holds_the_loop() -> None:
    widget = HeldLoop(size=0)
    assert "0 bytes" in words(widget.children[2].value)
    before = widget.shown.words
    widget.size.value = 300
    assert widget.shown.words != before
    assert {"heartbeat", "validator", "300 bytes"} <= set(words(widget.children[2].value))
