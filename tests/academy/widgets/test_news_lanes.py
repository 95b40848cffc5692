"""Lanes of who learns of something when, and the slider above them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from svg_words import words

from meridian.academy.widgets.news_lanes import NewsLane, NewsLanes, NewsRun, paint_news


def make(at_s: float) -> NewsRun:
    lanes = (
        NewsLane("a<b", at_s, None, "still waits", False),
        NewsLane("other", 0.0, at_s, f"learns at {at_s:g} s", True),
    )
    return NewsRun(lanes, ((5.0, "shutdown"), (5.1, "too near to be named")), 12.0)


def test_lanes_say_who_learned_and_who_did_not() -> None:
    svg = paint_news(make(3.0))
    said = words(svg)
    assert {"a<b", "✘ still waits", "✔ learns at 3 s", "shutdown"} <= set(said)
    assert "too near to be named" not in said
    root = ET.fromstring(svg)
    assert root.attrib["aria-label"] == "a<b: still waits; other: learns at 3 s"
    assert sum(node.tag.endswith("circle") for node in root.iter()) == 1  # one has an end
    assert sum("stroke-dasharray" in node.attrib for node in root.iter()) == 3  # two events, a wait


def test_the_axis_is_to_scale() -> None:
    ends = {}
    for at_s in (3.0, 6.0, 12.0):
        root = ET.fromstring(paint_news(make(at_s)))
        ends[at_s] = next(float(n.attrib["cx"]) for n in root.iter() if n.tag.endswith("circle"))
    assert abs((ends[12.0] - ends[6.0]) - 2 * (ends[6.0] - ends[3.0])) < 0.2


def test_the_slider_runs_anew() -> None:
    seen: list[float] = []

    def run(value: float) -> NewsRun:
        seen.append(value)
        return make(value)

    panel = NewsLanes(run, control="joins at", low=0, high=10, start=3)
    panel.control.value = 7
    assert seen == [3, 7]
    assert panel.static_text() == "[picture] a<b: still waits; other: learns at 7 s"
    assert panel.static_html().startswith("<img")
