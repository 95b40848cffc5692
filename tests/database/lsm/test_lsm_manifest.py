"""The list of tables: read back as written, never half, never silently wrong."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.lsm import ManifestCorrupt, SstMeta, Version, VersionEdit
from meridian.database.lsm.manifest import STATE_NAME, SnapshotManifest, _checksum, _decoded
from meridian.fs import FailpointError, arm, disarm
from meridian.testing import FaultyFileSystem
from tests.database.lsm.support import Unsynced


def meta(sst_id: int, level: int = 0, low: bytes = b"a", high: bytes = b"z") -> SstMeta:
    return SstMeta(sst_id, level, 100, low, high, 10, 1, 7, 12345)


def test_nothing_was_written_yet(tmp_path: Path) -> None:
    assert SnapshotManifest(tmp_path).load() is None
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=15)
@given(
    levels=st.lists(st.lists(st.binary(min_size=1, max_size=4), unique=True), max_size=4),
    cursors=st.dictionaries(st.integers(1, 6), st.binary(max_size=3)),
    lsn=st.integers(0, 2**63),
)
def test_what_was_committed_is_loaded(
    tmp_path_factory: pytest.TempPathFactory,
    levels: list[list[bytes]],
    cursors: dict[int, bytes],
    lsn: int,
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    manifest = SnapshotManifest(folder, fs=Unsynced())
    version, number = Version(), 0
    manifest.commit(VersionEdit(flushed_lsn=lsn))
    for level, keys in enumerate(levels):
        for key in keys:
            number += 1
            manifest.commit(VersionEdit(added=(meta(number, level, key, key),)))
            version = version.applied(VersionEdit(added=(meta(number, level, key, key),)))
    for cursor in cursors.items():
        manifest.commit(VersionEdit(cursor=cursor))
    loaded = SnapshotManifest(folder).load()
    assert loaded is not None
    if number:
        assert loaded.levels == version.levels
    assert (loaded.flushed_lsn, loaded.next_id) == (lsn, number + 1)
    assert dict(loaded.cursors) == cursors
    assert [path.name for path in folder.iterdir()] == [STATE_NAME]


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    manifest = SnapshotManifest(tmp_path)
    manifest.commit(VersionEdit(added=(meta(1),), flushed_lsn=3, cursor=(1, b"q")))
    whole = (tmp_path / STATE_NAME).read_bytes()
    wanted = manifest.load()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        try:
            found = _decoded(bytes(damaged), "LSMSTATE")
        except ManifestCorrupt:
            pass
        else:  # white space, or the case of a hexadecimal digit
            assert found == wanted
    for size in range(len(whole) - 1):  # without its last newline it is whole
        with pytest.raises(ManifestCorrupt):
            _decoded(whole[:size], "LSMSTATE")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b'{"state": 1, "crc32": 2}', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_NAME).write_bytes(content)
    with pytest.raises(ManifestCorrupt, match="LSMSTATE is corrupt"):
        SnapshotManifest(tmp_path).load()


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    manifest = SnapshotManifest(tmp_path)
    manifest.commit(VersionEdit())
    whole = json.loads((tmp_path / STATE_NAME).read_text())
    whole["state"]["format"] = 2
    whole["crc32"] = _checksum(whole["state"])
    (tmp_path / STATE_NAME).write_text(json.dumps(whole))
    with pytest.raises(ManifestCorrupt, match="expected format 1, got 2"):
        SnapshotManifest(tmp_path).load()


def test_an_edit_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    manifest = SnapshotManifest(tmp_path)
    manifest.commit(VersionEdit(added=(meta(1),)))
    before = (tmp_path / STATE_NAME).read_bytes()
    with pytest.raises(ValueError, match="remove a table that counts"):
        manifest.commit(VersionEdit(removed=(2,)))
    assert (tmp_path / STATE_NAME).read_bytes() == before


@pytest.mark.parametrize("op", ["create", "write", "sync", "close", "rename", "sync_dir"])
def test_a_commit_that_fails_can_be_tried_again(tmp_path: Path, op: str) -> None:
    fs = FaultyFileSystem()
    manifest = SnapshotManifest(tmp_path, fs=fs)
    manifest.commit(VersionEdit(added=(meta(1),)))
    fs.fail(op, error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        manifest.commit(VersionEdit(added=(meta(2),)))
    assert not fs.pending
    on_disk = SnapshotManifest(tmp_path).load()
    assert on_disk is not None
    assert [each.sst_id for each in on_disk.tables] in ([1], [2, 1])
    manifest.commit(VersionEdit(added=(meta(3),)))  # builds on what is certain
    on_disk = SnapshotManifest(tmp_path).load()
    assert on_disk is not None
    assert [each.sst_id for each in on_disk.tables] == [3, 1]


def test_a_torn_write_never_counts(tmp_path: Path) -> None:
    fs = FaultyFileSystem()
    manifest = SnapshotManifest(tmp_path, fs=fs)
    manifest.commit(VersionEdit(added=(meta(1),)))
    fs.tear(op="write", keep_bytes=20)
    with pytest.raises(OSError, match="Input/output error"):
        manifest.commit(VersionEdit(added=(meta(2),)))
    on_disk = SnapshotManifest(tmp_path).load()
    assert on_disk is not None
    assert [each.sst_id for each in on_disk.tables] == [1]


def test_the_order_that_makes_it_durable(tmp_path: Path) -> None:
    fs = FaultyFileSystem()
    SnapshotManifest(tmp_path, fs=fs).commit(VersionEdit())
    order = [call.op for call in fs.calls]
    assert order == ["unlink", "create", "write", "sync", "close", "rename", "sync_dir"]


@pytest.mark.parametrize(
    ("point", "there"), [("commit.after_tmp", [1]), ("commit.after_rename", [2, 1])]
)
def test_failpoints(tmp_path: Path, point: str, there: list[int]) -> None:
    manifest = SnapshotManifest(tmp_path)
    manifest.commit(VersionEdit(added=(meta(1),)))
    arm(point, action="raise")
    try:
        with pytest.raises(FailpointError):
            manifest.commit(VersionEdit(added=(meta(2),)))
    finally:
        disarm(point)
    on_disk = SnapshotManifest(tmp_path).load()
    assert on_disk is not None
    assert [each.sst_id for each in on_disk.tables] == there
