"""Pages on disk: page `n` is the bytes from ``n * page_size``, and every one is checked.

Positional reads and writes only (a shared cursor would race between threads), neighbours merged
into one system call, no fsync per page (Petrov, *Database Internals*, ch. 3 and 4).
"""

from __future__ import annotations

import io
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from meridian.database.storage.errors import FileLocked, PageOutOfRange, StorageClosed
from meridian.database.storage.file_header import ROOT_COUNT
from meridian.database.storage.io_stats import IoStatistics, IoStats
from meridian.database.storage.page import (
    PAGE_SIZE,
    Buffer,
    PageType,
    as_int,
    byte_view,
    check_page,
    check_page_size,
    seal_view,
    writable_view,
)
from meridian.database.storage.page_io import IOV_MAX, PageIo, runs
from meridian.database.storage.page_space import PageSpace
from meridian.fs import FileSystem, OsFileSystem, StrPath, locked_here

__all__ = ["PageFile"]


class PageFile:
    """Give the layers above whole, verified pages by number, and numbers for new pages.

    Durability points are `sync` and `close`, nothing else. Between them a power loss may tear
    pages: checksums find the torn ones on read, nothing here repairs them, and `was_clean` tells
    the next opener. A killed process loses nothing it wrote, for the system still has it.

    Reads and writes may run in many threads; two writers of one page must agree among themselves.
    """

    def __init__(
        self,
        path: StrPath,
        page_size: int = PAGE_SIZE,
        *,
        create: bool = True,
        direct: bool = False,
        readonly: bool = False,
        repair: bool = False,
        fs: FileSystem | None = None,
    ) -> None:
        """Open the page file at `path`, or make it if `create` and there is none.

        `readonly` files may be open several times at once, all others only once.
        `direct` bypasses the system's page cache: buffers must then be aligned, as a pool's are.
        `repair` cuts off a last page that is not whole instead of refusing the file.

        Raises `FileLocked`, `BadMagic`, `BadFormat`, `TruncatedFile`, `CorruptPage` (file
        header), `ValueError` (page size) or the `OSError` of the system.
        """
        self.page_size = check_page_size(page_size)
        self.path = os.fspath(path)
        self.readonly = readonly
        self.stats = IoStats()
        self._fs = OsFileSystem() if fs is None else fs
        self._lock = threading.Lock()  # guards page 0 and the free list
        self._closed = False
        create = create and not readonly
        file = self._fs.open_random(self.path, create=create, direct=direct, readonly=readonly)
        try:
            if not file.lock(shared=readonly):
                raise FileLocked(self.path, here=locked_here(self.path))
            self._io = PageIo(file, self.path, self.page_size, self.stats)
            self._space = PageSpace(self._io)
            size = file.size()
            self._created = create and size == 0
            self._wrote = self._created  # anything, in this session
            self.was_clean = self._open(size, repair=repair and not readonly)
            self._flag_down = self._created or not self.was_clean  # on disk
            roots = enumerate(self._space.header.roots)
            self._doubted = set() if self.was_clean else {i for i, root in roots if root}
        except BaseException:
            file.close()
            raise

    def _open(self, size: int, *, repair: bool) -> bool:
        if self._created:
            self._space.create()
            return True
        self._wrote = self._space.load(size, repair=repair)
        was_clean = self._space.header.clean
        if not was_clean and not self.readonly:
            self._wrote |= self._space.rebuild_free_list()
        return was_clean

    @property
    def page_count(self) -> int:
        """Pages in the file, its header (page 0) included."""
        return self._space.header.page_count

    @property
    def free_count(self) -> int:
        """Pages on the free list."""
        return self._space.header.free_count

    @property
    def damaged(self) -> tuple[int, ...]:
        """Free pages that an allocation found damaged, and left out. They held no data."""
        return tuple(self._space.damaged)

    @property
    def closed(self) -> bool:
        return self._closed

    def read_page(self, page_id: int, into: memoryview, *, verify: bool = True) -> None:
        """Fill `into` (page_size bytes) with page `page_id`.

        Raises `PageOutOfRange`, `CorruptPage`, `TruncatedFile`, `OSError`; the content of `into`
        is then undefined. `verify=False` skips the checks, for tools that look at damage.
        """
        count = self._space.header.page_count
        if type(page_id) is not int or self._closed or not 0 < page_id < count:
            page_id = self._check_id(page_id)
        view = byte_view(into)
        if view.readonly or len(view) != self.page_size:
            self._check_buffer(into, writable=True)  # raises
        self._io.read_page(page_id, view)
        if verify:
            check_page(view, page_id)

    def read_pages(
        self, page_ids: Sequence[int], into: Sequence[memoryview], *, verify: bool = True
    ) -> None:
        """Read many pages, neighbours in one call; then verify each. Errors as in `read_page`."""
        ids, views = self._check_batch(page_ids, into, writable=True)
        for first, members in runs(ids):
            self._io.read(first, [views[i] for i in members], pages=len(members))
        if verify:
            for page_id, view in zip(ids, views, strict=True):
                check_page(view, page_id)

    def write_page(self, page_id: int, page: Buffer) -> None:
        """Seal `page` (page_size bytes, in place if writable) and write it. Does not fsync.

        The header inside `page` is the caller's: a page that claims another id is written, and
        found out when it is read. A free page that is written is in use again: the next
        allocation to come upon it leaves it alone. Raises `PageOutOfRange`, `OSError`, and
        `io.UnsupportedOperation` if the file is read-only.
        """
        self.write_pages((page_id,), (page,))

    def write_pages(self, page_ids: Sequence[int], pages: Sequence[Buffer]) -> None:
        """Seal and write many pages, neighbours in one call. An `OSError` leaves some written."""
        self._check_writable()
        ids, views = self._check_batch(page_ids, pages, writable=False)
        for i, view in enumerate(views):
            if view.readonly:  # seal a copy, aligned as direct I/O wants it
                views[i] = memoryview(mmap.mmap(-1, self.page_size))
                views[i][:] = view
            seal_view(views[i])
        self._mark()
        for first, members in runs(ids):
            self._io.write(first, [views[i] for i in members], pages=len(members))

    def allocate_page(self, page_type: PageType = PageType.DATA) -> int:
        """Return the id of a page that is now empty, of `page_type`, sealed and in the file."""
        return self.allocate_pages(1, page_type)[0]

    def allocate_pages(self, count: int, page_type: PageType = PageType.DATA) -> list[int]:
        """Allocate `count` pages: free ones first, the last freed first, then the file grows.

        A free page that turns out damaged is never used again: it is noted in `damaged`, and the
        free list is rebuilt without it. After an error nothing is allocated and the file ends
        where it did.
        """
        page_type = PageType(page_type)
        if page_type in (PageType.FILE_HEADER, PageType.FREE):
            raise ValueError(f"Expected a type for a page in use, got {page_type.name}")
        count = as_int(count, "count")
        if count < 0:
            raise ValueError(f"Expected count >= 0, got {count}")
        self._check_writable()
        self._mark()
        with self._lock:
            page_ids = self._space.allocate(count, page_type)
            self._io.count(allocs=count)
        return page_ids

    def append_pages(self, count: int, fill: Callable[[range], Sequence[memoryview]]) -> range:
        """Grow the file by `count` pages that come with their contents, written once.

        `fill(page_ids)` returns the pages, headers included; they are sealed here. Free pages are
        not used. After an error the file ends where it did.
        """
        count = as_int(count, "count")
        if not 0 < count <= IOV_MAX:
            raise ValueError(f"Expected 1 to {IOV_MAX} pages, got {count}")
        self._check_writable()
        self._mark()
        with self._lock:
            page_ids = range(self.page_count, self.page_count + count)
            pages = [self._check_buffer(page, writable=True) for page in fill(page_ids)]
            if len(pages) != count:
                raise ValueError(f"Expected {count} pages to append, got {len(pages)}")
            for page in pages:
                seal_view(page)
            self._space.append(pages)
            self._io.count(allocs=count)
        return page_ids

    def free_page(self, page_id: int) -> None:
        """Put page `page_id` on the free list; it is the next one to be allocated.

        Raises `ValueError` for the file header, a page outside the file or one already free, and
        `CorruptPage` if the page is unreadable.
        """
        self._check_writable()
        page_id = as_int(page_id, "page_id")
        if page_id == 0:
            raise ValueError("Page 0 is the file header and cannot be freed")
        if not 0 < page_id < self.page_count:
            raise ValueError(f"Page {page_id} is not allocated: the file has {self.page_count}")
        self._mark()
        with self._lock:
            self._space.free(page_id)
            self._io.count(frees=1)

    def get_root(self, i: int) -> int:
        """Root `i` of 16: a number of 64 bits that a structure in the file keeps for itself."""
        self._check_open()
        return self._space.header.roots[_root(i)]

    def set_root(self, i: int, value: int) -> None:
        """Set root `i`; on disk with the next `sync` or `close`.

        In a file that was not closed cleanly, 0 says that what was behind the root is given up.
        """
        i, value = _root(i), as_int(value, "value")
        if not 0 <= value < 2**64:
            raise ValueError(f"Expected a root value of 64 bits, got {value}")
        self._check_writable()
        self._mark()
        with self._lock:
            self._space.header.roots[i] = value
            if not value:
                self._doubted.discard(i)

    def doubt_root(self, i: int) -> None:
        """Say that what is behind root `i` may be torn, until the root is given up."""
        self._doubted.add(_root(i))

    def sync(self) -> None:
        """Return once everything written so far is on the device."""
        self._check_open()
        if not self._wrote:
            return
        with self._lock:
            self._space.save(clean=False)
            self._sync()

    def close(self) -> None:
        """Sync, mark the file as closed cleanly, release it. A second call does nothing.

        After an error the file is released all the same, and is not marked as clean. Nor is one
        that was not clean when it was opened, as long as a root of then was never given up: the
        next opener would trust a structure that nobody has mended.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if self._wrote:
                    self._sync()  # the flag must not reach the device before the pages
                    self._space.save(clean=not self._doubted)
                    self._io.sync()
            finally:
                self._io.file.close()

    def statistics(self) -> IoStatistics:
        """A frozen copy of `stats`."""
        return self.stats.frozen()

    def __enter__(self) -> PageFile:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _mark(self) -> None:
        """Before the first write of a session: take the clean flag off the disk, durably."""
        if not self._wrote:
            with self._lock:
                if not self._flag_down:
                    self._space.save(clean=False)
                    self._io.sync()
                self._flag_down = self._wrote = True

    def _sync(self) -> None:
        self._io.sync()
        if self._created:
            self._fs.sync_dir(os.path.dirname(os.path.abspath(self.path)))
            self._created = False

    def _check_open(self) -> None:
        if self._closed:
            raise StorageClosed(self.path)

    def _check_writable(self) -> None:
        self._check_open()
        if self.readonly:
            raise io.UnsupportedOperation(f"{self.path} is open read-only")

    def _check_id(self, page_id: int) -> int:
        """`page_id` as Python's int, for a page that the open file has."""
        self._check_open()
        page_id = as_int(page_id, "page_id")
        if not 0 < page_id < self.page_count:
            raise PageOutOfRange(page_id, self.page_count)
        return page_id

    def _check_buffer(self, page: Buffer, *, writable: bool) -> memoryview:
        view = byte_view(page)
        if writable and view.readonly:
            writable_view(page, "a page")  # raises, and names the fault
        if len(view) != self.page_size:
            raise ValueError(f"Expected a page of {self.page_size} bytes, got {len(view)}")
        return view

    def _check_batch(
        self, page_ids: Sequence[int], pages: Sequence[Buffer], *, writable: bool
    ) -> tuple[list[int], list[memoryview]]:
        if len(page_ids) != len(pages):
            raise ValueError(f"Expected as many pages as ids, got {len(pages)} and {len(page_ids)}")
        self._check_open()
        end = self.page_count
        ids = [
            page_id if type(page_id) is int and 0 < page_id < end else self._check_id(page_id)
            for page_id in page_ids
        ]
        return ids, [self._check_buffer(page, writable=writable) for page in pages]


def _root(i: int) -> int:
    i = as_int(i, "root")
    if not 0 <= i < ROOT_COUNT:
        raise ValueError(f"Expected a root from 0 to {ROOT_COUNT - 1}, got {i}")
    return i
