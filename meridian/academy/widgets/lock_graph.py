"""Locks to look at: the lockdep report as a picture, a failing schedule step by step, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from meridian.academy.widgets.base import escape
from meridian.academy.widgets.lock_story import Event, scene_of, tell
from meridian.academy.widgets.lock_svg import paint_locks, summary
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.schedule_svg import paint_schedule
from meridian.academy.widgets.stepper import Stepper
from meridian.foundation.sync import Mutex
from meridian.foundation.sync.lockdep import LockdepReport
from meridian.testing.interleave import Bundle, Failure, Report, Trace, explore

__all__ = ["Philosophers", "ScheduleStepper", "dinner", "show_locks"]

RULES = ("left fork first", "the same, with ranks", "lower rank first")
_MOST_SEATS = 4
_MOST_SCHEDULES = 2_000
_ENOUGH_SCHEDULES = 600  # where none fails: the reader waits for them


def show_locks(report: LockdepReport, title: str = "") -> PagePicture:
    """What lockdep has seen: who holds and waits now, and the order of all locks so far."""
    scene = scene_of(report)
    found = f"{len(report.cycles)} contradictions in the order of locks"
    return PagePicture(paint_locks(scene, title=title), f"{summary(scene)}; {found}")


class _Schedule(Stepper):
    """An interleaving, event by event: a column for each thread, the locks beside it."""

    def __init__(self, *rows: Sequence[ipywidgets.Widget]) -> None:
        self.events: list[Event] = []
        self.title = ""
        super().__init__(*rows, first=1)

    def svg(self) -> str:
        """The schedule, and the locks after the chosen step."""
        return paint_schedule(self.events, self.step.value - 1, title=self.title)

    def _tell(self, events: list[Event], title: str) -> None:
        """Show the last of these events, or the first wait when they end well."""
        if not events:
            raise ValueError("Expected at least one lock operation in the schedule, got none")
        self.events, self.title = events, title
        wish = next((n for n, event in enumerate(events, 1) if event.kind == "wants"), len(events))
        failed = events[-1].kind == "stuck"
        self._load(len(events), len(events) if failed else wish)


class ScheduleStepper(_Schedule):
    """The interleaving of a `Failure` that `explore` found, step by step.

    A column for each thread; beside it the locks at the moment of the chosen step. `ranks` are
    those of the locks by name, where they have some. Raises `ValueError` when no step of it is an
    operation on a lock or a condition.
    """

    def __init__(
        self, what: Failure | Trace, *, title: str = "", ranks: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self._tell(tell(what, ranks), title)

    def _alt_text(self) -> str:
        return f"{self.title or 'The schedule'}: {len(self.events)} steps"


def dinner(count: int, rule: str, *, until_one_waits: bool = False) -> Any:
    """A scenario for `explore`: so many philosophers, each of whom needs the forks beside it.

    With `until_one_waits` a schedule fails its check when somebody had to wait for a fork, though
    all ended well: `explore` keeps no trace but of failures, and this is one to look at.
    """

    def scenario(bundle: Bundle) -> Any:
        ranks = range(1, count + 1) if rule != RULES[0] else [None] * count
        forks = [
            Mutex(None, name=f"fork {number}", rank=rank, primitives=bundle)
            for number, rank in enumerate(ranks, 1)
        ]
        said: list[tuple[str, int, int]] = []

        def dine(seat: int) -> None:
            pair = [seat, (seat + 1) % count]
            if rule == RULES[2]:
                pair.sort()  # the ranks rise with the numbers
            said.append(("asks", seat, pair[0]))
            with forks[pair[0]].lock():
                said.append(("has", seat, pair[0]))
                said.append(("asks", seat, pair[1]))
                with forks[pair[1]].lock():
                    said.append(("has", seat, pair[1]))
                said.append(("drops", seat, pair[1]))
            said.append(("drops", seat, pair[0]))

        threads = [
            bundle.Thread(target=dine, args=(seat,), name=f"P{seat + 1}") for seat in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (lambda: not _waited(said)) if until_one_waits else None

    return scenario


def _waited(said: list[tuple[str, int, int]]) -> bool:
    """Whether somebody asked for a fork that somebody else had."""
    held: dict[int, int] = {}
    for what, seat, fork in said:
        if what == "asks" and held.get(fork, seat) != seat:
            return True
        if what == "has":
            held[fork] = seat
        elif what == "drops":
            held.pop(fork, None)
    return False


class Philosophers(_Schedule):
    """Dining philosophers on our `Mutex`, under every schedule that `explore` comes to.

    The rule and the number of seats are chosen; each choice searches anew, for the schedule that
    fails, or, when none does, for one in which somebody waits and all go on.
    """

    def __init__(self, count: int = 2, rule: str = RULES[0]) -> None:
        self.rule = ipywidgets.ToggleButtons(
            options=RULES, value=rule, style={"button_width": "auto"}
        )
        self.count = ipywidgets.IntSlider(count, 2, _MOST_SEATS, description="seats")
        self.report: Report | None = None
        super().__init__([self.rule], [self.count])
        for control in (self.rule, self.count):
            control.observe(lambda _: self._search(), "value")
        self._search()

    @property
    def said(self) -> str:
        """What the search has found."""
        assert self.report is not None
        count = self.count.value
        bound = f"{count - 1} preemption{'s' * (count > 2)}"
        extent = f"{self.report.schedules:,} schedules with at most {bound}"
        if self.report.failures:
            failure = self.report.failures[0]
            said = failure.message if failure.error else "every thread waits"
            return f"{failure.kind} in schedule {self.report.schedules:,}: {said}"
        return f"{'all' if self.report.complete else 'the first'} {extent}: none fails"

    def _above(self) -> str:
        return f"<b>{escape(self.said)}</b>"

    def _search(self) -> None:
        count, rule = self.count.value, self.rule.value
        self._said.value = "searching …"
        most = _MOST_SCHEDULES if rule != RULES[2] else _ENOUGH_SCHEDULES
        bounds = {"preemptions": count - 1, "max_schedules": most}
        self.report = explore(dinner(count, rule), **bounds)
        found = self.report.failures
        if not found:
            found = explore(dinner(count, rule, until_one_waits=True), **bounds).failures
        ranks = {f"fork {n}": n for n in range(1, count + 1)} if rule != RULES[0] else None
        failure = found[0] if self.report.failures else found[0].trace
        self._tell(tell(failure, ranks), f"{count} philosophers, {rule}")
