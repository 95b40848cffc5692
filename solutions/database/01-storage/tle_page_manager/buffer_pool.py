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


### BEGIN SOLUTION
# A policy knows frames by number. It is told `loaded(frame, page_id)` after a miss, `hit(frame)`,
# and `evicted(frame)`; `victim(pins)` is the unpinned frame that has to go, or `None`.


class _Lru:
    """Victim: the unpinned frame whose last fetch is longest ago."""

    def __init__(self, _frames: int) -> None:
        self._order: OrderedDict[int, None] = OrderedDict()  # oldest fetch first
        self.hit = self._order.move_to_end

    def loaded(self, frame: int, _page_id: int) -> None:
        self._order[frame] = None

    def victim(self, pins: list[int]) -> int | None:
        return next((frame for frame in self._order if not pins[frame]), None)

    def evicted(self, frame: int) -> None:
        del self._order[frame]


class _Clock:
    """Victim: the first unpinned frame under the hand that was not fetched since the last pass.

    A load and a hit set the frame's bit. The hand skips pinned frames and leaves their bit alone,
    clears a set bit and moves on, takes a frame whose bit is clear and moves past it.
    """

    def __init__(self, frames: int) -> None:
        self._referenced = bytearray(frames)
        self._hand = 0

    def loaded(self, frame: int, _page_id: int) -> None:
        self._referenced[frame] = 1

    def hit(self, frame: int) -> None:
        self._referenced[frame] = 1

    def victim(self, pins: list[int]) -> int | None:
        for _ in range(2 * len(pins)):
            frame = self._hand
            self._hand = (frame + 1) % len(pins)
            if pins[frame]:
                continue
            if not self._referenced[frame]:
                return frame
            self._referenced[frame] = 0
        return None

    def evicted(self, frame: int) -> None:
        self._referenced[frame] = 0


class _TwoQ:
    """A page must be fetched again after it was evicted once to be kept: a scan never is.

    Johnson and Shasha, 2Q, VLDB 1994 (simplified): new pages wait in a FIFO of a quarter of the
    frames; the ids of those evicted from it are remembered, half as many as there are frames; a
    page that comes back while remembered joins the LRU main queue.
    """

    def __init__(self, frames: int) -> None:
        self._fifo_target, self._ghost_limit = max(1, frames // 4), max(1, frames // 2)
        self._fifo: OrderedDict[int, int] = OrderedDict()  # frame: page id, oldest load first
        self._main: OrderedDict[int, int] = OrderedDict()  # the same, oldest fetch first
        self._ghosts: OrderedDict[int, None] = OrderedDict()

    def loaded(self, frame: int, page_id: int) -> None:
        remembered = page_id in self._ghosts
        self._ghosts.pop(page_id, None)
        if len(self._ghosts) > self._ghost_limit:
            self._ghosts.popitem(last=False)
        (self._main if remembered else self._fifo)[frame] = page_id

    def hit(self, frame: int) -> None:
        if frame in self._main:
            self._main.move_to_end(frame)

    def victim(self, pins: list[int]) -> int | None:
        queues = [self._main, self._fifo]
        if len(self._fifo) > self._fifo_target:
            queues.reverse()
        return next((frame for queue in queues for frame in queue if not pins[frame]), None)

    def evicted(self, frame: int) -> None:
        if self._main.pop(frame, None) is None:
            self._ghosts[self._fifo.pop(frame)] = None


### END SOLUTION
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
        ### BEGIN SOLUTION #3: PinnedPage.data - a read-only view of the frame
        view = self._frame_view().toreadonly()
        self._views.append(view)
        return view
        ### END SOLUTION

    def data_mut(self) -> memoryview:
        """The page's bytes, writable; the page counts as dirty from now on."""
        ### BEGIN SOLUTION #3: PinnedPage.data_mut() - mark the frame dirty, give a writable view
        view = self._frame_view()[:]
        self._views.append(view)
        self._pool._dirty[self._frame] = 1
        return view
        ### END SOLUTION

    def unpin(self) -> None:
        """Give the page back; the second time is a `PinError`."""
        ### BEGIN SOLUTION #3: PinnedPage.unpin() - one pin less, and the views are released
        if self._frame < 0:
            raise PinError(self.page_id, "unpinned twice")
        self._pool._pins[self._frame] -= 1
        self._frame = -1
        for view in self._views:
            view.release()
        ### END SOLUTION

    def __enter__(self) -> PinnedPage:
        return self

    def __exit__(self, *exc: object) -> None:
        ### BEGIN SOLUTION #3: PinnedPage.__exit__() - unpin, whatever happened inside the block
        self.unpin()
        ### END SOLUTION

    ### BEGIN SOLUTION
    def _frame_view(self) -> memoryview:
        if self._frame < 0:
            raise PinError(self.page_id, "used after unpin")
        return self._pool._frames[self._frame]

    ### END SOLUTION


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
        ### BEGIN SOLUTION #3: BufferPool() - page table, pin counts, dirty bits, the chosen policy
        policies: dict[str, type[_Lru | _Clock | _TwoQ]] = {
            "lru": _Lru,
            "clock": _Clock,
            "2q": _TwoQ,
        }
        if policy not in policies:
            raise ValueError(f"Expected policy {', '.join(map(repr, policies))}, got {policy!r}")
        self._policy = policies[policy](frames)
        self._hit = self._policy.hit
        self._pages = [SlottedPage(frame) for frame in self._frames]
        self._table: dict[int, int] = {}  # page id: frame
        self._page_ids = [0] * frames
        self._pins = [0] * frames
        self._dirty = bytearray(frames)
        self._empty = list(range(frames))  # a heap: lowest frame first
        ### END SOLUTION

    def fetch(self, page_id: int) -> PinnedPage:
        """Page `page_id`, pinned. A miss loads it with `PageFile.read_page`, so it is verified.

        `PoolExhausted`, with nothing changed, if every frame is pinned. If the load fails, the
        error passes through, the page that was evicted for it is safe on disk, and its frame is
        empty.
        """
        ### BEGIN SOLUTION #3: fetch() - hit: count and tell the policy; miss: evict, load; then pin
        frame = self._frame_of(page_id)
        self._pins[frame] += 1
        return PinnedPage(self, frame, page_id)
        ### END SOLUTION

    def new_page(self, page_type: PageType = PageType.DATA) -> PinnedPage:
        """A newly allocated page, formatted and pinned."""
        ### BEGIN SOLUTION #3: new_page() - allocate_page() of the file, then fetch()
        frame = self._new(page_type)
        self._pins[frame] += 1
        return PinnedPage(self, frame, self._page_ids[frame])
        ### END SOLUTION

    def free_page(self, page_id: int) -> None:
        """Forget the page, changed or not, and give it back to the file; `PinError` if pinned."""
        ### BEGIN SOLUTION #overflow: free_page() - drop the frame unwritten, then file.free_page()
        frame = self._table.get(page_id)
        if frame is not None and self._pins[frame]:
            raise PinError(page_id, "freed while pinned")
        self.file.free_page(page_id)
        if frame is not None:
            del self._table[page_id]
            self._dirty[frame] = 0
            self._policy.evicted(frame)
            heapq.heappush(self._empty, frame)
        ### END SOLUTION

    def flush_some(self, limit: int = 64) -> int:
        """Write back at most `limit` dirty pages that nobody has pinned; return how many."""
        ### BEGIN SOLUTION #flusher: flush_some() - what flush_all() does, up to a limit, unpinned
        due = [f for f in range(self.frames) if self._dirty[f] and not self._pins[f]]
        for frame in due[:limit]:
            self._write_back(frame)
        return len(due[:limit])
        ### END SOLUTION

    def flush_all(self) -> int:
        """Write back every dirty page and return how many. The pages stay in the pool."""
        ### BEGIN SOLUTION #2: flush_all() - file.write_page() for each dirty frame
        due = [frame for frame in range(self.frames) if self._dirty[frame]]
        for frame in due:
            self._write_back(frame)
        return len(due)
        ### END SOLUTION

    def close(self) -> None:
        """Flush. `PinLeak`, after flushing, if pages are still pinned. The file stays open."""
        ### BEGIN SOLUTION #3: BufferPool.close() - flush_all(), then PinLeak if a pin is left
        self.flush_all()
        held = {p: self._pins[f] for p, f in sorted(self._table.items()) if self._pins[f]}
        if held:
            raise PinLeak(held)
        ### END SOLUTION

    ### BEGIN SOLUTION
    def _peek(self, page_id: int) -> SlottedPage:
        """Fetch without a pin: valid until the next call of the pool, which may evict the page.

        What a pin costs, an object and three calls, is more than copying one record out.
        """
        return self._pages[self._frame_of(page_id)]

    def _peek_mut(self, page_id: int) -> SlottedPage:
        frame = self._frame_of(page_id)
        self._dirty[frame] = 1
        return self._pages[frame]

    def _frame_of(self, page_id: int) -> int:
        frame = self._table.get(page_id)
        if frame is None:
            self.stats.misses += 1
            return self._load(page_id)
        self.stats.hits += 1
        self._hit(frame)
        return frame

    def _write_back(self, frame: int) -> None:
        self.file.write_page(self._page_ids[frame], self._frames[frame])
        self._dirty[frame] = 0
        self.stats.writebacks += 1

    def _load(self, page_id: int) -> int:
        frame = self._take_frame()
        try:
            self.file.read_page(page_id, self._frames[frame])
        except BaseException:
            heapq.heappush(self._empty, frame)
            raise
        return self._place(page_id, frame)

    def _new(self, page_type: PageType = PageType.DATA) -> int:
        """Allocate a page right in its frame, instead of reading zeros back."""
        frame = self._take_frame()
        try:
            page_id = self.file._allocate(self._frames[frame], page_type)
        except BaseException:
            heapq.heappush(self._empty, frame)
            raise
        return self._place(page_id, frame)

    def _place(self, page_id: int, frame: int) -> int:
        self._table[page_id] = frame
        self._page_ids[frame] = page_id
        self._policy.loaded(frame, page_id)
        return frame

    def _take_frame(self) -> int:
        return heapq.heappop(self._empty) if self._empty else self._evict()

    def _evict(self) -> int:
        frame = self._policy.victim(self._pins)
        if frame is None:
            raise PoolExhausted(sorted(self._table))
        if self._dirty[frame]:
            self._write_back(frame)  # if this fails the page is still here, and still dirty
        del self._table[self._page_ids[frame]]
        self._policy.evicted(frame)
        self.stats.evictions += 1
        return frame

    ### END SOLUTION
