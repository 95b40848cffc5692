"""The memory of a ring: private to this process, or a named segment that others attach to.

A segment begins with a header that says what it holds; the word that makes it a ring is written
last, so whoever attaches meanwhile waits for it, for a second at most.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
import warnings
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from meridian.errors import MeridianError
from meridian.foundation.channels import _kernels
from meridian.foundation.sync.atomics import Order, aligned_cells, load, store

__all__ = ["RingMemory", "RingMismatch"]

MAGIC = int.from_bytes(b"MRDNSPSC", "little")
HEADER_BYTES = 8 * _kernels.HEADER_WORDS
TEXT_AT, TEXT_END = 64, 512  # the dtype for people, in the header's bytes
PATIENCE_S = 1.0
_lock = threading.Lock()
_still_held: list[SharedMemory] = []


class RingMismatch(MeridianError, ValueError):
    """A shared memory segment that holds another ring than the one asked for, or none."""

    def __init__(self, name: str, wanted: str, found: str) -> None:
        self.name = name
        self.wanted = wanted
        self.found = found
        super().__init__(
            f"Shared memory {name!r} holds {found}, asked for {wanted}: "
            "use another name, or the dtype and capacity it was made with"
        )


class RingMemory:
    """Header and slots of one ring: `words` i8[128] and `slots` u1[capacity * item bytes]."""

    def __init__(self, dtype: np.dtype[Any], capacity: int, name: str | None) -> None:
        self.name = name
        self.creator_pid = 0
        self._segment: SharedMemory | None = None
        size = HEADER_BYTES + capacity * dtype.itemsize
        if name is None:
            self._use(aligned_cells(-(-size // 8)).view(np.uint8), size)
            self._describe(dtype, capacity)
            return
        self._segment, created = _create_or_attach(name, size)
        if created:
            self.creator_pid = os.getpid()
            self._use(_bytes(self._segment), size)
            self._describe(dtype, capacity)
            return
        found = _read_header(self._segment)
        if found[:3] != (capacity, dtype.itemsize, _digest(dtype)):
            _unmap(self._segment)
            wanted = _text(capacity, dtype.itemsize, _name(dtype))
            raise RingMismatch(name, wanted, _text(found[0], found[1], found[3]))
        self._use(_bytes(self._segment), size)

    def close(self) -> None:
        """Let go of the memory; its creator removes the name as well. Twice is harmless.

        What a push or pop in another thread, or a traceback, still holds of it stays mapped until
        it lets go.
        """
        segment, self._segment = self._segment, None
        if segment is None:
            return
        self._use(np.zeros(0, np.uint8), 0)
        if self.creator_pid == os.getpid():
            with contextlib.suppress(FileNotFoundError):  # somebody else removed it
                segment.unlink()
        _unmap(segment)

    def abandon(self, what: str) -> None:
        """`close`, for a ring that nobody closed."""
        if self._segment is not None:
            self.close()
            warnings.warn(f"{what} was not closed", ResourceWarning, 2)

    def _use(self, raw: npt.NDArray[np.uint8], size: int) -> None:
        self.words: npt.NDArray[np.int64] = raw[:HEADER_BYTES].view(np.int64)
        self.slots: npt.NDArray[np.uint8] = raw[HEADER_BYTES:size]

    def _describe(self, dtype: np.dtype[Any], capacity: int) -> None:
        text = _name(dtype).encode()[: TEXT_END - TEXT_AT]
        words = self.words
        words.view(np.uint8)[TEXT_AT : TEXT_AT + len(text)] = np.frombuffer(text, np.uint8)
        words[_kernels.CAPACITY] = capacity
        words[_kernels.ITEM_BYTES] = dtype.itemsize
        words[_kernels.DTYPE_HASH] = _digest(dtype)
        words[_kernels.TEXT_BYTES] = len(text)
        store(words, _kernels.MAGIC, MAGIC, Order.RELEASE)


def _create_or_attach(name: str, size: int) -> tuple[SharedMemory, bool]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(FileExistsError):
            return _create(name, size), True
        found = "something else"
        try:
            segment = _attach(name)
        except FileNotFoundError:
            found = "nothing any more"  # removed between the two calls: try again
        except ValueError:
            found = "nothing yet"  # made, but without a size
        else:
            if _is_ring(segment):
                return segment, False
            segment.close()
        if time.monotonic() > deadline:
            raise RingMismatch(name, "a ring", found)
        time.sleep(0.001)


def _create(name: str, size: int) -> SharedMemory:
    """A new segment whose memory is there. Raises `OSError` where it is not.

    Linux gives a page of shared memory when it is first written to, and answers with SIGBUS when
    there is none left.
    """
    segment = SharedMemory(name, create=True, size=size)
    path = f"/dev/shm/{name}"
    if os.path.exists(path):
        file = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            segment.close()
            segment.unlink()
            raise
        finally:
            os.close(file)
    return segment


def _attach(name: str) -> SharedMemory:
    """The segment `name`, which stays its creator's to remove.

    Before Python 3.13 attaching counts as creating: when this process ends, its resource tracker
    would remove the segment under the others' feet (python/cpython#82300).
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    me, register = threading.get_ident(), resource_tracker.register

    def register_others(what: str, kind: str) -> None:
        if threading.get_ident() != me:
            register(what, kind)

    with _lock:
        resource_tracker.register = register_others  # type: ignore[assignment]
        try:
            return SharedMemory(name)
        finally:
            resource_tracker.register = register


def _unmap(segment: SharedMemory) -> None:
    """Close `segment`, and those that could not be closed earlier."""
    with _lock:
        waiting = [*_still_held, segment]
        _still_held.clear()
        for each in waiting:
            try:
                each.close()
            except BufferError:
                _still_held.append(each)


def _bytes(segment: SharedMemory) -> npt.NDArray[np.uint8]:
    return np.frombuffer(cast(memoryview, segment.buf), np.uint8)


def _is_ring(segment: SharedMemory) -> bool:
    if segment.size < HEADER_BYTES:
        return False
    words = _bytes(segment)[:HEADER_BYTES].view(np.int64)
    return bool(load(words, _kernels.MAGIC, Order.ACQUIRE) == MAGIC)


def _read_header(segment: SharedMemory) -> tuple[int, int, int, str]:
    words = _bytes(segment)[:HEADER_BYTES].view(np.int64)
    length = min(max(int(words[_kernels.TEXT_BYTES]), 0), TEXT_END - TEXT_AT)
    text = words.view(np.uint8)[TEXT_AT : TEXT_AT + length].tobytes().decode(errors="replace")
    capacity, item_bytes = int(words[_kernels.CAPACITY]), int(words[_kernels.ITEM_BYTES])
    if segment.size < HEADER_BYTES + capacity * item_bytes:
        capacity = -1  # cut short: not what anybody asks for
    return capacity, item_bytes, int(words[_kernels.DTYPE_HASH]), text


def _name(dtype: np.dtype[Any]) -> str:
    return str(dtype.descr if dtype.names else dtype.str)


def _digest(dtype: np.dtype[Any]) -> int:
    text = repr((dtype.descr if dtype.names else dtype.str, dtype.itemsize))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _text(capacity: int, item_bytes: int, dtype: str) -> str:
    return f"a ring of {capacity} records of {item_bytes} bytes, {dtype}"
