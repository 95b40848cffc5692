"""Finding deadlocks that did not happen: the order in which locks are taken, over a whole run.

A deadlock needs bad luck, its cause does not: one thread takes ``a`` then ``b``, another, perhaps
an hour later, ``b`` then ``a``. Every pair is remembered with the stacks of both acquisitions, and
the first that closes a circle is reported. Reference: the lockdep of Linux
(Documentation/locking/lockdep-design.rst).
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from dataclasses import dataclass

import structlog

from meridian.foundation.sync import order
from meridian.foundation.sync.order import Acquisition, summary

__all__ = [
    "LockCycle",
    "LockEdge",
    "LockNode",
    "LockdepReport",
    "ThreadState",
    "disable_lockdep",
    "enable_lockdep",
    "lockdep_report",
]

_log = structlog.get_logger(__name__)

Stack = tuple[traceback.FrameSummary, ...]


@dataclass(frozen=True, slots=True)
class LockNode:
    """All locks of one `name`. `rank` is None if they have none, or several."""

    name: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class LockEdge:
    """Somebody who held `held` wanted `wanted`.

    Attributes:
        held: name of the lock that was held.
        wanted: name of the lock that was then waited for.
        thread: who did it first.
        held_stack: where `held` had been taken; innermost frame last.
        wanted_stack: where `wanted` was asked for.
    """

    held: str
    wanted: str
    thread: str
    held_stack: Stack
    wanted_stack: Stack

    def __str__(self) -> str:
        held, wanted = (
            "".join(traceback.format_list(list(s))) for s in (self.held_stack, self.wanted_stack)
        )
        return (
            f"{self.held} -> {self.wanted} in thread {self.thread}\n"
            f"  {self.held} was taken at\n{held}  {self.wanted} was asked for at\n{wanted}"
        )


@dataclass(frozen=True, slots=True)
class LockCycle:
    """Orders that contradict each other: each edge begins where the one before ends.

    The first edge is the one that closed the circle. A single edge from a name to itself: one
    lock was wanted under another of the same name.
    """

    edges: tuple[LockEdge, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The locks in order; the first stands at the end again."""
        return (*(edge.held for edge in self.edges), self.edges[0].held)

    def __str__(self) -> str:
        return "\n".join((" -> ".join(self.names), *map(str, self.edges)))


@dataclass(frozen=True, slots=True)
class ThreadState:
    """A thread at the moment of the report: the names it holds, oldest first, and waits for."""

    thread: str
    holds: tuple[str, ...]
    waits_for: str | None


@dataclass(frozen=True, slots=True)
class LockdepReport:
    """What has been seen since `enable_lockdep`: all that a picture of the lock graph needs.

    Attributes:
        nodes: every named lock that was wanted.
        edges: which was wanted while which was held, in the order in which they were first seen.
        cycles: the contradictions, in the order in which they were found.
        threads: who holds or waits for something now; a deadlock is a circle in this.
    """

    nodes: tuple[LockNode, ...] = ()
    edges: tuple[LockEdge, ...] = ()
    cycles: tuple[LockCycle, ...] = ()
    threads: tuple[ThreadState, ...] = ()

    def __str__(self) -> str:
        head = f"{len(self.nodes)} locks, {len(self.edges)} orders, {len(self.cycles)} cycles"
        return "\n\n".join((head, *map(str, self.cycles)))


@dataclass(frozen=True, slots=True)
class _Edge:
    """An edge as it is recorded: frames as code and line, which costs a tenth of a summary."""

    held: Acquisition
    wanted: Acquisition
    thread: str

    def report(self) -> LockEdge:
        held, wanted = self.held, self.wanted
        assert held.name is not None
        assert wanted.name is not None
        return LockEdge(
            held.name, wanted.name, self.thread, summary(held.stack), summary(wanted.stack)
        )


class _Graph:
    """Who was wanted while who was held. Told by every lock while lockdep is on."""

    def __init__(self) -> None:
        # Re-entrant: a finaliser that locks may run while this thread is in here.
        self._latch = threading.RLock()
        self._ranks: dict[str, int | None] = {}
        self._after: dict[str, dict[str, _Edge]] = {}
        self._edges: list[_Edge] = []
        self._cycles: list[tuple[_Edge, ...]] = []

    def wanted(self, wanted: Acquisition, held: list[Acquisition], may_wait: bool) -> None:
        """Remember the orders that this makes; tell of those that contradict earlier ones."""
        name = wanted.name
        assert name is not None
        if self._ranks.get(name, wanted) != wanted.rank:
            with self._latch:
                self._ranks[name] = None if name in self._ranks else wanted.rank
        if not may_wait:  # who does not wait cannot be part of a deadlock as the one who waits
            return
        for other in held:
            assert other.name is not None
            if name not in self._after.get(other.name, ()):
                self._add(other, wanted, other.name, name)

    def _add(self, held: Acquisition, wanted: Acquisition, before: str, after: str) -> None:
        edge = _Edge(held, wanted, threading.current_thread().name)
        with self._latch:
            if after in self._after.get(before, ()):
                return
            self._edges.append(edge)
            self._after.setdefault(before, {})[after] = edge
            way_back = self._path(after, before)
            if way_back is not None:
                self._cycles.append((edge, *way_back))
        if way_back is not None:
            names = (before, after, *(step.wanted.name or "" for step in way_back))
            _log.warning("lock_order_inconsistent", cycle=" -> ".join(names), thread=edge.thread)

    def _path(self, start: str, end: str) -> list[_Edge] | None:
        """The shortest way along the edges, or None. Empty from a name to itself."""
        came_by: dict[str, _Edge | None] = {start: None}
        queue = deque([start])
        while queue and end not in came_by:
            for name, edge in tuple(self._after.get(queue.popleft(), {}).items()):
                if name not in came_by:
                    came_by[name] = edge
                    queue.append(name)
        if end not in came_by:
            return None
        path: list[_Edge] = []
        step = came_by[end]
        while step is not None:
            path.append(step)
            step = came_by[step.held.name or ""]
        return path[::-1]

    def report(self) -> LockdepReport:
        with self._latch:
            edges = {id(edge): edge.report() for edge in self._edges}
            return LockdepReport(
                tuple(LockNode(name, rank) for name, rank in self._ranks.items()),
                tuple(edges.values()),
                tuple(LockCycle(tuple(edges[id(e)] for e in cycle)) for cycle in self._cycles),
                _threads(),
            )


_last = _Graph()


def enable_lockdep() -> None:
    """Begin to watch every named lock of the process, with nothing seen so far.

    Takes microseconds for each acquisition meanwhile. When already on, what was seen is kept.
    """
    global _last
    if order.watch.graph is None:
        _last = _Graph()
        order.watch.graph = _last


def disable_lockdep() -> None:
    """Stop watching. `lockdep_report` still answers what was seen. Twice is harmless."""
    order.watch.graph = None


def lockdep_report() -> LockdepReport:
    """What was seen since `enable_lockdep`; empty before the first."""
    return _last.report()


def _threads() -> tuple[ThreadState, ...]:
    states = (
        ThreadState(
            locks.thread, tuple(a.name for a in tuple(locks.holds) if a.name), locks.waits_for
        )
        for locks in order.all_threads()
    )
    return tuple(
        sorted((s for s in states if s.holds or s.waits_for), key=lambda state: state.thread)
    )
