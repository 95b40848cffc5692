"""Count with several threads and see how much of it arrived."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import ipywidgets

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    FAINT,
    MUTED,
    svg_document,
)
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.svg_parts import Hatch, rect, text
from meridian.foundation.sync.threads import scope

__all__ = ["LostUpdates", "Tally", "TallyRun", "count_with", "paint_tallies", "pin"]

_WIDTH, _LEFT, _BAR, _ROW = 720.0, 230.0, 300.0, 28.0
_ALL = "all of them"
_ROUNDS, _SWITCH_S = 4, 1e-4


class Tally(Protocol):
    """Something that several threads add to."""

    def work(self, times: int) -> None:
        """Add 1 `times` times; every thread calls this a few times."""

    def total(self) -> int:
        """What has arrived, when all threads have ended."""


class TallyRun(NamedTuple):
    """What was added, and what of it arrived."""

    name: str
    threads: int
    added: int
    arrived: int

    @property
    def lost(self) -> int:
        return self.added - self.arrived


def count_with(name: str, make: Callable[[], Tally], threads: int, times: int) -> TallyRun:
    """Let `threads` threads add to one tally, `times` each.

    In rounds that all begin together, for on a busy machine threads may well miss each other; and
    the interpreter goes from thread to thread more often than it would, to show in a moment what
    takes an hour of service.
    """
    tally, gate = make(), threading.Barrier(threads)

    def work(number: int) -> None:
        pin(number)
        try:
            for round_ in range(_ROUNDS):
                gate.wait()
                tally.work(times // _ROUNDS + (round_ < times % _ROUNDS))
        except BaseException:
            gate.abort()  # nobody waits for a thread that has failed
            raise

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        with scope() as crew:
            for number in range(threads):
                crew.spawn(work, number)
    finally:
        sys.setswitchinterval(interval_s)
    return TallyRun(name, threads, threads * times, tally.total())


def pin(number: int) -> None:
    """Keep this thread on one processor, another one for each `number` as far as there are.

    The system likes to put two new threads on one core, where they take turns and never meet.
    """
    if hasattr(os, "sched_setaffinity"):
        ours = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {ours[number % len(ours)]})


def paint_tallies(runs: Mapping[str, TallyRun]) -> str:
    """A bar for each run: full for what arrived, hatched for what was lost."""
    lost = Hatch(BAD)
    parts = [lost.defs]
    y = 6.0
    for run in runs.values():
        arrived = _BAR * max(0, run.arrived) / max(1, run.added)
        parts.append(text(_LEFT - 10, y + 17, run.name, size=11.5, anchor="end"))
        parts.append(rect(_LEFT, y + 4, _BAR, 18, f"fill:none;stroke:{FAINT}"))
        parts.append(rect(_LEFT, y + 4, arrived, 18, f"fill:{ACCENT};stroke:{ACCENT}"))
        if run.lost:
            look = f"fill:{lost.fill};stroke:{BAD}"
            parts.append(rect(_LEFT + arrived, y + 4, _BAR - arrived, 18, look))
        said = f"✘ {run.lost:,} lost" if run.lost else "✔ none lost"
        said += f" of {run.added:,}"
        parts.append(text(_LEFT + _BAR + 10, y + 17, said, size=11.5))
        y += _ROW
    threads = sorted({run.threads for run in runs.values()})
    foot = f"{' or '.join(map(str, threads))} threads; full: arrived, hatched: lost"
    parts.append(text(_LEFT, y + 14, foot, size=10, fill=MUTED))
    return svg_document(_WIDTH, y + 24, "".join(parts), title=_said(runs))


class LostUpdates(Playground):
    """Choose a way to count and a number of threads; they run at once, and the bars show the loss.

    `ways` makes a new tally by its name; `times` is how often each thread adds.
    """

    def __init__(self, ways: Mapping[str, Callable[[], Tally]], *, times: int = 200_000) -> None:
        if not ways or type(times) is not int or times < 1:
            raise ValueError(f"Expected ways to count and a number of times, got {times!r}")
        self._ways = dict(ways)
        self._times = times
        self.way = choice("count", [_ALL, *ways], _ALL, width="24rem")
        self.threads = slider("threads", 2, 1, 4, 1)
        self.again = ipywidgets.Button(description="Run again")
        self.runs: dict[str, TallyRun] = {}
        super().__init__([self.way, self.threads, self.again], self._count)

    def _count(self) -> Shown:
        chosen = self._ways if self.way.value == _ALL else (self.way.value,)
        self.runs = {
            name: count_with(name, self._ways[name], self.threads.value, self._times)
            for name in chosen
        }
        return Shown(_said(self.runs), (paint_tallies(self.runs),), aloud=False)


def _said(runs: Mapping[str, TallyRun]) -> str:
    return "; ".join(f"{run.name}: {run.lost:,} of {run.added:,} lost" for run in runs.values())
