"""The LSM engine against RocksDB, and LMDB and SQLite where they only read."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import meridian
from benchmarks.bounds import Bound
from benchmarks.harness import Side
from benchmarks.lsm_stores import (
    LmdbTables,
    MeridianLsm,
    Records,
    RocksTables,
    SqliteTables,
    Store,
)
from benchmarks.table import Row, Table
from meridian.database.lsm import LsmEngine, LsmOptions, norad_keys

__all__ = ["ALL_ROWS", "TABLE", "main"]

_NEEDS = {RocksTables: "rocksdict", LmdbTables: "lmdb"}
_ROOMY = 1 << 30  # a memtable that is never full


@lru_cache(maxsize=1)
def _records(count: int) -> Records:
    meridian.warmup("database")
    return Records(count, count)


_open: dict[tuple[type[Store], int], Store] = {}


def _filled(kind: type[Store], count: int) -> Store:
    """A store that is only read, kept for the rows that follow."""
    if (kind, count) not in _open:
        records = _records(count)
        store = kind(records) if kind in (LmdbTables, SqliteTables) else _unmerged(kind, records)
        store.fill()
        _open[kind, count] = store
    return _open[kind, count]


@atexit.register
def _discard() -> None:
    for store in _open.values():
        store.discard()
    _open.clear()


def _unmerged(kind: Any, records: Records) -> Any:
    return kind(records, memtable_bytes=_ROOMY, merge=False)


def _plain(found: Any) -> Any:
    return [column.tolist() for column in found] if isinstance(found, tuple) else found


def _reads(peer: type[Store], items: int, *, method: str, ids: str) -> tuple[Side, Side]:
    def side(kind: type[Store]) -> Side:
        def aimed() -> Store:
            store = _filled(kind, items)
            store.aim(getattr(store.records, ids))
            return store

        return Side(
            kind.name,
            lambda store: getattr(store, method)(),
            prepare=aimed,
            answer=lambda _, found: _plain(found),
        )

    return side(MeridianLsm), side(peer)


def _writes(peer: Any, items: int, *, method: str, memtable_bytes: int) -> tuple[Side, Side]:
    records = _records(items)

    def side(kind: Any) -> Side:
        return Side(
            kind.name,
            lambda store: getattr(store, method)(),
            prepare=lambda: kind(records, memtable_bytes=memtable_bytes),
            answer=lambda store, _: store.content(),
            finish=lambda store: store.discard(),
        )

    return side(MeridianLsm), side(peer)


def _compactions(peer: Any, items: int) -> tuple[Side, Side]:
    records = _records(items)

    def side(kind: Any) -> Side:
        def filled() -> Any:
            store = _unmerged(kind, records)
            store.fill()
            return store

        return Side(
            kind.name,
            lambda store: store.compact(),
            prepare=filled,
            answer=lambda store, _: store.content(),
            finish=lambda store: store.discard(),
        )

    return side(MeridianLsm), side(peer)


def _row(name: str, make: Callable[[int], tuple[Side, Side]], peer: Any, target: Any) -> Row:
    return Row(
        name,
        "record",
        make,
        items=100_000,
        quick_items=600,
        target=target,
        clock="cpu",
        rounds=12,
        needs=_NEEDS.get(peer, ""),
        peer=peer.name,
    )


def _read(name: str, method: str, ids: str, target: float, *more: type[Store]) -> list[Row]:
    peers: list[tuple[type[Store], float | None]] = [(RocksTables, target)]
    peers += [(peer, None) for peer in more]
    return [
        _row(name, partial(_reads, peer, method=method, ids=ids), peer, wanted)
        for peer, wanted in peers
    ]


def _write(name: str, method: str, target: float, memtable_bytes: int = 4 << 20) -> Row:
    make = partial(_writes, RocksTables, method=method, memtable_bytes=memtable_bytes)
    return _row(name, make, RocksTables, target)


def latency(out: Path, quick: bool) -> Sequence[Bound]:
    """What single puts take while an engine flushes and compacts in its threads."""
    del out
    count = 20_000 if quick else 1_000_000
    folder = Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    keys = [row.tobytes() for row in norad_keys(np.random.default_rng(0).permutation(count))]
    value, taken = bytes(82), np.empty(count, np.int64)
    try:
        with LsmEngine(folder / "lsm", LsmOptions(background=True)) as engine:
            put, now = engine.put, time.perf_counter_ns
            for i, key in enumerate(keys):
                began = now()
                put(key, value)
                taken[i] = now() - began
    finally:
        shutil.rmtree(folder)
    percentile = float(np.percentile(taken, 99.99))
    return [
        Bound("put, background, p99.99", "put", percentile, 1e6),
        Bound("put, background, longest", "put", float(taken.max()), 15e6),
    ]


TABLE = Table(
    key="database/03-lsm",
    title="Meridian's LSM engine against RocksDB",
    rows=[
        _write("put, memtable only", "put_each", 2.0, _ROOMY),
        _write("put and flush", "put_each_flushed", 1.7),
        _write("put_many and flush", "put_batches", 1.7),
        *_read("get, hit", "get_each", "hits", 0.7, LmdbTables, SqliteTables),
        *_read("get, miss", "get_each", "misses", 0.4),
        *_read("get_many_fixed, sorted", "get_rows", "sorted_hits", 5.0, LmdbTables),
        *_read("get_many_fixed, unsorted", "get_rows", "hits", 3.0, LmdbTables, SqliteTables),
        *_read("get_many, misses", "get_many", "misses", 3.0),
        *_read("scan_columns", "scan_rows", "hits", 5.0),
        *_read("scan", "scan_each", "hits", 0.8),
        _row("compaction", partial(_compactions, RocksTables), RocksTables, 1.5),
    ],
    workload=(
        "100,000 records of 4 + 82 bytes in random order of keys; CPU time of the whole process, "
        "with the threads of RocksDB. Writes begin with an empty store, memtables of 4 MiB unless "
        "said otherwise, and end with a flush; ours sync their tables. Reads meet four tables that "
        "are not merged, blocks cached; misses lie between the keys that are there. Compaction "
        "merges the four tables into one."
    ),
    bias=(
        "written by the authors of meridian. No log on either side, no compression, ten bits per "
        "key, blocks of 4 KiB, 32 MiB of cache, checksums verified. Values are put by key objects "
        "that exist already; batches are arrays here and lists there, and end in one array on both "
        "sides, inside the clock."
    ),
    peers=("rocksdict", "lmdb"),
    alone={"latency": latency},
)

ALL_ROWS = TABLE.names
main = TABLE.main
