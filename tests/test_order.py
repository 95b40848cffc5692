"""The order in which xdist's workers take the files of tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.conftest import LONG_FILES, ROOT, pytest_collection_modifyitems


def ordered(names: list[str], **config: Any) -> list[str]:
    items: list[Any] = [SimpleNamespace(path=ROOT / name) for name in names]
    pytest_collection_modifyitems(SimpleNamespace(**config), items)
    return [item.path.relative_to(ROOT).as_posix() for item in items]


def test_long_files_are_there() -> None:
    assert [name for name in LONG_FILES if not (ROOT / name).is_file()] == []
    assert len(set(LONG_FILES)) == len(LONG_FILES)


def test_a_worker_takes_the_longest_files_first_and_then_the_fullest() -> None:
    names = ["a.py", "b.py", "b.py", LONG_FILES[1], "c.py", LONG_FILES[0]]
    assert ordered(names, workerinput={}) == [*LONG_FILES[:2], "b.py", "b.py", "a.py", "c.py"]


def test_without_workers_the_order_is_that_of_the_folders() -> None:
    names = ["a.py", "b.py", "b.py", LONG_FILES[0]]
    assert ordered(names) == names
