"""Bars of what arrived, and the widget that makes threads count."""

from __future__ import annotations

import os
import sys
import threading
import xml.etree.ElementTree as ET

import pytest

from meridian.academy.widgets.lost_updates import (
    LostUpdates,
    TallyRun,
    count_with,
    paint_tallies,
    pin,
)
from meridian.foundation.sync.threads import scope


class Locked:
    def __init__(self) -> None:
        self.n, self.lock = 0, threading.Lock()

    def work(self, times: int) -> None:
        for _ in range(times):
            with self.lock:
                self.n += 1

    def total(self) -> int:
        return self.n


class Stale:
    """All threads read before any of them writes: of two additions one is lost, always."""

    def __init__(self) -> None:
        self.n, self.both_read = 0, threading.Barrier(2)

    def work(self, times: int) -> None:
        seen = self.n
        self.both_read.wait()
        self.n = seen + times

    def total(self) -> int:
        return self.n


def test_what_arrives_is_counted() -> None:
    interval_s = sys.getswitchinterval()
    assert count_with("lock", Locked, 3, 101) == TallyRun("lock", 3, 303, 303)
    assert sys.getswitchinterval() == interval_s
    assert count_with("stale", Stale, 2, 100).lost == 100


def test_a_thread_that_fails_is_told() -> None:
    class Fails(Locked):
        def work(self, times: int) -> None:
            raise OSError(f"no more paper for {times}")

    with pytest.raises(OSError, match="no more paper for 1"):
        count_with("fails", Fails, 1, 1)
    with pytest.raises((OSError, ExceptionGroup)):
        count_with("fails", Fails, 2, 1)


def test_bars_are_to_scale_and_losses_are_named() -> None:
    svg = paint_tallies({"a<b": TallyRun("a<b", 2, 200, 150), "c": TallyRun("c", 2, 200, 200)})
    root = ET.fromstring(svg)
    widths = [float(n.attrib["width"]) for n in root.iter() if n.tag.endswith("rect")]
    assert widths == [300, 225, 75, 300, 300]
    said = [n.text for n in root.iter() if n.tag.endswith("text")]
    assert "✘ 50 lost of 200" in said
    assert "✔ none lost of 200" in said
    assert root.attrib["aria-label"] == "a<b: 50 of 200 lost; c: 0 of 200 lost"


def test_the_controls_run_what_they_say() -> None:
    panel = LostUpdates({"lock": Locked, "stale": Stale}, times=10)
    assert [(run.name, run.lost) for run in panel.runs.values()] == [("lock", 0), ("stale", 10)]
    assert panel.static_text() == "[picture] lock: 0 of 20 lost; stale: 10 of 20 lost"
    panel.way.value = "lock"
    panel.threads.value = 3
    assert list(panel.runs.values()) == [TallyRun("lock", 3, 30, 30)]
    before = panel.runs
    panel.again.click()
    assert panel.runs is not before


@pytest.mark.parametrize("times", [0, True, 1.5])
def test_nothing_to_count_is_refused(times: int) -> None:
    with pytest.raises(ValueError, match="Expected ways to count"):
        LostUpdates({"lock": Locked}, times=times)
    with pytest.raises(ValueError, match="Expected ways to count"):
        LostUpdates({})


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be pinned here")
def test_threads_are_spread_over_the_processors() -> None:
    ours = sorted(os.sched_getaffinity(0))
    found: list[set[int]] = []

    def work(number: int) -> None:
        pin(number)
        found.append(os.sched_getaffinity(0))

    for number in range(len(ours) + 1):
        with scope() as crew:
            crew.spawn(work, number)
    assert found == [{cpu} for cpu in [*ours, ours[0]]]
    assert sorted(os.sched_getaffinity(0)) == ours
