"""What scales with threads, and what is lost at the borders of shards."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from meridian.academy.widgets import threads_lab
from meridian.academy.widgets.threads_lab import (
    JOBS,
    JobScaling,
    ShardedScreen,
    measure_job,
    paint_scaling,
    paint_shards,
    shard,
)


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


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
    monkeypatch.setattr(threads_lab, "measure_job", lambda job, threads: (job(), 1 / threads)[1])
    widget = JobScaling(job)
    said = words(widget.svg())
    assert f"4 pieces of: {job}" in said
    assert "250.0 ms, 4.0 times as fast" in said
    assert JOBS[job][1] in said
    assert "<img" in widget.static_html()


def test_choosing_another_job_measures_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_lab, "measure_job", lambda *_: 1.0)
    widget = JobScaling()
    widget.job.value = "a call that blocks (sleep)"
    assert "4 pieces of: a call that blocks (sleep)" in words(widget.svg())


def test_the_dashed_line_is_the_work_divided_by_the_threads() -> None:
    svg = paint_scaling("job", "why", {1: 1.0, 2: 0.5})
    bars = [node for node in ET.fromstring(svg).iter() if node.tag.endswith("rect")]
    assert float(bars[1].attrib["width"]) == pytest.approx(float(bars[0].attrib["width"]) / 2, 0.01)


@pytest.mark.parametrize(("shards", "local"), [(1, 999), (2, 998), (4, 996), (8, 992)])
def test_neighbours_are_lost_at_borders_and_pairs_are_not(shards: int, local: int) -> None:
    found = shard(400 + 0.3 * np.arange(1_000), 5.0, shards)
    assert (found.local, len(found.lost), found.all_pairs) == (local, shards - 1, 15_864)
    said = words(paint_shards(found, 1_000))
    assert said.count("✘ lost") == shards - 1


def test_the_slider_changes_the_shards() -> None:
    widget = ShardedScreen()
    assert "999 of neighbours" in widget.static_text()
    widget.shards.value = 8
    assert "992 of neighbours" in widget.static_text()
    assert "neighbours, shard by shard: 992 alerts, 7 lost at borders" in words(widget.svg())
