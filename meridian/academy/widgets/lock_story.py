"""Who holds and wants which lock, and in which order: from a lockdep report or a found schedule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from meridian.foundation.sync.lockdep import LockdepReport, LockNode, ThreadState
from meridian.testing.interleave import Failure, Step, Trace

__all__ = ["Event", "Order", "Scene", "circle", "in_order", "scene_of", "seating", "tell"]

Kind = Literal["takes", "wants", "releases", "sleeps", "wakes", "stuck", "other"]

_SEATED = 6
"""Of up to so many locks the best places are searched for; 720 trials."""


@dataclass(frozen=True, slots=True)
class Order:
    """`thread` held `held` when it wanted `wanted`."""

    held: str
    wanted: str
    thread: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment: all that a picture of threads and locks needs.

    Attributes:
        threads: what each holds and waits for.
        locks: every lock there is.
        orders: all that have been seen until now.
        asleep: thread and the condition it waits on.
    """

    threads: tuple[ThreadState, ...]
    locks: tuple[LockNode, ...]
    orders: tuple[Order, ...] = ()
    asleep: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What a thread did, in two or three words, and how things stood then."""

    thread: str
    said: str
    kind: Kind
    scene: Scene


def scene_of(report: LockdepReport) -> Scene:
    """How things stood when the report was made."""
    orders = tuple(Order(edge.held, edge.wanted, edge.thread) for edge in report.edges)
    return Scene(report.threads, report.nodes, orders)


def circle(scene: Scene) -> tuple[str, ...]:
    """Threads that wait for each other: thread, lock, its holder, lock ...; empty for none."""
    holder = {lock: state.thread for state in scene.threads for lock in state.holds}
    wanted = {state.thread: state.waits_for for state in scene.threads if state.waits_for}
    for start in wanted:
        way: list[str] = []
        thread: str | None = start
        while thread is not None and thread in wanted and thread not in way:
            way += [thread, wanted[thread]]
            thread = holder.get(wanted[thread])
        if thread == start:
            return tuple(way)
    return ()


def in_order(locks: Sequence[LockNode], orders: Iterable[Order]) -> list[LockNode]:
    """The locks, each before those that are wanted under it; by rank where all have one.

    Where the orders contradict each other there is no such line; then some of them lead back.
    """
    if locks and all(lock.rank is not None for lock in locks):
        return sorted(locks, key=lambda lock: lock.rank or 0)
    before: dict[str, set[str]] = {lock.name: set() for lock in locks}
    for order in orders:
        if order.held != order.wanted:
            before.setdefault(order.wanted, set()).add(order.held)
    left, line = list(locks), []
    while left:
        rest = {lock.name for lock in left}
        first = next((lock for lock in left if not before[lock.name] & rest), left[0])
        left.remove(first)
        line.append(first)
    return line


def seating(
    threads: Sequence[str], locks: Sequence[str], pairs: Iterable[tuple[str, str]]
) -> list[str]:
    """The locks, so that each stands near the threads that use it when all sit in a round.

    `pairs` are thread and lock. Threads and locks alternate, the first lock after the first thread.
    """
    used = set(pairs)
    if not 2 < len(locks) <= _SEATED or len(locks) != len(threads):
        return list(locks)
    whole = 2 * len(threads)

    def distance(line: Iterable[str]) -> int:
        places = {lock: 2 * n + 1 for n, lock in enumerate(line)}
        gaps = (abs(2 * threads.index(thread) - places[lock]) for thread, lock in used)
        return sum(min(gap, whole - gap) ** 2 for gap in gaps)

    return list(min(permutations(locks), key=distance))


def tell(what: Failure | Trace, ranks: Mapping[str, int] | None = None) -> list[Event]:
    """The steps of an interleaving that concern locks and conditions, each with its scene.

    The scenario's own thread is left out unless it locks. `ranks` are those of locks by name.
    """
    trace = what.trace if isinstance(what, Failure) else what
    teller = _Teller(trace, ranks or {})
    events = [event for n in range(len(trace.steps)) for event in teller.step(n)]
    if isinstance(what, Failure) and what.kind in ("exception", "assert"):
        events += teller.raised(what)
    return events


class _Teller:
    """Follows a trace and keeps who holds what."""

    def __init__(self, trace: Trace, ranks: Mapping[str, int]) -> None:
        self._steps = trace.steps
        touched = {step.thread for step in trace.steps if _thing(step, "lock")}
        self._threads = [name for name in trace.threads if name in touched]
        names = sorted({name for step in trace.steps if (name := _thing(step, "lock"))})
        self._locks = tuple(LockNode(name, ranks.get(name)) for name in names)
        self._holds: dict[str, list[str]] = {name: [] for name in trace.threads}
        self._orders: dict[Order, None] = {}

    def step(self, number: int) -> Iterable[Event]:
        step = self._steps[number]
        said = self._say(step, number)
        if said is not None and step.thread in self._threads:
            words, kind = said
            yield Event(step.thread, words, kind, self._scene(number))

    def raised(self, failure: Failure) -> Iterable[Event]:
        found = re.match(r"\w+ in (.*?)(: |$)", failure.message)
        thread = found[1] if found else ""
        if thread in self._threads:  # and not the scenario's own check
            words = f"✘ {type(failure.error).__name__}"
            yield Event(thread, words, "stuck", self._scene(len(self._steps) - 1))

    def _say(self, step: Step, number: int) -> tuple[str, Kind] | None:
        lock, condition = _thing(step, "lock"), _thing(step, "condition")
        mine = self._holds[step.thread]
        operation = step.operation
        if lock and operation in ("acquire", "try"):
            return self._wish(step.thread, lock, operation, number)
        if lock and operation == "release":
            if lock in mine:
                mine.remove(lock)
            return f"lets {lock} go", "releases"
        if lock and operation == "stuck: acquire":
            return "✘ for ever", "stuck"
        if operation == "acquire timed out":
            return f"gives {lock} up", "other"
        if condition and operation == "wait":
            if mine:  # the condition's own lock, and that is the one taken last
                mine.pop()
            return f"sleeps on {condition}", "sleeps"
        if condition and operation.startswith(("woken", "stuck: woken")):
            if operation == "stuck: woken":
                return "✘ sleeps for ever", "stuck"
            return "wakes" + operation.removeprefix("woken"), "wakes"
        if condition and operation.startswith("notify"):
            return f"{operation} {condition}".replace("notify", "notifies", 1), "other"
        return None

    def _wish(self, thread: str, lock: str, how: str, number: int) -> tuple[str, Kind] | None:
        mine = self._holds[thread]
        for held in mine:
            self._orders[Order(held, lock, thread)] = None
        if how == "acquire" or self._holder(lock) is None:
            mine.append(lock)
            return f"takes {lock}", "takes"
        before = self._next(thread, number, back=True)
        if before is not None and before.operation == "try" and _thing(before, "lock") == lock:
            return None  # it asks twice before it waits: once is enough to tell
        return f"wants {lock}", "wants"

    def _holder(self, lock: str) -> str | None:
        return next((name for name, locks in self._holds.items() if lock in locks), None)

    def _next(self, thread: str, number: int, *, back: bool = False) -> Step | None:
        places = range(number - 1, -1, -1) if back else range(number + 1, len(self._steps))
        return next((self._steps[n] for n in places if self._steps[n].thread == thread), None)

    def _scene(self, number: int) -> Scene:
        states, asleep = [], []
        for thread in self._threads:
            states.append(
                ThreadState(thread, tuple(self._holds[thread]), self._wait(thread, number))
            )
            past, step = self._next(thread, number + 1, back=True), self._next(thread, number)
            step = step or (past if past and "stuck" in past.operation else None)
            if step is not None and "woken" in step.operation:
                asleep.append((thread, _thing(step, "condition")))
        return Scene(tuple(states), self._locks, tuple(self._orders), tuple(asleep))

    def _wait(self, thread: str, number: int) -> str | None:
        """The lock of somebody else that the thread stands before, after step `number`.

        Between two of its steps a thread stands before the second, whether it may go on or not.
        """
        past = self._next(thread, number + 1, back=True)
        coming = self._next(thread, number)
        while coming is not None and coming.operation == "try":
            if past is None or (past.operation, past.target) != ("try", coming.target):
                return None  # it has not asked yet
            number = self._steps.index(coming, number + 1)
            coming = self._next(thread, number)
        if coming is None and past is not None and "stuck" in past.operation:
            coming = past
        lock = _thing(coming, "lock") if coming and "acquire" in coming.operation else ""
        return lock if lock and self._holder(lock) not in (None, thread) else None


def _thing(step: Step, kind: str) -> str:
    """The name of the lock or condition that a step is about, without what holds it inside."""
    found = re.fullmatch(rf"{kind} `?(.*?)`?", step.target)
    return re.sub(r"\._lock(?=$| )", "", found[1]) if found else ""
