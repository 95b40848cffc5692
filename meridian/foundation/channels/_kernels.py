"""Copying into and out of a ring that two threads, or two processes, share.

`words` is the header of the ring, i8[128]; the positions below say what stands where. Head and tail
count all records ever pushed and popped; what one end writes lies two cache lines from what the
other does, for processors fetch lines in pairs. Each end keeps its last look at the other's count
beside its own, and looks again only when that does not suffice.

Nothing in the header is trusted: the other end may be another program. The plain-Python twins are
the kernels' ``py_func``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core import cgutils as _cgutils
from numba.core import types as _types
from numba.extending import intrinsic, overload

from meridian.foundation.sync.atomics import Order, load, store

__all__ = ["CORRUPT", "pop_records", "push_records", "warmup"]

cgutils: Any = _cgutils  # numba carries no annotations for these
types: Any = _types

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Int = Any  # int in Python, int64 when compiled

MAGIC, CAPACITY, ITEM_BYTES, DTYPE_HASH, TEXT_BYTES = range(5)
HEAD, SEEN_TAIL, LOST = 64, 65, 66  # written by the producer
TAIL, SEEN_HEAD = 80, 81  # written by the consumer
PRODUCER, CONSUMER = 96, 112  # who they are
HEADER_WORDS = 128

CORRUPT = -1


def _copy(target: U8, at: Int, source: U8, start: Int, length: Int) -> None:
    """``target[at : at + length] = source[start : start + length]``, for two flat arrays."""
    target[at : at + length] = source[start : start + length]


def _type_memcpy(_context: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        to, at, come_from, start, length = values
        make = (context.make_array(signature.args[0]), context.make_array(signature.args[2]))
        to_data = builder.gep(make[0](context, builder, to).data, [at])
        from_data = builder.gep(make[1](context, builder, come_from).data, [start])
        cgutils.raw_memcpy(builder, to_data, from_data, length, 1)
        return context.get_dummy_value()

    return types.void(target, at, source, start, length), emit


_memcpy: Any = intrinsic(_type_memcpy)


@overload(_copy, strict=False)
def _copy_compiled(target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:  # noqa: ARG001
    return lambda target, at, source, start, length: _memcpy(target, at, source, start, length)


@njit(cache=True, nogil=True)
def push_records(words: I64, slots: U8, records: U8, item_bytes: Int, mask: Int) -> Int:
    """Copy in as many of `records` as there is room for, and count the others as lost.

    They are seen by the consumer all at once, by the one store at the end: a producer that dies
    before has pushed nothing. Returns how many, or CORRUPT.
    """
    count, capacity = len(records) // item_bytes, mask + 1
    if len(words) != HEADER_WORDS or len(slots) != capacity * item_bytes:  # closed meanwhile
        return CORRUPT
    head = load(words, HEAD, Order.RELAXED)
    room = capacity - (head - words[SEEN_TAIL])
    if not count <= room <= capacity:
        words[SEEN_TAIL] = load(words, TAIL, Order.ACQUIRE)
        room = capacity - (head - words[SEEN_TAIL])
        if not 0 <= room <= capacity:
            return CORRUPT
    taken = min(count, room)
    at = head & mask
    first = min(taken, capacity - at)
    _copy(slots, at * item_bytes, records, 0, first * item_bytes)
    _copy(slots, 0, records, first * item_bytes, (taken - first) * item_bytes)
    store(words, HEAD, head + taken, Order.RELEASE)
    if taken < count:
        store(words, LOST, words[LOST] + count - taken, Order.RELAXED)
    return taken


@njit(cache=True, nogil=True)
def pop_records(words: I64, slots: U8, out: U8, item_bytes: Int, mask: Int) -> Int:
    """Move the oldest records into `out`, as many as it holds and there are. The same answer."""
    count, capacity = len(out) // item_bytes, mask + 1
    if len(words) != HEADER_WORDS or len(slots) != capacity * item_bytes:  # closed meanwhile
        return CORRUPT
    tail = load(words, TAIL, Order.RELAXED)
    ready = words[SEEN_HEAD] - tail
    if not count <= ready <= capacity:
        words[SEEN_HEAD] = load(words, HEAD, Order.ACQUIRE)
        ready = words[SEEN_HEAD] - tail
        if not 0 <= ready <= capacity:
            return CORRUPT
    taken = min(count, ready)
    at = tail & mask
    first = min(taken, capacity - at)
    _copy(out, 0, slots, at * item_bytes, first * item_bytes)
    _copy(out, first * item_bytes, slots, 0, (taken - first) * item_bytes)
    store(words, TAIL, tail + taken, Order.RELEASE)
    return taken


def warmup() -> None:
    """Compile both kernels for the types they are called with, or load them from the cache."""
    words, slots, records = np.zeros(HEADER_WORDS, np.int64), np.zeros(8, np.uint8), b"\0" * 8
    push_records(words, slots, np.frombuffer(records, np.uint8), 8, 0)
    pop_records(words, slots, slots.copy(), 8, 0)
    push_records(words, slots, slots.copy(), 8, 0)
