"""What is there to read, at one moment: memtables and open tables, in one immutable object.

Readers take it by one attribute access and no lock; writers put the next one in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _probe_kernels as kernels
from meridian.database.lsm.errors import EngineClosed
from meridian.database.lsm.memtable import MemTable
from meridian.database.lsm.options import FilterKey
from meridian.database.lsm.sstable import ReadCounters
from meridian.database.lsm.tables import TableHandle
from meridian.database.lsm.types import MISSING, Found
from meridian.database.lsm.version import SstMeta, Version
from meridian.database.storage._kernels import read_only

__all__ = ["CLOSED", "Frozen", "State", "TableSet"]

_SKIPS: Final = 0xFFFF_FFFF


class TableSet:
    """The open tables of a version, and what it takes to choose among them in one call.

    `runs` are its sorted runs, the newest first: each table of level 0 is one, each deeper level
    is one. Filters and key ranges of all tables are copied into two arrays for the kernel.
    """

    __slots__ = ("_behind", "data", "filter_key", "handles", "plan", "readers", "runs", "version")

    def __init__(
        self, version: Version, handles: Mapping[int, TableHandle], filter_key: FilterKey | None
    ) -> None:
        """`handles` has every table of `version`, and maybe more."""
        self.version = version
        self.filter_key = filter_key
        zero = [(meta,) for meta in version.level(0)]
        groups = [*zero, *(level for level in version.levels[1:] if level)]
        self.runs = tuple(tuple(handles[meta.sst_id].reader for meta in group) for group in groups)
        self.handles = {meta.sst_id: handles[meta.sst_id] for group in groups for meta in group}
        self.readers = [reader for run in self.runs for reader in run]
        self._behind = [number + 1 for number, run in enumerate(self.runs) for _ in run]
        self.plan, self.data = self._planned()

    @classmethod
    def empty(cls) -> TableSet:
        return cls(Version(), {}, None)

    def __len__(self) -> int:
        return len(self.readers)

    def find(self, key: bytes, counters: ReadCounters) -> Found:
        """The newest entry under `key`, if any table has one: one block read, most often."""
        filter_key = key if self.filter_key is None else self.filter_key(key)
        group = 0
        while True:
            packed: int = kernels.next_table(key, filter_key, group, self.plan, self.data)
            if packed & _SKIPS:
                refused = packed & 0xFFFF
                counters.range_skipped += packed >> 16 & 0xFFFF
                counters.bloom_skipped += refused
                counters.bloom_checked += refused
            table = (packed >> 32) - 1
            if table < 0:
                return MISSING
            counters.bloom_checked += 1
            found = self.readers[table].find(key)
            if found is not MISSING:
                return found
            counters.bloom_false_positives += 1
            group = self._behind[table]

    def _planned(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        starts = np.cumsum([0, *map(len, self.runs)], dtype=np.int64)
        rows = np.zeros((len(self.readers), kernels.ROW), np.int64)
        parts: list[npt.NDArray[np.uint8]] = []
        end = 0
        for row, reader in zip(rows, self.readers, strict=True):
            bloom, meta = reader.filter, reader.meta
            row[:2] = bloom.num_bits, bloom.num_hashes
            pieces = (
                bloom.bits,
                np.frombuffer(meta.min_key, np.uint8),
                np.frombuffer(meta.max_key, np.uint8),
            )
            row[2] = end
            row[3] = row[2] + len(pieces[0])
            row[4] = row[5] = row[3] + len(pieces[1])
            row[6] = end = row[5] + len(pieces[2])
            parts += pieces
        plan = np.concatenate([[len(self.runs)], starts, rows.reshape(-1)]).astype(np.int64)
        data = np.concatenate([np.zeros(0, np.uint8), *parts])
        assert kernels.check_plan(plan, data)
        return read_only(plan), read_only(data)


@dataclass(slots=True, eq=False)
class Frozen:
    """A memtable on its way to disk; the table it became, once it did."""

    memtable: MemTable
    meta: SstMeta | None = None


class State:
    """One moment of the engine. `frozen` stands newest first."""

    __slots__ = ("active", "frozen", "tables")

    def __init__(self, active: MemTable, frozen: tuple[Frozen, ...], tables: TableSet) -> None:
        self.active = active
        self.frozen = frozen
        self.tables = tables

    def find(self, key: bytes, counters: ReadCounters) -> Found:
        """The newest entry under `key` that is not in the active memtable."""
        for each in self.frozen:
            found = each.memtable.get(key)
            if found is not MISSING:
                return found
        return self.tables.find(key, counters)


class _Closed(State):
    """What a closed engine has to read: every question is answered by `EngineClosed`."""

    __slots__ = ()

    def __init__(self) -> None:
        """Nothing is kept."""

    def __getattr__(self, name: str) -> Any:
        raise EngineClosed


CLOSED: Final[State] = _Closed()
