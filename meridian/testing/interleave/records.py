"""What a search of schedules hands back: steps, traces, failures, and their drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from meridian.errors import MeridianError

if TYPE_CHECKING:
    from meridian.testing.interleave.primitives import Bundle

__all__ = [
    "Check",
    "Failure",
    "NotDeterministic",
    "Kind",
    "Report",
    "Scenario",
    "ScenarioStuck",
    "Step",
    "Trace",
]

Kind = Literal["deadlock", "lost-wakeup", "assert", "exception", "livelock"]
Check = Callable[[], object] | None
Scenario = Callable[["Bundle"], Check]


class NotDeterministic(MeridianError, RuntimeError):
    """The same schedule led the scenario another way, so nothing can be searched or replayed."""

    def __init__(self, decision: int, expected: str, actual: tuple[str, ...]) -> None:
        self.decision = decision
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"The schedule cannot be followed at decision {decision}: expected {expected}, got "
            f"{' or '.join(actual)}. Give the scenario no clock, no chance and no lock but those "
            "of the bundle, and build everything anew in it"
        )


class ScenarioStuck(MeridianError, RuntimeError):
    """A thread of the scenario cannot be stopped: it waits outside of the bundle."""

    def __init__(self, thread: str, place: str) -> None:
        self.thread = thread
        self.place = place
        super().__init__(
            f"Thread {thread} cannot be unwound, it is at {place}: let it wait only by the locks "
            "and conditions of the bundle, and catch no BaseException for ever"
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of one thread.

    Attributes:
        thread: name of the thread.
        operation: ``acquire``, ``release``, ``wait``, ``woken``, ``notify``, ``start``, ``join``,
            ``clock``, ``begin``, ``end``; ``woken timed out`` and the like when the timeout
            expired; ``stuck: acquire`` for what a thread still wanted when the run ended.
        target: what it was done to, as ``lock `ready``` or ``thread `t1```; empty for none.
        place: ``file.py:line in function`` of the code that asked for it.
        clock_ns: the virtual clock.
    """

    thread: str
    operation: str
    target: str
    place: str
    clock_ns: int

    def __str__(self) -> str:
        return f"{self.operation} {self.target}".rstrip()


@dataclass(frozen=True, slots=True)
class Trace:
    """One interleaving: what happened in it, and what is needed to run it again.

    Attributes:
        steps: every operation, in the order in which they happened.
        threads: names of the threads, in the order in which they were made; the first is the
            scenario itself.
        schedule: which thread went on at each point where there was a choice, by its index in
            `threads`; ``~index`` let the timeout of that thread expire.
    """

    steps: tuple[Step, ...]
    threads: tuple[str, ...]
    schedule: tuple[int, ...]
    scenario: Scenario | None = field(repr=False, compare=False)
    max_steps: int = field(repr=False, default=10_000)
    preempt_in: tuple[str, ...] = field(repr=False, default=())

    def __len__(self) -> int:
        return len(self.steps)

    def __reduce__(self) -> tuple[Any, ...]:
        # A scenario is most often a local function, which no pickle holds: it is given to `replay`.
        rest = (self.steps, self.threads, self.schedule)
        return Trace, (*rest, None, self.max_steps, self.preempt_in)

    def __str__(self) -> str:
        """A column for each thread, time going down, the place at the right."""
        width = {
            name: max(len(name), *(len(str(s)) for s in self.steps if s.thread == name), 0)
            for name in self.threads
        }
        lines = ["  ".join(name.ljust(width[name]) for name in self.threads).rstrip()]
        for step in self.steps:
            cells = (
                (str(step) if name == step.thread else "").ljust(width[name])
                for name in self.threads
            )
            lines.append(f"{'  '.join(cells)}  {step.place}".rstrip())
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule in which the scenario goes wrong.

    Attributes:
        kind: ``deadlock``, every thread waits, one at least for a lock or a thread;
            ``lost-wakeup``, every thread waits, for a condition that nobody will notify;
            ``assert``, an `AssertionError` in a thread or in the check;
            ``exception``, any other error that left a thread;
            ``livelock``, the steps ran out.
        message: who waits for what, or the error.
        trace: the interleaving; `replay` runs it again.
        error: what was raised, for ``assert`` and ``exception``.
    """

    kind: Kind
    message: str
    trace: Trace
    error: BaseException | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}\n{self.trace}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a search found.

    Attributes:
        schedules: how many different interleavings were run.
        failures: the first of each different failure; those of fewest preemptions come first.
        complete: whether every schedule up to the preemption bound was run.
        steps: operations in all of them together.
    """

    schedules: int
    failures: tuple[Failure, ...]
    complete: bool
    steps: int

    def __str__(self) -> str:
        extent = "all" if self.complete else "not all"
        head = f"{self.schedules} schedules, {extent} within the bound, {self.steps} steps: "
        return head + ("no failure" if not self.failures else "\n\n".join(map(str, self.failures)))
