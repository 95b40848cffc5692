"""How far a run is: a bar on a terminal or in a notebook, lines in a log, JSON for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from meridian.academy.widgets.progress import ProgressBar, progress_bar
from meridian.clock import Clock, SystemClock

if TYPE_CHECKING:
    from rich.console import Console

    from grader.cohort.summary import Summary

__all__ = ["json_lines", "lines", "meter", "summary_lines", "terminal_bar"]

_TITLES = {"judge": "Judging", "races": "Racing"}
_TOLD = ("trouble", "crowded")
_LINE_S = 10.0
OnEvent = Callable[[dict[str, Any]], None]


@contextmanager
def meter(clock: Clock | None = None, *, notebook: bool | None = None) -> Iterator[OnEvent]:
    """The academy's progress bar, one for each lane: where a program or a notebook looks."""
    pace = _Pace(clock or SystemClock())
    bars: dict[str, ProgressBar] = {}

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] != "progress" or not event["total"]:
            return
        lane = event["lane"]
        if lane not in bars:
            close()
            bars[lane] = progress_bar(event["total"], _TITLES[lane], notebook=notebook)
            bars[lane].__enter__()
        bar = bars[lane]
        bar.total = event["total"]
        bar.label = f"{_TITLES[lane]} ({pace.words(event)})"
        bar.advance(max(0, event["done"] + event["failed"] - bar.done))

    def close() -> None:
        for bar in bars.values():
            if not bar.ended:
                bar.__exit__(None, None, None)

    try:
        yield on_event
    finally:
        close()


@contextmanager
def terminal_bar(console: Console) -> Iterator[OnEvent]:
    """rich's bar: done, running, failed, rate and time left; trouble is printed above it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    pace = _Pace(SystemClock())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("Looking", total=None, words="")

        def on_event(event: dict[str, Any]) -> None:
            kind = event["event"]
            if kind == "taken_in":
                bars.update(
                    task, description="Taking in", total=event["total"], completed=event["done"]
                )
            elif kind == "progress" and event["total"]:
                bars.update(
                    task,
                    description=_TITLES[event["lane"]],
                    total=event["total"],
                    completed=event["done"] + event["failed"],
                    words=pace.words(event),
                )
            elif kind in _TOLD:
                bars.console.print(trouble_line(event), markup=False, highlight=False)

        yield on_event


def lines(stream: IO[str], clock: Clock | None = None) -> OnEvent:
    """A line at most every ten seconds, one at each end of a lane, and one for each trouble."""
    clock = clock or SystemClock()
    pace = _Pace(clock)
    said: dict[str, float] = {}

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] in _TOLD:
            print(trouble_line(event), file=stream, flush=True)
        if event["event"] != "progress" or not event["total"]:
            return
        lane, done = event["lane"], event["done"] + event["failed"]
        now_s = clock.monotonic()
        words = pace.words(event)
        if done == event["total"] or now_s >= said.get(lane, 0.0) + _LINE_S or lane not in said:
            said[lane] = now_s
            print(f"{_TITLES[lane]}: {done} of {event['total']}, {words}", file=stream, flush=True)

    return on_event


def json_lines(stream: IO[str]) -> OnEvent:
    """Every event as one line of JSON."""
    import msgspec

    from grader.report import sayable

    def on_event(event: dict[str, Any]) -> None:
        plain = sayable(msgspec.to_builtins(event, enc_hook=str))
        stream.write(msgspec.json.encode(plain).decode() + "\n")
        stream.flush()

    return on_event


def trouble_line(event: dict[str, Any]) -> str:
    """What is said about a job that has to be done again, or looked at, or about the disk."""
    if event["event"] == "crowded":
        return f"The disk was full for a while: {event['workers']} at work from here on"
    who = f"{event['learner']}, attempt {event['attempt']}"
    then = "needs a person" if event["state"] == "person" else "is judged again"
    return _plain(f"{who} {then}: {event['reason']}")


def summary_lines(summary: Summary) -> Iterator[str]:
    """What a person wants to know at the end: numbers, then everything that needs a look."""
    rows = summary.submissions
    yield f"{len(rows)} submissions: {summary.passed} passed, {summary.cached} from the cache"
    outcomes = Counter(row.outcome for row in rows if row.outcome)
    if outcomes:
        yield "Outcomes: " + ", ".join(f"{n} {name}" for name, n in outcomes.most_common())
    for row in rows:
        if row.note:
            state = "" if row.state == "done" else "needs a person: "
            yield _plain(f"  {row.learner}, attempt {row.attempt}: {state}{row.note}")
    if summary.odd:
        yield f"{len(summary.odd)} not judged:"
    for item in summary.odd:
        yield _plain(f"  {item.path.name}: {item.reason}")
    yield _plain(f"Reports, and feedback to hand out: {summary.out}")


def _plain(text: str) -> str:
    """`text` without what could steer a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Pace:
    """Rate and time left of a lane, counted from its first event: what is cached is free."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lane = ""
        self._start_s = 0.0
        self._start_done = 0

    def words(self, event: dict[str, Any]) -> str:
        done, now_s = event["done"] + event["failed"], self._clock.monotonic()
        if event["lane"] != self._lane:
            self._lane, self._start_s, self._start_done = event["lane"], now_s, done
        words = [f"{event['running']} running"]
        if event["failed"]:
            words.append(f"{event['failed']} failed")
        new, passed_s = done - self._start_done, now_s - self._start_s
        if new > 0 and passed_s > 0:
            rate = new / passed_s
            words.append(f"{rate * 60:.0f} a minute")
            if done < event["total"]:
                words.append(f"{_time(round((event['total'] - done) / rate))} left")
        return ", ".join(words)


def _time(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
