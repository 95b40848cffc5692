"""The same contract checks on the shipped engine and on the capstone's model answer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import meridian.database.storage
from meridian.testing import storage as model

SOLUTION = Path(__file__).parents[2] / "solutions/database/01-storage"


@pytest.fixture
def answer() -> Iterator[ModuleType]:
    """The model answer, imported afresh and forgotten again."""

    def forget() -> dict[str, ModuleType]:
        names = [m for m in sys.modules if m.split(".")[0] == "tle_page_manager"]
        return {name: sys.modules.pop(name) for name in names}

    known = forget()
    sys.path.insert(0, str(SOLUTION))
    try:
        yield importlib.import_module("tle_page_manager")
    finally:
        sys.path.remove(str(SOLUTION))
        forget()
        sys.modules.update(known)


@pytest.fixture(params=["engine", "answer"])
def api(request: pytest.FixtureRequest, answer: ModuleType) -> ModuleType:
    return meridian.database.storage if request.param == "engine" else answer


def test_page_header(api: ModuleType) -> None:
    model.check_page_header(api)


def test_page_file(api: ModuleType, tmp_path: Path) -> None:
    model.check_page_file(api, tmp_path)


@pytest.mark.parametrize("policy", ["lru", "clock", "2q"])
def test_buffer_pool(api: ModuleType, tmp_path: Path, policy: str) -> None:
    model.check_buffer_pool(api, tmp_path, (policy,))


def test_slotted_page(api: ModuleType) -> None:
    model.check_slotted_page(api)


def test_page_manager(api: ModuleType, tmp_path: Path) -> None:
    model.check_page_manager(api, tmp_path)


def test_files_are_exchangeable(answer: ModuleType, tmp_path: Path) -> None:
    """A file that one of the two wrote is a file to the other, records, free list and all."""
    engine = meridian.database.storage
    for writer, reader in ((engine, answer), (answer, engine)):
        path = tmp_path / f"{writer.__name__}.oor"
        records = [bytes([i]) * (i * 40) for i in range(200)]
        with writer.PageManager(path) as manager:
            rids = [tuple(manager.insert(record)) for record in records]
            for rid in rids[::3]:
                manager.delete(writer.RecordId(*rid))
        with reader.PageManager(path) as manager:
            for i, rid in enumerate(rids):
                want = records[i] if i % 3 else None
                assert manager.get(reader.RecordId(*rid)) == want
            before = manager.file.page_count
            for record in records[::3]:
                manager.insert(record)
            grown = manager.file.page_count - before
            assert grown < 20, "66 records of 4,000 bytes: freed chains and slots are used again"
