"""What goes wrong, and when: the plan behind `FaultyFileSystem`.

Faults are counted from the moment they are planned and strike once, unless told otherwise, so a
test reads as the story it tells. `FaultPlan.pending` is what has not struck yet: a test that ends
with something pending has not tested what it says.
"""

from __future__ import annotations

import copy
import errno
import math
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

__all__ = ["OPERATIONS", "Call", "Fault", "FaultPlan"]

StrPath = str | os.PathLike[str]

OPERATIONS = frozenset(
    [
        *("open_append", "create", "open_random", "read", "listdir", "exists", "size"),
        *("rename", "unlink", "mkdir", "sync_dir"),
        *("preadv", "pwritev", "write", "sync", "truncate", "preallocate", "lock", "close"),
    ]
)
_TRANSFERS = ("preadv", "pwritev")
_WRITES = ("pwritev", "write")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached the file system: `done` bytes moved, or the error it raised."""

    op: str
    path: str
    offset: int | None = None
    nbytes: int | None = None
    done: int | None = None
    error: str | None = None


@dataclass(slots=True)
class Fault:
    """A planned fault: strikes the `nth` matching call from now, and `times` calls in a row."""

    kind: Literal["fail", "short", "tear"]
    op: str
    nth: int
    times: float
    path: str
    error: BaseException | None = None
    nbytes: int = 0

    def matches(self, op: str, path: str) -> bool:
        return op == self.op and (fnmatch(path, self.path) or fnmatch(_name(path), self.path))


class FaultPlan:
    """Counts calls and decides which of them fails, so that wrappers hold no bookkeeping.

    `counts` holds the calls so far by name, `calls` each of them in order. A call meets at most
    one fault; another that is due waits for the next call. All of it may be used from several
    threads; which of them meets a fault is then up to their order.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.calls: list[Call] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def fail(
        self,
        op: str,
        nth: int = 1,
        error: BaseException | None = None,
        *,
        times: int | None = 1,
        path: str = "*",
    ) -> Fault:
        """Make the `nth` call of `op` raise `error` (EIO if none is given) before it does anything.

        `times` calls in a row fail, every one from the nth with ``None`` (a full disk stays
        full). `path` is a glob for the whole path or the file's name.
        """
        broken = error if error is not None else OSError(errno.EIO, os.strerror(errno.EIO))
        return self._plan(Fault("fail", op, nth, _times(times), path, broken))

    def short(
        self, op: str, nth: int = 1, nbytes: int = 1, *, times: int | None = 1, path: str = "*"
    ) -> Fault:
        """Make ``preadv`` or ``pwritev`` move at most `nbytes` and say so, as a kernel may."""
        if op not in _TRANSFERS:
            raise ValueError(f"Only {' and '.join(_TRANSFERS)} can be short, not {op!r}")
        return self._plan(Fault("short", op, nth, _times(times), path, nbytes=_size(nbytes)))

    def tear(
        self,
        nth: int = 1,
        keep_bytes: int = 0,
        *,
        op: str = "pwritev",
        silent: bool = False,
        error: BaseException | None = None,
        path: str = "*",
    ) -> Fault:
        """Make the `nth` write keep its first `keep_bytes` only: a power cut in mid-write.

        Then raise `error` (EIO if none is given), or claim the whole write when `silent`. With
        ``keep_bytes=0`` and `silent` the write is lost altogether.
        """
        if op not in _WRITES:
            raise ValueError(f"Only {' and '.join(_WRITES)} can be torn, not {op!r}")
        if silent and error is not None:
            raise ValueError("A silent tear raises nothing: give either silent or error")
        broken = error if error is not None else OSError(errno.EIO, os.strerror(errno.EIO))
        return self._plan(
            Fault("tear", op, nth, 1, path, None if silent else broken, _size(keep_bytes))
        )

    def heal(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._faults.clear()

    @property
    def pending(self) -> list[Fault]:
        """Planned faults that have strikes left; one with ``times=None`` stays until `heal`."""
        with self._lock:
            return list(self._faults)

    def _plan(self, fault: Fault) -> Fault:
        if fault.op not in OPERATIONS:
            raise ValueError(f"No operation {fault.op!r}; known: {', '.join(sorted(OPERATIONS))}")
        if fault.nth < 1:
            raise ValueError(f"Expected nth >= 1, got {fault.nth}")
        with self._lock:
            self._faults.append(fault)
        return fault

    def arrive(self, op: str, path: str) -> Fault | None:
        """Count a call; give back the fault it meets. Every matching plan counts it."""
        struck = None
        with self._lock:
            self.counts[op] += 1
            for fault in list(self._faults):
                if not fault.matches(op, path):
                    continue
                fault.nth -= 1
                if fault.nth <= 0 and struck is None:
                    struck = copy.copy(fault)
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
        return struck

    @contextmanager
    def call(self, op: str, path: StrPath, size: int | None = None) -> Iterator[None]:
        """An operation that either fails as planned or runs, and is recorded both ways."""
        name = os.fspath(path)
        fault = self.arrive(op, name)
        try:
            if fault is not None and fault.error is not None:
                raise fault.error
            yield
        except BaseException as error:
            self.record(Call(op, name, nbytes=size, error=type(error).__name__))
            raise
        self.record(Call(op, name, nbytes=size))

    def record(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)


def _name(path: str) -> str:
    return os.path.basename(path)


def _times(times: int | None) -> float:
    if times is not None and times < 1:
        raise ValueError(f"Expected times >= 1, or None for ever, got {times}")
    return math.inf if times is None else times


def _size(nbytes: int) -> int:
    if nbytes < 0:
        raise ValueError(f"Expected a number of bytes >= 0, got {nbytes}")
    return nbytes
