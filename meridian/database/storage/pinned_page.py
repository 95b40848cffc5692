"""The handle of a pinned page: while it lives, the page stays where it is."""

from __future__ import annotations

import warnings
from pickle import PickleBuffer
from types import TracebackType
from typing import TYPE_CHECKING

from meridian.database.storage.errors import PinError

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["PinnedPage"]


class PinnedPage:
    """Hold one pin on one page, and let go of it exactly once.

    The ``with`` block is the contract. The views that the handle lends end with it: touching one
    later raises `ValueError`, and one that is still in use then, through a NumPy array or a slice,
    is an error at the end of the block. This is a borrow check at run time: nobody can read
    another page's bytes through a view of this one. A handle that is collected while pinned is a
    leak: it warns, is counted, and its pin stays, for nothing proves that the bytes are no longer
    in use.
    """

    __slots__ = ("_bases", "_data", "_mut", "_pool", "_wrote", "frame", "page_id")

    def __init__(self, pool: BufferPool, page_id: int, frame: int) -> None:
        self._pool = pool
        self.page_id = page_id
        self.frame = frame
        self._wrote = False
        self._data: memoryview | None = None
        self._mut: memoryview | None = None
        self._bases: tuple[memoryview, ...] = ()

    @property
    def data(self) -> memoryview:
        """The page's bytes, read-only, valid until `unpin`."""
        if self._data is None:
            self._data = self._lend(writable=False)
        return self._data

    def data_mut(self) -> memoryview:
        """The page's bytes, writable, valid until `unpin`. Marks the page dirty."""
        self.mark_dirty()
        if self._mut is None:
            self._mut = self._lend(writable=True)
        return self._mut

    def mark_dirty(self) -> None:
        """Note that the page's bytes in the arena were changed, so that they are written back."""
        self._pool._dirty[self._pinned()] = 1
        self._wrote = True

    def unpin(self) -> None:
        """Give up the pin; views from `data` and `data_mut` end.

        Raises `PinError` if the pin was given up before, or if a NumPy array, a slice or another
        object still looks into the page ("view escaped"): the page then stays pinned; drop the
        object, or copy what it shows, and unpin again.
        """
        self._pinned()
        if self._bases and not self._take_back():
            reason = "view escaped: an array or slice still looks into it, so it stays pinned"
            raise PinError(self.page_id, reason)
        self._end()

    def _lend(self, *, writable: bool) -> memoryview:
        base = self._pool._view(self._pinned(), writable=writable)
        if not self._pool.checked:
            return base
        # Slices and arrays made from a memoryview do not hold on to it but to what it was made
        # from. So the view is made from one of our own, which cannot be released while they live.
        self._bases += (base,)
        return memoryview(PickleBuffer(base))

    def _take_back(self) -> bool:
        """End the views; ``False`` if something else still looks into the page."""
        data, mut = self._data, self._mut
        self._data = self._mut = None
        try:
            if data is not None:
                data.release()
            if mut is not None:
                mut.release()
            for base in self._bases:
                base.release()
        except BufferError:
            return False
        self._bases = ()
        return True

    def _end(self) -> None:
        pool, frame, self.frame = self._pool, self.frame, -1
        with pool._latch:
            if self._wrote:  # again: a flush may have cleared it while the page was being changed
                pool._dirty[frame] = 1
            pool._pins[frame] -= 1

    def _pinned(self) -> int:
        if self.frame < 0:
            raise PinError(self.page_id, "the pin was already given up")
        return self.frame

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
        if exc_type is None:
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
