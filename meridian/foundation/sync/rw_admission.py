"""Who is in an `RwLock`, who waits in its queues, and who is admitted next."""

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
    """A thread in a queue. Its gate is locked until somebody admits it."""

    __slots__ = ("admitted", "gate", "thread", "ticket")

    def __init__(self, gate: LockLike, thread: ThreadLocks, ticket: int) -> None:
        self.gate = gate
        self.thread = thread
        self.ticket = ticket
        self.admitted = False
        gate.acquire()


class Admission(Uncopyable):
    """The lock without its value: two queues, and a hand-over to whoever is admitted.

    All of it changes under one latch, with which nobody sleeps; a thread sleeps at its own gate.
    Invariants when the latch is free: a writer is alone; who waits could not be admitted.

    The handler of a signal may raise after any call, at the start of a function, and at a jump
    back, but not between other statements, nor between the head of a `with` on the latch and its
    block. So what belongs together stands together, without a call, and the rest can be repeated.
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
        """Be admitted, at once or by whoever makes room; whether that was within the limit."""
        waiter = None
        try:
            with self._latch:
                self._refuse_reentry(thread, writes)
                if self._writer is None and not (
                    self._readers if writes else self._waiting_writers
                ):
                    count = 0 if writes else self._readers.get(thread, 0)
                    if writes:
                        self._writer = thread
                    else:
                        self._readers[thread] = count + 1
                    guard._held = True
                elif limit != 0:
                    self._tickets += 1
                    waiter = _Waiter(self._make_lock(), thread, self._tickets)
                    self._queue(writes).append(waiter)
            if waiter is not None:
                self._sleep(waiter, limit)
                self._leave_queue(waiter, guard, writes)
        except BaseException:  # refused, or a signal
            if waiter is not None:
                self._leave_queue(waiter, guard, writes)
            guard.release()
            raise
        finally:
            if self._lost:
                self._release_lost()
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

    def _queue(self, writes: bool) -> deque[_Waiter]:
        return self._waiting_writers if writes else self._waiting_readers

    def _sleep(self, waiter: _Waiter, limit: float) -> None:
        if watch.graph is None:
            waiter.gate.acquire(True, limit)
        else:
            with order.waiting(self.name or self._label):
                waiter.gate.acquire(True, limit)

    def _leave_queue(self, waiter: _Waiter, guard: ReadGuard[Any], writes: bool) -> None:
        """With the lock, or without it: then a writer may have been all that readers waited for."""
        with self._latch:
            if waiter.admitted:
                guard._held = True
                return
            queue = self._queue(writes)
            if waiter in queue:
                queue.remove(waiter)
            try:
                self._admit()
            except BaseException:
                self._admit()
                raise

    def _admit(self) -> None:
        """Admit whom there is room for now, in the order of the queues. With the latch."""
        while self._writer is None:
            readers, writers = self._waiting_readers, self._waiting_writers
            if writers and not (
                self.prefer == "fair" and readers and readers[0].ticket < writers[0].ticket
            ):
                if self._readers:
                    return
                waiter = writers[0]
                gate = waiter.gate
                del writers[0]
                self._writer = waiter.thread
            elif readers:
                waiter = readers[0]
                gate = waiter.gate
                count = self._readers.get(waiter.thread, 0)
                del readers[0]
                self._readers[waiter.thread] = count + 1
            else:
                return
            waiter.admitted = True
            gate.release()

    def _end(self, guard: ReadGuard[Any], writes: bool) -> None:
        """The guard is released."""
        if guard._entry is not None:
            guard._entry.dropped()
        thread = guard._thread
        with self._latch:
            if guard._held:
                guard._held = False
                if writes:
                    self._writer = None
                elif self._readers[thread] > 1:
                    self._readers[thread] -= 1
                else:
                    del self._readers[thread]
                if self._waiting_writers or self._waiting_readers:
                    try:
                        self._admit()
                    except BaseException:
                        self._admit()
                        raise
        if self._lost:
            self._release_lost()

    def _end_lost(self, thread: ThreadLocks, writes: bool) -> None:
        """For finalisers, which may run in a thread that has the latch, and so cannot wait for it.

        Whoever has the latch looks here after giving it back.
        """
        self._lost.append((thread, writes))
        self._release_lost()

    def _release_lost(self) -> None:
        while self._lost:
            for acquired in map(self._latch.acquire, (False,)):  # a loop, as in `Mutex.lock`
                if not acquired:
                    return
                try:
                    self._end_all_lost()
                except BaseException:
                    self._end_all_lost()
                    raise
                finally:
                    self._latch.release()

    def _end_all_lost(self) -> None:
        while self._lost:
            thread, writes = self._lost[0]
            del self._lost[0]
            if writes:
                self._writer = None
            elif self._readers[thread] > 1:
                self._readers[thread] -= 1
            else:
                del self._readers[thread]
        self._admit()
