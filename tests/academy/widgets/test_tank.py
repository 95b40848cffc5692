"""A bounded channel as a tank, tries at once, a forgotten clone, and tasks that ask an actor."""

from __future__ import annotations

import statistics

import pytest
from svg_words import words

from meridian.academy.widgets.ask_runs import ONE_MESSAGE, TWO_MESSAGES, run_asks
from meridian.academy.widgets.ask_sequence import AskSequence
from meridian.academy.widgets.ask_svg import paint_asks
from meridian.academy.widgets.clone_runs import run_clones
from meridian.academy.widgets.clone_svg import paint_clones
from meridian.academy.widgets.forgotten_clone import ForgottenClone
from meridian.academy.widgets.send_or_try import SendOrTry
from meridian.academy.widgets.tank import Tank
from meridian.academy.widgets.tank_runs import run_tank, run_tries
from meridian.academy.widgets.tank_svg import paint_curves, paint_tank, paint_tries


@pytest.mark.parametrize("capacity", [1, 8, 64])
@pytest.mark.parametrize("waits", [True, False])
def test_every_item_of_a_tank_is_accounted_for(capacity: int, waits: bool) -> None:
    run = run_tank(20, 10, capacity, waits=waits)
    assert max(level for _, level in run.levels) == capacity
    inside = sum(item.in_s is not None and item.out_s is None for item in run.items)
    outside = sum(item.in_s is None and not item.dropped for item in run.items)
    assert len(run.items) == len(run.tank_s) + inside + outside + run.dropped
    assert inside == run.levels[-1][1]
    assert (run.dropped == 0) is waits
    assert (run.blocked_s > 0) is waits
    assert outside <= 1


def test_an_item_waits_for_those_before_it_and_never_goes_back_in_time() -> None:
    run = run_tank(30, 10, 16)
    for item in run.items:
        assert item.in_s is None or item.made_s <= item.in_s
        assert item.out_s is None or item.in_s is None or item.in_s <= item.out_s
    out = [item.out_s for item in run.items if item.out_s is not None]
    assert out == sorted(out)
    assert run.blocked_s <= run.seconds


def test_capacity_is_latency_and_not_speed() -> None:
    small, large = (run_tank(20, 10, capacity, seconds=60) for capacity in (8, 64))
    assert len(small.tank_s) == pytest.approx(len(large.tank_s), rel=0.02)
    assert statistics.median(small.tank_s) == pytest.approx(0.8, rel=0.05)
    assert statistics.median(large.tank_s) == pytest.approx(6.4, rel=0.05)


def test_the_same_knobs_give_the_same_run() -> None:
    assert run_tank(12, 10, 8) == run_tank(12, 10, 8)


def test_twelve_tries_at_a_channel_of_eight() -> None:
    dropped, waiting = (run_tries(waits=waits).states for waits in (False, True))
    assert dropped == ("in the channel",) * 8 + ("dropped",) * 4
    assert waiting == ("in the channel",) * 8 + ("waiting",) * 4
    three = run_tries(taken=3, waits=True).states
    assert three == ("taken",) * 3 + ("in the channel",) * 8 + ("waiting",)
    assert set(run_tries(taken=20, waits=True).states) == {"taken"}
    assert run_tries(taken=20, waits=False).states.count("dropped") == 4


def test_the_loop_ends_when_the_last_sender_is_closed() -> None:
    run = run_clones((True, True, True, True))
    assert run.ended_s == max(holder.closed_s or 0.0 for holder in run.holders)
    assert len(run.received_s) == 6


@pytest.mark.parametrize("keeper", range(4))
def test_one_open_sender_keeps_the_loop(keeper: int) -> None:
    run = run_clones([number != keeper for number in range(4)])
    assert run.ended_s is None
    assert [holder.closed_s is None for holder in run.holders].index(True) == keeper
    assert "OPEN" in words(paint_clones(run))


@pytest.mark.parametrize("askers", [1, 2, 4])
def test_an_actor_handles_one_message_at_a_time_and_loses_none(askers: int) -> None:
    run = run_asks(askers, 3)
    assert run.total == run.wanted == 3 * askers
    for before, after in zip(run.asks, run.asks[1:], strict=False):
        assert before.replied_s <= after.begun_s
    assert [ask.asked_s for ask in run.asks] == sorted(ask.asked_s for ask in run.asks)


def test_two_messages_are_not_one() -> None:
    run = run_asks(2, 2, way=TWO_MESSAGES)
    assert run.total < run.wanted
    assert run_asks(1, 3, way=TWO_MESSAGES).total == 3
    with pytest.raises(ValueError, match="Expected 'one message"):
        run_asks(way="by hope")
    assert f"total {run.total}, wanted 4: {4 - run.total} lost" in words(paint_asks(run))
    assert "total 4, wanted 4: nothing lost" in words(paint_asks(run_asks(way=ONE_MESSAGE)))


def test_a_tank_is_drawn_at_each_moment() -> None:
    run = run_tank(20, 10, 8)
    assert "0 of 8" in words(paint_tank(run, 0.0))
    stuck = max(run.items, key=lambda item: (item.in_s or 0.0) - item.made_s)
    assert stuck.in_s is not None
    middle_s = (stuck.made_s + stuck.in_s) / 2
    assert any(word.startswith("send waits") for word in words(paint_tank(run, middle_s)))
    drops = run_tank(20, 10, 8, waits=False)
    assert f"{drops.dropped} dropped" in words(paint_tank(drops, drops.seconds))
    assert f"| dropped: {drops.dropped}" in words(paint_curves(drops))
    assert "8" in words(paint_curves(run, 3.0))
    assert "dropped: 4" in words(paint_tries(run_tries(waits=False)))


def test_knobs_of_the_tank() -> None:
    tank = Tank()
    before = tank.run
    tank.capacity.value = 32
    assert tank.run.capacity == 32
    tank.way.value = "try_send drops"
    assert not tank.run.waits
    assert "items were dropped" in tank.static_text()
    tank.play.value = 0
    assert tank.step.value == 0
    assert "0 of 32" in words(tank.svg())
    assert tank.run != before
    assert tank.static_html().count("<img") == 2
    tank.produce.value = 1
    tank.consume.value = 30
    assert "0 of" in tank.static_text()


def test_the_other_playgrounds_run_anew() -> None:
    tries = SendOrTry()
    assert "8 in the channel, 4 dropped" in tries.static_text()
    tries.way.value = "send"
    tries.taken.value = 4
    assert "4 taken, 8 in the channel, 0 waiting" in tries.static_text()
    clone = ForgottenClone()
    assert "Open: the sender of main" in clone.static_text()
    clone.closes[0].value = True
    assert "the loop ended at" in clone.static_text()
    asks = AskSequence()
    assert "total 4, wanted 4" in asks.static_text()
    asks.way.value = TWO_MESSAGES
    asks.askers.value = 1
    assert "total 2, wanted 2" in asks.static_text()
