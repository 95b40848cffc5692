"""Measuring and removing folders that somebody else filled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grader.box.files import open_inside, open_to_box, regular_file, remove_tree, usage


def test_usage_counts_blocks_and_entries_and_follows_no_link(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(bytes(100_000))
    (folder / "link").symlink_to("/usr")
    (folder / "loop").symlink_to(folder)
    used = usage(folder, 100)
    assert used.entries == 4
    assert 100_000 <= used.bytes < 150_000
    assert usage(folder, 2).entries == 3
    assert usage(tmp_path / "nowhere", 10).bytes == 0


def test_a_sparse_file_costs_what_it_takes_on_disk(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(10 * 2**30)
    assert usage(tmp_path, 10).bytes < 2**20


def test_trees_go_however_deep_and_locked(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1_050):  # beyond Python's recursion and beyond the longest path
        os.mkdir("folder", dir_fd=here)
        below = os.open("folder", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (top / "locked").mkdir()
    (top / "locked" / "file").write_text("x")
    (top / "link").symlink_to(tmp_path)
    (top / "locked").chmod(0)
    remove_tree(top)
    assert not top.exists()
    assert tmp_path.exists()
    remove_tree(top)


def test_a_name_is_safe_only_without_links_on_its_way(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "folder" / "file").write_text("x")
    assert regular_file(tmp_path, "folder/file") == tmp_path / "folder" / "file"
    assert regular_file(tmp_path, "new/file") == tmp_path / "new" / "file"
    for name in ("link/file", "link", "folder/file/deeper"):
        with pytest.raises(ValueError, match="not a plain file or folder"):
            regular_file(tmp_path, name)
    for name in ("..", "folder/../../x", "/etc/passwd", "", "."):
        with pytest.raises(ValueError, match="relative path"):
            regular_file(tmp_path, name)


def test_opening_inside_never_leaves_the_folder(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (inside / "deep" / "file").write_text("mine")
    with open(open_inside(inside, "deep/file", os.O_RDONLY)) as file:
        assert file.read() == "mine"
    (inside / "link").symlink_to("../secret")
    (inside / "way").symlink_to("..")
    os.mkfifo(inside / "pipe")
    for name in ("link", "way/secret", "pipe", "deep"):
        with pytest.raises(ValueError, match="not a plain file"):
            open_inside(inside, name, os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        open_inside(inside, "none/file", os.O_RDONLY)


@pytest.mark.parametrize("name", ["link", "way/secret"])
def test_a_link_planted_after_the_check_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "inside" / "link").symlink_to("../secret")
    (tmp_path / "inside" / "way").symlink_to("..")
    monkeypatch.setattr("grader.box.files.regular_file", lambda folder, name: folder / name)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_inside(tmp_path / "inside", name, os.O_WRONLY | os.O_TRUNC)
    assert (tmp_path / "secret").read_text() == "secret"


def test_sharing_gives_away_links_not_what_they_point_to(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root shares files with another user")
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "file").write_text("x")
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to("../secret")
    (inside / "way").symlink_to("..")
    open_to_box(inside, 61_200)
    assert (tmp_path / "secret").stat().st_uid == 0
    assert tmp_path.stat().st_uid == 0
    for name in ("deep", "deep/file", "link", "way"):
        assert os.lstat(inside / name).st_uid == 61_200
