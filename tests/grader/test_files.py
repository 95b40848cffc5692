"""Measuring and removing folders that somebody else filled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grader.files import regular_file, remove_tree, usage


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
