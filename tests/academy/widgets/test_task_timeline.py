"""The picture of a timeline, and the widget that walks through it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from svg_words import words

from meridian.academy.timeline import Lane, Mark, Step, Timeline
from meridian.academy.widgets.task_timeline import TaskTimeline, what_is
from meridian.academy.widgets.timeline_svg import paint_timeline, summary

TIMELINE = Timeline(
    [
        Lane("main", 0.0, 0.1, [Step(0.0, 0.01), Step(0.09, 0.1)], [Mark(0.1, "", "ended")]),
        Lane(
            "gs-<slow>",
            0.01,
            0.09,
            [Step(0.02, 0.05)],
            [
                Mark(0.02, "asked"),
                Mark(0.05, "TimeoutError", "raised"),
                Mark(0.09, "TimeoutError", "cancelled"),
            ],
        ),
    ]
)


def test_every_task_mark_and_end_is_named() -> None:
    said = words(paint_timeline(TIMELINE, title="Two tasks"))
    for expected in ("Two tasks", "main", "gs-<slow>", "asked", "TimeoutError", "✔", "⊘", "100 ms"):
        assert expected in said


def test_short_steps_keep_a_width() -> None:
    tiny = Timeline([Lane("a", 0.0, 10.0, [Step(0.0, 1e-6)])])
    rects = [n for n in ET.fromstring(paint_timeline(tiny)).iter() if n.tag.endswith("rect")]
    assert all(float(rect.attrib["width"]) >= 1.6 for rect in rects)


def test_labels_that_would_overlap_become_dots() -> None:
    marks = [Mark(0.5 + number / 1e6, f"label {number}") for number in range(3)]
    svg = paint_timeline(Timeline([Lane("a", 0.0, 1.0, [], marks)]))
    assert [word for word in words(svg) if word.startswith("label")] == ["label 0"]
    assert svg.count("<circle") == 2


@pytest.mark.parametrize(
    ("unit", "end"), [("s", "0.1 s"), ("us", "100000 us"), ("tick", "0 ticks")]
)
def test_the_axis_has_its_unit(unit: str, end: str) -> None:
    assert end in words(paint_timeline(TIMELINE, unit=unit))


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="s, ms, us, tick, got 'h'"):
        paint_timeline(TIMELINE, unit="h")


def test_nothing_to_paint_is_a_picture_all_the_same() -> None:
    assert ET.fromstring(paint_timeline(Timeline([]))).tag.endswith("svg")
    assert TaskTimeline(Timeline([])).said == "0 ms; nobody runs"


def test_the_summary_counts() -> None:
    assert summary(TIMELINE) == "2 tasks over 100 ms, the loop held for 50 ms"
    assert summary(Timeline([], "OSError()")).endswith("ended with OSError()")


def test_the_sentence_says_who_runs_and_who_waits() -> None:
    assert what_is(TIMELINE, 0.02) == "20 ms; gs-<slow> runs; main waits; gs-<slow>: asked"
    assert what_is(TIMELINE, 0.07) == "70 ms; nobody runs; main, gs-<slow> wait"


def test_the_slider_walks_from_event_to_event() -> None:
    widget = TaskTimeline(TIMELINE)
    next_, back = widget.buttons["Step"], widget.buttons["Back"]
    said = [widget.said]
    for _ in range(widget.step.max + 2):  # two more than there are
        next_.click()
        said.append(widget.said)
    assert said[-1].startswith("100 ms")
    assert said[-1] == said[-2]
    assert "gs-&lt;slow&gt;" in widget._said.value or "main" in widget._said.value
    back.click()
    assert widget.said == said[-4]
    assert "stroke-dasharray" in widget._view.value
    assert "stroke-dasharray" not in widget.svg()
    assert "<img" in widget.static_html()
