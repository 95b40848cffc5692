"""The miss path: make room, write what has to leave, read what has to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from meridian.database.storage.errors import PageOutOfRange, PinError, PoolExhausted, StorageClosed
from meridian.database.storage.frame_table import FrameTable
from meridian.database.storage.latch import Latch
from meridian.database.storage.page import PageType, format_view
from meridian.database.storage.page_file import PageFile
from meridian.database.storage.pool_stats import PoolStats
from meridian.database.storage.write_back import WriteBack

__all__ = ["Loader"]


class _Claim(NamedTuple):
    """What one call holds while it does I/O outside the latch."""

    pinned: dict[int, int]  # resident page: pins taken on it
    missing: list[int]  # pages to read, in transit
    frames: list[int]  # empty, reserved by a pin, one per missing or new page
    victims: list[tuple[int, int]]  # dirty (page, frame) to write first, in transit


class Loader:
    """Move pages in and out of frames; all or nothing, whatever fails half-way.

    A page between file and frame is *in transit* and in no table, so nobody can pin it; threads
    that want it wait until it has settled, which is how two misses on a page become one read.
    """

    def __init__(
        self,
        file: PageFile,
        table: FrameTable,
        latch: Latch,
        stats: PoolStats,
        writer: WriteBack,
    ) -> None:
        self.closed = False
        self._file = file
        self._table = table
        self._latch = latch
        self._lock = latch.lock
        self._stats = stats
        self._writer = writer
        self._transit: set[int] = set()
        self._reserved = 0  # frames in claims

    def load(self, page_ids: Sequence[int], *, scan: bool) -> list[int]:
        """Pin every page in `page_ids`, as often as it is named; return their frames."""
        wanted: dict[int, int] = {}
        for page_id in page_ids:
            wanted[page_id] = wanted.get(page_id, 0) + 1
        with self._lock:
            claim = self._claim(wanted, 0)
            self._stats.misses += len(claim.missing)
            self._stats.hits += len(page_ids) - len(claim.missing)
            if not scan:
                self._use(claim.pinned)
        if claim.missing:
            self._write_victims(claim)
            try:
                self._file.read_pages(claim.missing, [self._table.view(f) for f in claim.frames])
            except BaseException:
                self._give_back(claim)
                raise
            with self._lock:
                self._settle(claim.missing, claim.frames, wanted, scan=scan)
        frame_of = self._table.frame_of  # pinned, so these entries stay
        return [frame_of[page_id] for page_id in page_ids]

    def create(self, count: int, page_type: PageType) -> list[tuple[int, int]]:
        """Allocate `count` pages and pin them, formatted and dirty; return (page, frame) pairs."""
        with self._lock:
            claim = self._claim({}, count)
        self._write_victims(claim)
        try:
            page_ids = self._file.allocate_pages(count, page_type)
            for page_id, frame in zip(page_ids, claim.frames, strict=True):
                format_view(self._table.view(frame), page_id, page_type)
                self._table.dirty[frame] = 1
            self._settle_new(page_ids, claim.frames, pins=1)
        except BaseException:
            self._give_back(claim)
            raise
        return list(zip(page_ids, claim.frames, strict=True))

    def append(self, count: int, fill: Callable[[range, list[int]], None]) -> range:
        """Grow the file by `count` pages that `fill(page_ids, frames)` makes; none stays pinned.

        They go to the file with their contents, so they are written once, and are clean.
        """
        with self._lock:
            claim = self._claim({}, count)
        self._write_victims(claim)

        def fill_frames(page_ids: range) -> list[memoryview]:
            fill(page_ids, claim.frames)
            return [self._table.view(frame) for frame in claim.frames]

        try:
            page_ids = self._file.append_pages(count, fill_frames)
            self._settle_new(page_ids, claim.frames, pins=0)
        except BaseException:
            self._give_back(claim)
            raise
        return page_ids

    def free(self, page_id: int) -> None:
        """Forget page `page_id` and put it on the file's free list."""
        table = self._table
        with self._lock:
            while True:
                self._await((page_id,))
                frame = table.frame_of.get(page_id)
                if frame not in self._writer.in_flight:
                    break
                self._latch.wait()
            if frame is not None:
                if table.pins[frame]:
                    pins = table.pins[frame]
                    count = f"{pins} pin{'s' * (pins > 1)}"
                    raise PinError(page_id, f"it has {count}, so it cannot be freed")
                table.unmap(page_id)
                table.pins[frame] = 1
            self._transit.add(page_id)
        freed = False
        try:
            self._file.free_page(page_id)
            freed = True
        finally:
            with self._lock:
                self._transit.discard(page_id)
                if frame is not None and freed:
                    table.policy.drop(frame, page_id)
                    table.release(frame)
                elif frame is not None:
                    table.map((page_id,), (frame,))
                    table.pins[frame] = 0
                self._latch.wake()

    def shut(self) -> dict[int, int] | None:
        """Take no more calls, forget every page, return the pins that were left.

        ``None``, and nothing done, if a page has become dirty since the last flush.
        """
        with self._lock:
            while self._transit or self._reserved or self._writer.in_flight:
                self._latch.wait()
            if 1 in self._table.dirty:
                return None
            pins = self.pinned()
            self.closed = True
            for page_id in list(self._table.frame_of):
                self._table.unmap(page_id)
            self._latch.wake()
        return pins

    def pinned(self) -> dict[int, int]:
        """Pins of each pinned page, those of a flush not counted. Latch held."""
        pins = {page: self.user_pins(frame) for page, frame in self._table.frame_of.items()}
        return {page: count for page, count in pins.items() if count}

    def user_pins(self, frame: int) -> int:
        return self._table.pins[frame] - (frame in self._writer.in_flight)

    def _settle_new(self, page_ids: Sequence[int], frames: Sequence[int], *, pins: int) -> None:
        """Enter new pages. What is cached under their ids was freed in the file, past the pool."""
        table = self._table
        with self._lock:
            self._await(page_ids)
            for page_id in page_ids:
                frame = table.frame_of.get(page_id, -1)
                if frame >= 0 and table.pins[frame]:
                    raise PinError(page_id, "it was freed in the file while it was pinned here")
                if frame >= 0:
                    table.unmap(page_id)
                    table.policy.drop(frame, page_id)
                    table.release(frame)
            self._settle(page_ids, frames, dict.fromkeys(page_ids, pins), scan=False)

    def _claim(self, wanted: dict[int, int], extra: int) -> _Claim:
        """Pin what is resident, reserve frames for the rest and `extra` more. Latch held."""
        table = self._table
        while True:
            self._await(wanted)
            claim = _Claim({}, [], [], [])
            for page_id, count in wanted.items():
                if page_id in table.frame_of:
                    claim.pinned[page_id] = count
                elif 0 < page_id < self._file.page_count:
                    claim.missing.append(page_id)
                else:
                    raise PageOutOfRange(page_id, self._file.page_count)
            pinned, missing = claim.pinned, claim.missing
            self._pin(pinned, 1)
            if self._take(len(missing) + extra, claim):
                self._transit.update(missing)
                self._reserved += len(claim.frames)
                return claim
            self._pin(pinned, -1)
            if not (self._transit or self._reserved or self._writer.in_flight):
                self._stats.exhausted += 1
                pins = self.pinned()
                needed = sum(page_id not in pins for page_id in wanted) + extra
                raise PoolExhausted(len(table.page_of), pins, needed)
            self._latch.wait()  # frames in I/O may become free

    def _take(self, count: int, claim: _Claim) -> bool:
        """Empty `count` frames into `claim`; ``False``, nothing changed, if there are too few."""
        table = self._table
        if count > 1 and np.count_nonzero(table.pin_counts == 0) < count:
            return False
        for _ in range(count):
            frame = table.take()
            if frame < 0:
                return False
            table.pins[frame] = 1
            claim.frames.append(frame)
            old = table.page_of[frame]
            if old >= 0:
                table.unmap(old)
                if table.dirty[frame]:
                    claim.victims.append((old, frame))
                    self._transit.add(old)
                    self._writer.leaving.add(old)
                else:
                    self._evicted(old, frame)
        return True

    def _write_victims(self, claim: _Claim) -> None:
        """Write the dirty pages that leave; if that fails, they are back as they were."""
        if not claim.victims:
            return
        landed = False
        try:
            self._writer.write_victims(claim.victims)
            landed = True
        finally:
            with self._lock:
                for page_id, frame in claim.victims:
                    self._transit.discard(page_id)
                    self._writer.leaving.discard(page_id)
                    if landed:
                        self._table.dirty[frame] = 0
                        self._evicted(page_id, frame)
                    else:
                        self._table.map((page_id,), (frame,))
                        self._table.pins[frame] = 0
                        claim.frames.remove(frame)
                        self._reserved -= 1
                self._latch.wake()
            if not landed:
                self._give_back(claim)

    def _give_back(self, claim: _Claim) -> None:
        """Undo a claim: its frames are free, its pins are gone, its pages were never here."""
        with self._lock:
            for frame in claim.frames:
                self._table.release(frame)
            self._reserved -= len(claim.frames)
            self._pin(claim.pinned, -1)
            self._transit.difference_update(claim.missing)
            self._latch.wake()

    def _settle(
        self, page_ids: Sequence[int], frames: Sequence[int], pins: dict[int, int], *, scan: bool
    ) -> None:
        table = self._table
        table.map(page_ids, frames)
        enter = table.policy.load
        for page_id, frame in zip(page_ids, frames, strict=True):
            enter(frame, page_id, scan=scan)
            table.pins[frame] = pins[page_id]
        self._transit.difference_update(page_ids)
        self._reserved -= len(frames)
        self._latch.wake()

    def _await(self, page_ids: Iterable[int]) -> None:
        """Wait until none of `page_ids` is in transit. Latch held."""
        if self.closed:
            raise StorageClosed("The buffer pool")
        while not self._transit.isdisjoint(page_ids):
            self._latch.wait()
            if self.closed:
                raise StorageClosed("The buffer pool")

    def _pin(self, pages: dict[int, int], sign: int) -> None:
        for page_id, count in pages.items():
            self._table.pins[self._table.frame_of[page_id]] += sign * count

    def _use(self, pages: Iterable[int]) -> None:
        for page_id in pages:
            frame = self._table.frame_of[page_id]
            self._table.refs[frame] = 1
            if self._table.policy.touch is not None:
                self._table.policy.touch(frame)

    def _evicted(self, page_id: int, frame: int) -> None:
        self._table.policy.evict(frame, page_id)
        self._stats.evictions += 1
