"""Direct I/O: the pool's arena is aligned as the device wants it; a shifted buffer is refused."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

import pytest

from meridian.database.storage import BufferPool, PageFile, SlottedPage


@pytest.fixture
def direct_path(tmp_path: Path) -> Path:
    if not hasattr(os, "O_DIRECT"):
        pytest.skip("this system has no O_DIRECT")
    path = tmp_path / "direct.oor"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        pytest.skip(f"the file system of {tmp_path} refuses O_DIRECT")
    path.unlink()
    return path


def test_a_pool_over_direct_io(direct_path: Path) -> None:
    with PageFile(direct_path, direct=True) as file, BufferPool(file, 4) as pool:
        for i in range(20):
            with pool.new_page() as page:
                SlottedPage(page.data_mut()).insert(b"page %d" % i)
        file.free_page(3)
        for page_id in (1, 20, 7):
            with pool.fetch(page_id) as page:
                found = SlottedPage(page.data).get(0)
                assert found is not None
                assert bytes(found) == b"page %d" % (page_id - 1)
                found.release()
    with PageFile(direct_path, direct=True) as file:
        assert file.was_clean
        assert file.allocate_page() == 3
    with PageFile(direct_path) as file:
        assert file.page_count == 21


def test_a_shifted_buffer_is_refused(direct_path: Path) -> None:
    with PageFile(direct_path, direct=True) as file:
        file.allocate_page()
        memory = memoryview(mmap.mmap(-1, 3 * 4096))
        file.read_page(1, memory[:4096])
        with pytest.raises(OSError, match="Invalid argument"):
            file.read_page(1, memory[1:4097])
        file.write_page(1, bytes(memory[:4096]))  # read-only bytes go through an aligned copy
