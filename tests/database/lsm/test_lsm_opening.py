"""Open and close: one at a time, all that is listed, nothing that is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from meridian.database.lsm import (
    CorruptTable,
    EngineClosed,
    EngineLocked,
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
from tests.database.lsm.engine_support import Open, loaded, tables_in


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
