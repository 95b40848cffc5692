"""A tree in a file that can fail, opened and opened again in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from meridian.database.storage import PagesLost, PinLeak
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store


@pytest.fixture
def faults() -> FaultyFileSystem:
    return FaultyFileSystem()


@pytest.fixture
def make_store(tmp_path: Path, faults: FaultyFileSystem) -> Iterator[Callable[..., Store]]:
    """`make_store(frames=16, **options of the tree)`; a second call is a second file."""
    opened: list[Store] = []

    def make(**options: object) -> Store:
        path = tmp_path / f"index{len(opened)}.oor"
        opened.append(Store(path, fs=faults, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    faults.heal()
    for store in opened:
        with suppress(PinLeak, PagesLost):  # tests of their own
            store.close()
