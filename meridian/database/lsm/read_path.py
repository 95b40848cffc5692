"""Many keys at once: one hash each, all filters in one kernel, one visit to each table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _probe_kernels as kernels
from meridian.database.lsm.arenas import Rows, as_rows, as_strings, joined
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.filter_keys import filter_hashes
from meridian.database.lsm.sstable import ReadCounters
from meridian.database.lsm.state import State, TableSet
from meridian.database.lsm.table_batch import Probe
from meridian.database.lsm.types import MAX_KEY, MISSING, TOMBSTONE, Buffer, Found, checked_key
from meridian.database.storage._kernels import read_only

__all__ = ["find_many", "find_rows"]

_FOUND, _DELETED, _OTHER = 1, 2, 3
_I64 = npt.NDArray[np.int64]
_U8 = npt.NDArray[np.uint8]


def find_many(state: State, keys: Rows | Sequence[Buffer], counters: ReadCounters) -> list[Found]:
    """The newest entry under each of `keys`: rows uint8 (n, w), or a sequence of bytes.

    Raises `TypeError` and `ValueError` for what are no keys.
    """
    if isinstance(keys, np.ndarray):
        rows = _checked_rows(keys)
        found = _in_memory(state, _as_list(rows))
        if not _open_ends(found):
            return found
        arena, starts = _spans(rows)
    else:
        strings = as_strings("keys", keys)
        for key in strings:
            if not 0 < len(key) <= MAX_KEY:
                checked_key(key)
        found = _in_memory(state, strings)
        if not _open_ends(found):
            return found
        arena, starts = joined(strings)
    status = np.fromiter((each is not MISSING for each in found), np.uint8, len(found))

    def ask(table: int, probe: Probe, todo: _I64) -> None:
        state.tables.readers[table].get_values(probe, todo, found)
        for i in todo.tolist():
            status[i] = found[i] is not MISSING

    _search(state.tables, arena, starts, status, counters, ask)
    return found


def find_rows(
    state: State, keys: Rows, width: int, counters: ReadCounters
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Values of one `width`: uint8 (n, width), zero where there is none, and bool[n].

    Raises `TypeError` and `ValueError` for what are no keys in rows, `ValueError` where a value has
    another width.
    """
    rows = _checked_rows(keys)
    out = np.zeros((len(rows), width), np.uint8)
    status = np.zeros(len(rows), np.uint8)
    if len(state.active) or state.frozen:
        _take_from_memory(_in_memory(state, _as_list(rows)), out, status)
    if not status.all():
        arena, starts = _spans(rows)

        def ask(table: int, probe: Probe, todo: _I64) -> None:
            state.tables.readers[table].get_rows(probe, todo, out, status)

        _search(state.tables, arena, starts, status, counters, ask)
    if (status == _OTHER).any():
        key = rows[int(np.argmax(status == _OTHER))].tobytes()
        raise ValueError(
            f"Expected values of {width} bytes, key {key[:16].hex()} has one of another length: "
            "use get_many"
        )
    return out, status == _FOUND


def _search(
    tables: TableSet,
    arena: _U8,
    starts: _I64,
    status: _U8,
    counters: ReadCounters,
    ask: Callable[[int, Probe, _I64], None],
) -> None:
    """Ask run after run for the keys without a `status`, each table for those it may have."""
    if not len(tables):
        return
    count = len(status)
    none = np.zeros(0, np.uint8)
    columns = Columns(arena, starts, none, np.zeros(count + 1, np.int64), np.zeros(count, np.bool_))
    hashes = filter_hashes(columns, tables.filter_key)
    arena, starts, hashes = read_only(arena), read_only(starts), read_only(hashes)
    probe = Probe(arena, starts)
    todo, table_of = np.empty(count, np.int64), np.empty(count, np.int64)
    for group in range(len(tables.runs)):
        chosen, outside, refused = kernels.select_rows(
            arena, starts, hashes, status, group, tables.plan, tables.data, todo, table_of
        )
        counters.range_skipped += outside
        counters.bloom_checked += chosen + refused
        counters.bloom_skipped += refused
        for table, asked in _by_table(table_of[:chosen], todo[:chosen]):
            ask(table, probe, asked)
            counters.bloom_false_positives += len(asked) - int(np.count_nonzero(status[asked]))
        if status.all():
            return


def _by_table(table_of: _I64, todo: _I64) -> Iterator[tuple[int, _I64]]:
    if not len(todo):
        return
    if table_of[0] == table_of[-1] and (table_of == table_of[0]).all():
        yield int(table_of[0]), todo.copy()
        return
    order = np.argsort(table_of, kind="stable")
    table_of, todo = table_of[order], todo[order]
    cuts = np.flatnonzero(np.diff(table_of)) + 1
    for part in np.split(np.arange(len(todo)), cuts):
        yield int(table_of[part[0]]), todo[part]


def _in_memory(state: State, keys: Sequence[bytes]) -> list[Found]:
    found: list[Found] = [*map(state.active.get, keys)]
    for each in state.frozen:
        if not _open_ends(found):
            break
        get = each.memtable.get
        found = [get(key) if one is MISSING else one for key, one in zip(keys, found, strict=True)]
    return found


def _open_ends(found: list[Found]) -> bool:
    return MISSING in found


def _take_from_memory(found: list[Found], out: Rows, status: _U8) -> None:
    width = out.shape[1]
    here, values = [], []
    for i, one in enumerate(found):
        if one is MISSING:
            continue
        if one is TOMBSTONE:
            status[i] = _DELETED
        elif len(one) != width:
            status[i] = _OTHER
        else:
            status[i] = _FOUND
            here.append(i)
            values.append(one)
    if here:
        out[here] = np.frombuffer(b"".join(values), np.uint8).reshape(len(here), width)


def _checked_rows(keys: npt.NDArray[np.generic]) -> Rows:
    rows = as_rows("keys", keys)
    if len(rows) and not 0 < rows.shape[1] <= MAX_KEY:
        raise ValueError(f"Expected keys of 1 to {MAX_KEY:,} bytes, got {rows.shape[1]:,}")
    return rows


def _as_list(rows: Rows) -> list[bytes]:
    count, width = rows.shape
    if not count:
        return []
    keys: list[bytes] = rows.view(f"V{width}").reshape(count).tolist()
    return keys


def _spans(rows: Rows) -> tuple[_U8, _I64]:
    count, width = rows.shape
    return rows.reshape(-1), np.arange(count + 1, dtype=np.int64) * width
