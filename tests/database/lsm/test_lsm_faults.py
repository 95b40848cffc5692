"""The disk fails: at every call of every kind, once or for good. No answer is wrong for it."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

import pytest

from meridian.database.lsm import CorruptTable, EngineFailed, LsmEngine, LsmOptions
from meridian.fs import FailpointError, arm, disarm
from meridian.testing import FaultyFileSystem
from tests.database.lsm.support import Unsynced

OPTIONS = LsmOptions(
    memtable_bytes=1_200, block_size=256, l0_trigger=3, l1_bytes=3_000, target_file_bytes=1_500
)
WRITING = ("create", "write", "sync", "close", "rename", "sync_dir", "open_random", "preadv")

State = dict[bytes, bytes]


def no_space() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def lived(engine: LsmEngine, model: State, turns: int = 7) -> None:
    """Put, delete, flush, compact; `model` has what was asked for, also where that raises."""
    for turn in range(turns):
        for i in range(8):
            key = b"%02d" % ((turn * 7 + i * 5) % 40)
            if i == 3:
                model.pop(key, None)
                engine.delete(key)
            else:
                model[key] = b"%d.%d" % (turn, i) * 5
                engine.put(key, model[key])
        engine.flush()
    engine.compact(full=True)


def calls_of(folder: Path, op: str) -> int:
    fs = FaultyFileSystem(Unsynced())
    with LsmEngine(folder, OPTIONS, fs=fs) as engine:
        before = fs.counts[op]
        lived(engine, {})
        return fs.counts[op] - before


@pytest.mark.parametrize("op", WRITING)
def test_every_call_fails_once(tmp_path: Path, op: str) -> None:
    """Writes stop, reads go on, and after a flush all is as if nothing had been."""
    count = calls_of(tmp_path / "counted", op)
    assert count >= 10
    for nth in range(1, count + 1, max(1, count // 9)):
        fs, model = FaultyFileSystem(Unsynced()), State()
        folder = tmp_path / f"{op} {nth}"
        with LsmEngine(folder, OPTIONS, fs=fs) as engine:
            fs.fail(op, nth, no_space())
            try:
                lived(engine, model)
            except (OSError, EngineFailed):
                assert not fs.pending
                assert dict(engine.scan()) == model
                engine.flush()
                engine.compact(full=True)
            assert dict(engine.scan()) == model
            assert [engine.get(key) for key in sorted(model)] == [model[k] for k in sorted(model)]
            engine.check()
            listed = {f"sst_{meta.sst_id:06d}.dat" for meta in engine.version.tables}
        left = {path.name for path in folder.iterdir()}
        assert left == {"LOCK", "LSMSTATE"} | listed  # no output, no temporary file
        with LsmEngine(folder) as engine:
            assert dict(engine.scan()) == model


@pytest.mark.parametrize("op", ["write", "sync", "rename", "sync_dir"])
def test_reopened_after_a_failure_without_mending(tmp_path: Path, op: str) -> None:
    """What the last flush that succeeded made durable is there, whatever the disk refused."""
    for nth in range(1, 30, 4):
        fs = FaultyFileSystem(Unsynced())
        engine = LsmEngine(tmp_path / f"{op} {nth}", OPTIONS, fs=fs)
        durable, model = State(), State()
        fs.fail(op, nth, no_space(), times=None)
        failed = False
        while not failed:
            try:
                lived(engine, model, 1)
                durable = dict(model)
            except (OSError, EngineFailed):
                failed = True
        with suppress(OSError):  # there may be nothing left to flush
            engine.close()
        engine.close()
        with LsmEngine(tmp_path / f"{op} {nth}") as engine:
            found = dict(engine.scan())
            assert all(
                found[key] == durable[key] for key in durable if model.get(key) == durable[key]
            )
            engine.check()


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_torn_write_is_no_table(tmp_path: Path, kept: int) -> None:
    fs, model = FaultyFileSystem(Unsynced()), State()
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        fs.tear(nth=3, keep_bytes=kept, op="write")
        with pytest.raises((OSError, EngineFailed)):
            lived(engine, model)
        engine.flush()
        assert dict(engine.scan()) == model


def test_a_disk_that_lies_is_found_out(tmp_path: Path) -> None:
    """It claims to have written all of a table. The table is read back before it counts."""
    fs = FaultyFileSystem(Unsynced())
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        engine.put(b"k", b"v" * 500)
        fs.tear(nth=1, keep_bytes=10, op="write", silent=True, path="sst_*")
        with pytest.raises(CorruptTable):
            engine.flush()
        assert engine.get(b"k") == b"v" * 500
        engine.flush()
        assert engine.get(b"k") == b"v" * 500
        assert [meta.sst_id for meta in engine.version.tables] == [2]


@pytest.mark.parametrize("op", ["preadv"])
def test_short_reads_are_completed(tmp_path: Path, op: str) -> None:
    fs, model = FaultyFileSystem(Unsynced()), State()
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        fs.short(op, nbytes=7, times=200)
        lived(engine, model)
        assert dict(engine.scan()) == model
        assert fs.counts[op] > 200


def test_a_full_disk_stops_writes_until_a_flush_succeeds(tmp_path: Path) -> None:
    fs = FaultyFileSystem(Unsynced())
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        engine.put(b"first", b"1")
        fs.fail("write", error=no_space(), times=None)
        with pytest.raises(OSError, match="No space left"):
            engine.flush()
        for call in (lambda: engine.put(b"k", b"v"), engine.freeze, lambda: engine.delete(b"k")):
            with pytest.raises(EngineFailed, match=r"since OSError: .*No space left.*call flush"):
                call()
        assert engine.get(b"first") == b"1"
        assert [*engine.scan()] == [(b"first", b"1")]
        with pytest.raises(OSError, match="No space left"):
            engine.flush()
        fs.heal()
        assert len(engine.flush()) == 1
        engine.put(b"second", b"2")
        assert [*engine.scan()] == [(b"first", b"1"), (b"second", b"2")]


def test_the_write_that_met_a_failure_is_in_memory(tmp_path: Path) -> None:
    fs = FaultyFileSystem(Unsynced())
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        fs.fail("sync", error=no_space())
        with pytest.raises(EngineFailed) as error:
            engine.put(b"big", bytes(2_000))
        assert error.value.cause is error.value.__cause__
        assert engine.get(b"big") == bytes(2_000)
        engine.flush()
    with LsmEngine(tmp_path / "store") as engine:
        assert engine.get(b"big") == bytes(2_000)


@pytest.mark.parametrize(
    "point", ["flush.after_sst", "commit.after_tmp", "commit.after_rename", "compact.after_outputs"]
)
def test_an_error_at_every_failpoint(tmp_path: Path, point: str) -> None:
    """As an interrupt there would be: what it leaves in memory goes on."""
    model = State()
    with LsmEngine(tmp_path / "store", OPTIONS) as engine:
        arm(point, 3, action="raise")
        try:
            with pytest.raises((FailpointError, EngineFailed)):
                lived(engine, model)
        finally:
            disarm()
        assert dict(engine.scan()) == model
        engine.flush()
        lived(engine, model)
        assert dict(engine.scan()) == model
        listed = {f"sst_{meta.sst_id:06d}.dat" for meta in engine.version.tables}
        here = {path.name for path in (tmp_path / "store").iterdir()}
        assert here == {"LOCK", "LSMSTATE"} | listed
    with LsmEngine(tmp_path / "store") as engine:
        assert dict(engine.scan()) == model


def test_a_file_that_cannot_be_removed_goes_later(tmp_path: Path) -> None:
    fs, model = FaultyFileSystem(Unsynced()), State()
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        fs.fail("unlink", error=OSError(errno.EIO, "?"), times=None, path="sst_*.dat")
        lived(engine, model)
        assert dict(engine.scan()) == model
        tables = len(engine.version.tables)
    assert len([*(tmp_path / "store").glob("sst_*")]) > tables
    with LsmEngine(tmp_path / "store") as engine:
        assert dict(engine.scan()) == model
    assert len([*(tmp_path / "store").glob("sst_*")]) == tables


OPENING = ("open_random", "lock", "listdir", "read", "preadv", "mkdir", "sync_dir", "exists")


@pytest.mark.parametrize("op", OPENING)
def test_opening_fails_and_leaves_nothing_open(tmp_path: Path, op: str) -> None:
    with LsmEngine(tmp_path / "store", OPTIONS) as engine:
        model = State()
        lived(engine, model)
    before = sorted(path.name for path in (tmp_path / "store").iterdir())
    for nth in range(1, 12):
        fs = FaultyFileSystem(Unsynced())
        target = tmp_path / "new" if op in ("mkdir", "sync_dir") else tmp_path / "store"
        fs.fail(op, nth, no_space())
        try:
            engine = LsmEngine(target, OPTIONS, fs=fs)
        except OSError:
            assert not fs.pending
        else:
            engine.close()
            break
    else:
        pytest.fail(f"{op} is called at least 11 times")
    assert nth > 1, f"{op} is never called"
    with LsmEngine(tmp_path / "store") as engine:
        assert dict(engine.scan()) == model
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == before


def test_closing_ends_in_any_case(tmp_path: Path) -> None:
    fs = FaultyFileSystem(Unsynced())
    engine = LsmEngine(tmp_path / "store", OPTIONS, fs=fs)
    engine.put(b"k", b"v")
    fs.fail("create", error=no_space())
    with pytest.raises(OSError, match="No space left") as error:
        engine.close()
    assert error.value.__notes__ == [
        f"{tmp_path / 'store'} was closed: 1 entries in memory are lost"
    ]
    engine.close()
    LsmEngine(tmp_path / "store").close()  # the lock is free
