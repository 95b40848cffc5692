"""Whole pages to and from one file: short transfers continued, neighbours merged, calls counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from meridian.database.storage.errors import TruncatedFile
from meridian.database.storage.io_stats import IoStats
from meridian.fs import RandomFile

__all__ = ["IOV_MAX", "PageIo", "runs"]

IOV_MAX = 1024  # buffers per call, the limit of Linux and macOS


def runs(page_ids: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Group `page_ids` into stretches of neighbours, in ascending order of id.

    Yields the first id of a stretch and the positions in `page_ids` of its members, at most 1024.
    An id that occurs twice is in two stretches, in the order given.
    """
    stretch: list[int] = []
    first = 0
    for position in sorted(range(len(page_ids)), key=page_ids.__getitem__):
        page_id = page_ids[position]
        if stretch and (page_id != first + len(stretch) or len(stretch) == IOV_MAX):
            yield first, stretch
            stretch = []
        if not stretch:
            first = page_id
        stretch.append(position)
    if stretch:
        yield first, stretch


class PageIo:
    """Turn "may be short" calls of a `RandomFile` into all-or-error transfers of pages."""

    __slots__ = ("_lock", "file", "page_size", "path", "stats")

    def __init__(self, file: RandomFile, path: str, page_size: int, stats: IoStats) -> None:
        self.file = file
        self.path = path
        self.page_size = page_size
        self.stats = stats
        self._lock = threading.Lock()

    def read_page(self, page_id: int, view: memoryview) -> None:
        """`read` for one page of a caller: nearly always one call, of which it adds up less."""
        size = self.page_size
        try:
            got = self.file.preadv((view,), page_id * size)
        except InterruptedError:
            got = 0
        if got != size:
            self.read(page_id, (view,), pages=1, done=got, calls=1)
            return
        stats, lock = self.stats, self._lock
        lock.acquire()  # `with` costs twice as much
        try:
            stats.reads += 1
            stats.calls += 1
            stats.bytes += size
        finally:
            lock.release()

    def read(
        self,
        first: int,
        views: Sequence[memoryview],
        *,
        pages: int = 0,
        done: int = 0,
        calls: int = 0,
    ) -> None:
        """Fill `views` from page `first` on. `pages` of them are counted as a caller's reads.

        `done` bytes have come already, in `calls` calls. Raises `TruncatedFile` at the end of the
        file, `OSError` as the file layer does.
        """
        size = sum(map(len, views))
        while done < size:
            calls += 1
            try:
                got = self.file.preadv(_rest(views, done), first * self.page_size + done)
            except InterruptedError:
                continue
            if got == 0:
                end = first * self.page_size + size
                raise TruncatedFile(self.path, end, self.file.size(), "it shrank while open")
            done += got
        with self._lock:
            self.stats.reads += pages
            self.stats.calls += calls
            self.stats.bytes += size

    def write(self, first: int, views: Sequence[memoryview], *, pages: int = 0) -> None:
        """Write `views` from page `first` on. `pages` of them are counted as a caller's writes."""
        size = sum(map(len, views))
        done, calls = 0, 0
        while done < size:
            calls += 1
            try:
                done += self.file.pwritev(_rest(views, done), first * self.page_size + done)
            except InterruptedError:
                continue
        with self._lock:
            self.stats.writes += pages
            self.stats.calls += calls
            self.stats.bytes += size

    def sync(self) -> None:
        self.file.sync()
        with self._lock:
            self.stats.syncs += 1

    def count(self, *, allocs: int = 0, frees: int = 0) -> None:
        with self._lock:
            self.stats.allocs += allocs
            self.stats.frees += frees


def _rest(views: Sequence[memoryview], done: int) -> Sequence[memoryview]:
    """What remains of `views` after the first `done` bytes."""
    if not done:
        return views
    rest = []
    for view in views:
        if done < len(view):
            rest.append(view[done:])
        done = max(0, done - len(view))
    return rest
