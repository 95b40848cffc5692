"""A fixed number of page frames in memory, and the rule that says which page has to go.

The policies are exact: a judge replays them. Empty frames are used first, lowest number first.

- "lru": the victim is the unpinned page whose last fetch is longest ago.
- "clock": every frame has a bit, set by a load and by a hit, and a hand goes round. It skips a
  pinned frame and leaves its bit alone, clears a set bit and moves on, and takes the first frame
  whose bit is clear, moving past it. Two full turns without a victim: `PoolExhausted`.
- "2q" (bonus; Johnson and Shasha, VLDB 1994, simplified): new pages wait in a FIFO whose target is
  a quarter of the frames; the ids of those evicted from it are remembered, half as many as there
  are frames; a page that comes back while remembered joins the main queue, which is LRU. The
  victim is the FIFO's oldest while the FIFO exceeds its target, else the main queue's; where that
  queue has no unpinned page, the other one's.
"""

from __future__ import annotations

import heapq
import mmap
from collections import OrderedDict
from dataclasses import dataclass

from .errors import PinError, PinLeak, PoolExhausted
from .page import PageType, SlottedPage
from .page_file import PageFile


@dataclass(slots=True)
class PoolStats:
    """What the pool has done since it was opened."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    writebacks: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits per fetch, 0.0 before the first one."""
        fetches = self.hits + self.misses
        return self.hits / fetches if fetches else 0.0


class PinnedPage:
    """One page, held in memory until unpinned: `with pool.fetch(page_id) as page: ...`.

    Views taken from it are released with the pin, so that touching them later is a `ValueError`
    instead of another page's bytes.
    """

    __slots__ = ("_frame", "_pool", "_views", "page_id")

    def __init__(self, pool: BufferPool, frame: int, page_id: int) -> None:
        self._pool, self._frame, self.page_id = pool, frame, page_id
        self._views: list[memoryview] = []

    @property
    def data(self) -> memoryview:
        """The page's bytes, read-only."""
        raise NotImplementedError(
            "database/01-storage #3: PinnedPage.data - a read-only view of the frame"
        )

    def data_mut(self) -> memoryview:
        """The page's bytes, writable; the page counts as dirty from now on."""
        raise NotImplementedError(
            "database/01-storage #3: PinnedPage.data_mut() - mark the frame dirty, give a writable view"
        )

    def unpin(self) -> None:
        """Give the page back; the second time is a `PinError`."""
        raise NotImplementedError(
            "database/01-storage #3: PinnedPage.unpin() - one pin less, and the views are released"
        )

    def __enter__(self) -> PinnedPage:
        return self

    def __exit__(self, *exc: object) -> None:
        raise NotImplementedError(
            "database/01-storage #3: PinnedPage.__exit__() - unpin, whatever happened inside the block"
        )


class BufferPool:
    """Keep hot pages in memory, so that reading one again costs no I/O.

    A pinned page stays where it is. An unpinned one may be evicted at the next miss: written back
    first if dirty, then its frame is loaded anew. All frames are one page-aligned memory map.

    Attributes: `stats` (`PoolStats`), `file`, `frames`.
    """

    def __init__(self, file: PageFile, frames: int = 64, policy: str = "clock") -> None:
        """`policy` is "lru" or "clock" (bonus: "2q"); anything else is a `ValueError`."""
        if frames < 1:
            raise ValueError(f"Expected at least 1 frame, got {frames}")
        self.file, self.frames, self.stats = file, frames, PoolStats()
        size = file.page_size
        arena = memoryview(mmap.mmap(-1, frames * size))
        self._frames = [arena[f * size : (f + 1) * size] for f in range(frames)]
        raise NotImplementedError(
            "database/01-storage #3: BufferPool() - page table, pin counts, dirty bits, the chosen policy"
        )

    def fetch(self, page_id: int) -> PinnedPage:
        """Page `page_id`, pinned. A miss loads it with `PageFile.read_page`, so it is verified.

        `PoolExhausted`, with nothing changed, if every frame is pinned. If the load fails, the
        error passes through, the page that was evicted for it is safe on disk, and its frame is
        empty.
        """
        raise NotImplementedError(
            "database/01-storage #3: fetch() - hit: count and tell the policy; miss: evict, load; then pin"
        )

    def new_page(self, page_type: PageType = PageType.DATA) -> PinnedPage:
        """A newly allocated page, formatted and pinned."""
        raise NotImplementedError(
            "database/01-storage #3: new_page() - allocate_page() of the file, then fetch()"
        )

    def free_page(self, page_id: int) -> None:
        """Forget the page, changed or not, and give it back to the file; `PinError` if pinned."""
        raise NotImplementedError(
            "database/01-storage #overflow: free_page() - drop the frame unwritten, then file.free_page()"
        )

    def flush_some(self, limit: int = 64) -> int:
        """Write back at most `limit` dirty pages that nobody has pinned; return how many."""
        raise NotImplementedError(
            "database/01-storage #flusher: flush_some() - what flush_all() does, up to a limit, unpinned"
        )

    def flush_all(self) -> int:
        """Write back every dirty page and return how many. The pages stay in the pool."""
        raise NotImplementedError(
            "database/01-storage #2: flush_all() - file.write_page() for each dirty frame"
        )

    def close(self) -> None:
        """Flush. `PinLeak`, after flushing, if pages are still pinned. The file stays open."""
        raise NotImplementedError(
            "database/01-storage #3: BufferPool.close() - flush_all(), then PinLeak if a pin is left"
        )
