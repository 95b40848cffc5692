"""What scales with threads, measured and drawn."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET

import pytest
from svg_words import words

from meridian.academy.widgets import job_scaling
from meridian.academy.widgets.job_scaling import (
    JOBS,
    JobScaling,
    measure_job,
    paint_scaling,
)


def test_four_pieces_run_on_at_most_so_many_threads() -> None:
    alive, most = 0, 0
    lock = threading.Lock()
    turn = threading.Barrier(2)

    def job() -> None:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        if threading.current_thread() is not threading.main_thread():
            turn.wait(60)
        with lock:
            alive -= 1

    assert measure_job(job, 2, rounds=1) > 0
    assert most == 2


@pytest.mark.parametrize("job", JOBS)
def test_every_job_is_measured_and_drawn(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_scaling, "measure_job", lambda job, threads: (job(), 1 / threads)[1])
    widget = JobScaling(job)
    said = words(widget.svg())
    assert f"4 pieces of: {job}" in said
    assert "250.0 ms, 4.0 times as fast" in said
    assert JOBS[job][1] in said
    assert "<img" in widget.static_html()


def test_choosing_another_job_measures_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_scaling, "measure_job", lambda *_: 1.0)
    widget = JobScaling()
    widget.job.value = "a call that blocks (sleep)"
    assert "4 pieces of: a call that blocks (sleep)" in words(widget.svg())


def test_the_dashed_line_is_the_work_divided_by_the_threads() -> None:
    svg = paint_scaling("job", "why", {1: 1.0, 2: 0.5})
    bars = [node for node in ET.fromstring(svg).iter() if node.tag.endswith("rect")]
    assert float(bars[1].attrib["width"]) == pytest.approx(float(bars[0].attrib["width"]) / 2, 0.01)
