"""The engine as its callers see it: what is put is got, whatever happens meanwhile."""

from __future__ import annotations

import inspect
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    LsmEngine,
    LsmOptions,
    WriteBatch,
    norad_key,
    norad_keys,
)
from tests.database.lsm.engine_support import Mixed, Open, loaded, tables_in

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


def filled(folder: str) -> None:
    from meridian.database.lsm import LsmEngine, LsmOptions

    with LsmEngine(folder, LsmOptions(memtable_bytes=2_000, fsync=False)) as engine:
        for i in range(3_000):
            engine.put(b"%d" % (i * 7919 % 1_000), b"value %d" % i)
        engine.flush()
        engine.compact(full=True)


def test_files_do_not_depend_on_the_process(tmp_path: Path) -> None:
    script = f"{inspect.getsource(filled)}\nimport sys\nfilled(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "child")],
        env=os.environ | {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        check=True,
        timeout=120,
    )
    filled(str(tmp_path / "here"))
    child, here = (
        [(each.name, each.read_bytes()) for each in sorted((tmp_path / name).glob("sst_*"))]
        for name in ("child", "here")
    )
    assert child == here
    with LsmEngine(tmp_path / "child") as engine:
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


def test_many_keys_at_once(mixed: Mixed) -> None:
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
