"""Read in order: scans see their moment, seeks the next entry, and filters hide nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from meridian.database.lsm import (
    TOMBSTONE,
    EngineClosed,
    KeyPrefix,
    norad_key,
)
from tests.database.lsm.engine_support import Mixed, Open, loaded, tables_in

# -- order ---------------------------------------------------------------------------------------


def test_scans_agree_with_a_dict(mixed: Mixed) -> None:
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


def test_seek_finds_the_next_entry(mixed: Mixed) -> None:
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
