"""Who is in an `RwLock`, who stands in line, and who is let in next."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from meridian.foundation.sync import order
from meridian.foundation.sync.guard import Uncopyable
from meridian.foundation.sync.lock_errors import ReentrantLockError, UpgradeError
from meridian.foundation.sync.order import ThreadLocks, watch
from meridian.foundation.sync.primitives import LockLike, PrimitivesLike

if TYPE_CHECKING:
    from meridian.foundation.sync.rw_guards import ReadGuard

__all__ = ["Admission"]


class _Waiter:
    """A thread in the line. Its gate is locked until somebody lets it in."""

    __slots__ = ("admitted", "gate", "thread", "ticket")

    def __init__(self, gate: LockLike, thread: ThreadLocks, ticket: int) -> None:
        self.gate = gate
        self.thread = thread
        self.ticket = ticket
        self.admitted = False
        gate.acquire()


class Admission(Uncopyable):
    """The lock without its value: two lines, and a hand-over to whoever is let in.

    All of it changes under one latch, with which nobody sleeps; a thread sleeps at its own gate.
    Invariants when the latch is free: a writer is alone; who waits could not be let in.
    """

    __slots__ = (
        "_label",
        "_latch",
        "_lost",
        "_make_lock",
        "_readers",
        "_tickets",
        "_waiting_readers",
        "_waiting_writers",
        "_writer",
        "name",
        "prefer",
    )

    def __init__(self, name: str | None, prefer: str, primitives: PrimitivesLike) -> None:
        self.name = name
        self.prefer = prefer
        self._label = f"RwLock {name!r}" if name is not None else "an unnamed RwLock"
        self._make_lock = primitives.Lock
        self._latch = primitives.Lock()
        self._readers: dict[ThreadLocks, int] = {}  # thread -> how many guards
        self._writer: ThreadLocks | None = None
        self._waiting_readers: deque[_Waiter] = deque()
        self._waiting_writers: deque[_Waiter] = deque()
        self._tickets = 0
        self._lost: deque[tuple[ThreadLocks, bool]] = deque()  # by finalisers, which must not wait

    def _enter(
        self, guard: ReadGuard[Any], thread: ThreadLocks, writes: bool, limit: float
    ) -> bool:
        """Be let in, at once or by whoever makes room; whether that was within the limit."""
        waiter = None
        try:
            with self._latch:
                self._refuse_reentry(thread, writes)
                if self._writer is None and not (
                    self._readers if writes else self._waiting_writers
                ):
                    self._let_in(thread, writes)
                    guard._held = True
                elif limit != 0:
                    waiter = self._line_up(thread, writes)
        finally:
            if self._lost:
                self._settle()
        if waiter is not None:
            self._wait(waiter, guard, writes, limit)
        return guard._held

    def _refuse_reentry(self, thread: ThreadLocks, writes: bool) -> None:
        if self._writer == thread:
            raise ReentrantLockError(self._label, "this thread writes it already")
        if thread in self._readers:
            if writes:
                raise UpgradeError(self._label)
            if self._waiting_writers:
                raise ReentrantLockError(
                    self._label, "this thread reads it already, and a writer waits for that to end"
                )

    def _let_in(self, thread: ThreadLocks, writes: bool) -> None:
        if writes:
            self._writer = thread
        else:
            self._readers[thread] = self._readers.get(thread, 0) + 1

    def _line_up(self, thread: ThreadLocks, writes: bool) -> _Waiter:
        self._tickets += 1
        waiter = _Waiter(self._make_lock(), thread, self._tickets)
        self._line(writes).append(waiter)
        return waiter

    def _line(self, writes: bool) -> deque[_Waiter]:
        return self._waiting_writers if writes else self._waiting_readers

    def _wait(self, waiter: _Waiter, guard: ReadGuard[Any], writes: bool, limit: float) -> None:
        try:
            if watch.graph is None:
                waiter.gate.acquire(True, limit)
            else:
                with order.waiting(self.name or self._label):
                    waiter.gate.acquire(True, limit)
        except BaseException:  # a signal
            self._leave_line(waiter, guard, writes)
            guard.release()
            raise
        self._leave_line(waiter, guard, writes)

    def _leave_line(self, waiter: _Waiter, guard: ReadGuard[Any], writes: bool) -> None:
        """With the lock, or without it: then a writer may have been all that readers waited for."""
        with self._latch:
            if waiter.admitted:
                guard._held = True
            else:
                self._line(writes).remove(waiter)
                self._admit()
        if self._lost:
            self._settle()

    def _admit(self) -> None:
        """Let in whom there is room for now, in the order of the lines. With the latch."""
        while self._writer is None:
            readers, writers = self._waiting_readers, self._waiting_writers
            if writers and not (
                self.prefer == "fair" and readers and readers[0].ticket < writers[0].ticket
            ):
                if self._readers:
                    return
                line = writers
            elif readers:
                line = readers
            else:
                return
            waiter = line.popleft()
            self._let_in(waiter.thread, line is writers)
            waiter.admitted = True
            waiter.gate.release()

    def _end_read(self, guard: ReadGuard[Any]) -> None:
        if guard._entry is not None:
            guard._entry.dropped()
        with self._latch:
            if guard._held:
                guard._held = False
                if self._waiting_writers or self._readers[guard._thread] > 1:
                    self._leave(guard._thread, writes=False)
                else:
                    del self._readers[guard._thread]
        if self._lost:
            self._settle()

    def _end_write(self, guard: ReadGuard[Any]) -> None:
        if guard._entry is not None:
            guard._entry.dropped()
        with self._latch:
            if guard._held:
                guard._held = False
                self._leave(guard._thread, writes=True)
        if self._lost:
            self._settle()

    def _leave(self, thread: ThreadLocks, writes: bool) -> None:
        if writes:
            self._writer = None
        elif self._readers[thread] > 1:
            self._readers[thread] -= 1
        else:
            del self._readers[thread]
        if self._waiting_writers or self._waiting_readers:
            self._admit()

    def _end_lost(self, thread: ThreadLocks, writes: bool) -> None:
        """For finalisers, which may run in a thread that has the latch, and so cannot wait for it.

        Whoever has the latch looks here after giving it back.
        """
        self._lost.append((thread, writes))
        self._settle()

    def _settle(self) -> None:
        while self._lost and self._latch.acquire(False):
            try:
                while self._lost:
                    self._leave(*self._lost.popleft())
            finally:
                self._latch.release()
