"""Write-back: the hook, a flush beside writers, the background flusher on both event loops."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from meridian.database.storage import BufferPool, PageFile, flusher
from meridian.testing import FaultyFileSystem
from meridian.testing.storage import decode_page, page_crc
from tests.database.storage.support import record_of

MakePool = Callable[..., BufferPool]


def write(pool: BufferPool, page_id: int, word: bytes) -> None:
    with pool.fetch(page_id) as page:
        page.data_mut()[2000 : 2000 + len(word)] = word


def on_disk(path: Path, page_id: int) -> bytes:
    return path.read_bytes()[page_id * 4096 : (page_id + 1) * 4096]


def test_the_hook_sees_every_dirty_page_before_the_file_does(
    make_pool: MakePool, path: Path
) -> None:
    seen: list[tuple[int, bytes, bytes]] = []

    def hook(page_id: int, page: memoryview) -> None:
        assert page.readonly
        seen.append((page_id, bytes(page), on_disk(path, page_id)))

    pool = make_pool(2, "lru", before_flush=hook)
    write(pool, 1, b"one")
    with pool.fetch(2):
        pass
    with pool.fetch(3):  # evicts 1
        pass
    write(pool, 4, b"four")  # evicts 2, clean
    pool.flush_page(4)
    write(pool, 3, b"three")
    pool.flush_all()
    assert [page_id for page_id, _, _ in seen] == [1, 4, 3]
    for page_id, given, before in seen:
        assert given != before, "the hook came after the write"
        assert given == on_disk(path, page_id)
        assert decode_page(given).checksum == page_crc(given)


def test_a_hook_that_refuses_keeps_the_page(make_pool: MakePool, path: Path) -> None:
    def refuse(page_id: int, page: memoryview) -> None:
        raise RuntimeError(f"log is full at page {page_id}")

    pool = make_pool(2, "lru", before_flush=refuse)
    before = on_disk(path, 1)
    write(pool, 1, b"one")
    with pool.fetch(2):
        pass
    for attempt in (
        lambda: pool.fetch(3),
        lambda: pool.flush_all(),
        lambda: pool.flush_page(1),
        lambda: pool.flush_some(),
        lambda: pool.close(),
    ):
        with pytest.raises(RuntimeError, match="log is full at page 1"):
            attempt()
        assert pool.resident() == [1, 2]
        assert pool.statistics().dirty == 1
        assert on_disk(path, 1) == before
    pool.before_flush = None
    with pool.fetch(3):
        pass
    assert on_disk(path, 1)[2000:2003] == b"one"


def test_a_page_changed_during_a_flush_is_written_again(make_pool: MakePool, path: Path) -> None:
    pool = make_pool(4)

    def change(page_id: int, page: memoryview) -> None:
        if page_id == 1 and page[2000] == ord("a"):
            pool.arena[pool.page_table[1], 2000] = ord(
                "b"
            )  # a writer, while the copy is on its way
            pool.dirty_bits[pool.page_table[1]] = 1

    pool.before_flush = change
    write(pool, 1, b"a")
    assert pool.flush_all() == 1
    assert on_disk(path, 1)[2000:2001] == b"a"
    assert pool.flush_all() == 1
    assert on_disk(path, 1)[2000:2001] == b"b"


def test_a_page_on_its_way_to_the_file_is_not_evicted(make_pool: MakePool, path: Path) -> None:
    """Else it could come back from the file older than it was."""
    pool = make_pool(2)
    reached, go = threading.Event(), threading.Event()

    def hold(page_id: int, page: memoryview) -> None:
        reached.set()
        assert go.wait(20)

    pool.before_flush = hold
    write(pool, 1, b"new")
    thread = threading.Thread(target=pool.flush_all)
    thread.start()
    assert reached.wait(20)
    for page_id in (5, 6, 7):
        with pool.fetch(page_id):
            pass
    assert 1 in pool.resident()
    assert pool.pinned() == {}, "the flush's own pin is nobody's"
    held = pool.fetch(8)
    waiting = threading.Thread(target=lambda: record_of(pool, 9))
    waiting.start()  # both frames are taken, one only by the flush: it waits, it does not fail
    go.set()
    thread.join(20)
    waiting.join(20)
    assert not waiting.is_alive()
    held.unpin()
    assert pool.stats.exhausted == 0
    assert on_disk(path, 1)[2000:2003] == b"new"


def test_flush_with_sync_is_a_durability_point(
    make_pool: MakePool, faults: FaultyFileSystem
) -> None:
    pool = make_pool(4)
    write(pool, 1, b"x")
    before = faults.counts["sync"]
    assert pool.flush_all() == 1
    assert faults.counts["sync"] == before
    pool.flush_all(sync=True)
    assert faults.counts["sync"] == before + 1
    assert [call.op for call in faults.calls[-3:]] == ["pwritev", "sync", "sync_dir"]


@pytest.mark.anyio
async def test_the_flusher_writes_what_is_dirty(make_pool: MakePool, path: Path) -> None:
    pool = make_pool(16)
    landed = anyio.Event()
    written: list[int] = []

    def count(page_id: int, page: memoryview) -> None:
        written.append(page_id)
        if len(written) == 10:
            anyio.from_thread.run_sync(landed.set)

    pool.before_flush = count
    for page_id in range(1, 11):
        write(pool, page_id, b"flushed")
    with pool.fetch(3), anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flusher, pool, 0.001, 4)
            while len(written) < 9:  # a pinned page is left alone
                await anyio.sleep(0.001)
            assert 3 not in written
            with pool.fetch(12) as page:
                page.data_mut()[2000] = 1
            await landed.wait()
            tasks.cancel_scope.cancel()
    assert sorted(written) == [1, 2, 4, 5, 6, 7, 8, 9, 10, 12]
    assert on_disk(path, 1)[2000:2007] == b"flushed"
    assert pool.statistics().dirty == 1


@pytest.mark.anyio
async def test_the_flusher_ends_with_its_pool(make_pool: MakePool) -> None:
    pool = make_pool(4)
    write(pool, 1, b"x")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flusher, pool, 0.001)
            while pool.statistics().dirty:
                await anyio.sleep(0.001)
            pool.close()


@pytest.mark.anyio
async def test_an_error_ends_the_flusher_and_loses_nothing(
    make_pool: MakePool, faults: FaultyFileSystem
) -> None:
    pool = make_pool(4)
    write(pool, 1, b"x")
    faults.fail("pwritev", error=OSError(errno.ENOSPC, "No space left on device"), times=None)
    with anyio.fail_after(20), pytest.raises(OSError, match="No space"):
        await flusher(pool, 0.001)
    assert pool.statistics().dirty == 1
    faults.heal()
    assert pool.flush_all() == 1


@pytest.mark.anyio
async def test_flusher_arguments(make_pool: MakePool) -> None:
    pool = make_pool(4)
    with pytest.raises(ValueError, match="interval_s > 0"):
        await flusher(pool, 0)
    with pytest.raises(ValueError, match="batch >= 1"):
        await flusher(pool, 1, 0)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_fresh_file_syncs_its_folder_once(path: Path, faults: FaultyFileSystem) -> None:
    with PageFile(path, fs=faults) as file:
        file.allocate_page()
        file.sync()
        file.sync()
    assert faults.counts["sync_dir"] == 1
