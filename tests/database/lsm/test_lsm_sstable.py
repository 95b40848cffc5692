"""Tables against a dict, and their files byte by byte."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.lsm import (
    MISSING,
    TOMBSTONE,
    Block,
    BlockCache,
    BloomFilter,
    Columns,
    CorruptTable,
    KeyPrefix,
    ReadCounters,
    SSTable,
    SSTableBuilder,
    SstMeta,
    encode_block,
    hash_columns,
    norad_key,
    norad_keys,
)
from meridian.database.lsm.block_reader import BATCH_BLOCKS
from meridian.database.lsm.sstable import DELETED, FOUND, OTHER, PENDING
from meridian.database.lsm.table_batch import Probe
from meridian.database.lsm.types import Found
from meridian.testing import FaultyFileSystem
from tests.database.lsm.table_support import (
    ENTRIES,
    KEYS,
    Entries,
    build,
    everything,
    probe_of,
)


def test_the_file_by_hand(path: Path) -> None:
    """Every byte, from the format's description alone."""
    entries: Entries = [(b"a", b"x" * 40), (b"b", b"y" * 40), (b"c", TOMBSTONE)]
    meta = build(path, entries, sst_id=7, block_size=64, level=2, max_lsn=99, bits_per_key=12)
    first, second = encode_block(entries[:1]), encode_block(entries[1:])
    assert len(second) <= 64 < len(encode_block(entries[:2]))

    def part(data: bytes) -> bytes:
        return data + struct.pack("<I", zlib.crc32(data))

    bloom = BloomFilter(3, 12)
    bloom.insert_many([b"a", b"b", b"c"])
    filter_part = part(bloom.to_bytes())
    index = struct.pack("<H1sH1sQI", 1, b"a", 1, b"a", 0, len(first))
    index += struct.pack("<H1sH1sQI", 1, b"b", 1, b"c", len(first), len(second))
    index_part = part(index)
    size = len(first + second + filter_part + index_part) + 48 + 2 + 4 + 64
    props = struct.pack("<QIQQQQHH", 7, 2, size, 3, 1, 99, 1, 1) + b"ac"
    places = [
        len(first + second + filter_part), len(index_part),
        len(first + second), len(filter_part),
        len(first + second + filter_part + index_part), len(props) + 4,
    ]  # fmt: skip
    footer = struct.pack("<6QI", *places, 1)
    footer += struct.pack("<I", zlib.crc32(footer)) + b"OORSST01"
    assert len(footer) == 64
    renamed = path.with_name("any name")
    path.rename(renamed)
    assert renamed.read_bytes() == first + second + filter_part + index_part + part(props) + footer
    assert meta == SstMeta(7, 2, size, b"a", b"c", 3, 1, 99)
    with SSTable(renamed) as table:
        assert table.meta == meta
        assert (len(table), table.path) == (3, str(renamed))
        assert [tuple(info) for info in table.blocks] == [
            (b"a", b"a", 0, len(first)),
            (b"b", b"c", len(first), len(second)),
        ]
        assert Block.decode(table.read_block(1)).entries == entries[1:]
        with pytest.raises(ValueError, match="the number of a block <= 1, got 2"):
            table.read_block(2)


@settings(max_examples=40)
@given(entries=ENTRIES, cuts=st.lists(st.integers(0, 60)), block_size=st.sampled_from([64, 200]))
def test_the_same_entries_make_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, entries: Entries, cuts: list[int], block_size: int
) -> None:
    folder = tmp_path_factory.mktemp("same")
    build(folder / "a", entries, block_size=block_size)
    columns = Columns.of(entries)
    with SSTableBuilder(folder / "b", sst_id=1, block_size=block_size) as builder:
        bounds = [0, *sorted(min(cut, len(entries)) for cut in cuts), len(entries)]
        for number, (start, stop) in enumerate(pairwise(bounds)):
            if number % 3 == 1:
                for key, value in entries[start:stop]:
                    builder.add(bytearray(key), value)
            else:
                builder.add_columns(columns[start:stop])
        assert builder.entries == len(entries)
        builder.finish()
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    assert sorted(os.listdir(folder)) == ["a", "b"]


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from meridian.database.lsm import *\n"
        "b = SSTableBuilder(sys.argv[1], sst_id=5)\n"
        "[b.add(k, k * 9) for k in {norad_key(i): 0 for i in range(500)}]\n"
        "b.finish()\n"
    )
    build(tmp_path / "here", [(norad_key(i), norad_key(i) * 9) for i in range(500)], sst_id=5)
    other = str(int(os.environ.get("PYTHONHASHSEED", "random") == "0"))
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "there")],
        env={**os.environ, "PYTHONHASHSEED": other, "LC_ALL": "C", "TZ": "UTC+11"},
        check=True,
        timeout=120,
    )
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_many_blocks_and_writes(tmp_path: Path) -> None:
    """More than a buffer of a MiB, and more than 4096 blocks in one."""
    values = np.random.default_rng(1).integers(0, 256, (30_000, 8), np.uint8)
    for name, size, width in (("a", 64, 8), ("b", 4096, 8), ("c", 4096, 82)):
        rows = np.resize(values, (30_000, width))
        columns = Columns.fixed(norad_keys(np.arange(30_000)), rows)
        with SSTableBuilder(tmp_path / name, sst_id=1, block_size=size) as builder:
            builder.add_columns(columns)
            share = builder.size_bytes / builder.finish().size_bytes
            assert (0.7 if size == 64 else 0.97) < share <= 1
        with SSTable(tmp_path / name) as table:
            assert all(info.length <= size for info in table.blocks)
            found = table.columns()
            np.testing.assert_array_equal(found.key_rows(), columns.key_rows())
            np.testing.assert_array_equal(found.value_rows(), rows)
            table.verify()


def test_forty_eight_thousand_records_fill_a_memtable(tmp_path: Path) -> None:
    """The size of the mission's tables: 43 records in a block."""
    count = 48_771
    columns = Columns.fixed(norad_keys(np.arange(count)), np.zeros((count, 82), np.uint8))
    with SSTableBuilder(tmp_path / "t", sst_id=1) as builder:
        builder.add_columns(columns)
        meta = builder.finish()
    with SSTable(tmp_path / "t") as table:
        assert len(table.blocks) == -(-count // 43)
    assert meta.size_bytes == os.path.getsize(tmp_path / "t") < 1.15 * 86 * count


@settings(max_examples=60)
@given(
    entries=ENTRIES, others=st.lists(KEYS, max_size=20), block_size=st.sampled_from([64, 300]),
    frames=st.sampled_from([None, 0, 1, 3, 100]), policy=st.sampled_from(["lru", "clock", "2q"]),
    rng=st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_table_is_a_sorted_dict(
    tmp_path_factory: pytest.TempPathFactory, entries: Entries, others: list[bytes],
    block_size: int, frames: int | None, policy: str, rng: random.Random,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("dict") / "sst_000001.dat"
    meta = build(path, entries, block_size=block_size)
    held = dict(entries)
    assert meta[3:7] == (
        entries[0][0], entries[-1][0], len(entries), list(held.values()).count(TOMBSTONE)
    )  # fmt: skip
    cache = None if frames is None else BlockCache(64 * frames, block_size=64, policy=policy)
    keys = [*held, *others]
    with SSTable(path, cache) as table:
        assert table.meta == meta
        for _ in range(2):
            rng.shuffle(keys)
            before = table.block_reads
            for key in keys:
                assert table.get(key) == held.get(key, MISSING)
                assert table.block_reads <= before + 1
                before = table.block_reads
                after = next(((k, v) for k, v in entries if k >= key), None)
                assert table.seek(key) == after
                before = table.block_reads
            assert everything(table, keys) == [held.get(key, MISSING) for key in keys]
            lo, hi = rng.choice([None, *keys]), rng.choice([None, *keys])
            want = [
                entry
                for entry in entries
                if (lo is None or entry[0] >= lo) and (hi is None or entry[0] <= hi)
            ]
            assert list(table.iter(lo, hi, fill_cache=rng.random() < 0.5)) == want
            for cached in (False, True):
                assert list(table.columns(lo, hi, cached=cached).items()) == want
        table.verify()
    assert cache is None or cache.resident() == []


@pytest.mark.parametrize("cached", [False, True])
def test_the_last_key_of_every_block(catalog: tuple[SSTable, np.ndarray], cached: bool) -> None:
    table, values = catalog
    with SSTable(table.path, BlockCache() if cached else None) as other:
        for _ in range(2):
            for info in other.blocks:
                for key in (info.first_key, info.last_key):
                    row = int.from_bytes(key, "big") // 2
                    assert other.get(key) == values[row].tobytes()
        assert other.get(norad_key(19_998)) == values[-1].tobytes()
        assert other.get(norad_key(19_999)) is MISSING
        assert other.block_reads == len(other.blocks) * (1 if cached else 4) + (not cached)


def test_at_most_one_block_is_read(catalog: tuple[SSTable, np.ndarray]) -> None:
    table, _ = catalog
    counters = table.counters
    assert table.get(norad_key(100)) is not MISSING
    assert table.block_reads == 1
    assert table.get(norad_key(100)) is not MISSING
    assert table.block_reads == 1
    for key in (norad_key(30_000), b"\0", b"z"):
        assert table.get(key) is MISSING
    assert counters.range_skipped == 3
    reads = table.block_reads
    for i in range(1, 4000, 2):
        assert table.get(norad_key(i)) is MISSING
    assert counters.bloom_checked == 2 + 2000
    assert counters.bloom_skipped + counters.bloom_false_positives == 2000
    assert 0 < counters.bloom_false_positives < 60
    assert table.block_reads <= reads + counters.bloom_false_positives
    shared = ReadCounters()
    with SSTable(table.path, counters=shared) as other:
        other.get(b"\0")
    assert shared == ReadCounters(range_skipped=1)


def test_a_key_between_two_blocks_needs_none(path: Path) -> None:
    build(path, [(b"a", b"x" * 60), (b"m", b"y" * 60)], block_size=64)
    with SSTable(path) as table:
        assert table.find(b"f") is MISSING
        assert table.block_reads == 0
        out: list[Found] = [MISSING]
        table.get_values(probe_of([b"f"], hashed=False), np.arange(1), out)
        assert (out, table.block_reads) == ([MISSING], 0)
        assert table.seek(b"f") == (b"m", b"y" * 60)


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_in_batches(catalog: tuple[SSTable, np.ndarray], ordered: bool) -> None:
    table, values = catalog
    ids = np.random.default_rng(5).permutation(20_100)[:15_000]
    if ordered:
        ids.sort()
    keys = Columns.fixed(norad_keys(ids), np.zeros((len(ids), 0), np.uint8))
    probe = Probe(keys.keys, keys.key_starts, hash_columns(keys))
    for turn in range(2):
        out = np.zeros((len(ids), 82), np.uint8)
        status = np.zeros(len(ids), np.uint8)
        todo = np.flatnonzero(ids % 3 > 0)
        table.get_rows(probe, todo, out, status)
        there = (ids % 2 == 0) & (ids < 20_000) & (ids % 3 > 0)
        np.testing.assert_array_equal(status, np.where(there, FOUND, PENDING))
        np.testing.assert_array_equal(out[there], values[ids[there] // 2])
        assert not out[~there].any()
        assert table.block_reads == len(table.blocks) * (turn == 0) or turn == 1
    assert table.block_reads == len(table.blocks)


def test_neighbouring_blocks_come_in_one_read(path: Path) -> None:
    build(path, [(norad_key(i), bytes(50)) for i in range(100)], block_size=64)
    fs = FaultyFileSystem()
    with SSTable(path, BlockCache(64 * 200, block_size=64), fs=fs) as table:
        before = fs.counts["preadv"]
        assert everything(table, [norad_key(i) for i in (7, 8, 9, 40, 41, 90)]) == [bytes(50)] * 6
        assert (fs.counts["preadv"] - before, table.block_reads) == (3, 6)
        assert everything(table, [norad_key(i) for i in range(100)]) == [bytes(50)] * 100
        assert (fs.counts["preadv"] - before, table.block_reads) == (3 + 4, 100)


def test_more_blocks_than_a_batch(path: Path) -> None:
    count = 3 * BATCH_BLOCKS
    rows = norad_keys(np.arange(count))
    with SSTableBuilder(path, sst_id=1, block_size=64) as builder:
        builder.add_columns(Columns.fixed(rows, np.tile(rows, (1, 12))))
        builder.finish()
    ids = np.random.default_rng(9).permutation(count)
    probe = probe_of([norad_key(int(i)) for i in ids])
    for cache in (None, BlockCache(64 * 7, block_size=64)):
        with SSTable(path, cache) as table:
            assert len(table.blocks) == count
            out, status = np.zeros((count, 48), np.uint8), np.zeros(count, np.uint8)
            table.get_rows(probe, np.arange(count), out, status)
            assert (status == FOUND).all()
            np.testing.assert_array_equal(out[:, :4], rows[ids])


def test_statuses(small_table: tuple[Path, Entries]) -> None:
    path, entries = small_table
    keys = [key for key, _ in entries] + [b"zz", b"aa"]
    with SSTable(path, BlockCache(4096, block_size=64)) as table:
        for _ in range(2):
            status, out = np.zeros(len(keys), np.uint8), np.zeros((len(keys), 5), np.uint8)
            table.get_rows(probe_of(keys), np.arange(len(keys)), out, status)
            want = [FOUND, DELETED, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, PENDING, PENDING]
            assert status.tolist() == want
            assert out[0].tobytes() == b"alpha"
            assert not out[1:].any()
            assert everything(table, keys) == [value for _, value in entries] + [MISSING] * 2


def test_arrays_of_a_batch_are_checked(catalog: tuple[SSTable, np.ndarray]) -> None:
    table, _ = catalog
    keys, starts, hashes = probe_of([norad_key(2), norad_key(4)])
    todo, out, status = np.arange(2), np.zeros((2, 82), np.uint8), np.zeros(2, np.uint8)
    bad: list[tuple[Probe, np.ndarray, np.ndarray, np.ndarray]] = [
        (Probe(keys.view(np.int8), starts, hashes), todo, out, status),
        (Probe(keys, starts.astype(np.int32), hashes), todo, out, status),
        (Probe(keys, starts, hashes[:1] if hashes is not None else None), todo, out, status),
        (Probe(keys, starts + 1, hashes), todo, out, status),
        (Probe(keys, starts[::-1], hashes), todo, out, status),
        (Probe(keys, starts[:0], None), todo, out, status),
        (Probe(keys, starts, None), todo - 1, out, status),
        (Probe(keys, starts, hashes), todo - 1, out, status),
        (Probe(keys, starts, None), todo + 1, out, status),
        (Probe(keys, starts, hashes), todo.astype(float), out, status),
        (Probe(keys, starts, hashes), todo, out[:1], status),
        (Probe(keys, starts, hashes), todo, out[:, ::2], status),
        (Probe(keys, starts, hashes), todo, out, status[:1]),
        (Probe(keys, starts, hashes), todo, out[0], status),
    ]
    for probe, *rest in bad:
        with pytest.raises((TypeError, ValueError), match="Expected"):
            table.get_rows(probe, *rest)
    with pytest.raises(ValueError, match="a place for each of 2 keys"):
        table.get_values(Probe(keys, starts, hashes), todo, [MISSING])
    table.get_rows(Probe(keys, starts, hashes), todo[:0], out, status)
    assert not status.any()


def test_scans(catalog: tuple[SSTable, np.ndarray]) -> None:
    table, values = catalog
    found = list(table.iter(norad_key(4_000), norad_key(4_500)))
    assert [key for key, _ in found] == [norad_key(i) for i in range(4_000, 4_501, 2)]
    assert found[0][1] == values[2_000].tobytes()
    assert list(table.iter(norad_key(5), norad_key(4))) == []
    assert len(table.columns(norad_key(5), norad_key(4))) == 0
    assert list(table.iter(b"z")) == list(table.iter(None, b"\0")) == []
    assert next(table.iter()) == (norad_key(0), values[0].tobytes())
    assert table.block_reads < 40  # a scan that is given up has not read on
    cache = table._cached.cache  # type: ignore[union-attr]
    assert cache.resident() == []
    list(table.iter(norad_key(0), norad_key(40), fill_cache=True))
    assert cache.resident() == [(1, 0)]
    assert table.get(norad_key(2)) == values[1].tobytes()
    assert len(table.columns()) == 10_000
    assert len(cache.resident()) == 1


def test_wrong_bounds_are_refused_at_once(catalog: tuple[SSTable, np.ndarray]) -> None:
    table, _ = catalog
    for call in (table.iter, table.columns):
        with pytest.raises(TypeError, match="a key as bytes, got str"):
            call("a")  # type: ignore[operator]
        with pytest.raises(ValueError, match="1 to 65,535 bytes, got 0"):
            call(None, b"")  # type: ignore[operator]
    for call in (table.get, table.seek):
        for key in ("a", None, 5):
            with pytest.raises(TypeError, match="a key as bytes"):
                call(key)  # type: ignore[operator]
        for key in (b"", bytes(65_536)):
            with pytest.raises(ValueError, match="1 to 65,535 bytes"):
                call(key)  # type: ignore[operator]
    assert table.get(bytearray(norad_key(2))) == table.get(memoryview(norad_key(2)))


class Prefix:
    """Without `rows`: asked key by key."""

    def __call__(self, key: bytes) -> bytes:
        return key[:4]


@pytest.mark.parametrize("filter_key", [KeyPrefix(4), Prefix()])
def test_the_filter_may_know_a_part_of_the_key(
    path: Path, filter_key: Callable[[bytes], bytes]
) -> None:
    entries: Entries = [(norad_key(2 * i) + bytes([t]), b"v") for i in range(300) for t in range(7)]
    build(path, entries, filter_key=filter_key)
    with SSTable(path, filter_key=filter_key) as table:
        assert table.filter.num_bits == 3_000  # one key in it for seven
        assert all(table.get(key) == b"v" for key, _ in entries)
        assert all(table.may_contain(norad_key(2 * i)) for i in range(300))
        assert sum(table.may_contain(norad_key(2 * i + 1)) for i in range(300)) < 30
        table.verify()
    with SSTableBuilder(path.with_name("b"), sst_id=1, filter_key=filter_key) as builder:
        for start in range(0, len(entries), 10):
            builder.add_columns(Columns.of(entries[start : start + 10]))
        builder.finish()
    assert path.with_name("b").read_bytes() == path.read_bytes()
    with pytest.raises(CorruptTable, match="is filter_key another one"):
        SSTable(path)


def test_a_filter_key_that_gives_no_bytes(path: Path) -> None:
    with pytest.raises(TypeError, match="keys as bytes, got str"):
        build(path, [(b"a", b"")], filter_key=lambda key: key.decode())
    with pytest.raises(TypeError, match="filter_key"):
        SSTableBuilder(path, sst_id=1, filter_key=4)  # type: ignore[arg-type]

    class Half:
        def __call__(self, key: bytes) -> bytes:
            return key

        def rows(self, keys: np.ndarray) -> np.ndarray:
            return keys[::2]

    with pytest.raises(ValueError, match="filter keys of 2 entries"):
        build(path, [(b"a", b""), (b"b", b"")], filter_key=Half())
    assert os.listdir(path.parent) == []


WARM = """
import sys
import numpy as np
from meridian.database.lsm import *
from meridian.database.lsm import _batch_kernels, _block_kernels, _hash_kernels, _read_kernels
from meridian.database.lsm.table_batch import Probe

modules = (_batch_kernels, _block_kernels, _hash_kernels, _read_kernels)
for module in modules:
    module.warmup()
kernels = {k for m in modules for k in vars(m).values() if hasattr(k, "py_func")}
known = {kernel: set(kernel.signatures) for kernel in kernels}
keys = norad_keys(np.arange(300))
columns = Columns.fixed(keys, np.zeros((300, 3), np.uint8))
with SSTableBuilder(sys.argv[1], sst_id=1, block_size=100) as builder:
    builder.add(b"\\0", b"")
    builder.add_columns(columns)
    builder.finish()
probe = Probe(columns.keys, columns.key_starts, hash_columns(columns))
for cache in (BlockCache(block_size=100), None):
    with SSTable(sys.argv[1], cache) as table:
        for _ in range(2):
            table.get(b"\\0"), table.seek(b"\\0"), list(table.iter()), table.columns()
            table.get_values(probe, np.arange(300), [None] * 300)
            status, rows = np.zeros(300, np.uint8), np.zeros((300, 3), np.uint8)
            table.get_rows(probe, np.arange(300), rows, status)
        table.verify()
assert {kernel: set(kernel.signatures) for kernel in kernels} == known
"""


def test_warming_up_leaves_nothing_to_compile(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", WARM, str(path)]
    subprocess.run(command, check=True, timeout=300)
