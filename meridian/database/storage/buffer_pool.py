"""Pages in memory: found by number, pinned while in use, written back when they must go.

One latch guards tables, pins and policy; no I/O ever happens under it. A page on its way in or
out is in no table: it is *in transit*, and whoever wants it waits (Gray and Reuter, *Transaction
Processing*, 13.4; Petrov, *Database Internals*, ch. 5).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from meridian.database.storage.errors import (
    PageOutOfRange,
    PagesLost,
    PinError,
    PinLeak,
    StorageClosed,
)
from meridian.database.storage.frame_table import FrameTable, check_frames
from meridian.database.storage.latch import Latch
from meridian.database.storage.loader import Loader
from meridian.database.storage.page import PageType, as_int
from meridian.database.storage.page_file import PageFile
from meridian.database.storage.pinned_page import PinnedPage
from meridian.database.storage.policies import GHOSTS, Clock
from meridian.database.storage.pool_stats import PoolStatistics, PoolStats
from meridian.database.storage.write_back import BeforeFlush, WriteBack

__all__ = ["BufferPool"]


class BufferPool:
    """Keep hot pages in memory, so that most page accesses cost no system call.

    - A pinned page stays in its frame; an unpinned one may leave at any time.
    - A dirty page is sealed and written before its frame is reused.
    - Every page is verified when it is loaded. If that fails, the frame is free again, the page
      that had to leave is safe in the file, and the bad page is in no table.
    - Threads that miss on one page at the same time load it once.

    `arena` (uint8, frames x page_size), `page_table` (int32, page id to frame or -1; read it
    again after every call, it grows), `pin_counts` (int32), `ref_bits` and `dirty_bits` (uint8)
    are the pool's own memory, for kernels and pictures. Who works on them without a pin holds
    `latch` meanwhile.
    """

    def __init__(
        self,
        file: PageFile,
        frames: int = 64,
        policy: str = "clock",
        *,
        before_flush: BeforeFlush | None = None,
        checked: bool = True,
    ) -> None:
        """Make a pool of `frames` frames over `file`, empty, with policy lru, clock or 2q.

        `before_flush(page_id, page)` runs before every write of a dirty page, with the bytes that
        will be written; if it raises, the page stays dirty and in memory. It must not use the
        pool. `checked=False` gives out views that outlive their pin: faster, for code that is
        known to behave.
        """
        frames = check_frames(frames, file.page_size)
        self.file = file
        self.frames = frames
        self.checked = checked
        self.stats = PoolStats()
        latch = Latch()
        self.latch = latch.lock
        self._table = FrameTable(frames, file.page_size, policy, file.page_count)
        self._writer = WriteBack(file, self._table, latch, self.stats, before_flush)
        self._loader = Loader(file, self._table, latch, self.stats, self._writer)
        self._changeable = not file.readonly  # until the pool is closed
        self._leaked: list[int] = []  # appending is atomic, and a finalizer must not wait
        # The hit path's own names, one attribute away.
        self._acquire = self.latch.acquire
        self._release = self.latch.release
        self._frame_of = self._table.frame_of
        self._pins = self._table.pins
        self._refs = self._table.refs
        self._dirty = self._table.dirty
        self._touch = self._table.policy.touch

    def fetch(self, page_id: int, *, scan: bool = False) -> PinnedPage:
        """Pin page `page_id`, reading it if it is not in memory.

        `scan=True` says that the page will hardly be used again: it does not displace better ones.
        Raises `PageOutOfRange`, `CorruptPage`, `PoolExhausted`, `OSError`; nothing is pinned then.
        """
        if type(page_id) is not int:
            page_id = as_int(page_id, "page_id")
        self._acquire()  # `with` costs twice as much, and this is half of a hit
        try:
            frame = self._frame_of.get(page_id)
            if frame is not None:
                self._pins[frame] += 1
                self.stats.hits += 1
                if not scan:
                    self._refs[frame] = 1
                    if self._touch is not None:
                        self._touch(frame)
        finally:
            self._release()
        if frame is None:
            frame = self._loader.load((page_id,), scan=scan)[0]
        return PinnedPage(self, page_id, frame)

    def fetch_many(
        self, page_ids: npt.NDArray[np.integer] | Sequence[int], *, scan: bool = False
    ) -> npt.NDArray[np.int32]:
        """Pin many pages, missing ones read together; return their frames, in order.

        A page named twice is pinned twice. All or none: after an error nothing is pinned.
        """
        ids = _int_list(page_ids, "page ids")
        return np.array(self._loader.load(ids, scan=scan), np.int32)

    def unpin_many(
        self, frames: npt.NDArray[np.integer] | Sequence[int], dirty: bool = False
    ) -> None:
        """Give up one pin on each frame from `fetch_many`, marking their pages dirty if `dirty`.

        Raises `PinError`, and gives up none, if a frame has fewer pins than it is named; with
        `dirty` also `StorageClosed` after `close`, and `io.UnsupportedOperation` if the file is
        read-only.
        """
        if dirty and not self._changeable:
            self._refuse_change()
        given_up: dict[int, int] = {}
        for frame in _int_list(frames, "frames"):
            given_up[frame] = given_up.get(frame, 0) + 1
        with self.latch:
            for frame, count in given_up.items():
                if not 0 <= frame < self.frames:
                    raise PinError(None, f"there is no frame {frame}: the pool has {self.frames}")
                pins = self._loader.user_pins(frame)
                if pins < count:
                    page_id = self._table.page_of[frame]
                    raise PinError(
                        page_id if page_id >= 0 else None,
                        f"frame {frame} has {pins} pin{'s' * (pins != 1)}, not {count}",
                    )
            for frame, count in given_up.items():
                self._pins[frame] -= count
                if dirty:
                    self._dirty[frame] = 1

    def new_page(self, page_type: PageType = PageType.DATA) -> PinnedPage:
        """Allocate a page in the file and pin it: empty, of `page_type`, dirty."""
        return self.new_pages(1, page_type)[0]

    def new_pages(self, count: int, page_type: PageType = PageType.DATA) -> list[PinnedPage]:
        """`count` new pages at once, formatted and written in one go. All or none."""
        count = as_int(count, "count")
        if count < 1:
            raise ValueError(f"Expected count >= 1, got {count}")
        created = self._loader.create(count, PageType(page_type))
        return [PinnedPage(self, page_id, frame) for page_id, frame in created]

    def free_page(self, page_id: int) -> None:
        """Drop page `page_id` from memory and put it on the file's free list.

        Raises `PinError` if it is pinned, and what `PageFile.free_page` raises.
        """
        self._loader.free(as_int(page_id, "page_id"))

    def flush_page(self, page_id: int) -> bool:
        """Write page `page_id` if it is dirty; return whether it was. Pinned pages too."""
        page_id = as_int(page_id, "page_id")
        if not 0 < page_id < self.file.page_count:
            raise PageOutOfRange(page_id, self.file.page_count)
        self._check_open()
        return self._writer.flush((page_id,)) == 1

    def flush_some(self, limit: int = 64) -> int:
        """Write up to `limit` dirty pages that nobody has pinned; return how many were written."""
        self._check_open()
        return self._writer.flush_some(as_int(limit, "limit"))

    def flush_all(self, *, sync: bool = False) -> int:
        """Write every dirty page; with `sync`, return only once the device has them.

        Returns the number of pages written. If a write or the hook raises, the rest stays dirty.
        """
        self._check_open()
        written = self._writer.flush()
        if sync:
            self.file.sync()
        return written

    def close(self) -> None:
        """Flush and end. Leaves the file open. A second call does nothing.

        Raises `PinLeak` if pages are still pinned, after everything was written. If writing
        fails, the error comes out and the pool stays open, so that nothing is lost; but if the
        file was closed before, `PagesLost` names the changed pages, and the pool is closed.
        """
        if self.closed:
            return
        lost = self._drop_changes() if self.file.closed else []
        pins = None
        while pins is None:  # other threads may still be changing pages
            self.flush_all()
            pins = self._loader.shut()
        self._changeable = False
        if lost:
            raise PagesLost(self.file.path, lost)
        if pins:
            raise PinLeak(pins)

    @property
    def closed(self) -> bool:
        return self._loader.closed

    @property
    def policy(self) -> str:
        """The replacement policy: lru, clock or 2q."""
        return self._table.policy.name

    @property
    def before_flush(self) -> BeforeFlush | None:
        """The hook that runs before every write of a dirty page."""
        return self._writer.before_flush

    @before_flush.setter
    def before_flush(self, hook: BeforeFlush | None) -> None:
        self._writer.before_flush = hook

    @property
    def arena(self) -> npt.NDArray[np.uint8]:
        """All frames, uint8 (frames, page_size)."""
        return self._table.arena

    @property
    def page_table(self) -> npt.NDArray[np.int32]:
        """Frame of each page, -1 for a page that is not in memory. Replaced when it grows."""
        return self._table.page_table

    @property
    def pin_counts(self) -> npt.NDArray[np.int32]:
        """Pins of each frame; a frame in I/O is pinned by the pool itself."""
        return self._table.pin_counts

    @property
    def ref_bits(self) -> npt.NDArray[np.uint8]:
        """1 for each frame used since the clock's hand passed it."""
        return self._table.ref_bits

    @property
    def dirty_bits(self) -> npt.NDArray[np.uint8]:
        """1 for each frame whose page is newer than in the file."""
        return self._table.dirty_bits

    @property
    def hand(self) -> int | None:
        """The frame that the clock's hand points at; ``None`` under another policy."""
        policy = self._table.policy
        return policy.hand if isinstance(policy, Clock) else None

    def resident(self) -> list[int]:
        """The pages in memory, ascending."""
        with self.latch:
            return sorted(self._frame_of)

    def pinned(self) -> dict[int, int]:
        """Pins of each pinned page."""
        with self.latch:
            return self._loader.pinned()

    def queues(self) -> dict[str, list[int]]:
        """The pages in the policy's queues, next to leave first: LRU; A1in, Am and A1out of 2Q."""
        with self.latch:
            page_of = self._table.page_of
            return {
                name: entries if name == GHOSTS else [page_of[frame] for frame in entries]
                for name, entries in self._table.policy.queues().items()
            }

    def statistics(self) -> PoolStatistics:
        """A frozen copy of `stats`, and how the frames stand."""
        with self.latch:
            return PoolStatistics(
                **asdict(self.stats),
                frames=self.frames,
                resident=len(self._frame_of),
                pinned=len(self._loader.pinned()),
                dirty=self._dirty.count(1),
                leaks=len(self._leaked),
            )

    def _check_open(self) -> None:
        if self.closed:
            raise StorageClosed("The buffer pool")

    def _drop_changes(self) -> list[int]:
        """Forget what can be written nowhere; return the pages concerned."""
        with self.latch:
            changed = [(page, f) for page, f in self._frame_of.items() if self._dirty[f]]
            for _, frame in changed:
                self._dirty[frame] = 0
        return sorted(page_id for page_id, _ in changed)

    def _refuse_change(self) -> NoReturn:
        self._check_open()
        raise io.UnsupportedOperation(f"{self.file.path} is open read-only")

    def __del__(self) -> None:
        loader: Loader | None = getattr(self, "_loader", None)  # none if there was no memory
        if loader is not None and not loader.closed and 1 in self._table.dirty:
            count = self._table.dirty.count(1)
            lost = "1 changed page is lost" if count == 1 else f"{count} changed pages are lost"
            # Without `source`, which would keep the pool alive, and the file it may hold alone.
            warnings.warn(
                f"{self.file.path} was never closed: {lost}", ResourceWarning, stacklevel=2
            )

    def __enter__(self) -> BufferPool:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _int_list(values: npt.NDArray[np.integer] | Sequence[int], name: str) -> list[int]:
    array = np.asarray(values)
    if array is not values and any(isinstance(value, (bool, np.bool_)) for value in values):
        array = np.zeros(array.shape, np.bool_)  # a bool among ints counts as one of them
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"Expected {name} as a flat array of ints, got {array.dtype}{array.shape}")
    result: list[int] = array.tolist()
    return result
