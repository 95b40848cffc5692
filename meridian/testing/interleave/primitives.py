"""Locks, conditions, threads and time that a schedule decides on; made for one run."""

from __future__ import annotations

import linecache
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Literal

from meridian.testing.interleave.run import Run
from meridian.testing.interleave.tasks import Task

__all__ = ["Bundle", "Condition", "Lock", "Thread"]

_READING_NS = 1_000  # what it takes to read the clock
_ASSIGNED = re.compile(r"\s*(?:self\.)?([A-Za-z_][\w.]*)\s*(?::[^=]*)?=[^=]")


class Lock:
    """`threading.Lock` under the schedule. A closed gate while it is held."""

    kind: Literal["lock"] = "lock"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._name = _name(run, self.kind, sys._getframe(1))
        self.open = True
        self.owner: Task | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        timeout_s = _timeout_s(blocking, timeout)
        if not blocking or timeout_s == 0:
            me = self._run.point("try", self)
            if not self.open:
                return False
        else:
            me = self._run.point("acquire", self, self, timeout_s)
            if me.expired:
                return False
        self.open = False
        self.owner = me
        return True

    def release(self) -> None:
        if self._run.over:  # a thread that is being unwound leaves its blocks
            return
        self._run.point("release", self)
        if self.open:
            raise RuntimeError("release unlocked lock")
        self.let_go()

    def let_go(self) -> None:
        """Open without a scheduling point."""
        self.open = True
        self.owner = None

    def locked(self) -> bool:
        self._run.point("look", self)
        return not self.open

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __str__(self) -> str:
        return f"lock {self._name}"


class _Waiting:
    """The gate of one thread in a condition's queue."""

    __slots__ = ("_condition", "open")
    kind: Literal["condition"] = "condition"

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.open = False

    def __str__(self) -> str:
        return str(self._condition)


class Condition:
    """`threading.Condition` under the schedule: oldest waiter first, no spurious wake-ups.

    As there, a notification may be spent on a waiter whose timeout has expired but who has not run
    yet. Without a lock it makes a plain one, where `threading` makes a re-entrant one.
    """

    def __init__(self, run: Run, lock: Lock | None = None) -> None:
        if lock is not None and not isinstance(lock, Lock):
            raise TypeError(f"Expected a lock of the bundle, got {type(lock).__name__}")
        self._run = run
        self._name = _name(run, "condition", sys._getframe(1))
        self._lock = Lock(run) if lock is None else lock
        self._waiters: deque[_Waiting] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        run, lock = self._run, self._lock
        me = run.point("wait", self)
        if lock.owner is not me:
            raise RuntimeError("cannot wait on un-acquired lock")
        lock.let_go()
        waiting = _Waiting(self)
        self._waiters.append(waiting)
        notified = not run.point("woken", self, waiting, timeout).expired
        if not notified:
            run.point("leave", self)
            with suppress(ValueError):  # notified meanwhile, in vain
                self._waiters.remove(waiting)
        run.point("acquire", lock, lock)
        lock.open = False
        lock.owner = me
        return notified

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        deadline_ns = None if timeout is None else self._run.clock_ns + int(timeout * 1e9)
        while not (result := predicate()):
            if deadline_ns is None:
                self.wait()
                continue
            left_ns = deadline_ns - self._run.clock_ns
            if left_ns <= 0:
                break
            self.wait(left_ns / 1e9)
        return result

    def notify(self, n: int = 1) -> None:
        me = self._run.point("notify" if n < 1 << 30 else "notify all", self)
        if self._lock.owner is not me:
            raise RuntimeError("cannot notify on un-acquired lock")
        for _ in range(min(n, len(self._waiters))):
            self._waiters.popleft().open = True

    def notify_all(self) -> None:
        self.notify(1 << 30)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __str__(self) -> str:
        return f"condition {self._name}"


class Thread:
    """`threading.Thread` under the schedule. A daemon may be left waiting at the end."""

    def __init__(
        self,
        run: Run,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        if group is not None:
            raise ValueError("Expected no group, as in threading.Thread")
        self._run = run
        self._body = partial(target, *args, **(kwargs or {})) if target else _nothing
        self.name = name or f"Thread-{len(run.tasks)}"
        self.daemon = bool(daemon)
        self._task = run.add(self.name, self._body, daemon=self.daemon)

    @property
    def ident(self) -> int | None:
        return None if self._task.carrier is None else self._task.carrier.ident

    def start(self) -> None:
        if self._task.carrier is not None:
            raise RuntimeError("threads can only be started once")
        self._run.point("start", self._task)
        self._task.daemon = self.daemon
        self._run.begin(self._task)

    def join(self, timeout: float | None = None) -> None:
        if self._task.carrier is None:
            raise RuntimeError("cannot join thread before it is started")
        if self._task is self._run.here():
            raise RuntimeError("cannot join current thread")
        self._run.point("join", self._task, self._task, timeout)

    def is_alive(self) -> bool:
        self._run.point("look", self._task)
        return self._task.carrier is not None and not self._task.open


class Bundle:
    """What a scenario is given: the same four makers as `foundation.sync.Primitives`.

    Each operation of what they make is a scheduling point. `monotonic_ns` reads a virtual clock,
    which a reading moves by a microsecond and a timeout to its deadline.
    """

    def __init__(self, run: Run) -> None:
        self.Lock: Callable[[], Lock] = partial(Lock, run)
        self.Condition: Callable[..., Condition] = partial(Condition, run)
        self.Thread: Callable[..., Thread] = partial(Thread, run)
        self._run = run

    def monotonic_ns(self) -> int:
        self._run.point("clock")
        self._run.clock_ns += _READING_NS
        return self._run.clock_ns


class Others:
    """The gate that opens when every thread but the scenario's own and the daemons has ended."""

    kind: Literal["thread"] = "thread"

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def open(self) -> bool:
        return not any(task.index and not task.daemon for task in self._run.alive)

    def __str__(self) -> str:
        return "all threads"


def _nothing() -> None:
    """What a thread without a target does."""


def _timeout_s(blocking: bool, timeout: float) -> float | None:
    """None for ever. Refuses what `threading.Lock.acquire` refuses."""
    if timeout == -1:
        return None
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    return timeout


def _name(run: Run, kind: str, frame: FrameType | None) -> str:
    """A number; for a trace, what the scenario calls the thing.

    That is what stands on the left of the line that makes it; out of a constructor, after the name
    of what is constructed: its argument ``name``, or what stands on the left there.
    """
    run.made += 1
    parts: list[str] = []
    while run.record and frame is not None:
        code = frame.f_code
        found = _ASSIGNED.match(linecache.getline(code.co_filename, frame.f_lineno))
        parts += [found[1]] if found else []
        if code.co_name != "__init__":
            break
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = frame.f_locals.get("name") if "name" in arguments else None
        if isinstance(given, str):
            parts.append(given)
            break
        frame = frame.f_back
    if not parts:
        return str(run.made)
    name = ".".join(reversed(parts))
    run.names[kind, name] += 1
    number = run.names[kind, name]
    return f"`{name}`" if number == 1 else f"`{name} {number}`"
