"""A pass over the ground station in a fifth of a second: operators, one dispatcher, a dashboard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from meridian.foundation.sync.command import Command, CommandKind
from meridian.foundation.sync.command_metrics import MetricsSnapshot

__all__ = ["DemoReport", "Sample", "run_demo"]


@dataclass(slots=True, frozen=True)
class Sample:
    """What the dashboard saw.

    Attributes:
        at_s: seconds since the dispatcher began.
        snapshot: the counters then.
    """

    at_s: float
    snapshot: MetricsSnapshot


@dataclass(slots=True, frozen=True)
class DemoReport:
    """What happened in a demo; prints as a table.

    Attributes:
        dispatched: the commands, in the order of their dispatch.
        samples: the dashboard's readings, oldest first.
        final: the counters at the end.
        arrived: the commands, in the order of their admission.
    """

    dispatched: tuple[Command, ...]
    samples: tuple[Sample, ...]
    final: MetricsSnapshot
    arrived: tuple[Command, ...] = ()

    def __str__(self) -> str:
        """Each command with its place in the order of dispatch and in that of arrival."""
        place = {id(command): number for number, command in enumerate(self.arrived, 1)}
        lines = ["dispatched  arrived  priority  command"]
        for number, command in enumerate(self.dispatched, 1):
            came = place.get(id(command), 0)
            lines.append(f"{number:>10}  {came:>7}  {command.priority:>8}  {command.kind.name}")
        final = self.final
        lines.append(
            f"{final.commands_pushed} pushed, {final.commands_dispatched} dispatched, "
            f"{final.safe_mode_count} SAFE_MODE, {len(self.samples)} samples"
        )
        return "\n".join(lines)


def run_demo(
    capacity: int = 20,
    producers: int = 3,
    per_producer: int = 5,
    sample_every: float = 0.020,
    *,
    handling_s: float = 0.008,
) -> DemoReport:
    """Let `producers` operators issue commands, of every fifth a SAFE_MODE, and dispatch them all.

    Args:
        capacity: of the queue.
        producers: threads that push.
        per_producer: commands of each, of the five kinds in turn, least urgent first.
        sample_every: seconds between two readings of the dashboard.
        handling_s: seconds the dispatcher spends on each command.

    The dispatcher begins when the queue has filled up, so that the two orders differ.
    """
    from meridian.foundation.sync.cmdqueue import CommandQueue
    from meridian.foundation.sync.primitives import THREADING

    queue = CommandQueue(capacity)
    changed = THREADING.Condition(THREADING.Lock())
    arrived: list[Command] = []
    dispatched: list[Command] = []
    samples: list[Sample] = []
    done = False

    def operate() -> None:
        for kind in _kinds(per_producer):
            aimed = kind is CommandKind.REPOINT
            command = Command.make(
                kind, azimuth=180.0 if aimed else None, elevation=45.0 if aimed else None
            )
            queue.push(command)
            with changed:
                arrived.append(command)
                changed.notify_all()

    def dispatch() -> None:
        while (command := queue.pop()) is not None:
            dispatched.append(command)
            time.sleep(handling_s)

    def watch() -> None:
        began = time.monotonic()
        number = 0
        with changed:
            while not done:
                samples.append(Sample(time.monotonic() - began, queue.metrics.snapshot()))
                number += 1
                while not done and (left_s := began + number * sample_every - time.monotonic()) > 0:
                    changed.wait(left_s)

    operators = [
        THREADING.Thread(target=operate, name=f"operator-{number}") for number in range(producers)
    ]
    dispatcher = THREADING.Thread(target=dispatch, name="dispatcher")
    dashboard = THREADING.Thread(target=watch, name="dashboard")
    for operator in operators:
        operator.start()
    with changed:
        while len(arrived) < min(capacity, producers * per_producer):
            changed.wait()
    dashboard.start()
    dispatcher.start()
    for operator in operators:
        operator.join()
    queue.shutdown()
    dispatcher.join()
    with changed:
        done = True
        changed.notify_all()
    dashboard.join()
    return DemoReport(tuple(dispatched), tuple(samples), queue.metrics.snapshot(), tuple(arrived))


def _kinds(count: int) -> Sequence[CommandKind]:
    kinds = sorted(CommandKind, key=lambda kind: kind.value)
    return [kinds[number % len(kinds)] for number in range(count)]


if __name__ == "__main__":
    print(run_demo())
