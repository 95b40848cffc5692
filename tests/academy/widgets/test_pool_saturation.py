"""A burst on a real pool, its picture, and the sliders that send it again."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from meridian.academy.widgets.pool_saturation import (
    BlockingCall,
    PoolSaturation,
    longest_queue,
    paint_calls,
    send_burst,
)

CALLS = [BlockingCall(0.0, 0.0, 0.1), BlockingCall(0.0, 0.1, 0.2), BlockingCall(0.05, 0.2, 0.3)]


def at_once(calls: list[BlockingCall]) -> int:
    """The most calls in a thread at the same time."""
    moves = sorted([(c.began_s, +1) for c in calls] + [(c.ended_s, -1) for c in calls])
    running = most = 0
    for _, by in moves:
        running += by
        most = max(most, running)
    return most


def test_never_more_at_once_than_the_limit_and_in_order() -> None:
    calls = send_burst(2, 7, 0.01)
    assert len(calls) == 7
    assert at_once(calls) <= 2
    assert 1 <= longest_queue(calls, 2) <= 5
    assert all(call.asked_s <= call.began_s <= call.ended_s for call in calls)
    assert all(call.ended_s - call.began_s >= 0.009 for call in calls)


def test_the_queue_is_counted() -> None:
    assert longest_queue(CALLS, 1) == 2
    assert longest_queue(CALLS, 2) == 1
    assert longest_queue(CALLS, 3) == 0
    assert longest_queue([], 1) == 0


def test_a_picture_has_a_row_for_every_call() -> None:
    root = ET.fromstring(paint_calls(CALLS, 1, title="three <calls>"))
    rects = [node for node in root.iter() if node.tag.endswith("rect")]
    assert len(rects) == len(CALLS) + 1  # and the legend
    said = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert {"0 ms", "300", "queue", "2"} <= set(said)
    assert root.attrib["aria-label"] == "three <calls>"


def test_nothing_to_paint_is_a_picture_all_the_same() -> None:
    assert ET.fromstring(paint_calls([], 4)).tag.endswith("svg")


def test_a_slider_sends_the_burst_again() -> None:
    widget = PoolSaturation(limit=1, jobs=3, job_ms=10)
    assert widget.shown.words.startswith("3 calls done after")
    assert at_once(widget.calls) == 1
    widget.jobs.value = 5
    assert len(widget.calls) == 5
    assert "5 calls done" in widget.children[1].value
    assert "<svg" in widget.children[2].value
    assert "<img" in widget.static_html()
    assert widget.static_text() == f"[picture] {widget.shown.words}"
