"""The B+ tree against SQLite and LMDB: the rows of the module's performance table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import meridian
from benchmarks.btree_stores import Entries, LmdbIndex, MeridianIndex, SqliteIndex, Store
from benchmarks.harness import Side
from benchmarks.table import Row, Table
from meridian.foundation.profiling.timing import Clock

__all__ = ["ALL_ROWS", "TABLE", "main"]

Make = Callable[[int], tuple[Side, Side]]
Targets = Mapping[type[Store], float]

_LOADED = 10  # a read asks for a tenth of what is stored


@lru_cache(maxsize=1)
def _entries(count: int, asked: int) -> Entries:
    meridian.warmup("database")
    return Entries(count, asked)


def _plain(found: Any) -> Any:
    """Results as plain integers, whatever form a store gives them in."""
    if isinstance(found, tuple):
        return [column.tolist() for column in found]
    if hasattr(found, "tolist"):
        return found.tolist()
    return [_integer(item) for item in found]


def _integer(item: Any) -> Any:
    if isinstance(item, bytes):
        return int.from_bytes(item, "little")
    if hasattr(item, "pack"):
        return item.pack()
    return tuple(map(_integer, item)) if isinstance(item, tuple) else item


def _side(
    kind: type[Store], method: str, entries: Entries, *, fresh: bool = False, cold: bool = False
) -> Side:
    if fresh:
        return Side(
            kind.name,
            lambda store: getattr(store, method)(),
            prepare=lambda: kind.empty(entries),
            answer=lambda store, _: store.content(),
            finish=lambda store: store.close(),
        )
    return Side(
        kind.name,
        lambda store: getattr(store, method)(),
        prepare=lambda: kind.full(entries, cold=cold),
        answer=lambda _, found: _plain(found),
        finish=lambda store: store.close(),
    )


def _reads(
    peer: type[Store], items: int, *, ours: str, theirs: str, cold: bool
) -> tuple[Side, Side]:
    entries = _entries(_LOADED * items, items)
    return (
        _side(MeridianIndex, ours, entries, cold=cold),
        _side(peer, theirs, entries, cold=cold),
    )


def _writes(peer: type[Store], items: int, *, method: str) -> tuple[Side, Side]:
    entries = _entries(items, 1)
    return (
        _side(MeridianIndex, method, entries, fresh=True),
        _side(peer, method, entries, fresh=True),
    )


def _row(name: str, make: Make, peer: type[Store], target: float, clock: Clock = "cpu") -> Row:
    return Row(
        name,
        "key",
        make,
        items=100_000,
        quick_items=500,
        target=target,
        clock=clock,
        rounds=12,
        needs="lmdb" if peer is LmdbIndex else "",
        peer=peer.name,
    )


def _read(name: str, ours: str, theirs: str, targets: Targets, *, cold: bool = False) -> list[Row]:
    make = partial(_reads, ours=ours, theirs=theirs, cold=cold)
    return [_row(name, partial(make, peer), peer, target) for peer, target in targets.items()]


def _write(name: str, method: str, targets: Targets) -> list[Row]:
    make = partial(_writes, method=method)
    return [
        _row(name, partial(make, peer), peer, target, "wall") for peer, target in targets.items()
    ]


TABLE = Table(
    key="database/02-btree",
    title="Meridian's B+ tree against embedded stores",
    rows=[
        *_write("bulk_load", "bulk_load", {LmdbIndex: 8.0, SqliteIndex: 50.0}),
        *_read("get", "get_each", "get_each", {LmdbIndex: 0.7, SqliteIndex: 1.8}),
        *_read("get_many", "get_many", "get_many", {LmdbIndex: 8.0, SqliteIndex: 12.0}),
        *_read("range_arrays", "arrays", "arrays", {LmdbIndex: 30.0, SqliteIndex: 60.0}),
        *_read("items", "walk", "walk", {LmdbIndex: 1.5, SqliteIndex: 3.0}),
        *_read("range", "walk_records", "walk", {SqliteIndex: 0.7}),
        *_write("put_many", "put_batches", {LmdbIndex: 2.5, SqliteIndex: 5.0}),
        *_write("upsert", "put_each", {LmdbIndex: 0.7, SqliteIndex: 1.5}),
        *_read("get_many, cold", "get_many", "get_many", {SqliteIndex: 5.0}, cold=True),
        *_read("get, cold", "get_each", "get_each", {SqliteIndex: 0.5}, cold=True),
    ],
    workload=(
        "reads ask for 100,000 of 1,000,000 random 32-bit keys, in random order or as a range, all "
        "resident, or with memory for a tenth of the pages (cold; the system's page cache holds "
        "the file). Writes put 100,000 random keys into an empty store, in ascending order at once "
        "(bulk_load), one by one, or in batches of 10,000, and hand them to the system. CPU time "
        "for reads, wall time for writes."
    ),
    bias=(
        "written by the authors of meridian. LMDB and SQLite keep transactions that are atomic in "
        "a crash even with sync off; our tree does not, and is built again from the records. "
        "Meridian alone computes and verifies checksums. range_arrays ends in arrays on every "
        "side, inside the clock; items is the row of like with like, but that LMDB's integers "
        "stay bytes."
    ),
    peers=("lmdb",),
)
ALL_ROWS = TABLE.names
main = TABLE.main
