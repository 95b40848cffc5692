"""The pool's memory: one arena of frames, and the tables that say which page is in which frame.

Each array has two faces over the same bytes: a plain Python one, because a NumPy scalar access
costs three times as much, and a NumPy one, because that is what kernels take.
"""

from __future__ import annotations

import heapq
import mmap
from array import array
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from meridian.database.storage.page import as_int
from meridian.database.storage.policies import Policy, make_policy

__all__ = ["FrameTable", "check_frames"]

_MAX_FRAMES = 2**31 - 1  # the page table has 32 bits per page, with a sign
_HUGE_PAGE = 1 << 21


class FrameTable:
    """Frames, and a bijection between the loaded ones and their pages. No locks, no I/O.

    One anonymous mapping holds all frames. It is page-aligned, so that the same memory serves
    direct I/O, Python (`view`) and kernels (`arena`).
    """

    __slots__ = (
        "arena",
        "buffer",
        "dirty",
        "dirty_bits",
        "frame_of",
        "free",
        "memory",
        "page_of",
        "page_size",
        "page_table",
        "pin_counts",
        "pins",
        "policy",
        "ref_bits",
        "refs",
    )

    def __init__(self, frames: int, page_size: int, policy: str, pages: int) -> None:
        self.page_size = page_size
        self.memory = _map_memory(frames * page_size)
        self.buffer = memoryview(self.memory)[: frames * page_size]
        self.arena: npt.NDArray[np.uint8] = np.frombuffer(self.buffer, np.uint8)
        self.arena = self.arena.reshape(frames, page_size)
        self.pins = array("i", bytes(4 * frames))
        self.pin_counts: npt.NDArray[np.int32] = np.frombuffer(self.pins, np.int32)
        self.refs = bytearray(frames)
        self.ref_bits: npt.NDArray[np.uint8] = np.frombuffer(self.refs, np.uint8)
        self.dirty = bytearray(frames)
        self.dirty_bits: npt.NDArray[np.uint8] = np.frombuffer(self.dirty, np.uint8)
        self.frame_of: dict[int, int] = {}
        self.page_of = [-1] * frames
        self.page_table: npt.NDArray[np.int32] = np.full(pages, -1, np.int32)
        self.free = list(range(frames))  # a heap: the lowest free frame is filled first
        self.policy: Policy = make_policy(policy, self.pins, self.refs)

    def view(self, frame: int) -> memoryview:
        """The bytes of `frame`."""
        return self.buffer[frame * self.page_size : (frame + 1) * self.page_size]

    def map(self, page_ids: Sequence[int], frames: Sequence[int]) -> None:
        """`frames` hold `page_ids` from now on: the one place that writes both directions."""
        last = max(page_ids)
        if last >= len(self.page_table):
            grown = np.full(max(2 * len(self.page_table), last + 1), -1, np.int32)
            grown[: len(self.page_table)] = self.page_table
            self.page_table = grown
        frame_of, page_of, page_table = self.frame_of, self.page_of, self.page_table
        for page_id, frame in zip(page_ids, frames, strict=True):
            frame_of[page_id] = frame
            page_of[frame] = page_id
            page_table[page_id] = frame

    def unmap(self, page_id: int) -> None:
        """`page_id` is in no frame from now on."""
        self.page_of[self.frame_of.pop(page_id)] = -1
        self.page_table[page_id] = -1

    def take(self) -> int:
        """A frame to fill: a free one, else the policy's victim, else -1."""
        return heapq.heappop(self.free) if self.free else self.policy.victim()

    def release(self, frame: int) -> None:
        """`frame` is empty, clean, unpinned and the next to be filled."""
        self.pins[frame] = 0
        self.dirty[frame] = 0
        self.refs[frame] = 0
        heapq.heappush(self.free, frame)


def check_frames(frames: int, page_size: int) -> int:
    """`frames` as int; `ValueError` unless a pool can have so many."""
    frames = as_int(frames, "frames")
    if frames < 1:
        raise ValueError(f"Expected at least 1 frame, got {frames}")
    if frames > _MAX_FRAMES:
        raise ValueError(
            f"Expected at most {_MAX_FRAMES} frames, got {frames}: {frames * page_size} bytes"
        )
    return frames


def _map_memory(size: int) -> mmap.mmap:
    """Private memory, page-aligned. In huge pages where the system has them: a first touch of a
    small page costs more than filling it."""
    if size >= _HUGE_PAGE:
        size += -size % _HUGE_PAGE  # only then Linux aligns it, and uses huge pages to its end
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"No {size} bytes of memory for the frames: {error}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # advice: a kernel without huge pages refuses it
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
