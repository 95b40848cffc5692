"""What is taken in, and everything that is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from grader.intake import collect as collecting
from grader.intake import intake
from grader.intake.collect import SubmissionRefused, collect


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A plain submission with things around it that are nobody's business."""
    folder = tmp_path / "source"
    (folder / "toy" / "deep").mkdir(parents=True)
    (folder / "toy" / "__init__.py").write_text("x = 1\n")
    (folder / "toy" / "deep" / "more.py").write_text("y = 2\n")
    (folder / "capstone.ipynb").write_text("{}")
    (folder / "secret.txt").write_text("not asked for")
    (folder / "toy" / "__pycache__").mkdir()
    (folder / "toy" / "__pycache__" / "x.pyc").write_bytes(b"\0")
    return folder


def test_the_package_and_the_notebook_are_copied_and_hashed(source: Path, tmp_path: Path) -> None:
    taken = collect(source, tmp_path / "a", "toy")
    assert taken.files == ("toy/__init__.py", "toy/deep/more.py", "capstone.ipynb")
    assert taken.has_notebook
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["capstone.ipynb", "toy"]
    assert (tmp_path / "a" / "toy" / "deep" / "more.py").read_text() == "y = 2\n"
    os.utime(source / "toy" / "__init__.py", (0, 0))
    assert collect(source, tmp_path / "b", "toy").sha256 == taken.sha256
    (source / "toy" / "__init__.py").write_text("x = 2\n")
    assert collect(source, tmp_path / "c", "toy").sha256 != taken.sha256


def test_moving_content_between_files_changes_the_digest(source: Path, tmp_path: Path) -> None:
    first = collect(source, tmp_path / "a", "toy").sha256
    (source / "toy" / "deep" / "more.py").rename(source / "toy" / "more.py")
    assert collect(source, tmp_path / "b", "toy").sha256 != first


def test_a_missing_notebook_is_noted_not_refused(source: Path, tmp_path: Path) -> None:
    (source / "capstone.ipynb").unlink()
    assert not collect(source, tmp_path / "a", "toy").has_notebook


def refused(source: Path, tmp_path: Path) -> SubmissionRefused:
    with pytest.raises(SubmissionRefused) as caught:
        collect(source, tmp_path / "out", "toy")
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.txt", "toy/__init__.py", "nowhere"])
def test_links_are_refused(source: Path, tmp_path: Path, target: str) -> None:
    (source / "toy" / "link.py").symlink_to(target)
    error = refused(source, tmp_path)
    assert (error.where, error.reason) == ("toy/link.py", "a symbolic link")


def test_linked_folders_packages_and_notebooks_are_refused(source: Path, tmp_path: Path) -> None:
    (source / "toy" / "lib").symlink_to("/usr/lib")
    assert refused(source, tmp_path).where == "toy/lib"
    (source / "toy" / "lib").unlink()
    (source / "capstone.ipynb").unlink()
    (source / "capstone.ipynb").symlink_to("/etc/passwd")
    assert refused(source, tmp_path).where == "capstone.ipynb"
    (source / "toy").rename(source / "other")
    (source / "toy").symlink_to("other")
    assert refused(source, tmp_path).where == "toy"


def test_hard_links_are_refused(source: Path, tmp_path: Path) -> None:
    os.link(source / "secret.txt", source / "toy" / "mine.py")
    assert refused(source, tmp_path).reason == "a hard link"


def test_pipes_sockets_and_devices_are_refused_without_waiting(
    source: Path, tmp_path: Path
) -> None:
    os.mkfifo(source / "toy" / "pipe.py")
    assert "neither a file nor a folder" in refused(source, tmp_path).reason
    (source / "toy" / "pipe.py").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(source / "toy" / "s.py"))
        assert "neither a file nor a folder" in refused(source, tmp_path).reason


@pytest.mark.parametrize("name", ["fast.so", "old.pyc", "path.pth", "win.pyd"])
def test_compiled_code_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    (source / "toy" / name).write_bytes(b"\0")
    assert refused(source, tmp_path).reason == "compiled code"


def test_too_much_of_anything_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_FILES", 4)
    for i in range(3):
        (source / "toy" / f"m{i}.py").write_text("")
    assert "more than 4 files" in refused(source, tmp_path).reason
    monkeypatch.setattr(intake, "MAX_FILES", 100)
    monkeypatch.setattr(intake, "MAX_FILE_BYTES", 100)
    (source / "toy" / "m0.py").write_text("#" * 101)
    assert "larger than 100 bytes" in refused(source, tmp_path).reason


def test_too_much_in_all_and_too_deep_are_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MAX_TOTAL_BYTES", 10)
    assert "bytes in all" in refused(source, tmp_path).reason
    folder = source / "toy"
    for _ in range(9):
        folder = folder / "d"
        folder.mkdir()
    assert "deeper than 8 folders" in refused(source, tmp_path / "second").reason


@pytest.mark.parametrize("missing", ["package", "folder"])
def test_what_is_missing_is_named(source: Path, tmp_path: Path, missing: str) -> None:
    if missing == "package":
        (source / "toy").rename(source / "other")
        assert refused(source, tmp_path).where == "toy"
    else:
        assert "does not exist" in refused(tmp_path / "nowhere", tmp_path).reason


@pytest.mark.parametrize("name", [b"\xff.py", b"a\nb.py", b"\x1b]0;x.py"])
def test_names_that_cannot_be_shown_are_refused(source: Path, tmp_path: Path, name: bytes) -> None:
    with open(os.fsencode(source / "toy") + b"/" + name, "w"):
        pass
    error = refused(source, tmp_path)
    assert error.reason == "a name that cannot be shown"
    assert error.where.isascii()
