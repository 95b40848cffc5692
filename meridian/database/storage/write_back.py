"""Dirty pages on their way to the file: hook, checksum, one call per stretch of neighbours."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Sequence

from meridian.database.storage.frame_table import FrameTable
from meridian.database.storage.latch import Latch
from meridian.database.storage.page import seal_view
from meridian.database.storage.page_file import PageFile
from meridian.database.storage.pool_stats import PoolStats

__all__ = ["BeforeFlush", "WriteBack"]

BeforeFlush = Callable[[int, memoryview], None]
_BATCH = 64  # pages copied and written together


class WriteBack:
    """Write dirty pages while others go on using them.

    A flush copies pages under the latch, clears their dirty bits and writes the copies, so that a
    page changed meanwhile is neither torn nor forgotten: the change sets the bit again. The frames
    are pinned until the copies have landed; else a page could be evicted, read back from the file
    and be older than it was.
    """

    def __init__(
        self,
        file: PageFile,
        table: FrameTable,
        latch: Latch,
        stats: PoolStats,
        before_flush: BeforeFlush | None,
    ) -> None:
        self.before_flush = before_flush
        self.in_flight: set[int] = set()  # frames with a copy on its way
        self.leaving: set[int] = set()  # pages that an eviction is writing
        self._file = file
        self._table = table
        self._latch = latch
        self._lock = latch.lock
        self._stats = stats
        self._turn = threading.RLock()  # two copies of one page must land in order
        self._hand = 0
        batch = min(_BATCH, len(table.page_of))
        copies = memoryview(mmap.mmap(-1, batch * table.page_size))
        size = table.page_size
        self._copies = [copies[i * size : (i + 1) * size] for i in range(batch)]

    def write_victims(self, victims: Sequence[tuple[int, int]]) -> None:
        """Write pages (page id, frame) that nobody else can reach. All dirty ones, or an error."""
        page_ids = [page_id for page_id, _ in victims]
        self._write(page_ids, [self._table.view(frame) for _, frame in victims])

    def flush(self, page_ids: Sequence[int] | None = None) -> int:
        """Write the dirty pages among `page_ids` (default: all); return how many were written.

        If the hook or a write raises, pages of batches that did not land stay dirty.
        """
        written = 0
        with self._turn:
            with self._lock:
                table = self._table
                if page_ids is None:
                    page_ids = [page for page, f in table.frame_of.items() if table.dirty[f]]
                    page_ids += self.leaving
                # A page that is being evicted has been flushed once it is gone.
                while not self.leaving.isdisjoint(page_ids):
                    self._latch.wait()
            page_ids = sorted(page_ids)
            for i in range(0, len(page_ids), len(self._copies)):
                written += self._flush_batch(page_ids[i : i + len(self._copies)])
        return written

    def flush_some(self, limit: int) -> int:
        """Write up to `limit` dirty pages that nobody has pinned, going round the frames."""
        table = self._table
        chosen: list[int] = []
        with self._turn:
            with self._lock:
                hand = self._hand
                for start, stop in ((hand, len(table.dirty)), (0, hand)):
                    frame = table.dirty.find(1, start, stop)
                    while frame >= 0 and len(chosen) < limit:
                        if not table.pins[frame]:
                            chosen.append(table.page_of[frame])
                            self._hand = frame + 1
                        frame = table.dirty.find(1, frame + 1, stop)
            return self.flush(chosen)

    def _flush_batch(self, page_ids: Sequence[int]) -> int:
        table = self._table
        copied: list[tuple[int, int]] = []
        with self._lock:
            for page_id in page_ids:
                frame = table.frame_of.get(page_id, -1)
                if frame >= 0 and table.dirty[frame]:
                    self._copies[len(copied)][:] = table.view(frame)
                    table.dirty[frame] = 0
                    table.pins[frame] += 1
                    copied.append((page_id, frame))
            frames = [frame for _, frame in copied]
            self.in_flight.update(frames)
        if not copied:
            return 0
        landed = False
        try:
            self._write([page_id for page_id, _ in copied], self._copies[: len(copied)])
            landed = True
        finally:
            with self._lock:
                for frame in frames:
                    table.pins[frame] -= 1
                    if not landed:
                        table.dirty[frame] = 1
                self.in_flight.difference_update(frames)
                self._latch.wake()
        return len(copied)

    def _write(self, page_ids: Sequence[int], pages: Sequence[memoryview]) -> None:
        if self.before_flush is not None:
            for page_id, page in zip(page_ids, pages, strict=True):
                seal_view(page)
                self.before_flush(page_id, page.toreadonly())
        self._file.write_pages(page_ids, pages)
        with self._lock:
            self._stats.writebacks += len(page_ids)
