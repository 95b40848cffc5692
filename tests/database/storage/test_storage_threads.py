"""Many threads on few frames: nothing loaded twice, nothing lost, nothing seen half-way."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from meridian.database.storage import (
    BufferPool,
    ChecksumMismatch,
    PageManager,
    PoolExhausted,
    RecordId,
)
from meridian.testing import FaultyFileSystem
from tests.database.storage.support import record_of

MakePool = Callable[..., BufferPool]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work(i)` in `count` threads at once; raise what the first of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def guarded(index: int) -> None:
        try:
            barrier.wait(20)
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def test_two_threads_that_miss_on_one_page_load_it_once(make_pool: MakePool) -> None:
    pool = make_pool(8)
    reads, asked = [], threading.Semaphore(0)
    real = pool.file.read_pages

    def slow(page_ids: list[int], into: list[memoryview], *, verify: bool = True) -> None:
        for _ in range(4):
            assert asked.acquire(timeout=20)
        reads.append(list(page_ids))
        real(page_ids, into, verify=verify)

    pool.file.read_pages = slow  # type: ignore[assignment, method-assign]

    def work(_: int) -> None:
        asked.release()
        assert record_of(pool, 7) == b"page 7"

    in_threads(4, work)
    assert reads == [[7]]
    assert (pool.stats.misses, pool.stats.hits) == (1, 3)


def test_threads_that_wait_for_a_load_that_fails_try_themselves(
    make_pool: MakePool, path: Path, faults: FaultyFileSystem
) -> None:
    pool = make_pool(8)
    faults.flip_bit(path, 7 * 4096 + 99, 0)
    seen: list[str] = []

    def work(_: int) -> None:
        with pytest.raises(ChecksumMismatch):
            pool.fetch(7)
        seen.append("told")

    in_threads(4, work)
    assert seen == ["told"] * 4
    assert pool.resident() == []
    assert pool.pinned() == {}


@pytest.mark.parametrize("policy", ["lru", "clock", "2q"])
def test_counters_under_pages_under_pressure(make_pool: MakePool, policy: str) -> None:
    """6 threads, 6 frames, 30 pages: each thread keeps a counter in every page it visits.

    Evictions, flushes and reloads must preserve each increment exactly.
    """
    pool = make_pool(6, policy, pages=30)
    rounds, threads = 300, 6
    visits = [[0] * 31 for _ in range(threads)]

    def work(index: int) -> None:
        rng = random.Random(index)
        at = 2000 + 8 * index  # each thread has its own 8 bytes in every page
        for step in range(rounds):
            page_id = rng.randrange(1, 31)
            try:
                with pool.fetch(page_id, scan=rng.random() < 0.1) as page:
                    data = page.data_mut()
                    value = int.from_bytes(data[at : at + 8], "little")
                    assert value == visits[index][page_id], f"page {page_id} lost an update"
                    data[at : at + 8] = (value + 1).to_bytes(8, "little")
                    visits[index][page_id] += 1
            except PoolExhausted:
                pytest.fail("6 threads with one pin each cannot exhaust 6 frames")
            if step % 50 == 0:
                pool.flush_some(3)
            if step % 97 == 0:
                pool.flush_all()

    in_threads(threads, work)
    assert pool.pinned() == {}
    fetches = pool.stats.hits + pool.stats.misses
    assert fetches == rounds * threads
    pool.close()
    for page_id in range(1, 31):
        page = memoryview(bytearray(4096))
        pool.file.read_page(page_id, page)
        for index in range(threads):
            at = 2000 + 8 * index
            assert int.from_bytes(page[at : at + 8], "little") == visits[index][page_id]


@pytest.mark.parametrize("frames", [4, 64])
def test_records_under_threads(path: Path, frames: int) -> None:
    """Each thread keeps its own dict of records; all of them share pages."""
    kept: list[dict[RecordId, bytes]] = [{} for _ in range(4)]
    with PageManager(path, frames=frames, page_size=512) as heap:

        def work(index: int) -> None:
            rng, mine = random.Random(index), kept[index]
            for step in range(250):
                action = rng.random()
                if action < 0.5 or not mine:
                    record = bytes([index]) * rng.choice([3, 40, 200, 491, 492, 1500])
                    rid = heap.insert(record)
                    assert rid not in mine
                    mine[rid] = record
                else:
                    rid = rng.choice(list(mine))
                    if action < 0.7:
                        assert heap.get(rid) == mine[rid]
                    elif action < 0.85:
                        assert heap.delete(rid)
                        del mine[rid]
                    else:
                        record = bytes([index]) * rng.choice([1, 100, 600])
                        del mine[rid]
                        mine[heap.update(rid, record)] = record
                if step % 60 == 0:
                    heap.flush()

        in_threads(4, work)
        expected = {rid: record for mine in kept for rid, record in mine.items()}
        assert len(expected) == sum(map(len, kept)), "two threads were given one id"
        assert dict(heap.iter_records()) == expected
        assert heap.pool.pinned() == {}
    with PageManager(path, frames=frames, page_size=512) as heap:
        assert heap.damaged == ()
        assert dict(heap.iter_records()) == expected


def test_batches_beside_single_calls(path: Path) -> None:
    import numpy as np

    with PageManager(path, frames=8, page_size=512) as heap:

        def work(index: int) -> None:
            rng = np.random.default_rng(index)
            for _ in range(6):
                rows = rng.integers(0, 256, (150, 40), np.uint8)
                rids = heap.insert_many(rows)
                single = heap.insert(bytes([index]) * 30)
                found, ok = heap.get_many(rids[::-1], 40)
                assert ok.all()
                assert (found == rows[::-1]).all()
                assert heap.get(single) == bytes([index]) * 30
                assert heap.delete_many(rids[:75]) == 75
                sum(len(batch) for batch, _ in heap.scan(100))

        in_threads(4, work)
        assert len(list(heap.iter_records())) == 4 * 6 * 76
        assert heap.pool.pinned() == {}
