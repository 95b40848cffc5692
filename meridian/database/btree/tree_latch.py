"""Who may look at the tree and who may change it: any number of readers, or one writer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from meridian.database.btree.errors import LatchHeld

__all__ = ["TreeLatch"]


class TreeLatch:
    """Keep writers from readers that look at more than one page.

    A writer holds the mutex as long as it works; readers hold it only to be counted. A waiting
    writer stops new readers. Taking the latch twice in one thread is an error, `LatchHeld`, for
    with another thread between it would wait for ever.

    Lookups and changes that are one kernel call under the pool's latch do without this one: such a
    change first looks whether the latch is `busy`. Whoever takes the latch becomes busy first and
    then passes through the pool's latch, `gate`, once, behind a change that did not see it.
    """

    __slots__ = (
        "_blocked",
        "_gate",
        "_mutex",
        "_readers",
        "_released",
        "_waiting",
        "_writer",
        "busy",
    )

    def __init__(self, gate: threading.RLock) -> None:
        self.busy = False  # somebody holds the latch
        self._gate = gate
        self._mutex = threading.Lock()
        self._released = threading.Condition(self._mutex)
        self._readers: set[int] = set()  # threads
        self._writer = 0  # thread, 0 for none
        self._waiting = 0  # writers, for readers to leave

    @contextmanager
    def read(self) -> Iterator[None]:
        """In the block nobody changes the tree. Raises `LatchHeld`."""
        me = get_ident()
        self._refuse_twice(me, "reading")
        with self._released:
            while self._waiting:
                self._released.wait()
            self._readers.add(me)
            self.busy = True
        try:
            with self._gate:
                pass
            yield
        finally:
            with self._released:
                self._readers.discard(me)
                self.busy = bool(self._readers)
                self._released.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        """In the block nobody else looks at the tree, single lookups apart. Raises `LatchHeld`."""
        me = get_ident()
        self._refuse_twice(me, "writing")
        with self._released:
            self._waiting += 1
            try:
                while self._readers:
                    self._released.wait()
            finally:
                self._waiting -= 1
                self._released.notify_all()  # readers; they come when the mutex is free
            self._writer = me
            self.busy = True
            try:
                with self._gate:
                    pass
                yield
            finally:
                self._writer = 0
                self.busy = False

    def held(self) -> bool:
        """Whether this thread holds the latch, in either way."""
        me = get_ident()
        return self._writer == me or me in self._readers

    def _refuse_twice(self, me: int, wanted: str) -> None:
        if self._writer == me:
            raise LatchHeld("writing", wanted)
        if me in self._readers:
            raise LatchHeld("reading", wanted)
