"""One test per criterion, to check yourself: `uv run pytest test_criteria.py -k criterion_3`.

They are a part of what the grader looks at, with small numbers; it adds random data, other
processes, and files that it lists and reads itself. Each message says what was called and what
must come back. Work in the order of the notebook's table: 2, 3, 5, 4, 7, 6, 8, and at last 1.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import lsm_storage as lsm

VALUE = bytes(range(82))


def key(i: int) -> bytes:
    return i.to_bytes(4, "big")


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("sst_*.dat"))


def test_criterion_1_ingest_at_a_fraction_of_sqlite(tmp_path: Path) -> None:
    """`meridian bench` runs the race as the grader does; this is a first look."""
    count = 20_000
    ids = random.Random(1).sample(range(1, 2**31), count)
    with lsm.LsmEngine(tmp_path / "race", memtable_bytes=1 << 20) as engine:
        start_s = time.perf_counter()
        for i in ids:
            engine.put(key(i), VALUE)
        engine.flush()
        mine_s = time.perf_counter() - start_s
    connection = sqlite3.connect(tmp_path / "race.db", isolation_level=None)
    connection.executescript("pragma journal_mode=off; pragma synchronous=off;")
    connection.execute("create table records (key blob primary key, value blob)")
    start_s = time.perf_counter()
    connection.execute("begin")
    for i in ids:
        connection.execute("insert into records values (?, ?)", (key(i), VALUE))
    connection.execute("commit")
    ratio = (time.perf_counter() - start_s) / mine_s
    connection.close()
    assert ratio > 0.09, f"put and flush at {ratio:.2f} times the speed of sqlite3, 0.18 is asked"


def test_criterion_2_size_of_a_memtable() -> None:
    table = lsm.MemTable(1000)
    table.put(b"25544", b"a" * 100)
    table.put(b"25544", b"b" * 60)
    assert table.size_bytes == 65, "5 bytes of key, 60 of value: the first value is gone"
    table.delete(b"25544")
    assert table.size_bytes == 5, "a tombstone counts its key alone"
    table.delete(b"48274")
    assert table.size_bytes == 10, "an unknown key leaves a tombstone too"
    assert not table.should_flush
    assert len(table) == 2


def test_criterion_2_files_of_an_ingest(tmp_path: Path) -> None:
    with lsm.LsmEngine(tmp_path, memtable_bytes=86 * 1000) as engine:
        for i in range(2_500):
            engine.put(key(i), VALUE)
        assert [p.name for p in tables(tmp_path)] == ["sst_000001.dat", "sst_000002.dat"]
        assert engine.stats()["memtable_entries"] == 500
        for _ in range(2_000):
            engine.put(key(1), VALUE)
        assert len(tables(tmp_path)) == 2, "overwriting one key fills no memtable"


@pytest.mark.parametrize("rows", [1, 43, 44, 500])
def test_criterion_3_a_table(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "sst_000001.dat"
    builder = lsm.SsTableBuilder(path)
    for i in range(rows):
        builder.add(key(2 * i), b"" if i == 7 else VALUE)
    meta = builder.finish()
    assert (meta.entries, meta.min_key, meta.max_key) == (rows, key(0), key(2 * rows - 2))
    assert path.read_bytes()[-8:] == lsm.MAGIC, "the magic comes last"
    table = lsm.SsTableReader(path)
    for i in range(rows):
        assert table.get(key(2 * i)) == (b"" if i == 7 else VALUE), f"row {i} of {rows}"
        assert table.get(key(2 * i + 1)) is lsm.MISSING, "odd ids are not there"
    assert [k for k, _ in table.iter()] == [key(2 * i) for i in range(rows)]
    assert [k for k, _ in table.iter(key(1), key(4))] == [key(2 * i) for i in range(rows)][1:3]
    table.close()


def test_criterion_3_keys_must_ascend(tmp_path: Path) -> None:
    builder = lsm.SsTableBuilder(tmp_path / "sst_000001.dat")
    builder.add(b"b", b"")
    with pytest.raises(lsm.OutOfOrder):
        builder.add(b"b", b"")
    assert list(tmp_path.iterdir()) == [], "nothing is left of a table that was given up"


def test_criterion_3_the_engine(tmp_path: Path) -> None:
    with lsm.LsmEngine(tmp_path, memtable_bytes=20_000) as engine:
        for i in range(0, 2_000, 2):
            engine.put(key(i), b"%d" % i)
        found = [engine.get(key(i)) for i in range(2_000)]
    assert found[::2] == [b"%d" % i for i in range(0, 2_000, 2)]
    assert set(found[1::2]) == {None}


def test_criterion_4_rates() -> None:
    bloom = lsm.BloomFilter(10_000, 10)
    assert (bloom.num_bits, bloom.num_hashes) == (100_000, 7)
    for i in range(10_000):
        bloom.insert(key(2 * i))
    assert all(bloom.may_contain(key(2 * i)) for i in range(10_000)), "never a false negative"
    rate = sum(bloom.may_contain(key(2 * i + 1)) for i in range(10_000)) / 10_000
    assert 0.004 < rate < 0.013, f"false positives at 10 bits: {rate:.2%}, expected 0.82 %"


def test_criterion_4_another_process() -> None:
    bloom = lsm.BloomFilter(100)
    for i in range(100):
        bloom.insert(key(i))
    program = (
        "import sys, lsm_storage\n"
        "bloom = lsm_storage.BloomFilter.from_bytes(bytes.fromhex(sys.argv[1]))\n"
        "print(sum(bloom.may_contain(i.to_bytes(4, 'big')) for i in range(100)))\n"
    )
    folder, raw = Path(__file__).parent, bloom.to_bytes().hex()
    command = [sys.executable, "-c", program, raw]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert int(found.stdout) == 100, "a filter must say the same in a process with other salts"


def test_criterion_4_lookups_that_read_nothing(tmp_path: Path) -> None:
    with lsm.LsmEngine(tmp_path) as engine:
        for i in range(0, 4_000, 2):
            engine.put(key(i), VALUE)
        engine.flush()
        for i in range(1, 3_999, 2):
            engine.get(key(i))
        stats = engine.stats()
    assert stats["bloom_checked"] == 1_999, "every odd id lies in the range of the table"
    assert stats["bloom_skipped"] > 0.95 * 1_999
    assert stats["block_reads"] == 1_999 - stats["bloom_skipped"]


def test_criterion_5_deleted_stays_deleted(tmp_path: Path) -> None:
    def found() -> list[Any]:
        return [engine.get(key(i)) for i in range(200)]

    want = [None if i % 4 == 0 else b"%d" % i for i in range(200)]
    engine = lsm.LsmEngine(tmp_path)
    for i in range(200):
        engine.put(key(i), b"%d" % i)
    engine.flush()
    for i in range(0, 200, 4):
        engine.delete(key(i))
    engine.delete(key(10_000))
    assert found() == want, "before the flush"
    engine.flush()
    assert found() == want, "after the flush: the older table still has the value"
    engine.close()
    engine = lsm.LsmEngine(tmp_path)
    assert found() == want, "after reopening"
    engine.compact()
    assert found() == want, "after compact()"
    engine.close()


def test_criterion_6_the_fourth_flush(tmp_path: Path) -> None:
    want: dict[bytes, bytes] = {}
    with lsm.LsmEngine(tmp_path, l0_trigger=4, target_file_bytes=20_000) as engine:
        for flush in range(4):
            assert [len(level) for level in engine.stats()["levels"]] == [flush] * bool(flush)
            for i in range(flush, 600, 2):
                want[key(i)] = b"%d of flush %d" % (i, flush) + VALUE
                engine.put(key(i), want[key(i)])
            engine.flush()
        levels = engine.stats()["levels"]
        assert levels[0] == [], "all of level 0 went into level 1"
        assert [lsm.table_name(n) for n in sorted(levels[1])] == [p.name for p in tables(tmp_path)]
        assert dict(engine.scan()) == want
    metas = [lsm.SsTableReader(path).meta for path in tables(tmp_path)]
    ranges = sorted((meta.min_key, meta.max_key) for meta in metas)
    assert all(a[1] < b[0] for a, b in pairwise(ranges)), "level 1 overlaps"


def test_criterion_6_what_may_be_dropped() -> None:
    new = [(key(1), b"new"), (key(2), lsm.TOMBSTONE), (key(9), lsm.TOMBSTONE)]
    old = [(key(1), b"old"), (key(2), b"old"), (key(3), b"old")]
    assert list(lsm.compacted_rows([new, old], [])) == [(key(1), b"new"), (key(3), b"old")]
    left_out = lsm.SstMeta(1, 2, 0, key(2), key(5), 100)
    assert list(lsm.compacted_rows([new], [left_out])) == new[:2], (
        "an older table that is left out may hold 2: its tombstone stays; it cannot hold 9"
    )


def test_criterion_6_what_is_chosen() -> None:
    def meta(number: int, low: int, high: int) -> lsm.SstMeta:
        return lsm.SstMeta(number, 10, 0, key(low), key(high), 1_000)

    level1 = [meta(1, 0, 9), meta(2, 10, 19), meta(3, 20, 29)]
    level0 = [meta(n, 5, 12) for n in (9, 8, 7, 6)]
    task = lsm.pick_leveled([level0, level1])
    assert task is not None
    assert [m.sst_id for m in task.inputs] == [9, 8, 7, 6, 1, 2]
    assert task.output_level == 1
    assert lsm.pick_leveled([level0[1:], level1]) is None
    turns = [(b"", 1), (key(9), 2), (key(19), 3), (key(29), 1)]
    for turn, number in turns:
        task = lsm.pick_leveled([[], level1], level_bytes=2_000, turn=turn)
        assert task is not None
        assert [m.sst_id for m in task.inputs] == [number], f"after {turn!r} was moved down"


def test_criterion_7_scans(tmp_path: Path) -> None:
    assert lsm.norad_key(255) < lsm.norad_key(256)
    assert lsm.norad_id(lsm.norad_key(25_544)) == 25_544
    with lsm.LsmEngine(tmp_path, auto_compact=False) as engine:
        for i in range(1, 2_000):
            engine.put(lsm.norad_key(i), b"old")
        engine.flush()
        for i in range(400, 450):
            engine.put(lsm.norad_key(i), b"new")
        engine.flush()
        engine.delete(lsm.norad_key(500))
        scan = engine.scan(lsm.norad_key(400), lsm.norad_key(600))
        engine.put(lsm.norad_key(501), b"too late")
        engine.compact()
        rows = list(scan)
    want = [(lsm.norad_key(i), b"new" if i < 450 else b"old") for i in range(400, 601) if i != 500]
    assert rows == want, "as at the call: newest values, no deleted id, no later put"


def test_criterion_8_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = lsm.run_acceptance(tmp_path / "run")
    assert "records/s" in capsys.readouterr().out
    assert (first["records"], first["tables"], first["in_memory"]) == (100_000, 2, 2_458)
    assert len(first["files_over_time"]) == 5
    assert lsm.run_acceptance(tmp_path / "run") == first, "two runs report the same"
