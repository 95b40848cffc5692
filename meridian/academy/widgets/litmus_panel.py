"""Run a litmus test on this machine and see how often each outcome came."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from typing import NamedTuple

import ipywidgets

from meridian.academy.widgets.base import (
    ACCENT,
    FAINT,
    MONO,
    MUTED,
    WARN,
    svg_document,
)
from meridian.academy.widgets.playground import Playground, Shown, choice
from meridian.academy.widgets.store_buffer_model import outcomes
from meridian.academy.widgets.svg_parts import BOLD, Hatch, rect, text
from meridian.foundation.sync.atomics_orders import Order
from meridian.foundation.sync.litmus import LITMUS, Name, NotEnoughCpus, run_litmus

__all__ = ["LitmusPanel", "LitmusRun", "measure", "paint_litmus"]

_BATCH = 5_000
_BUDGET_S = 1.0
_WIDTH, _LEFT, _BAR, _ROW = 720.0, 96.0, 300.0, 27.0
_TESTS = {
    "SB: x=1; read y || y=1; read x": "SB",
    "MP: x=1; y=1 || read y; read x": "MP",
    "LB: read x; y=1 || read y; x=1": "LB",
    "IRIW: x=1 || y=1 || read x; read y || read y; read x": "IRIW",
}
_ORDERS = {
    "relaxed": Order.RELAXED,
    "release stores, acquire loads": Order.ACQ_REL,
    "seq_cst": Order.SEQ_CST,
}


class LitmusRun(NamedTuple):
    """How often each outcome of a test came, or why the test could not be run."""

    test: str
    order: Order
    counts: Mapping[tuple[int, ...], int]
    seconds: float
    problem: str = ""

    @property
    def rounds(self) -> int:
        return sum(self.counts.values())

    @property
    def weak(self) -> int:
        """How often the outcome came that no interleaving explains."""
        return self.counts.get(LITMUS[self.test].weak, 0)

    @property
    def said(self) -> str:
        if self.problem:
            return self.problem
        return (
            f"{self.test} with {_words(self.order)}, {self.rounds:,} rounds: weak outcome "
            f"{_name(LITMUS[self.test].weak)} came {self.weak:,} times"
        )


def measure(test: Name, order: Order, rounds: int, *, budget_s: float = _BUDGET_S) -> LitmusRun:
    """Run litmus test `test` for `rounds` rounds, or until `budget_s` is over on a busy machine."""
    counts: dict[tuple[int, ...], int] = {}
    began = time.perf_counter()
    try:
        left = rounds
        while left > 0 and (not counts or time.perf_counter() - began < budget_s):
            batch = min(_BATCH, left)
            for outcome, times in run_litmus(test, order, batch).items():
                counts[outcome] = counts.get(outcome, 0) + times
            left -= batch
    except NotEnoughCpus as error:
        return LitmusRun(test, order, {}, 0.0, str(error))
    return LitmusRun(test, order, counts, time.perf_counter() - began)


def paint_litmus(run: LitmusRun) -> str:
    """The outcomes of `run` as bars, the weak one marked and hatched."""
    weak = LITMUS[run.test].weak
    hatch = Hatch(WARN)
    parts = [hatch.defs]
    ran = "" if run.problem else f": {run.rounds:,} rounds on this {platform.machine()}"
    title = f"{run.test}, {_words(run.order)}{ran}"
    parts.append(text(8, 18, title, size=13, extra=BOLD))
    if run.problem:
        parts.append(text(8, 44, f"Not run here: {run.problem}.", size=12))
        return svg_document(_WIDTH, 60, "".join(parts), title=run.said)
    model = outcomes(run.test, fenced=run.order is Order.SEQ_CST)
    parts.append(text(_LEFT - 10, 40, "outcome", size=10, fill=MUTED, anchor="end"))
    parts.append(text(_LEFT, 40, "share of the rounds, and how many", size=10, fill=MUTED))
    parts.append(
        text(_WIDTH - 8, 40, "possible with store buffers", size=10, fill=MUTED, anchor="end")
    )
    y = 46.0
    for outcome, times in run.counts.items():
        marked = outcome == weak
        ink, fill = (WARN, hatch.fill) if marked else (ACCENT, ACCENT)
        parts.append(
            text(
                _LEFT - 10,
                y + 16,
                f"{'◆ ' if marked else ''}{_name(outcome)}",
                size=12,
                anchor="end",
                extra=f'font-family="{MONO}"',
            )
        )
        share = times / max(1, run.rounds)
        parts.append(_bar(_BAR, y, FAINT, "none"))
        if times:
            parts.append(_bar(max(1.5, _BAR * share), y, ink, fill))
        x = _LEFT + _BAR + 62
        parts.append(text(x, y + 16, f"{share:.2%}", size=11.5, anchor="end"))
        parts.append(text(x + 70, y + 16, f"{times:,}", size=11.5, anchor="end"))
        allowed = "yes" if outcome in model else "no"
        parts.append(text(_WIDTH - 8, y + 16, allowed, size=11.5, anchor="end"))
        y += _ROW
    foot = "◆ weak: no order of the statements, one at a time, gives this outcome."
    parts.append(text(8, y + 18, foot, size=11, fill=MUTED))
    return svg_document(_WIDTH, y + 30, "".join(parts), title=run.said)


class LitmusPanel(Playground):
    """Choose a litmus test and a memory order; the machine answers at once, with real threads.

    `rounds` is how many are wanted; on a busy machine a run ends after a second with those it has.
    """

    def __init__(
        self, test: Name = "SB", order: Order = Order.RELAXED, *, rounds: int = 20_000
    ) -> None:
        if type(rounds) is not int or rounds < 1:
            raise ValueError(f"Expected a number of rounds of at least 1, got {rounds!r}")
        self._rounds = rounds
        self.test = choice("test", _TESTS, test, width="27rem")
        self.order = choice("order", _ORDERS, order, width="20rem")
        self.again = ipywidgets.Button(description="Run again")
        self.result: LitmusRun
        super().__init__([self.test, self.order, self.again], self._measure)

    def _measure(self) -> Shown:
        self.result = measure(self.test.value, self.order.value, self._rounds)
        return Shown(self.result.said, (paint_litmus(self.result),), aloud=False)


def _bar(width: float, y: float, ink: str, fill: str) -> str:
    return rect(_LEFT, y + 3, width, 18, f"stroke:{ink};fill:{fill}", 'rx="2"')


def _words(order: Order) -> str:
    return next(words for words, known in _ORDERS.items() if known is order)


def _name(outcome: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, outcome))})"
