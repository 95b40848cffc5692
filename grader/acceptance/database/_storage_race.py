"""The sides of criterion 8: what a round does inside the clock, and what is checked after it.

Nothing of a round can be known before it or put off until after it. Records and orders are drawn
anew, records are changed behind the manager's back, and the clock stops only when the answers are
here and, for inserts, when the records lie in the file: the judge reads it while the worker stands
still.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from grader.acceptance.database._storage import TLE_BYTES, place, record_ids
from grader.judging.compare import require, show
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission
from grader.races.race import timed
from meridian.testing.storage import HEADER_SIZE, MAGIC, PAGE_SIZE, SLOT_SIZE, TOMBSTONE

__all__ = ["Gets", "Inserts", "Ledger", "Stored", "fresh_records", "stored_keys"]

Place = tuple[int, int]  # page id, slot

SLOT = struct.Struct("<HH")  # offset and length of a record that is no overflow record
DATA = 1  # type of a page with such slots

SAMPLED = 8  # ids of a round of inserts that are fetched inside the clock
REWRITTEN = 4  # records of a round of gets that are changed before it


def fresh_records(rng: random.Random, count: int) -> list[bytes]:
    """Records of the right size that nobody can have seen before."""
    noise = rng.randbytes(TLE_BYTES * count)
    return [noise[at : at + TLE_BYTES] for at in range(0, len(noise), TLE_BYTES)]


class Stored(NamedTuple):
    """A record as it lies in the file, and where in its page."""

    record: bytes
    offset: int


class Ledger:
    """What the judge finds in the page file, by its own reading of the format.

    A damaged page is no error here: its records are not found, and that is told.
    """

    def __init__(self, side: Submission, name: str) -> None:
        self._side = side
        self._name = name
        self._raw = b""

    def changed(self) -> dict[Place, Stored]:
        """Every record in the pages that are new or were written since the last call."""
        raw, before, found = self._side.read(self._name), self._raw, {}
        for start in range(PAGE_SIZE, len(raw) - PAGE_SIZE + 1, PAGE_SIZE):
            page = raw[start : start + PAGE_SIZE]
            if page == before[start : start + PAGE_SIZE] or page[:4] != MAGIC:
                continue
            count = int.from_bytes(page[9:11], "little") if page[8] == DATA else 0
            directory = page[HEADER_SIZE : HEADER_SIZE + SLOT_SIZE * count]
            for slot, (offset, size) in enumerate(SLOT.iter_unpack(directory)):
                if offset != TOMBSTONE:
                    found[start // PAGE_SIZE, slot] = Stored(page[offset : offset + size], offset)
        self._raw = raw
        return found


class Inserts:
    """New records in every round; the clock stops when they are flushed and some ids are here.

    With a `ledger`, the judge then looks for all of them in the file, and for the sampled ones in
    the very place that their id names.
    """

    def __init__(
        self,
        side: Submission,
        insert: Remote,
        flush: Remote,
        *,
        count: int,
        seed: int,
        ledger: Ledger | None = None,
    ) -> None:
        self._side, self._insert, self._flush = side, insert, flush
        self._count = count
        self._rng = random.Random(seed)
        self._ledger = ledger
        self.records: list[bytes] = []  # of the latest round
        self.seen: dict[Place, Stored] = {}  # in the pages that it wrote
        self.all: set[bytes] = set()
        self.results: Callable[[], list[Any]] = list

    def __call__(self) -> float:
        self.records = fresh_records(self._rng, self._count)
        batch = self._side.prepare(self._insert, [(record,) for record in self.records])
        chosen = self._rng.sample(range(self._count), min(SAMPLED, self._count))
        ids: list[Any] = []

        def run() -> None:
            batch.run()
            self._flush()
            ids.extend(batch.results(chosen))

        seconds = timed(run)
        if self._ledger is not None:
            self.seen = self._ledger.changed()
            self._look_up(dict(zip(chosen, ids, strict=True)))
            self.all.update(self.records)
        self.results = batch.results
        return seconds

    def _look_up(self, ids: dict[int, Any]) -> None:
        stored = {entry.record for entry in self.seen.values()}
        missing = sum(record not in stored for record in self.records)
        require(
            not missing,
            f"{self._count} inserts, then flush_all(): {missing} of the records are not in the "
            "file; an insert that returned must be done",
        )
        for i, rid in ids.items():
            self.require_place(i, rid)

    def require_place(self, i: int, rid: Any) -> Place:
        """The id of record `i` must name the place where that record lies in the file."""
        at = place(rid)
        found = self.seen.get(at)
        require(
            found is not None and found.record == self.records[i],
            f"insert in the race gave page {at[0]}, slot {at[1]}: another record lies there",
        )
        return at


class Gets:
    """Keys read in an order drawn anew; all that is read arrives inside the clock.

    Before a round, some of the records are changed in their page through the pool, so that what
    was remembered of an earlier round, beside the pool, is wrong.
    """

    def __init__(
        self,
        side: Submission,
        get: Remote,
        keys: Sequence[tuple[Any]],
        records: Sequence[bytes],
        *,
        draw: Callable[[random.Random], list[int]],
        seed: int,
    ) -> None:
        self._side, self._get, self._keys = side, get, keys
        self._records = list(records)
        self._draw = draw
        self._rng = random.Random(seed)
        self._pool: Remote | None = None
        self._places: list[tuple[int, int]] = []  # page id and offset, by key
        self.calls = 0

    def rewrite(self, pool: Remote, places: list[tuple[int, int]]) -> Gets:
        """Change records through `pool`; `places` are page id and offset of each key's record."""
        self._pool, self._places = pool, places
        return self

    def __call__(self) -> float:
        order = self._draw(self._rng)
        for i in self._rng.sample(order, REWRITTEN):
            self._rewrite(i)
        batch = self._side.prepare(self._get, [self._keys[i] for i in order])
        read: list[Any] = []

        def run() -> None:
            batch.run()
            read.extend(batch.results())

        seconds = timed(run)
        self.calls += len(order)
        want = [self._records[i] for i in order]
        if read != want:
            got = next(g for g, w in zip(read, want, strict=True) if g != w)
            require(
                False,
                "get(rid) in the race: not the bytes that are in its page, which the judge "
                "changes through the pool between rounds",
                f"got {show(got)}",
            )
        return seconds

    def _rewrite(self, i: int) -> None:
        record = self._rng.randbytes(len(self._records[i]))
        if self._pool is not None:
            page_id, offset = self._places[i]
            with self._pool.fetch(page_id) as page:
                page.data_mut()[offset : offset + len(record)] = record
            self._records[i] = record


def stored_keys(
    side: Submission, ledger: Ledger, ids: Sequence[Any]
) -> tuple[list[tuple[Any]], list[bytes], list[tuple[int, int]]]:
    """For flushed records: RecordIds as arguments, the bytes, and where they lie in the file."""
    found, places = ledger.changed(), [place(rid) for rid in ids]
    lost = next((at for at in places if at not in found), None)
    require(lost is None, f"After flush_all() the file holds no record at (page, slot) {lost}")
    entries = [found[at] for at in places]
    offsets = [(page_id, entry.offset) for (page_id, _), entry in zip(places, entries, strict=True)]
    return record_ids(side, places), [entry.record for entry in entries], offsets
