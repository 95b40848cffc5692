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

    A writer holds the mutex itself as long as it works, so that an undisturbed write costs one
    lock; readers hold it only to be counted. A waiting writer stops new readers. Taking the latch
    twice in one thread is an error, `LatchHeld`, for with another thread between it would wait for
    ever.
    """

    __slots__ = ("_blocked", "_mutex", "_readers", "_released", "_waiting", "_writer")

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._released = threading.Condition(self._mutex)
        self._readers: set[int] = set()  # threads
        self._waiting = 0  # writers, for readers to leave
        self._blocked = 0  # readers, for a writer to come and go
        self._writer = 0  # thread, 0 for none

    @contextmanager
    def read(self) -> Iterator[None]:
        """In the block nobody changes the tree. Raises `LatchHeld`."""
        me = get_ident()
        self._refuse_twice(me, "reading")
        with self._released:
            self._blocked += 1
            try:
                while self._waiting:
                    self._released.wait()
            finally:
                self._blocked -= 1
            self._readers.add(me)
        try:
            yield
        finally:
            with self._released:
                self._readers.discard(me)
                self._released.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        """In the block nobody else looks at the tree, single lookups apart. Raises `LatchHeld`."""
        self.acquire_write()
        try:
            yield
        finally:
            self.release_write()

    def acquire_write(self) -> None:
        """Begin to write; the plain form of `write`, for calls that take a microsecond."""
        me = get_ident()
        if self._writer == me or self._readers:
            self._refuse_twice(me, "writing")
        self._mutex.acquire()
        if self._readers:
            self._waiting += 1
            try:
                while self._readers:
                    self._released.wait()
            except BaseException:  # an interrupt; the condition has taken the mutex again
                self._waiting -= 1
                self._released.notify_all()
                self._mutex.release()
                raise
            self._waiting -= 1
        self._writer = me

    def release_write(self) -> None:
        """End what `acquire_write` began."""
        self._writer = 0
        if self._blocked:
            self._released.notify_all()
        self._mutex.release()

    def held(self) -> bool:
        """Whether this thread holds the latch, in either way."""
        me = get_ident()
        return self._writer == me or me in self._readers

    def _refuse_twice(self, me: int, wanted: str) -> None:
        if self._writer == me:
            raise LatchHeld("writing", wanted)
        if me in self._readers:
            raise LatchHeld("reading", wanted)
