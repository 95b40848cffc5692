"""A pass in a fifth of a second: operators push, one dispatcher pops, a dashboard looks on.

Given: nothing to write here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .command import Command, CommandKind
from .metrics import MetricsSnapshot
from .queue import CommandQueue

__all__ = ["DemoReport", "Sample", "dispatch_table", "run_demo"]

HANDLING_S = 0.008  # what the dispatcher spends on a command
PATIENCE_S = 5.0  # what the demo waits for a queue that does not go on


@dataclass(frozen=True, slots=True)
class Sample:
    """What the dashboard saw, `at_s` seconds after the dispatcher began."""

    at_s: float
    snapshot: MetricsSnapshot


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Commands in the order of dispatch and of arrival, the dashboard's samples, the end."""

    dispatched: tuple[Command, ...]
    samples: tuple[Sample, ...]
    final: MetricsSnapshot
    arrived: tuple[Command, ...]


def run_demo(
    capacity: int = 20, producers: int = 3, per_producer: int = 5, sample_every: float = 0.020
) -> DemoReport:
    """Let `producers` operators push, each the five kinds in turn, and dispatch everything.

    The dispatcher begins when the queue has filled up, so that the two orders differ. Prints the
    table of `dispatch_table`.
    """
    queue = CommandQueue(capacity)
    kinds = sorted(CommandKind, key=lambda kind: kind.value)
    total = producers * per_producer
    changed = threading.Condition()
    arrived: list[Command] = []
    dispatched: list[Command] = []
    samples: list[Sample] = []

    def operate() -> None:
        for number in range(per_producer):
            kind = kinds[number % len(kinds)]
            aim = 45.0 if kind is CommandKind.REPOINT else None
            command = Command.make(kind, azimuth=aim, elevation=aim)
            queue.push(command)
            with changed:
                arrived.append(command)
                changed.notify_all()

    def dispatch() -> None:
        while (command := queue.pop()) is not None:
            time.sleep(HANDLING_S)
            with changed:
                dispatched.append(command)
                changed.notify_all()

    def watch() -> None:
        began = time.monotonic()
        while len(dispatched) < total:
            samples.append(Sample(time.monotonic() - began, queue.metrics.snapshot()))
            due = began + len(samples) * sample_every
            with changed:
                changed.wait_for(lambda: len(dispatched) == total, due - time.monotonic())

    def start(function: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=function, name=function.__name__, daemon=True)
        thread.start()
        return thread

    for _ in range(producers):
        start(operate)
    with changed:
        changed.wait_for(lambda: len(arrived) >= min(capacity, total), PATIENCE_S)
    others = [start(dispatch), start(watch)]
    with changed:
        changed.wait_for(lambda: len(dispatched) == len(arrived) == total, PATIENCE_S)
    queue.shutdown()
    for thread in others:
        thread.join(PATIENCE_S)
    report = DemoReport(tuple(dispatched), tuple(samples), queue.metrics.snapshot(), tuple(arrived))
    print(dispatch_table(report))
    return report


def dispatch_table(report: DemoReport) -> str:
    """Each command in the order of dispatch, with its place in that of arrival."""
    place = {id(command): number for number, command in enumerate(report.arrived, 1)}
    lines = ["dispatched  arrived  priority  command"]
    for number, command in enumerate(report.dispatched, 1):
        came = place.get(id(command), "?")
        lines.append(f"{number:>10}  {came:>7}  {command.priority:>8}  {command.kind.name}")
    return "\n".join(lines)
