"""What becomes of a cancelled coroutine: four ways to clean up, five ways to be cancelled.

The runs are real and take a fraction of a second. Beside each line of the coroutine stands when it
ran, at which await an exception was thrown in, and what never ran.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import anyio

from meridian.academy.timeline import Timeline, mark, record
from meridian.academy.widgets.base import BAD, GOOD, INK, MONO, MUTED, PANEL, svg_document
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.svg_parts import text
from meridian.academy.widgets.timeline_svg import paint_timeline
from meridian.foundation.tasks import deadline, select

__all__ = ["CANCELLERS", "CLEANUPS", "CancellationLab", "Line", "cancelled", "lines"]

Body = Callable[[float], Coroutine[Any, Any, None]]
_CANCEL_AT_S = 0.02
_PATIENCE_S = 0.01
_AXIS_S = 0.06  # of every run, so that they can be compared


# -- the coroutines --------------------------------------------------------------------------------


async def write(needs_s: float) -> None:
    """Writing takes its time. (trio ends a sleep by cancelling it, which would be recorded too.)"""
    await select(deadline(needs_s))


async def awaits(needs_s: float) -> None:
    try:
        mark("receiving")
        await anyio.sleep(1)
        mark("pass over")
    finally:
        mark("cleanup begins")
        await write(needs_s)
        mark("state written")


async def shields(needs_s: float) -> None:
    try:
        mark("receiving")
        await anyio.sleep(1)
        mark("pass over")
    finally:
        mark("cleanup begins")
        with anyio.move_on_after(0.05, shield=True):
            await write(needs_s)
            mark("state written")
        mark("cleanup ends")


async def hands_over(_: float) -> None:
    try:
        mark("receiving")
        await anyio.sleep(1)
        mark("pass over")
    finally:
        mark("state handed over")


async def swallows(needs_s: float) -> None:
    try:
        mark("receiving")
        await anyio.sleep(1)
    except BaseException:
        mark("swallowed")
    mark("goes on")
    await write(needs_s)
    mark("more work done")


CLEANUPS: dict[str, Body] = {
    "awaits in finally": awaits,
    "awaits behind a shield with a deadline": shields,
    "waits for nothing in finally": hands_over,
    "swallows the cancellation": swallows,
}


# -- the cancellers --------------------------------------------------------------------------------


async def _once(body: Body, needs_s: float) -> None:
    task = asyncio.create_task(body(needs_s), name="session")
    await asyncio.sleep(_CANCEL_AT_S)
    mark("cancel()")
    task.cancel()
    await asyncio.wait([task])


async def _twice(body: Body, needs_s: float) -> None:
    task = asyncio.create_task(body(needs_s), name="session")
    await asyncio.sleep(_CANCEL_AT_S)
    mark("cancel()")
    task.cancel()
    await asyncio.wait([task], timeout=_PATIENCE_S)
    mark("cancel()")
    task.cancel()
    await asyncio.wait([task])


async def _at_once(body: Body, needs_s: float) -> None:
    task = asyncio.create_task(body(needs_s), name="session")
    mark("cancel()")
    task.cancel()
    await asyncio.wait([task])


async def _scope(body: Body, needs_s: float) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(body, needs_s, name="session")
        await anyio.sleep(_CANCEL_AT_S)
        mark("cancel()")
        group.cancel_scope.cancel()


CANCELLERS: dict[str, tuple[str, Callable[[Body, float], Coroutine[Any, Any, None]]]] = {
    "asyncio: task.cancel()": ("asyncio", _once),
    "asyncio: task.cancel(), again 10 ms later": ("asyncio", _twice),
    "asyncio: task.cancel() before its first step": ("asyncio", _at_once),
    "anyio on asyncio: scope.cancel()": ("asyncio", _scope),
    "anyio on trio: scope.cancel()": ("trio", _scope),
}


def cancelled(by: str, cleanup: str, needs_s: float = 0.02) -> Timeline:
    """Run the coroutine of `cleanup`, cancel it as `by` says; what was recorded of it and of the
    task that cancelled it. Raises `KeyError` for names of none.
    """
    backend, canceller = CANCELLERS[by]
    timeline = record(canceller, CLEANUPS[cleanup], needs_s, backend=backend)
    return timeline.only("main", "session")


# -- what ran --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the coroutine and what came of it."""

    source: str
    at_s: tuple[float, ...] = ()
    """When it ran, for a line that marks."""
    marks: bool = False
    thrown: tuple[tuple[float, str], ...] = ()
    """What was thrown in at this await, and when."""


def lines(body: Body, timeline: Timeline) -> list[Line]:
    """The lines of `body` with what the timeline tells of each."""
    source = dedent(inspect.getsource(body)).rstrip().splitlines()
    place = {line.split('"')[1]: n for n, line in enumerate(source) if 'mark("' in line}
    ran: dict[int, list[float]] = {}
    thrown: dict[int, list[tuple[float, str]]] = {}
    last = -1
    for event in timeline.lane("session").marks:
        if event.kind == "note":
            last = place[event.label]
            ran.setdefault(last, []).append(event.at_s)
        elif event.kind == "raised":
            at = _await_after(source, last) if last >= 0 else 0
            thrown.setdefault(at, []).append((event.at_s, event.label))
    return [
        Line(line, tuple(ran.get(n, ())), n in place.values(), tuple(thrown.get(n, ())))
        for n, line in enumerate(source)
    ]


def _await_after(source: list[str], after: int) -> int:
    return next(n for n in range(after + 1, len(source)) if "await " in source[n])


def _paint(body: Body, timeline: Timeline) -> str:
    rows = lines(body, timeline)
    parts = []
    for number, line in enumerate(rows):
        y = 18 + 17 * number
        said, ink = _said(line)
        if said:
            parts.append(
                f'<rect x="4" y="{y - 12.5:g}" width="712" height="16" style="fill:{PANEL}"/>'
            )
        code = line.source.replace(" ", "\u00a0")
        shade = MUTED if line.marks and not line.at_s else INK
        parts.append(text(10, y, code, size=11.5, fill=shade, extra=f'font-family="{MONO}"'))
        parts.append(text(440, y, said, size=11.5, fill=ink))
    return svg_document(720, 18 + 17 * len(rows), "".join(parts), title="Which lines ran")


def _said(line: Line) -> tuple[str, str]:
    if line.thrown:
        words = ", ".join(f"{name} at {at_s * 1e3:.0f} ms" for at_s, name in line.thrown)
        return f"▼ {words}", BAD
    if line.marks:
        times = ", ".join(f"{at_s * 1e3:.0f}" for at_s in line.at_s)
        return (f"✔ ran at {times} ms", GOOD) if times else ("✘ never ran", BAD)
    return "", INK


class CancellationLab(Playground):
    """Choose who cancels and how the coroutine cleans up; see which of its lines ran."""

    def __init__(
        self,
        by: str = "anyio on asyncio: scope.cancel()",
        cleanup: str = "awaits in finally",
        needs_ms: int = 20,
    ) -> None:
        self.by = choice("cancelled by", list(CANCELLERS), by, width="25rem")
        self.cleanup = choice("the coroutine", list(CLEANUPS), cleanup, width="25rem")
        self.needs = slider("its cleanup needs, ms", needs_ms, 0, 100, 5)
        super().__init__([self.by, self.cleanup, self.needs], self._cancel)

    def _cancel(self) -> Shown:
        body = CLEANUPS[self.cleanup.value]
        timeline = cancelled(self.by.value, self.cleanup.value, self.needs.value / 1e3)
        rows = lines(body, timeline)
        thrown = sum(len(row.thrown) for row in rows)
        missed = [row.source.split('"')[1] for row in rows if row.marks and not row.at_s]
        ending = timeline.lane("session").marks[-1].kind
        end = "ended as if nothing had been" if ending == "ended" else "ended cancelled"
        times = {1: "once", 2: "twice"}.get(thrown, f"{thrown} times")
        words = f"The cancellation was thrown in {times}; the task {end}. "
        words += f"Never ran: {', '.join(missed)}." if missed else "Every line ran."
        pictures = (_paint(body, timeline), paint_timeline(timeline, until_s=_AXIS_S))
        return Shown(words, pictures)
