"""The litmus panel: real runs, drawn; and what it says where a test cannot be run."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET

import pytest
from svg_words import words

from meridian.academy.widgets import litmus_panel
from meridian.academy.widgets.litmus_panel import LitmusPanel, LitmusRun, measure, paint_litmus
from meridian.foundation.sync.atomics_orders import Order

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
two_cpus = pytest.mark.skipif(CPUS < 2, reason="a litmus test needs two processors")

RUN = LitmusRun("SB", Order.RELAXED, {(0, 0): 900, (0, 1): 90, (1, 0): 10, (1, 1): 0}, 0.01)


def test_each_outcome_has_its_share_count_and_what_the_model_says() -> None:
    said = words(paint_litmus(RUN))
    for expected in ("◆ (0, 0)", "90.00%", "900", "(1, 1)", "0.00%", "0"):
        assert expected in said
    assert said.count("yes") == 4
    assert words(paint_litmus(RUN._replace(order=Order.SEQ_CST))).count("no") == 1


def test_bars_are_to_scale_and_none_is_drawn_for_nothing() -> None:
    rects = [n for n in ET.fromstring(paint_litmus(RUN)).iter() if n.tag.endswith("rect")]
    widths = [float(rect.attrib["width"]) for rect in rects]
    assert widths == [300, 270, 300, 27, 300, 3, 300]


def test_the_sentence_counts_the_weak_outcome() -> None:
    assert RUN.said == "SB with relaxed, 1,000 rounds: weak outcome (0, 0) came 900 times"


@two_cpus
def test_a_run_is_real_and_complete() -> None:
    run = measure("SB", Order.SEQ_CST, 7_001, budget_s=60)
    assert run.rounds == 7_001
    assert run.weak == 0


@two_cpus
def test_a_run_ends_when_its_time_is_over() -> None:
    assert measure("SB", Order.RELAXED, 10**9, budget_s=0).rounds == litmus_panel._BATCH


@two_cpus
def test_the_dropdowns_and_the_button_run_what_they_say() -> None:
    panel = LitmusPanel(rounds=100)
    first = panel.result
    assert (first.test, first.order, first.rounds) == ("SB", Order.RELAXED, 100)
    panel.test.value = "MP"
    panel.order.value = Order.SEQ_CST
    assert (panel.result.test, panel.result.order) == ("MP", Order.SEQ_CST)
    before = panel.result
    panel.again.click()
    assert panel.result is not before
    assert panel.static_text().startswith("[picture] MP with seq_cst, 100 rounds")


def test_without_processors_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meridian.foundation.sync.litmus._available_cpus", lambda: {0})
    panel = LitmusPanel(rounds=100)
    assert panel.result.said == "Litmus test SB needs 2 CPUs, have 1"
    assert "Not run here: Litmus test SB needs 2 CPUs, have 1." in words(panel.svg())


@pytest.mark.parametrize("rounds", [0, -1, True, 1.5])
def test_a_number_of_rounds_is_expected(rounds: int) -> None:
    with pytest.raises(ValueError, match="Expected a number of rounds of at least 1"):
        LitmusPanel(rounds=rounds)
