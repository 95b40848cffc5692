"""Urgent and routine frames before one processor; a router whose feeds come and go."""

from __future__ import annotations

import statistics
import xml.etree.ElementTree as ET

import pytest

from meridian.academy.widgets.fanin_lab import (
    HeadOfLine,
    RouterTable,
    Starvation,
    paint_feeds,
    paint_overtaken,
    paint_shares,
)
from meridian.academy.widgets.fanin_router_runs import (
    Action,
    FeedRow,
    Overtaken,
    replay,
    through_lanes,
    through_router,
)
from meridian.academy.widgets.fanin_runs import DESIGNS, Shares, latencies, shares


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


def test_every_design_processes_all_of_the_same_frames() -> None:
    counts = {(len(run.urgent_ms), len(run.routine_ms)) for run in map(latencies, DESIGNS)}
    assert len(counts) == 1
    urgent, routine = counts.pop()
    assert urgent > 0
    assert routine > 800  # what the processor does in the time in which frames are due


def test_a_frame_that_a_full_channel_held_up_has_waited_since_it_was_due() -> None:
    # 64 places before 100 frames a second are 640 ms; in 20 s another 136 frames wait outside.
    shared = latencies(DESIGNS[0], seconds=20.0)
    assert max(shared.routine_ms) > 1_000


@pytest.mark.parametrize("burst", [0, 1, 7, 200, 512])
def test_one_queue_keeps_its_order_whatever_comes_last(burst: int) -> None:
    run = through_router(burst, 512)
    assert run.before == max(0, burst - 1)  # one was in hand
    assert run.waited_ms == pytest.approx(10 + (5 + 10 * run.before if burst else 0))


def test_a_smaller_queue_delays_less_and_lanes_do_not_at_all() -> None:
    waits = [through_router(800, places).waited_ms for places in (512, 64, 1)]
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < 200
    for places in (512, 64, 1):
        run = through_lanes(800, places)
        assert run.before == 0
        assert run.waited_ms == pytest.approx(15)


def test_the_burst_and_the_queue_can_be_chosen() -> None:
    widget = HeadOfLine()
    assert widget.static_text().endswith("after 15 ms through the lanes")
    widget.burst.value = 800
    widget.capacity.value = 1
    seen = words(widget.children[2].value)
    assert "one router, one queue of 1" in seen
    assert "15 ms, behind 0 routine frames" in seen
    assert words(paint_overtaken({"a way": Overtaken(3, 1234.5)}, "said"))[1:3] == [
        "1,234 ms, behind 3 routine frames",
        "◆",
    ]


def test_urgent_frames_wait_behind_routine_ones_in_one_channel_only() -> None:
    shared, chance, lanes = (statistics.median(latencies(d).urgent_ms) for d in DESIGNS)
    assert shared > 20 * lanes
    assert lanes <= chance < shared
    assert max(latencies(DESIGNS[2]).urgent_ms) < 60  # the frame in hand, and urgent ones before it


def test_the_same_seed_gives_the_same_run() -> None:
    assert latencies(DESIGNS[0], seconds=2) == latencies(DESIGNS[0], seconds=2)
    with pytest.raises(ValueError, match="Expected a design of"):
        latencies("a prayer")


@pytest.mark.parametrize("load", [0, 50, 100, 120])
def test_the_processor_is_never_idle(load: int) -> None:
    got = shares(load)
    assert got.urgent + got.routine == pytest.approx(100, abs=1)
    assert got.urgent == pytest.approx(min(load, 100), abs=1)


def test_a_bound_on_urgent_runs_leaves_a_share() -> None:
    assert shares(120).routine < 1
    assert shares(120, 4).routine == pytest.approx(20, abs=1)


def test_the_slider_and_the_bound() -> None:
    widget = Starvation(120)
    assert "routine frames starve" in words(widget.children[2].value)
    widget.bounded.value = True
    assert "routine frames starve" not in words(widget.children[2].value)
    widget.load.value = 0
    assert "0 urgent and 100 routine" in widget.static_text()
    assert "urgent 30/s" in words(paint_shares(Shares(30.0, 70.0), "said"))


def test_feeds_come_and_go_and_refusals_are_told() -> None:
    actions = [Action("add", 1), Action("pass"), Action("drain", 1), Action("drain", 1)]
    live, refused = replay(actions)
    assert live.state == "removed: drained, nothing lost"
    assert 15 <= live.forwarded <= 20
    assert refused.state.startswith("refused: Source 1 is not there")
    twice = replay([Action("add", 1), Action("add", 1)])
    assert twice[-1].state.startswith("refused: Source 1 is there already")


def test_a_dropped_feed_tells_what_was_lost() -> None:
    actions = [Action("add", 1), Action("add", 2), *[Action("pass")] * 3, Action("drop", 2)]
    row = next(row for row in replay(actions) if row.source_id == 2)
    lost = int(row.state.removeprefix("removed: ").removesuffix(" discarded"))
    assert lost > 0


def test_buttons_write_the_script() -> None:
    widget = RouterTable()
    add, drain, drop, passes, anew = widget.children[0].children[1:]
    assert widget.static_text() == "[picture] a router without feeds"
    add.click()
    passes.click()
    assert [action.what for action in widget.actions] == ["add", "pass"]
    assert "live" in words(widget.children[1].value)
    widget.source.value = 33591
    drop.click()
    assert any(word.startswith("refused") for word in words(widget.children[1].value))
    widget.source.value = 25544
    drain.click()
    assert "removed: drained, nothing lost" in words(widget.children[1].value)
    anew.click()
    assert widget.actions == []


def test_a_table_is_drawn_without_rows_too() -> None:
    assert "no feed: choose one and press Add" in words(paint_feeds([], 0))
    assert "1,234" in words(paint_feeds([FeedRow(7, 1234, "live")], 2))
