"""Faults at every file operation, what a builder refuses, and tables closed at work."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    MISSING,
    TOMBSTONE,
    BlockCache,
    Columns,
    CorruptTable,
    EngineClosed,
    OutOfOrder,
    SSTable,
    SSTableBuilder,
    SstMeta,
    norad_key,
)
from meridian.database.lsm.types import Found
from meridian.testing import FaultyFileSystem
from tests.database.lsm.table_support import (
    Entries,
    build,
    everything,
    probe_of,
)

ENOUGH: Entries = [(norad_key(i), bytes(200)) for i in range(20_000)]  # four writes of blocks


def build_on(fs: FaultyFileSystem, path: Path) -> SstMeta:
    builder = SSTableBuilder(path, sst_id=1, fs=fs)
    builder.add_columns(BIG)
    return builder.finish()


BIG = Columns.of(ENOUGH)


def calls_of_a_build(path: Path) -> list[tuple[str, int]]:
    fs = FaultyFileSystem()
    build_on(fs, path)
    path.unlink()
    return [(op, nth) for op, count in sorted(fs.counts.items()) for nth in range(1, count + 1)]


def test_a_build_that_fails_anywhere_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sst_000001.dat"
    calls = calls_of_a_build(path)
    assert {op for op, _ in calls} == {
        "close", "create", "exists", "rename", "sync", "sync_dir", "write",
    }  # fmt: skip
    assert len(calls) > 10
    for op, nth in calls:
        for error in (OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken"), None):
            fs = FaultyFileSystem()
            if error is None:
                if op != "write":
                    continue
                fs.tear(nth, 1000, op="write")
            else:
                fs.fail(op, nth, error)
            with pytest.raises(OSError, match=r"full|broken|Input/output"):
                build_on(fs, path)
            assert not fs.pending
            assert os.listdir(tmp_path) == [], (op, nth)
    assert build_on(FaultyFileSystem(), path).entries == len(ENOUGH)


def test_a_disk_that_lies_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "sst_000001.dat"
    for op, nth in calls_of_a_build(path):
        if op == "write":
            fs = FaultyFileSystem()
            fs.tear(nth, 100, op="write", silent=True)
            build_on(fs, path)
            with pytest.raises(CorruptTable):
                SSTable(path)
            path.unlink()


def test_what_cannot_be_removed_stays_aside(path: Path) -> None:
    fs = FaultyFileSystem()
    fs.fail("sync", error=OSError(errno.EIO, "broken"))
    fs.fail("unlink")
    with pytest.raises(OSError, match="broken"):
        build_on(fs, path)
    assert os.listdir(path.parent) == ["sst_000001.dat.tmp"]
    with pytest.raises(FileExistsError):
        build_on(fs, path)


def test_the_order_of_a_build(path: Path) -> None:
    fs = FaultyFileSystem()
    build_on(fs, path)
    ops = [(call.op, os.path.basename(call.path)) for call in fs.calls]
    tmp = "sst_000001.dat.tmp"
    assert ops[:2] == [("exists", "sst_000001.dat"), ("create", tmp)]
    assert {op for op, _ in ops[2:-4]} == {"write"}
    assert ops[-4:] == [
        ("sync", tmp),
        ("close", tmp),
        ("rename", tmp),
        ("sync_dir", os.path.basename(path.parent)),
    ]
    fs = FaultyFileSystem()
    build(path.with_name("b"), ENOUGH[:9], fs=fs, sync=False)
    assert not fs.counts["sync"] + fs.counts["sync_dir"]


@pytest.mark.parametrize("op", ["open_random", "size", "preadv"])
def test_a_table_that_cannot_be_opened_is_let_go(
    small_table: tuple[Path, Entries], op: str
) -> None:
    path, _ = small_table
    for nth in (1, 2) if op == "preadv" else (1,):
        fs = FaultyFileSystem()
        fs.fail(op, nth)
        with pytest.raises(OSError, match="Input/output"):
            SSTable(path, fs=fs)
        assert fs.counts["close"] == (op != "open_random")


def test_reads_that_are_short_or_fail(small_table: tuple[Path, Entries]) -> None:
    path, entries = small_table
    fs = FaultyFileSystem()
    fs.short("preadv", nbytes=7, times=None)
    with SSTable(path, BlockCache(4096, block_size=64), fs=fs) as table:
        assert list(table.iter()) == entries
        assert table.get(b"f") == b"last"
        fs.heal()
        fs.fail("preadv", error=InterruptedError(errno.EINTR, "interrupted"))
        assert table.get(b"a") == b"alpha"
        assert not fs.pending
        fs.fail("preadv")
        with pytest.raises(OSError, match="Input/output"):
            table.get(b"d")
        assert table.get(b"d") == b"oversized" * 12
        fs.truncate(path, 10)
        with pytest.raises(CorruptTable, match="the file ends after"):
            table.get(b"c")


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ([(b"b", b""), (b"a", b"")], "Key 61 came after 62"),
        ([(b"b", b""), (b"b", b"2")], "Key 62 came again"),
    ],
)
def test_order_is_kept(path: Path, entries: Entries, match: str) -> None:
    builder = SSTableBuilder(path, sst_id=1)
    builder.add(*entries[0])
    with pytest.raises(OutOfOrder, match=match):
        builder.add(*entries[1])
    assert os.listdir(path.parent) == []
    for first in ([entries[0]], []):
        builder = SSTableBuilder(path, sst_id=1)
        for entry in first:
            builder.add(*entry)
        with pytest.raises(OutOfOrder, match=match) as caught:
            builder.add_columns(Columns.of(entries[len(first) :]))
        assert (caught.value.key, caught.value.last) == (entries[1][0], entries[0][0])
        assert os.listdir(path.parent) == []
        with pytest.raises(EngineClosed, match=r"The builder of .* is closed"):
            builder.add(b"z", b"")


def test_what_is_no_entry_changes_nothing(path: Path) -> None:
    builder = SSTableBuilder(path, sst_id=1)
    builder.add(b"a", b"1")
    bad: list[tuple[object, object, type[Exception]]] = [
        ("b", b"", TypeError), (None, b"", TypeError), (b"b", None, TypeError),
        (b"b", "text", TypeError), (b"b", MISSING, TypeError), (b"", b"", ValueError),
        (bytes(65_536), b"", ValueError), (b"b", bytes(65_536), ValueError),
    ]  # fmt: skip
    for key, value, error in bad:
        with pytest.raises(error, match="Expected"):
            builder.add(key, value)  # type: ignore[arg-type]
    one = np.zeros(1, np.uint8)
    span = np.array([0, 1])
    for columns in (
        Columns(one, np.array([0, 2]), one, span, np.zeros(1, np.bool_)),
        Columns(one, span, one, span, np.ones(1, np.bool_)),
        Columns.fixed(np.zeros((1, 0), np.uint8), np.zeros((1, 1), np.uint8)),
    ):
        with pytest.raises(ValueError, match="got otherwise at entry 0"):
            builder.add_columns(columns)
    with pytest.raises(TypeError, match=r"Expected Columns, got list: see Columns\.of"):
        builder.add_columns([(b"b", b"")])  # type: ignore[arg-type]
    builder.add_columns(Columns.of([]))
    builder.add(b"b", b"2")
    assert builder.finish().entries == 2
    with SSTable(path) as table:
        assert list(table.iter()) == [(b"a", b"1"), (b"b", b"2")]


def test_no_empty_table(path: Path) -> None:
    with pytest.raises(ValueError, match="at least one entry"):
        SSTableBuilder(path, sst_id=1).finish()
    assert os.listdir(path.parent) == []


def test_a_builder_ends_once(path: Path) -> None:
    builder = SSTableBuilder(path, sst_id=1)
    assert os.listdir(path.parent) == ["sst_000001.dat.tmp"]
    builder.add(b"a", b"")
    builder.finish()
    builder.abort()
    for call in (builder.finish, lambda: builder.add(b"b", b"")):
        with pytest.raises(EngineClosed):
            call()
    assert os.listdir(path.parent) == ["sst_000001.dat"]
    with pytest.raises(FileExistsError, match="a table is written once"):
        SSTableBuilder(path, sst_id=1)
    other = SSTableBuilder(path.with_name("b"), sst_id=2)
    with pytest.raises(FileExistsError):
        SSTableBuilder(path.with_name("b"), sst_id=2)
    other.abort()
    other.abort()
    with SSTableBuilder(path.with_name("b"), sst_id=2) as given_up:
        given_up.add(b"a", b"")
    assert os.listdir(path.parent) == ["sst_000001.dat"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sst_id": -1}, ValueError),
        ({"sst_id": True}, TypeError),
        ({"block_size": 63}, ValueError),
        ({"block_size": 65_537}, ValueError),
        ({"block_size": "4096"}, TypeError),
        ({"bits_per_key": 0}, ValueError),
        ({"bits_per_key": 1.5}, TypeError),
        ({"level": -1}, ValueError),
        ({"max_lsn": 2**64}, ValueError),
        ({"sync": 1}, TypeError),
    ],
)
def test_options_of_a_builder(path: Path, options: dict[str, int], error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected"):
        SSTableBuilder(path, **{"sst_id": 1, **options})  # type: ignore[arg-type]
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("block_size", [64, 4096, 65_536])
def test_the_longest_entries(path: Path, block_size: int) -> None:
    entries: Entries = [
        (b"a", b""), (b"k" * 65_535, b"v" * 65_535), (b"l", b""), (b"m" * 65_535, TOMBSTONE),
        (b"n", b"w" * 65_535), (b"o", b"end"),
    ]  # fmt: skip
    build(path, entries, block_size=block_size)
    with SSTable(path, BlockCache(4 << 20, block_size=block_size)) as table:
        for _ in range(2):
            assert [table.get(key) for key, _ in entries] == [value for _, value in entries]
            assert list(table.iter(fill_cache=True)) == entries
            assert everything(table, [key for key, _ in entries]) == [v for _, v in entries]
        assert table.block_reads == len(table.blocks)


def test_a_removed_table_stays_readable(catalog: tuple[SSTable, np.ndarray]) -> None:
    table, values = catalog
    scan = table.iter()
    first = next(scan)
    os.unlink(table.path)
    assert first == (norad_key(0), values[0].tobytes())
    assert sum(1 for _ in scan) == 9_999
    assert table.get(norad_key(19_998)) == values[-1].tobytes()


def test_a_closed_table_says_so(catalog: tuple[SSTable, np.ndarray]) -> None:
    table, _ = catalog
    table.get(norad_key(2))
    scan = table.iter()
    next(scan)
    table.close()
    table.close()
    assert table.closed
    probe, todo = probe_of([norad_key(2)]), np.arange(1)
    calls: list[Callable[[], object]] = [
        lambda: table.get(norad_key(2)), lambda: table.get(norad_key(3)),
        lambda: table.get(b"z"), lambda: table.find(norad_key(2)), lambda: table.seek(b"a"),
        table.iter, table.columns, table.verify, lambda: table.read_block(0),
        lambda: table.get_values(probe, todo, [MISSING]),
        lambda: list(scan),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(EngineClosed, match=r"Table .*sst_000001.dat is closed"):
            call()


class Held(FaultyFileSystem):
    """Reads wait for `go` once `hold` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = False
        self.reading, self.go = threading.Event(), threading.Event()

    def arrive(self, op: str, path: str):  # type: ignore[no-untyped-def]
        if op == "preadv" and self.hold:
            self.reading.set()
            assert self.go.wait(60)
        return super().arrive(op, path)


def test_the_file_is_closed_when_the_last_read_ends(small_table: tuple[Path, Entries]) -> None:
    path, _ = small_table
    fs = Held()
    table = SSTable(path, fs=fs)
    fs.hold = True
    found: list[Found] = []
    thread = threading.Thread(target=lambda: found.append(table.get(b"f")))
    thread.start()
    assert fs.reading.wait(60)
    table.close()
    assert fs.counts["close"] == 0
    with pytest.raises(EngineClosed):
        table.get(b"a")
    fs.go.set()
    thread.join(60)
    assert found == [b"last"]
    assert fs.counts["close"] == 1


@pytest.mark.parametrize("cached", [False, True])
def test_a_table_closed_under_its_readers(
    catalog: tuple[SSTable, np.ndarray], cached: bool
) -> None:
    """Every read is right or says that the table is closed; none meets another file."""
    _, values = catalog
    cache = BlockCache(9 * 4096) if cached else None
    outcomes: list[type[BaseException]] = []
    for _ in range(5):
        table = SSTable(catalog[0].path, cache)
        start = threading.Barrier(4)

        def work(seed: int, table: SSTable = table, start: threading.Barrier = start) -> None:
            rng = random.Random(seed)
            start.wait(60)
            try:
                while True:
                    low = rng.randrange(9_000)
                    keys = [norad_key(2 * i) for i in range(low, low + 40)]
                    want = [values[i].tobytes() for i in range(low, low + 40)]
                    assert [table.get(key) for key in keys] == want
                    assert everything(table, keys) == want
                    assert [value for _, value in table.iter(keys[0], keys[-1])] == want
            except BaseException as error:
                outcomes.append(type(error))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        start.wait(60)
        for _ in range(200):
            table.get(norad_key(2))
        table.close()
        with open(catalog[0].path, "rb"):  # may well get the descriptor
            for thread in threads:
                thread.join(60)
        assert outcomes == [EngineClosed] * 3
        outcomes.clear()
        assert cache is None or (cache.resident() == [] and not any(cache.pins))


def test_threads_read_one_table(catalog: tuple[SSTable, np.ndarray]) -> None:
    """Five frames for 233 blocks: they are evicted and loaded under the readers all the time."""
    _, values = catalog
    cache = BlockCache(5 * 4096, policy="lru")
    errors: list[BaseException] = []
    start = threading.Barrier(4)
    with SSTable(catalog[0].path, cache) as table:

        def work(seed: int) -> None:
            rng = random.Random(seed)
            try:
                start.wait(60)
                for turn in range(60):
                    ids = sorted(rng.sample(range(20_000), 30))
                    want = [
                        values[i // 2].tobytes() if i % 2 == 0 else MISSING for i in ids
                    ]  # fmt: skip
                    keys = [norad_key(i) for i in ids]
                    assert [table.get(key) for key in keys] == want
                    assert everything(table, keys) == want
                    low = norad_key(2 * (ids[0] // 2))
                    found = list(table.iter(low, norad_key(ids[0] + 400), fill_cache=turn % 2 == 0))
                    assert found[0] == (low, values[ids[0] // 2].tobytes())
                    if seed == 0 and turn == 30:
                        cache.drop(1)
            except BaseException as error:
                errors.append(error)
                raise

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not errors
        assert not any(cache.pins)
