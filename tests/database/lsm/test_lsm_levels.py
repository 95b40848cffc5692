"""Tables in levels: when they are merged, what stays, and what the hooks see."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    Columns,
    KeyPrefix,
    norad_key,
    norad_keys,
)
from tests.database.lsm.engine_support import Open, loaded, tables_in


def test_the_fourth_flush_empties_level_0(folder: Path, opened: Open) -> None:
    engine = opened()
    for part in range(4):
        loaded(engine, range(part, 4_000, 3), b"%d" % part)
        names = tables_in(folder)
        engine.flush()
    stats = engine.stats()
    assert stats.files_per_level == (0, 1)
    assert (stats.flushes, stats.compactions) == (4, 1)
    assert len(names) == 3
    assert tables_in(folder) == ["sst_000005.dat"]
    assert engine.get(norad_key(3)) == b"3"
    assert stats.compaction_read_bytes == stats.flush_bytes
    assert stats.write_amp == (stats.flush_bytes + stats.compaction_bytes) / stats.user_bytes


def test_tombstones_go_at_the_bottom_and_not_before(folder: Path, opened: Open) -> None:
    engine = opened(auto_compact=False, strategy="tiered", size_ratio_percent=0)
    loaded(engine, range(100))
    engine.flush()  # the oldest run, to be left out
    loaded(engine, range(50, 60))
    engine.flush()
    engine.delete_many(norad_keys(np.arange(20, 80)))
    engine.flush()
    # Merge the two newer runs only, as a strategy with another taste might.
    core = engine._core
    runs = engine.version.level(0)
    from meridian.database.lsm.compaction import CompactionTask, older_than

    class Two:
        name = "two"

        def pick(self, *_: object, **__: object) -> CompactionTask:
            return CompactionTask(runs[:2], 0, older_than(engine.version, runs[:2]))

    core.strategy = Two()  # type: ignore[assignment]
    assert core.compact_once()
    newer, older = engine.version.level(0)
    assert (newer.tombstones, newer.entries, older.sst_id) == (60, 60, 1)
    assert engine.get(norad_key(30)) is None
    assert engine.get(norad_key(55)) is None
    assert len([*engine.scan()]) == 40
    engine.close()
    engine = opened(strategy="tiered")
    assert len([*engine.scan()]) == 40
    size = engine.version.size_bytes
    assert engine.compact(full=True) == 1
    (only,) = engine.version.tables
    assert (only.tombstones, only.entries) == (0, 40)
    assert only.size_bytes < size / 2
    assert len([*engine.scan()]) == 40


def test_tombstones_can_be_kept(opened: Open) -> None:
    engine = opened(gc_tombstones=False)
    loaded(engine, range(10))
    engine.delete(norad_key(5))
    engine.flush()
    engine.compact(full=True)
    assert engine.version.tables[0].tombstones == 1
    assert len([*engine.scan()]) == 9


def test_all_of_nothing(folder: Path, opened: Open) -> None:
    engine = opened()
    assert engine.flush() == []
    assert engine.compact(full=True) == 0
    assert engine.get(b"k") is None
    assert engine.seek(b"") is None
    loaded(engine, range(100))
    engine.delete_many(norad_keys(np.arange(100)))
    engine.flush()
    engine.compact(full=True)
    assert tables_in(folder) == []
    assert [*engine.scan()] == []
    assert engine.stats(space=True).space_amp is None


def test_a_compaction_filter_sees_whole_groups(opened: Open) -> None:
    """Keys `user | n`; keep the first two of each user, whatever the stretches."""
    seen: list[list[bytes]] = []

    def first_two(columns: Columns) -> np.ndarray:
        users = [key[:4] for key, _ in columns.items()]
        seen.append(users)
        return np.array([users[max(0, i - 2) : i].count(user) < 2 for i, user in enumerate(users)])

    engine = opened(
        compaction_filter=first_two, filter_key=KeyPrefix(4), block_size=256, auto_compact=False
    )
    for part in range(2):
        for user in range(part, 3_000, 5):
            for n in range(7):
                engine.put(norad_key(user) + bytes([n]), b"v" * 30)
        engine.flush()
    engine.compact(full=True)
    assert len(seen) > 1
    for before, after in pairwise(seen):
        assert before[-1] != after[0]
    assert [key[4] for key, _ in engine.scan()] == [0, 1] * 1_200


def test_a_filter_that_answers_nonsense_is_refused(opened: Open) -> None:
    engine = opened(compaction_filter=lambda _: np.ones(1))
    loaded(engine, range(10))
    engine.flush()
    with pytest.raises(TypeError, match=r"bool\[10\] from the compaction filter"):
        engine.compact(full=True)
    assert len([*engine.scan()]) == 10
    engine.put(b"more", b"")  # nothing was lost, so writes go on


def test_first_in_first_out(folder: Path, opened: Open) -> None:
    engine = opened(strategy="fifo", fifo_bytes=40_000, memtable_bytes=8_600)
    for number in range(2_000):
        engine.put(norad_key(number), bytes(82))
    stats = engine.stats()
    assert stats.bytes_per_level[0] <= 40_000
    assert stats.write_amp < 1.2
    assert stats.drops > 5
    kept = [int.from_bytes(key, "big") for key, _ in engine.scan()]
    assert kept == [*range(kept[0], 2_000)]
    assert len(tables_in(folder)) == stats.files_per_level[0]


def test_a_level_is_cut_into_tables(opened: Open) -> None:
    engine = opened(target_file_bytes=20_000, block_size=512)
    for part in range(4):
        loaded(engine, range(part, 2_000, 4))
        engine.flush()
    tables = engine.version.level(1)
    assert len(tables) == 10
    assert all(meta.size_bytes < 22_000 for meta in tables)
    engine.check()
