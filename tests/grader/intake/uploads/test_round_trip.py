"""An archive of a folder is that folder; a damaged archive is refused, or still that folder."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from grader.intake.collect import Collected, SubmissionRefused, collect
from grader.intake.intake import MAX_FILE_BYTES
from grader.intake.unpack import is_archive

Files = dict[str, bytes]
Pack = Callable[[Files, str], bytes]

# Few and short names, so that they collide now and then; what may not stand in a name comes too.
PARTS = st.one_of(
    st.sampled_from(["a", "A", "b.py", "B.py", "é.py", "e\u0301.py", "__pycache__", "._b.py"]),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=4).filter(
        lambda text: text not in (".", "..")
    ),
)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=6)


def folders(files: Files) -> list[str]:
    """Every folder on the way to a file, as real archivers name them, empty or not."""
    ways = [name.split("/")[:-1] for name in files]
    return sorted({"/".join(way[: i + 1]) for way in ways for i in range(len(way))})


def as_zip(files: Files, top: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for folder in folders(files):
            archive.writestr(top + folder + "/", b"")
        for name, content in files.items():
            archive.writestr(top + name, content)
    return target.getvalue()


def as_tar(files: Files, top: str, mode: str = "w") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for folder in folders(files):
            info = tarfile.TarInfo(top + folder)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


PACKS: dict[str, Pack] = {
    "zip": as_zip,
    "stored.zip": lambda files, top: as_zip(files, top, zipfile.ZIP_STORED),
    "tar": as_tar,
    "tar.gz": lambda files, top: as_tar(files, top, "w:gz"),
    "tar.xz": lambda files, top: as_tar(files, top, "w:xz"),
}
SMALL: Files = {
    "toy/__init__.py": b"x = 1\n" * 40,
    "toy/deep/more.py": b"y = 2\n",
    "capstone.ipynb": b'{"cells": []}',
    "notes.txt": b"not asked for",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A place for one example after another."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        yield Path(name)


def taken(place: Path, name: str, content: bytes) -> Collected | SubmissionRefused:
    """What `collect` makes of an archive; if anything was written, it is where it belongs."""
    with tempfile.TemporaryDirectory(dir=place) as here:
        archive, out = Path(here) / name, Path(here) / "out"
        archive.write_bytes(content)
        try:
            found = collect(archive, out, "toy")
        except SubmissionRefused as refused:
            return told(refused)
        assert {p.name for p in Path(here).iterdir()} == {name, "out"}
        written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        assert written == set(found.files)
        return found


def told(refused: SubmissionRefused) -> SubmissionRefused:
    assert refused.where
    assert refused.reason
    assert refused.fix
    assert str(refused).isprintable()
    return refused


def taken_folder(place: Path, files: Files) -> Collected | SubmissionRefused | None:
    with tempfile.TemporaryDirectory(dir=place) as here:
        for name, content in files.items():
            target = Path(here) / "in" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        # Some file systems take two of these names for one.
        if sum(path.is_file() for path in (Path(here) / "in").rglob("*")) != len(files):
            return None
        try:
            return collect(Path(here) / "in", Path(here) / "out", "toy")
        except SubmissionRefused as refused:
            return refused


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("top", ["", "work/", "./", "./work/"])
def test_a_folder_and_its_archive_have_one_digest(folder: Path, kind: str, top: str) -> None:
    here = taken_folder(folder, SMALL)
    assert isinstance(here, Collected)
    assert here.files == ("toy/__init__.py", "toy/deep/more.py", "capstone.ipynb")
    assert taken(folder, "work." + kind, PACKS[kind](SMALL, top)) == here


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES, kind=st.sampled_from(sorted(PACKS)), top=st.sampled_from(["", "work/"]))
def test_any_tree_fares_alike_as_folder_and_as_archive(
    folder: Path, tree: Files, kind: str, top: str
) -> None:
    files = {f"toy/{name}": content for name, content in tree.items()}
    files["toy/__init__.py"] = b""
    # A folder of this machine cannot be all that an archive can: a file below a file.
    assume(not any(name.startswith(other + "/") for name in files for other in files))
    assume(not any("\\" in name or name[4:6].endswith(":") for name in files))
    packed = taken(folder, "work." + kind, PACKS[kind](files, top))
    here = taken_folder(folder, files)
    assume(here is not None)
    assert type(here) is type(packed)
    if isinstance(here, Collected):
        assert packed == here


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(sorted(PACKS)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=4)),
        min_size=1,
        max_size=4,
    ),
    end=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damage_never_leaves_the_one_way_out(
    folder: Path, kind: str, edits: list[tuple[float, bytes]], end: float
) -> None:
    damaged = bytearray(PACKS[kind](SMALL, "work/"))
    for where, what in edits:
        at = int(where * len(damaged))
        damaged[at : at + len(what)] = what
    taken(folder, "work." + kind, bytes(damaged[: round(end * len(damaged))]))


@pytest.mark.parametrize("kind", PACKS)
def test_an_archive_that_was_cut_short_is_refused(folder: Path, kind: str) -> None:
    whole = PACKS[kind](SMALL, "")
    content_end = len(whole.rstrip(b"\0")) if kind == "tar" else len(whole)
    for end in range(0, content_end - 1, 97):
        assert isinstance(taken(folder, "work." + kind, whole[:end]), SubmissionRefused), end


@pytest.mark.parametrize("kind", PACKS)
def test_one_flipped_bit_of_a_file_is_found_or_is_the_digest(folder: Path, kind: str) -> None:
    whole = PACKS[kind](SMALL, "")
    before = taken(folder, "work." + kind, whole)
    for at in range(0, len(whole), 41):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        after = taken(folder, "work." + kind, bytes(changed))
        if kind != "tar" and isinstance(after, Collected):  # a bare tar has no checksum of content
            assert after == before


@pytest.mark.parametrize("kind", PACKS)
def test_what_systems_leave_behind_is_left_out(folder: Path, kind: str) -> None:
    clutter = {
        "__MACOSX/toy/._x.py": b"\0",
        "toy/.DS_Store": b"\0",
        ".DS_Store": b"\0",
        "toy/._more.py": b"\0",
        "toy/__pycache__/x.cpython-311.pyc": b"\0",
    }
    plain = taken(folder, "a." + kind, PACKS[kind](SMALL, ""))
    assert taken(folder, "a." + kind, PACKS[kind]({**clutter, **SMALL}, "")) == plain
    assert taken(folder, "a." + kind, PACKS[kind]({**clutter, **SMALL}, "work/")) == plain


@pytest.mark.parametrize("kind", PACKS)
def test_the_package_must_be_there_once(folder: Path, kind: str) -> None:
    for files, reason in (
        ({"other/__init__.py": b""}, "not in work"),
        ({"a/b/toy/__init__.py": b""}, "not in work"),
        ({"a/toy/__init__.py": b"", "b/toy/__init__.py": b""}, "more than once"),
        ({"toy": b"a file"}, "a file, not a folder"),
    ):
        refused = taken(folder, "work." + kind, PACKS[kind](files, ""))
        assert isinstance(refused, SubmissionRefused)
        assert reason in refused.reason


@pytest.mark.parametrize("kind", PACKS)
def test_sizes_are_counted_while_reading(folder: Path, kind: str) -> None:
    files = {**SMALL, "toy/zeros.bin": bytes(MAX_FILE_BYTES + 1)}
    refused = taken(folder, "work." + kind, PACKS[kind](files, ""))
    assert isinstance(refused, SubmissionRefused)
    assert refused.where == "toy/zeros.bin"
    assert refused.reason == f"larger than {MAX_FILE_BYTES} bytes"


def test_an_archive_may_be_reached_through_a_link_and_is_known_by_its_content(
    folder: Path,
) -> None:
    (folder / "real").write_bytes(PACKS["tar.gz"](SMALL, ""))
    (folder / "upload.zip").symlink_to("real")
    assert collect(folder / "upload.zip", folder / "out", "toy").has_notebook


def test_what_is_no_archive_is_refused_without_waiting(folder: Path) -> None:
    (folder / "text.zip").write_text("hello" * 200)
    (folder / "empty.zip").touch()
    os.mkfifo(folder / "pipe.zip")
    for name in ("text.zip", "empty.zip", "pipe.zip", "nowhere.zip", "text.zip/inside"):
        with pytest.raises(SubmissionRefused) as refused:
            collect(folder / name, folder / "out", "toy")
        assert refused.value.fix
        assert not is_archive(folder / name)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("kind", PACKS)
def test_an_archive_is_known_by_its_first_bytes(folder: Path, kind: str) -> None:
    (folder / "any-name").write_bytes(PACKS[kind](SMALL, ""))
    assert is_archive(folder / "any-name")
