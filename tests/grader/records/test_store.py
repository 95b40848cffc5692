"""What was handed in comes out of the store as it was judged, or not at all."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.intake.collect import Collected, collect
from grader.records.store import StoreError, SubmissionStore


def handed_in(folder: Path, files: dict[str, bytes]) -> tuple[Path, Collected]:
    """A submission that was collected: the copy and what is known of it."""
    source = folder / "source"
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "code", collect(source, folder / "code", "toy")


FILES = {
    "toy/__init__.py": b"x = 1\n",
    "toy/deep/below.py": b"",
    "toy/\xc3\xa4.py".encode("latin-1").decode(): "π".encode(),
    "capstone.ipynb": b"{}",
}


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_files_come_out(tmp_path: Path) -> None:
    code, collected = handed_in(tmp_path, FILES)
    store = SubmissionStore(tmp_path / "store")
    assert collected.sha256 not in store
    path = store.add(code, collected)
    assert collected.sha256 in store
    assert path.name == f"{collected.sha256}.tar"
    again = store.take(collected.sha256, tmp_path / "again")
    assert content_of(again) == content_of(code) == FILES
    assert collect(again, tmp_path / "third", "toy") == collected, "and are judged as the same"


def test_the_same_submission_is_kept_once(tmp_path: Path) -> None:
    store = SubmissionStore(tmp_path / "store")
    for name in ("one", "two"):
        code, collected = handed_in(tmp_path / name, FILES)
        store.add(code, collected)
    assert len(list(store.folder.iterdir())) == 1
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_many_may_add_at_once(tmp_path: Path) -> None:
    code, collected = handed_in(tmp_path, FILES)
    store = SubmissionStore(tmp_path / "store")
    threads = [threading.Thread(target=store.add, args=(code, collected)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(store.folder.iterdir())) == 1
    assert content_of(store.take(collected.sha256, tmp_path / "out")) == FILES


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_was_damaged_does_not_come_out(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("store")
    code, collected = handed_in(folder, {"toy/a.py": b"a = 1\n" * 20})
    store = SubmissionStore(folder / "store")
    path = store.add(code, collected)
    content = bytearray(path.read_bytes())
    match data.draw(st.sampled_from(["flip", "cut", "replace"])):
        case "flip":
            content[data.draw(st.integers(512, 512 + 119))] ^= data.draw(st.integers(1, 255))
        case "cut":
            del content[data.draw(st.integers(0, 631)) :]
        case _:
            content[:] = data.draw(st.binary(max_size=200))
    path.write_bytes(content)
    with pytest.raises(StoreError):
        store.take(collected.sha256, folder / "out")
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "toy/../../out.py"])
def test_a_tar_that_is_not_ours_writes_nowhere(tmp_path: Path, name: str) -> None:
    store = SubmissionStore(tmp_path / "store")
    store.folder.mkdir()
    with tarfile.open(store.path("0" * 64), "w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(StoreError, match="unexpected entry"):
        store.take("0" * 64, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("name", ["", "x", "../" * 22, "0" * 63, "G" * 64])
def test_what_is_no_hash_is_never_a_path(tmp_path: Path, name: str) -> None:
    store = SubmissionStore(tmp_path)
    assert name not in store
    with pytest.raises(StoreError, match="never taken in"):
        store.take(name, tmp_path / "out")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="submission abababababababab is not kept here"):
        SubmissionStore(tmp_path).take("ab" * 32, tmp_path / "out")
