"""A ring of fixed-size records between two threads or two processes: one pushes, one pops.

The counts of the Lamport queue ("Specifying Concurrent Program Modules", 1983) with acquire and
release: the producer alone writes the head, the consumer alone the tail, so neither ever waits for
the other or for a lock. Each end looks at the other's count only when its last look does not do
(FastForward and Rigtorp's SPSCQueue do the same), and records move in batches.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.errors import MeridianError
from meridian.foundation.channels import _kernels
from meridian.foundation.channels._kernels import CORRUPT, pop_records, push_records
from meridian.foundation.channels.capacity import checked_capacity
from meridian.foundation.channels.spsc_memory import RingMemory, RingMismatch
from meridian.foundation.sync.atomics import Order, compare_exchange, load
from meridian.foundation.sync.errors import WrongThread

__all__ = ["RingClosed", "RingCorrupt", "RingMismatch", "RingStats", "SpscRing"]

_here = threading.get_ident


class RingClosed(MeridianError, ValueError):
    """A ring was used after `close`."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Ring {name} is closed here")


class RingCorrupt(MeridianError, RuntimeError):
    """A ring's header cannot be: something else wrote into the shared memory."""

    def __init__(self, name: str, head: int, tail: int, capacity: int) -> None:
        self.name = name
        self.head = head
        self.tail = tail
        self.capacity = capacity
        super().__init__(
            f"Ring {name} is corrupt: {head} records pushed and {tail} popped "
            f"cannot be in a ring of {capacity}"
        )


@dataclass(slots=True, frozen=True)
class RingStats:
    """What went through a ring since it was made, in records; `pushed` - `popped` lie in it."""

    pushed: int
    popped: int
    lost: int
    capacity: int


class SpscRing:
    """Hand over millions of records a second without an object, a lock or a copy too many.

    `dtype` is the record, of fixed size and without Python objects; `capacity` is rounded up to a
    power of two. With `shared_memory`, a name, the ring lies in a segment of that name: the first
    to ask makes it, others attach to it, and it goes when the one who made it closes it. A ring in
    shared memory may be given to another process as an argument.

    The first thread to push is the producer, the first to pop the consumer; any other gets
    `WrongThread`. When a thread or a process has ended, the next may take its end over. A producer
    that is killed while it pushes has pushed nothing; a consumer that is killed while it pops has
    popped nothing. `push` and `pop` never wait: how to, an application knows best.

    Raises `ValueError` for a capacity that is no int of at least 1 or a dtype that cannot be
    copied as bytes, `RingMismatch` for a name that is taken by something else, `OSError` where
    there is not so much shared memory.
    """

    def __init__(
        self, dtype: npt.DTypeLike, capacity: int, *, shared_memory: str | None = None
    ) -> None:
        capacity = checked_capacity(capacity)
        if not (shared_memory is None or (isinstance(shared_memory, str) and shared_memory)):
            raise ValueError(f"Expected a name for the shared memory, got {shared_memory!r}")
        self.dtype = np.dtype(dtype)
        if self.dtype.hasobject or self.dtype.itemsize == 0 or self.dtype.subdtype:
            raise ValueError(
                f"Expected records of fixed size without Python objects, got {self.dtype}"
            )
        self.capacity = 1 << (capacity - 1).bit_length()
        self.name = shared_memory or f"{id(self):#x}"
        self._shared = shared_memory is not None
        self._memory = RingMemory(self.dtype, self.capacity, shared_memory)
        self._item_bytes, self._mask = self.dtype.itemsize, self.capacity - 1
        self._producer = self._consumer = 0  # the threads of this process that were let through
        self._open = True
        self._backstop = weakref.finalize(self, self._memory.abandon, f"Ring {self.name}")
        _rings.add(self)

    # -- the two ends ----------------------------------------------------------------------------

    def push(self, arr: npt.NDArray[Any]) -> int:
        """Put in as many of the records `arr`, one-dimensional, as there is room for; how many.

        The others are counted in `lost`: offer ``arr[: ring.free]`` to lose none. Raises
        `TypeError` for another dtype, `WrongThread`, `RingClosed`.
        """
        if _here() != self._producer:
            self._producer = self._claim(_kernels.PRODUCER, "producer")
        memory = self._memory
        pushed = push_records(
            memory.words, memory.slots, self._bytes(arr), self._item_bytes, self._mask
        )
        if pushed == CORRUPT:
            raise self._corrupt()
        return int(pushed)

    def pop(self, out: npt.NDArray[Any]) -> int:
        """Move the oldest records into `out`, as many as it holds and there are; how many.

        Raises `TypeError` for another dtype, `ValueError` for an array that is read-only or has
        gaps, `WrongThread`, `RingClosed`.
        """
        if _here() != self._consumer:
            self._consumer = self._claim(_kernels.CONSUMER, "consumer")
        if isinstance(out, np.ndarray) and not (out.flags.writeable and out.flags.c_contiguous):
            raise ValueError("Expected an array to pop into that is writable and without gaps")
        memory = self._memory
        popped = pop_records(
            memory.words, memory.slots, self._bytes(out), self._item_bytes, self._mask
        )
        if popped == CORRUPT:
            raise self._corrupt()
        return int(popped)

    # -- what it holds ---------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many records lie ready; from another thread, how many there were a moment ago."""
        words = self._words()
        ready = int(words[_kernels.HEAD]) - int(words[_kernels.TAIL])
        return min(max(ready, 0), self.capacity)

    @property
    def free(self) -> int:
        """How many records there is room for, at least, until the producer pushes again."""
        return self.capacity - len(self)

    @property
    def lost(self) -> int:
        """How many records found no room, since the ring was made."""
        return int(self._words()[_kernels.LOST])

    def statistics(self) -> RingStats:
        """The counts, from any thread; while both ends run, of one moment after another."""
        words = self._words()
        popped = int(words[_kernels.TAIL])
        return RingStats(int(words[_kernels.HEAD]), popped, self.lost, self.capacity)

    def __repr__(self) -> str:
        state = f"{len(self)} of {self.capacity}" if self._open else "closed"
        return f"<SpscRing {self.name}: {state}, {self._item_bytes} bytes each>"

    # -- its end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the ring here; whoever made the shared memory removes it. Twice is harmless.

        What is in it stays for the other process that has it open.
        """
        self._open = False
        self._producer = self._consumer = 0
        self._backstop.detach()
        self._memory.close()

    def __enter__(self) -> SpscRing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., SpscRing], tuple[Any, ...]]:
        if not self._shared:
            raise TypeError("A ring without shared memory cannot leave its process: name one")
        return _attached, (self.dtype, self.capacity, self.name)

    # -- within ----------------------------------------------------------------------------------

    def _words(self) -> npt.NDArray[np.int64]:
        if not self._open:
            raise RingClosed(self.name)
        return self._memory.words

    def _bytes(self, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if not isinstance(array, np.ndarray) or array.dtype != self.dtype:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"Expected an array of {self.dtype}, got {got}")
        if array.ndim != 1:
            raise ValueError(f"Expected one dimension, got {array.ndim}")
        return np.ascontiguousarray(array).view(np.uint8)

    def _claim(self, cell: int, end: str) -> int:
        """Make this thread the `end` in `cell`, if there is none any more."""
        words = self._words()
        thread = threading.current_thread()  # an unknown one is known from here on
        me = os.getpid() << 32 | (thread.native_id or 0) & 0xFFFFFFFF
        while (held := load(words, cell, Order.ACQUIRE)) != me:
            if held and not _has_ended(held):
                raise WrongThread(
                    f"The {end}'s end of ring {self.name}", f"a ring has one {end}, make another"
                )
            compare_exchange(words, cell, held, me, Order.ACQ_REL, Order.RELAXED)
        return _here()

    def _corrupt(self) -> RingCorrupt:
        words = self._words()
        head, tail = int(words[_kernels.HEAD]), int(words[_kernels.TAIL])
        return RingCorrupt(self.name, head, tail, self.capacity)


def _attached(dtype: np.dtype[Any], capacity: int, name: str) -> SpscRing:
    return SpscRing(dtype, capacity, shared_memory=name)


def _has_ended(holder: int) -> bool:
    """Whether the thread of this process, or the other process, that holds an end is no more."""
    pid, thread = holder >> 32, holder & 0xFFFFFFFF
    if pid == os.getpid():
        return all(t.native_id != thread for t in threading.enumerate())
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


_rings: weakref.WeakSet[SpscRing] = weakref.WeakSet()


def _forked() -> None:
    """A child's first thread bears the number of its parent's: it has to ask anew."""
    for ring in _rings:
        ring._producer = ring._consumer = 0


os.register_at_fork(after_in_child=_forked)
