"""What an executor writes down of its tasks, and what it raises about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from meridian.errors import MeridianError

__all__ = ["NoResult", "PolledAfterCompletion", "Stalled", "StalledTask", "StepEvent"]


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What happened to a task in step number `tick`, and `at_s` by the executor's time."""

    tick: int
    task: str
    kind: Literal["polled", "pending", "ready", "woken", "dropped"]
    at_s: float = field(default=0.0, compare=False)


class StalledTask(NamedTuple):
    """A task that is pending while nothing can run."""

    name: str
    polls: int
    cause: Literal["lost-waker", "waiting"]


class Stalled(MeridianError, RuntimeError):
    """Nothing can run, and what is waited for is not done."""

    def __init__(self, tasks: list[StalledTask]) -> None:
        self.tasks = tasks
        which = ", ".join(f"{t.name} ({t.cause}, polls: {t.polls})" for t in tasks)
        super().__init__(f"Nothing is left to run, and pending are: {which}")


class PolledAfterCompletion(MeridianError, RuntimeError):
    """A future was polled, or its value taken, after it had given it."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} is complete and its value taken: do not ask it again")


class NoResult(MeridianError, RuntimeError):
    """The result was asked of a task that has none."""

    def __init__(self, name: str, state: str) -> None:
        self.name = name
        self.state = state
        super().__init__(f"Task {name} has no result: it is {state}")
