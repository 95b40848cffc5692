"""The handle of a pinned page: while it lives, the page stays where it is."""

from __future__ import annotations

import warnings
from pickle import PickleBuffer
from types import TracebackType
from typing import TYPE_CHECKING

from meridian.database.storage.errors import PinError, StorageClosed

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["PinnedPage"]


_GIVEN_UP = "the pin was already given up"
_ESCAPED = "view escaped: an array or slice still looks into it, so it stays pinned"


class PinnedPage:
    """Hold one pin on one page, and let go of it exactly once.

    The ``with`` block is the contract. The views that the handle lends end with it: touching one
    later raises `ValueError`, and one that is still in use then, through a NumPy array or a slice,
    is an error at the end of the block. This is a borrow check at run time: nobody can read
    another page's bytes through a view of this one. A handle that is collected while pinned is a
    leak: it warns, is counted, and its pin stays, for nothing proves that the bytes are no longer
    in use.
    """

    __slots__ = ("_base", "_pool", "_read", "_write", "_wrote", "frame", "page_id")

    def __init__(self, pool: BufferPool, page_id: int, frame: int) -> None:
        self._pool = pool
        self.page_id = page_id
        self.frame = frame
        self._wrote = False
        self._base: memoryview | None = None
        self._read: memoryview | None = None
        self._write: memoryview | None = None

    @property
    def data(self) -> memoryview:
        """The page's bytes, read-only, valid until `unpin`.

        Raises `StorageClosed` if the pool is closed, `PinError` if the pin was given up.
        """
        view = self._read
        if view is None or self._pool._loader.closed:
            view = self._read = self._lend().toreadonly()
        return view

    def data_mut(self) -> memoryview:
        """The page's bytes, writable, valid until `unpin`. Marks the page dirty.

        Raises what `data` raises, and `io.UnsupportedOperation` if the file is read-only.
        """
        self.mark_dirty()
        view = self._write
        if view is None:
            view = self._write = self._lend()
        return view

    def mark_dirty(self) -> None:
        """Note that the page's bytes in the arena were changed, so that they are written back."""
        if self.frame < 0:
            raise PinError(self.page_id, _GIVEN_UP)
        if not self._pool._changeable:
            self._pool._refuse_change()
        self._pool._dirty[self.frame] = 1
        self._wrote = True

    def unpin(self) -> None:
        """Give up the pin; views from `data` and `data_mut` end.

        Raises `PinError` if the pin was given up before, or if a NumPy array, a slice or another
        object still looks into the page ("view escaped"): the page then stays pinned; drop the
        object, or copy what it shows, and unpin again. Raises `StorageClosed`, the pin given up,
        if the page was changed and the pool is closed: what was written since is lost.
        """
        if self.frame < 0:
            raise PinError(self.page_id, _GIVEN_UP)
        if self._base is not None and not self._take_back():
            raise PinError(self.page_id, _ESCAPED)
        self._end()
        if self._wrote and self._pool.closed:
            lost = f"what was written to page {self.page_id} since then is lost"
            raise StorageClosed("The buffer pool", lost)

    def _lend(self) -> memoryview:
        """A new view of the page, which we can tell to be out of use.

        Slices and arrays made from a memoryview do not hold on to that view but to what it was
        made from. So what we lend is made from a base of our own, which refuses to be released
        as long as anything that came from it is alive.
        """
        pool, frame, base = self._pool, self.frame, self._base
        if frame < 0:
            raise PinError(self.page_id, _GIVEN_UP)
        if pool._loader.closed:
            raise StorageClosed("The buffer pool")
        if not pool.checked:
            return pool._table.view(frame)
        if base is None:
            base = self._base = pool._table.view(frame)
        return memoryview(PickleBuffer(base))

    def _take_back(self) -> bool:
        """End what was lent; ``False`` if something made from it is still alive."""
        read, write, base = self._read, self._write, self._base
        self._read = self._write = None
        try:
            if read is not None:
                read.release()
            if write is not None:
                write.release()
            if base is not None:
                base.release()
        except BufferError:
            return False
        self._base = None
        return True

    def _end(self) -> None:
        pool, frame, self.frame = self._pool, self.frame, -1
        self._read = self._write = None
        pool._acquire()  # `with` costs twice as much, and this is half of a hit
        try:
            if self._wrote:  # again: a flush may have cleared it while the page was being changed
                pool._dirty[frame] = 1
            pool._pins[frame] -= 1
        finally:
            pool._release()

    def __enter__(self) -> PinnedPage:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.frame < 0:
            return
        if self._base is None and not self._wrote:
            self._end()
        elif exc_type is None:
            self.unpin()
        else:  # the traceback keeps every local alive, and the error on its way matters more
            self._take_back()
            self._end()

    def __del__(self) -> None:
        if self.frame >= 0 and not self._pool.closed:
            self._pool._leaked.append(self.page_id)
            warnings.warn(
                f"Page {self.page_id} was never unpinned; use `with pool.fetch(...) as page:`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def __repr__(self) -> str:
        state = f"in frame {self.frame}" if self.frame >= 0 else "unpinned"
        return f"<PinnedPage {self.page_id} {state}>"
