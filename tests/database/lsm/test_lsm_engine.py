"""The engine as its callers see it: what is put is got, in order, whatever happens meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    TOMBSTONE,
    Columns,
    CorruptTable,
    EngineClosed,
    EngineLocked,
    KeyPrefix,
    LsmEngine,
    LsmOptions,
    ManifestMissing,
    MissingTable,
    SnapshotManifest,
    VersionEdit,
    WriteBatch,
    norad_key,
    norad_keys,
)
from meridian.testing import FaultyFileSystem

Open = Callable[..., LsmEngine]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    """`opened(**options)`: an engine in `folder`, closed at the end of the test."""
    engines: list[LsmEngine] = []

    def make(**options: object) -> LsmEngine:
        engine = LsmEngine(folder, LsmOptions(**({"fsync": False} | options)))  # type: ignore[arg-type]
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def tables_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("sst_*"))


def loaded(engine: LsmEngine, ids: range, value: bytes = b"v" * 82) -> None:
    engine.put_many(norad_keys(np.array(ids)), [value] * len(ids))


# -- one key -------------------------------------------------------------------------------------


def test_deleted_is_gone_wherever_it_is(opened: Open) -> None:
    engine = opened()
    for key in (b"a", b"b", b"c"):
        engine.put(key, b"1" + key)
    engine.put(b"b", b"")
    assert (engine.get(b"a"), engine.get(b"b"), engine.get(b"x")) == (b"1a", b"", None)
    engine.flush()
    engine.delete(b"a")
    engine.delete(b"unknown")
    for step in (engine.flush, lambda: engine.compact(full=True), lambda: None):
        assert [engine.get(key) for key in (b"a", b"b", b"c", b"unknown")] == [
            None,
            b"",
            b"1c",
            None,
        ]
        step()
    engine.close()
    engine = opened()
    assert [*engine.scan()] == [(b"b", b""), (b"c", b"1c")]


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (b"", b"v", ValueError),
        (bytes(65_536), b"v", ValueError),
        (b"k", bytes(65_536), ValueError),
        ("k", b"v", TypeError),
        (None, b"v", TypeError),
        (b"k", "v", TypeError),
        (b"k", None, TypeError),
        (5, b"v", TypeError),
    ],
)
def test_what_cannot_be_stored(
    opened: Open, key: bytes, value: bytes, error: type[Exception]
) -> None:
    engine = opened()
    with pytest.raises(error):
        engine.put(key, value)
    with pytest.raises(error):
        engine.put_many([b"good", key], [b"v", value])
    with pytest.raises(error):
        WriteBatch().put(key, value)
    if not isinstance(key, bytes) or len(key) not in range(1, 65_536):
        for call in (engine.get, engine.delete):
            with pytest.raises(error):
                call(key)
        with pytest.raises(error):
            engine.get_many([b"good", key])
        with pytest.raises(error):
            engine.delete_many([b"good", key])
    assert [*engine.scan()] == []
    assert engine.last_lsn == 0
    assert engine.stats().user_bytes == 0


def test_the_longest_keys_and_values(opened: Open) -> None:
    engine = opened(memtable_bytes=200_000)
    for letter in b"abc":
        engine.put(bytes([letter]) * 65_535, bytes([letter]) * 65_535)
    engine.put(b"\0", b"")
    engine.flush()
    engine.compact(full=True)
    assert engine.get(b"b" * 65_535) == b"b" * 65_535
    assert engine.get(b"b" * 65_534) is None
    assert [len(key) for key, _ in engine.scan()] == [1, 65_535, 65_535, 65_535]


def test_bytes_like_keys_are_copied(opened: Open) -> None:
    engine = opened()
    key, value = bytearray(b"key"), bytearray(b"value")
    engine.put(key, memoryview(value))
    key[0] = value[0] = 0
    assert engine.get(bytearray(b"key")) == b"value"


# -- the tables of the acceptance run ------------------------------------------------------------


def test_a_hundred_thousand_records_make_two_tables(folder: Path, opened: Open) -> None:
    engine = opened()
    loaded(engine, range(100_000))
    assert tables_in(folder) == ["sst_000001.dat", "sst_000002.dat"]
    assert engine.stats().memtable_bytes == 2_458 * 86
    assert all((folder / name).read_bytes()[-8:] == b"OORSST01" for name in tables_in(folder))
    loaded(engine, range(0, 200, 2), b"new")
    rng = random.Random(4)
    for number in rng.sample(range(100_000), 500):
        wanted = b"new" if number < 200 and number % 2 == 0 else b"v" * 82
        assert engine.get(norad_key(number)) == wanted
    assert len([*engine.scan(norad_key(40_000), norad_key(40_500))]) == 501


def test_single_and_batch_writes_make_the_same_files(tmp_path: Path) -> None:
    ids = np.random.default_rng(5).integers(0, 2_000, 6_000)
    keys, values = norad_keys(ids), norad_keys(ids * 7)
    options = LsmOptions(memtable_bytes=3_000, block_size=512, l0_trigger=3, fsync=False)
    for name in ("each", "many"):
        with LsmEngine(tmp_path / name, options) as engine:
            if name == "many":
                engine.put_many(keys, values)
            else:
                for key, value in zip(keys, values, strict=True):
                    engine.put(key.tobytes(), value.tobytes())
    each, many = ([*(tmp_path / name).glob("sst_*")] for name in ("each", "many"))
    assert sorted(path.name for path in each) == sorted(path.name for path in many)
    for path in each:
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def test_files_do_not_depend_on_the_process(tmp_path: Path) -> None:
    script = """
import sys
from meridian.database.lsm import LsmEngine, LsmOptions
with LsmEngine(sys.argv[1], LsmOptions(memtable_bytes=2_000, fsync=False)) as engine:
    for i in range(3_000):
        engine.put(b"%d" % (i * 7919 % 1_000), b"value %d" % i)
    engine.flush()
    engine.compact(full=True)
"""
    found = []
    for seed in ("1", "2"):
        path = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", script, path],
            env=os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"},
            check=True,
            timeout=120,
        )
        found.append([(each.name, each.read_bytes()) for each in sorted(path.glob("sst_*"))])
    assert found[0] == found[1]
    with LsmEngine(tmp_path / "2") as engine:
        assert all(engine.get(b"%d" % i) for i in range(1_000))


def test_overwriting_one_key_makes_no_table(folder: Path, opened: Open) -> None:
    engine = opened(memtable_bytes=10_000)
    for number in range(5_000):
        engine.put(b"hot", b"%d" % number * 10)
    assert tables_in(folder) == []
    assert engine.stats().memtable_bytes < 100


# -- batches -------------------------------------------------------------------------------------


def test_a_batch_counts_as_a_whole(opened: Open) -> None:
    engine = opened(memtable_bytes=100)
    engine.put(b"old", b"1")
    batch = WriteBatch().put(b"a", b"x" * 500).delete(b"old").put(b"b", b"2").put(b"b", b"3")
    assert (len(batch), batch.nbytes) == (4, 508)
    engine.write(batch, lsn=10)
    assert engine.last_lsn == 13
    assert [*engine.scan()] == [(b"a", b"x" * 500), (b"b", b"3")]
    assert engine.version.flushed_lsn == 13  # one memtable, though five times too large
    assert len(engine.version.tables) == 1
    with pytest.raises(ValueError, match="lsn >= 14, got 13"):
        engine.write(batch, lsn=13)
    with pytest.raises(TypeError, match="Expected a WriteBatch, got list"):
        engine.write([])  # type: ignore[arg-type]
    engine.write(WriteBatch())
    assert engine.last_lsn == 13


def test_numbers_of_writes_go_on_after_reopening(opened: Open) -> None:
    engine = opened()
    engine.put_many([b"a", b"b"], [b"1", b"2"])
    engine.delete_many([b"a"])
    engine.put(b"c", b"3")
    assert engine.last_lsn == 4
    (meta,) = engine.flush()
    assert (meta.max_lsn, engine.version.flushed_lsn) == (4, 4)
    engine.close()
    engine = opened()
    engine.put(b"d", b"4")
    assert engine.last_lsn == 5


# -- many keys -----------------------------------------------------------------------------------


@pytest.fixture
def mixed(opened: Open) -> tuple[LsmEngine, dict[bytes, bytes]]:
    """Everything everywhere: level 2, level 1, level 0, a frozen memtable, the active one."""
    engine = opened(
        memtable_bytes=40_000, l0_trigger=3, l1_bytes=60_000, target_file_bytes=20_000, size_ratio=3
    )
    rng, model = random.Random(6), {}
    for _ in range(12_000):
        key = norad_key(rng.randrange(0, 6_000, 2))
        if rng.random() < 0.1:
            engine.delete(key)
            model.pop(key, None)
        else:
            model[key] = rng.randbytes(20)
            engine.put(key, model[key])
    engine.freeze()
    for number in range(0, 300, 3):
        model[norad_key(number)] = b"y" * 20
        engine.put(norad_key(number), b"y" * 20)
    stats = engine.stats()
    assert len(stats.files_per_level) >= 3
    assert stats.immutables == 1
    assert stats.memtable_bytes
    return engine, model


def test_many_keys_at_once(mixed: tuple[LsmEngine, dict[bytes, bytes]]) -> None:
    engine, model = mixed
    ids = np.random.default_rng(7).integers(0, 7_000, 5_000)
    wanted = [model.get(norad_key(int(i))) for i in ids]
    assert engine.get_many([norad_key(int(i)) for i in ids]) == wanted
    assert engine.get_many(norad_keys(ids)) == wanted
    assert [engine.get(norad_key(int(i))) for i in ids[:500]] == wanted[:500]
    rows, found = engine.get_many_fixed(norad_keys(ids), 20)
    assert found.tolist() == [one is not None for one in wanted]
    assert rows.tobytes() == b"".join(bytes(20) if one is None else one for one in wanted)
    assert engine.get_many([]) == []
    rows, found = engine.get_many_fixed(norad_keys(ids[:0]), 20)
    assert (rows.shape, found.shape) == ((0, 20), (0,))


def test_values_of_another_width_are_named(opened: Open) -> None:
    engine = opened()
    engine.put(b"aaaa", b"12345")
    for _ in range(2):  # in memory, then in a table
        with pytest.raises(ValueError, match="values of 4 bytes, key 61616161 has one of another"):
            engine.get_many_fixed(np.frombuffer(b"aaaabbbb", np.uint8).reshape(2, 4), 4)
        engine.flush()
    with pytest.raises(TypeError, match="rows of uint8, got list"):
        engine.get_many_fixed([b"aaaa"], 4)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="uint8"):
        engine.get_many_fixed(np.zeros((1, 4)), 4)  # type: ignore[arg-type]


# -- order ---------------------------------------------------------------------------------------


def test_scans_agree_with_a_dict(mixed: tuple[LsmEngine, dict[bytes, bytes]]) -> None:
    engine, model = mixed
    everything = sorted(model.items())
    assert [*engine.scan()] == everything
    rng = random.Random(8)
    for _ in range(50):
        low, high = (norad_key(rng.randrange(7_000)) for _ in range(2))
        limit = rng.choice((None, 0, 1, 10, 500))
        wanted = [pair for pair in everything if low <= pair[0] <= high]
        assert [*engine.scan(low, high, limit=limit)] == wanted[:limit]
        columns = engine.scan_columns(low, high)
        assert [*columns.items()] == wanted
    assert [*engine.scan(limit=7)] == everything[:7]
    with_deleted = [*engine.scan(keep_tombstones=True)]
    assert [pair for pair in with_deleted if pair[1] is not TOMBSTONE] == everything
    assert len(with_deleted) > len(everything)


def test_bounds_that_are_odd(opened: Open) -> None:
    engine = opened()
    for key in (b"a", b"b", b"c"):
        engine.put(key, key)
    engine.flush()
    assert [key for key, _ in engine.scan(b"c", b"a")] == []
    assert [key for key, _ in engine.scan(b"", b"b")] == [b"a", b"b"]
    assert [key for key, _ in engine.scan(b"b", b"")] == []
    assert [key for key, _ in engine.scan(b"aa", b"bb")] == [b"b"]
    assert len(engine.scan_columns(b"x", b"a")) == 0
    for wrong in ("a", 5):
        with pytest.raises(TypeError):
            engine.scan(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit >= 0"):
        engine.scan(limit=-1)


def test_seek_finds_the_next_entry(mixed: tuple[LsmEngine, dict[bytes, bytes]]) -> None:
    engine, _ = mixed
    entries = [*engine.scan(keep_tombstones=True)]
    rng = random.Random(9)
    for _ in range(300):
        start = norad_key(rng.randrange(7_000))
        prefix = start[: rng.randrange(5)]
        wanted = [one for one in entries if one[0] >= start and one[0].startswith(prefix)][:1]
        assert engine.seek(start, prefix) == (wanted[0] if wanted else None)
    assert engine.seek(b"") == entries[0]
    assert engine.seek(b"", entries[5][0]) == entries[5]
    assert engine.seek(norad_key(9), norad_key(8)) is None


def test_a_scan_sees_its_moment(folder: Path, opened: Open) -> None:
    engine = opened(memtable_bytes=20_000)
    loaded(engine, range(1_000), b"old")
    engine.flush()
    before = tables_in(folder)
    scan, late = engine.scan(), engine.scan()
    first = [next(scan) for _ in range(10)]
    loaded(engine, range(0, 1_000, 2), b"new")
    engine.delete(norad_key(999))
    engine.flush()
    engine.compact(full=True)
    assert set(before) < set(tables_in(folder))  # still read
    wanted = [(norad_key(number), b"old") for number in range(1_000)]
    assert [*first, *scan] == wanted
    assert [*late] == wanted
    assert not set(before) & set(tables_in(folder))
    assert len([*engine.scan()]) == 999


def test_an_abandoned_scan_lets_go(folder: Path, opened: Open) -> None:
    engine = opened()
    for _ in range(2):
        loaded(engine, range(1_000))
        engine.flush()
    old = tables_in(folder)
    begun, untouched = engine.scan(), engine.scan()
    next(begun)
    engine.compact(full=True)
    assert set(old) < set(tables_in(folder))
    del begun
    assert set(old) < set(tables_in(folder))
    del untouched
    assert tables_in(folder) == ["sst_000003.dat"]


def test_a_scan_after_close_says_so(opened: Open) -> None:
    engine = opened(block_size=256)
    loaded(engine, range(1_000))
    engine.flush()
    scan = engine.scan()
    next(scan)
    engine.close()
    with pytest.raises(EngineClosed):
        list(scan)


# -- filters -------------------------------------------------------------------------------------


def test_absent_keys_inside_the_range_are_filtered(opened: Open) -> None:
    engine = opened()
    for part in range(4):
        loaded(engine, range(part, 40_000, 8))
        engine.freeze()
    engine.flush()
    engine.compact()
    before = engine.stats()
    odd = [norad_key(number) for number in range(5, 40_000, 8)]
    assert not any(engine.get(key) for key in odd[:1_000])
    assert not any(engine.get_many(odd[1_000:]))
    after = engine.stats()
    checked = after.bloom_checked - before.bloom_checked
    skipped = after.bloom_skipped - before.bloom_skipped
    assert checked >= len(odd) - 1
    assert skipped / checked > 0.98
    assert after.bloom_false_positives - before.bloom_false_positives == checked - skipped
    assert after.gets - before.gets == len(odd)
    assert 0.9 < after.read_amp <= 1.0


def test_a_prefix_filter_serves_seeks(opened: Open) -> None:
    engine = opened(filter_key=KeyPrefix(4), auto_compact=False)
    for part in range(3):
        for number in range(part, 3_000, 6):
            for stamp in (b"\x01", b"\x02"):
                engine.put(norad_key(number) + stamp, b"%d" % number)
        engine.flush()
    for number in (0, 7, 1_000, 2_995):
        wanted = (norad_key(number) + b"\x02", b"%d" % number) if number % 6 < 3 else None
        assert engine.seek(norad_key(number) + b"\x02", norad_key(number)) == wanted
        key = norad_key(number) + b"\x01"
        assert engine.get(key) == (b"%d" % number if wanted else None)
        assert engine.get_many([key]) == [engine.get(key)]
    before = engine.stats()
    for number in range(3, 2_000, 6):
        assert engine.seek(norad_key(number), norad_key(number)) is None
    after = engine.stats()
    assert after.bloom_checked - before.bloom_checked >= 900
    assert after.bloom_skipped - before.bloom_skipped >= 0.95 * 900
    assert after.block_reads - before.block_reads < 60
    # Half a prefix determines nothing, so no filter may say no.
    assert engine.seek(norad_key(2)[:2] + b"\0\x02", norad_key(2)[:2]) is not None


def test_a_plain_filter_key_never_hides_a_seek(opened: Open) -> None:
    engine = opened(filter_key=lambda key: key[:-8] if len(key) > 8 else key)
    engine.put(b"user" + bytes(8), b"1")
    engine.flush()
    assert engine.seek(b"user", b"user") == (b"user" + bytes(8), b"1")
    assert engine.get(b"user" + bytes(8)) == b"1"


# -- levels --------------------------------------------------------------------------------------


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


# -- opening -------------------------------------------------------------------------------------


def test_one_engine_at_a_time(folder: Path, opened: Open) -> None:
    engine = opened()
    with pytest.raises(EngineLocked, match="this process already") as error:
        LsmEngine(folder)
    assert error.value.here
    child = [
        sys.executable,
        "-c",
        f"from meridian.database.lsm import LsmEngine; LsmEngine({str(folder)!r})",
    ]
    said = subprocess.run(child, capture_output=True, text=True, timeout=120).stderr
    assert "is open in another process" in said
    engine.close()
    opened().put(b"k", b"v")


def test_what_a_crash_left_is_removed(folder: Path, opened: Open) -> None:
    with opened() as engine:
        loaded(engine, range(10))
    ours = ["sst_000777.dat", "sst_000778.dat.tmp", "sst_1234567.dat"]
    foreign = ["my_sst_000001.dat", "sst_backup.dat", "sst_0000009.dat", "sst_12.dat", "notes.tmp"]
    for name in ours + foreign:
        (folder / name).write_bytes(b"?")
    (folder / "sst_000900").mkdir()
    engine = opened()
    left = {path.name for path in folder.iterdir()}
    assert left == {"LOCK", "LSMSTATE", "sst_000001.dat", "sst_000900", *foreign}
    engine.put(b"k", b"v")
    assert engine.flush()[0].sst_id == 1_234_568  # no number is used twice


def test_a_list_that_is_lost(folder: Path, opened: Open) -> None:
    with opened() as engine:
        loaded(engine, range(10))
    state = (folder / "LSMSTATE").read_bytes()
    (folder / "LSMSTATE").unlink()
    with pytest.raises(ManifestMissing, match=r"LSMSTATE is missing beside 1 tables"):
        opened()
    assert tables_in(folder) == ["sst_000001.dat"]
    (folder / "LSMSTATE").write_bytes(state)
    assert len([*opened().scan()]) == 10


def test_a_table_that_is_lost_or_damaged(folder: Path, opened: Open) -> None:
    with opened(l0_trigger=9) as engine:
        for part in range(3):
            loaded(engine, range(part, 1_000, 3))
            engine.flush()
    (folder / "sst_000009.dat").write_bytes(b"orphan")
    second = folder / "sst_000002.dat"
    whole = second.read_bytes()
    second.unlink()
    with pytest.raises(MissingTable, match=r"sst_000002\.dat is listed but missing"):
        opened()
    assert (folder / "sst_000009.dat").exists()  # nothing is removed before all is well
    for part in (whole[:-1], whole[:200], b"", (folder / "sst_000001.dat").read_bytes()):
        second.write_bytes(part)
        with pytest.raises(CorruptTable):
            opened()
    second.write_bytes(whole[:100] + b"!" + whole[101:])  # a block: its keys only
    engine = opened()
    with pytest.raises(CorruptTable, match="block 0"):
        engine.get(norad_key(1))
    assert engine.get(norad_key(0)) == b"v" * 82
    assert engine.get(norad_key(999)) == b"v" * 82
    with pytest.raises(CorruptTable):
        engine.check()


def test_a_manifest_of_ones_own(folder: Path) -> None:
    class Remembered(SnapshotManifest):
        edits: list[VersionEdit] = []  # noqa: RUF012

        def commit(self, edit: VersionEdit) -> None:
            self.edits.append(edit)
            super().commit(edit)

    folder.mkdir()
    with LsmEngine(folder, manifest=Remembered(folder)) as engine:
        for part in range(4):
            loaded(engine, range(part, 100))
            engine.flush()
    flushes, (merge,) = Remembered.edits[1:5], Remembered.edits[5:]
    assert [edit.flushed_lsn for edit in flushes] == [100, 199, 297, 394]
    assert [len(edit.added) for edit in flushes] == [1] * 4
    assert (merge.removed, merge.flushed_lsn, len(merge.added)) == ((4, 3, 2, 1), None, 1)


def test_closed_is_closed(opened: Open) -> None:
    engine = opened()
    engine.put(b"k", b"v")
    engine.close()
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.put(b"k", b"v"), lambda: engine.delete(b"k"), lambda: engine.get(b"k"),
        lambda: engine.put_many([b"k"], [b"v"]), lambda: engine.delete_many([b"k"]),
        lambda: engine.get_many([b"k"]), lambda: engine.get_many_fixed(norad_keys([1]), 4),
        lambda: engine.write(WriteBatch().put(b"k", b"v")), lambda: engine.scan(),
        lambda: engine.scan_columns(), lambda: engine.seek(b"k"), engine.freeze, engine.flush,
        engine.compact, engine.stats, engine.check,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(EngineClosed, match="The engine is closed"):
            call()
    assert "closed" in repr(engine)
    with opened() as engine:
        assert engine.get(b"k") == b"v"


def test_every_byte_goes_through_the_file_layer(folder: Path) -> None:
    fs = FaultyFileSystem()
    with LsmEngine(folder, LsmOptions(memtable_bytes=1_000), fs=fs) as engine:
        for number in range(100):
            engine.put(norad_key(number), bytes(82))
        assert engine.get(norad_key(5)) == bytes(82)
    written = {Path(call.path).name for call in fs.calls if call.op == "create"}
    here = {path.name for path in folder.iterdir()} - {"LOCK"}
    assert here <= {name.removesuffix(".tmp") for name in written}
    assert {"preadv", "sync", "sync_dir", "rename", "unlink", "lock"} <= set(fs.counts)


def test_without_fsync_nothing_is_synced(folder: Path) -> None:
    fs = FaultyFileSystem()
    with LsmEngine(folder, LsmOptions(memtable_bytes=1_000, fsync=False), fs=fs) as engine:
        for number in range(100):
            engine.put(norad_key(number), bytes(82))
    assert fs.counts["sync"] == 0
