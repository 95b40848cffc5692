"""Which locks this thread holds: what ranks and `lockdep` are judged by.

A mutex without a rank comes here only while lockdep is on; otherwise none of this costs anything.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Protocol

from meridian.foundation.sync.lock_errors import LockOrderViolation

__all__ = [
    "Acquisition",
    "Graph",
    "Place",
    "ThreadLocks",
    "all_threads",
    "check_names",
    "here",
    "of_thread",
    "summary",
    "waiting",
    "want",
    "watch",
]

Place = tuple[CodeType, int]
"""A frame of a stack: the code and the line."""

DEPTH = 24
"""Frames kept of a stack."""

_OWN = __name__.rpartition(".")[0] + "."


class Acquisition:
    """One lock, wanted or held by one thread."""

    __slots__ = ("_home", "label", "lock_id", "name", "rank", "stack")

    def __init__(
        self,
        lock: object,
        label: str,
        name: str | None,
        rank: int | None,
        stack: tuple[Place, ...],
        home: list[Acquisition],
    ) -> None:
        self.lock_id = id(lock)  # alive as long as its guard is
        self.label = label
        self.name = name
        self.rank = rank
        self.stack = stack
        self._home = home

    def obtained(self) -> None:
        self._home.append(self)

    def dropped(self) -> None:
        """Held no more. From any thread, and from a finaliser: one step, no lock."""
        with contextlib.suppress(ValueError):
            self._home.remove(self)


class ThreadLocks:
    """What one thread holds, oldest first, and what it waits for.

    Also the thread's identity to its locks: the number of a thread is used again when it ends.
    """

    __slots__ = ("__weakref__", "holds", "thread", "waits_for")

    def __init__(self) -> None:
        self.thread = threading.current_thread().name
        self.holds: list[Acquisition] = []
        self.waits_for: str | None = None


class Graph(Protocol):
    """What `lockdep` learns of every lock that is wanted."""

    def wanted(self, wanted: Acquisition, held: list[Acquisition], may_wait: bool) -> None: ...


class _Switch:
    """On while there is a graph. Every lock reads this one attribute."""

    __slots__ = ("graph",)

    def __init__(self) -> None:
        self.graph: Graph | None = None


watch = _Switch()

_threads: weakref.WeakSet[ThreadLocks] = weakref.WeakSet()
_threads_latch = threading.RLock()


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.locks = ThreadLocks()
        with _threads_latch:
            _threads.add(self.locks)


of_thread = _OfThread()
"""Its `locks` are the calling thread's."""


def all_threads() -> list[ThreadLocks]:
    """Of every living thread that has come here."""
    with _threads_latch:
        return list(_threads)


def want(
    lock: object, label: str, name: str | None, rank: int | None, *, may_wait: bool
) -> Acquisition:
    """Say that this thread is about to take `lock`; `Acquisition.obtained` says that it has.

    Raises `LockOrderViolation` for a rank that is not above all that this thread holds.
    """
    mine = of_thread.locks.holds
    held = [other for other in tuple(mine) if other.lock_id != id(lock)]
    if rank is not None:
        for other in held:
            if other.rank is not None and rank <= other.rank:
                raise LockOrderViolation(other.label, label, other.rank, rank)
    graph = watch.graph
    if graph is None:
        return Acquisition(lock, label, name, rank, (), mine)
    wanted = Acquisition(lock, label, name, rank, here(), mine)
    if name is not None:
        graph.wanted(wanted, [other for other in held if other.name is not None], may_wait)
    return wanted


@contextlib.contextmanager
def waiting(label: str) -> Iterator[None]:
    """While this thread waits for the lock, so that a picture can show who waits for whom."""
    locks = of_thread.locks
    locks.waits_for = label
    try:
        yield
    finally:
        locks.waits_for = None


def here() -> tuple[Place, ...]:
    """The caller's stack, innermost last, without the locks' own frames."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame = frame.f_back
    places: list[Place] = []
    while frame is not None and len(places) < DEPTH:
        places.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(reversed(places))


def summary(stack: tuple[Place, ...]) -> tuple[traceback.FrameSummary, ...]:
    """The stack as the standard library prints it; its source lines are read when printed."""
    return tuple(
        traceback.FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)
        for code, line in stack
    )


def check_names(name: str | None, rank: int | None) -> None:
    """Raises `TypeError` for a name that is no text and a rank that is no integer."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"Expected name as str or None, got {type(name).__name__}")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int)):
        raise TypeError(f"Expected rank as int or None, got {type(rank).__name__}")
