"""What the drawings are made of: ticks that fit, hatches that do not clash, heads that point."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.widgets.base import BAD, WARN, svg_document
from meridian.academy.widgets.svg_parts import Hatch, head, line, rect, text, tick_step


@given(st.floats(1e-6, 1e9), st.integers(1, 20), st.sampled_from([1e-9, 1e-3, 1.0, 10.0]))
def test_ticks_fit_and_are_as_close_as_may_be(whole: float, most: int, least: float) -> None:
    step = tick_step(whole, most, least)
    mantissa = f"{step:.0e}"[0]
    assert mantissa in "125"
    assert whole / step <= most
    if step > least * 1.5:
        finer = step / (2.5 if mantissa == "5" else 2)
        assert whole / finer > most


def test_hatches_of_another_look_have_another_id() -> None:
    looks = [Hatch(BAD), Hatch(WARN), Hatch(BAD, 5, 2)]
    assert len({hatch.fill for hatch in looks}) == 3
    assert Hatch(BAD).fill == looks[0].fill
    for hatch in looks:
        svg = svg_document(9, 9, hatch.defs + rect(0, 0, 9, 9, f"fill:{hatch.fill}"), title="h")
        patterns = [node for node in ET.fromstring(svg).iter() if node.tag.endswith("pattern")]
        assert hatch.fill == f"url(#{patterns[0].attrib['id']})"


@given(st.floats(-math.pi, math.pi), st.floats(0.5, 3))
def test_a_head_ends_where_its_arrow_does(angle: float, size: float) -> None:
    tip, *barbs = re.findall(r"(-?[\d.]+),(-?[\d.]+)", head(50, 40, angle, BAD, size))
    assert tip == ("50.0", "40.0")
    for x, y in barbs:  # behind the tip
        along = (float(x) - 50) * math.cos(angle) + (float(y) - 40) * math.sin(angle)
        assert along < -7 * size


def test_words_are_inert_and_lines_dashed_when_asked() -> None:
    assert "&lt;b&gt;" in text(1, 2, "<b>")
    assert "stroke-dasharray" not in line(0, 0, 1, 1, BAD)
    assert 'stroke-dasharray="4 3"' in line(0, 0, 1, 1, BAD, 2, "4 3")
