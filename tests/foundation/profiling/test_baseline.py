"""`BaselineStore`: nothing is lost to a crash, a second writer or a damaged file."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import numpy as np
import pytest

from meridian.foundation.profiling.bench import (
    BaselineCorrupt,
    BaselineMissing,
    BaselineStore,
    Fingerprint,
    Measurement,
)
from meridian.foundation.profiling.files import replace_files
from meridian.fs import OsFileSystem
from meridian.fs import OsLogFile as LogFile

HERE = Fingerprint("cpu", 2, "Linux", "3.11", "0.6", "2.4")


def m(value: float = 1e-6) -> Measurement:
    return Measurement(np.array([value, 2 * value]), 3, "f", env=HERE)


def test_save_and_load(tmp_path: Path) -> None:
    store = BaselineStore(tmp_path / "deep" / "baseline.json")
    assert store.names() == []
    store.save("scan", m(1e-6))
    store.save("get \u00b5 / odd name", m(2e-6))
    store.save("scan", m(3e-6))
    again = BaselineStore(str(tmp_path / "deep" / "baseline.json"))
    assert again.names() == ["get \u00b5 / odd name", "scan"]
    assert again.load("scan").per_iter.tolist() == [3e-6, 6e-6]
    assert again.load("scan").env == HERE


def test_missing_name_suggests_the_nearest(tmp_path: Path) -> None:
    store = BaselineStore(tmp_path / "b.json")
    with pytest.raises(BaselineMissing, match="it holds nothing"):
        store.load("scan")
    store.save("insert_many", m())
    with pytest.raises(KeyError, match="did you mean 'insert_many'") as caught:
        store.load("insert_mny")
    assert str(caught.value).startswith("No measurement")  # not a quoted KeyError


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x00\xff",
        b"[]",
        b'{"format": "meridian-baseline", "version": 2, "measurements": {}}',
        b'{"format": "something else", "version": 1, "measurements": {}}',
        b'{"format": "meridian-baseline", "version": 1, "measurements": {}, "extra": 1}',
        b'{"format": "meridian-baseline", "version": 1, "measurements": {"a": {"inner": 1}}}',
    ],
)
def test_corrupt_file_is_an_error_and_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(content)
    store = BaselineStore(path)
    for call in (store.names, lambda: store.load("a"), lambda: store.save("a", m())):
        with pytest.raises(BaselineCorrupt, match="is corrupt"):
            call()
    assert path.read_bytes() == content


def test_truncated_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    store = BaselineStore(path)
    store.save("a", m())
    whole = path.read_bytes()
    for length in range(len(whole.rstrip())):
        path.write_bytes(whole[:length])
        with pytest.raises(BaselineCorrupt):
            store.names()


class FullDisk(OsFileSystem):
    """Every created file refuses its data."""

    def create(self, path: object) -> LogFile:
        file = super().create(path)  # type: ignore[arg-type]
        return _Refusing(file)  # type: ignore[return-value]


class _Refusing:
    def __init__(self, file: LogFile) -> None:
        self.close = file.close
        self.sync = file.sync

    def write(self, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    BaselineStore(path).save("a", m())
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        BaselineStore(path, fs=FullDisk()).save("b", m())
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"b.json", ".b.json.lock"}


def test_two_writers_both_count(tmp_path: Path) -> None:
    path = tmp_path / "b.json"

    def write(writer: int) -> None:
        for i in range(10):
            BaselineStore(path).save(f"{writer}/{i}", m())

    threads = [threading.Thread(target=write, args=(w,)) for w in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(BaselineStore(path).names()) == 30


def test_wrong_types(tmp_path: Path) -> None:
    store = BaselineStore(tmp_path / "b.json")
    with pytest.raises(ValueError, match="Expected a name"):
        store.save("", m())
    with pytest.raises(TypeError, match="Expected a Measurement, got dict"):
        store.save("a", {})  # type: ignore[arg-type]
    assert store.names() == []


def test_replace_files_is_all_or_nothing(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"old")
    (tmp_path / "blocked").write_bytes(b"a file where a folder is needed")
    with pytest.raises(OSError, match="blocked"):
        replace_files({one: b"new", tmp_path / "blocked" / "two": b"new"})
    assert one.read_bytes() == b"old"
    replace_files({one: b"new", two: b""})
    assert (one.read_bytes(), two.read_bytes()) == (b"new", b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blocked", "one", "two"]
