"""Page files with known contents, and faults through the file layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from meridian.database.storage import BufferPool, PageFile, PagesLost, PinLeak, SlottedPage
from meridian.testing import FaultyFileSystem

# A busy machine makes a single example slow; what is slow for good shows in the durations.
settings.register_profile("storage", deadline=None)
settings.load_profile("storage")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.oor"


@pytest.fixture
def faults() -> FaultyFileSystem:
    return FaultyFileSystem()


@pytest.fixture
def make_file(path: Path, faults: FaultyFileSystem) -> Iterator[Callable[..., PageFile]]:
    """`make_file(n)`: an open file of `n` data pages; page `k` holds the record ``b"page k"``."""
    opened: list[PageFile] = []

    def make(pages: int = 20, page_size: int = 4096) -> PageFile:
        file = PageFile(path, page_size, fs=faults)
        opened.append(file)
        for page_id in file.allocate_pages(pages):
            page = bytearray(page_size)
            SlottedPage.format(page, page_id).insert(b"page %d" % page_id)
            file.write_page(page_id, memoryview(page))
        return file

    yield make
    faults.heal()
    for file in opened:
        file.close()


@pytest.fixture
def make_pool(
    make_file: Callable[..., PageFile], faults: FaultyFileSystem
) -> Iterator[Callable[..., BufferPool]]:
    """`make_pool(frames, policy, pages=20)`: a pool over `make_file(pages)`."""
    opened: list[BufferPool] = []

    def make(
        frames: int = 8, policy: str = "clock", pages: int = 20, **options: object
    ) -> BufferPool:
        pool = BufferPool(make_file(pages), frames, policy, **options)  # type: ignore[arg-type]
        opened.append(pool)
        return pool

    yield make
    faults.heal()
    for pool in opened:
        pool.before_flush = None
        with suppress(PinLeak, PagesLost):  # tests of their own
            pool.close()
