"""Criterion 3 and three bonuses: the buffer pool, its policies, its pins, its other ways out."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
from pathlib import Path
from typing import Any

import pytest

from grader.acceptance.database._storage import (
    MANAGER,
    OFFSET,
    allocate,
    counters,
    insert_all,
    page_in,
    place,
    read_through,
    record_ids,
    sealed,
    sealed_file,
    tle_records,
    values_of,
)
from grader.acceptance.database._storage_trace import judge_policy
from grader.judging.compare import CriterionFailed, expect, require
from grader.judging.properties import Finder
from grader.proxy.submission import Submission
from meridian.testing.storage import PAGE_SIZE

TRACE_STEPS = 600  # for each of the two policies, after many short traces in small pools
SCAN_READS, SCAN_WARM = 900, 300


@pytest.mark.criterion("3", points=3, after=MANAGER)
def test_hit_rate_of_a_cold_read(submission: Submission, rng: random.Random) -> None:
    """200 records read in order through 8 cold frames miss at most 5 times, then never."""
    path = submission.path("cold.oor")
    manager = submission.PageManager(path, frames=8)
    places = [place(rid) for rid in insert_all(submission, manager, tle_records(rng, 200))]
    manager.close()
    submission.restart()
    manager = submission.PageManager(path, frames=8)
    arguments = record_ids(submission, places)
    pool = manager.pool
    for attempt, most in (("first", 5), ("second", 0)):
        before = counters(pool)
        found = values_of(submission.map(manager.get, arguments))
        hits, misses = (now - was for now, was in zip(counters(pool), before, strict=True))
        require(None not in found, f"get(rid) in the {attempt} pass: None for a stored record")
        require(
            misses <= most and hits + misses >= len(places),
            f"{attempt.capitalize()} pass over 200 records, 8 frames: {hits} hits and {misses} "
            f"misses in pool.stats, expected at most {most} misses and 200 fetches",
        )


@pytest.mark.criterion("3", points=4, after=OFFSET)
def test_lru_exactly(submission: Submission, find: Finder, rng: random.Random) -> None:
    """policy="lru" hits and misses exactly as the definition does, with pages pinned meanwhile."""
    judge_policy(submission, find, rng, "lru", TRACE_STEPS)


@pytest.mark.criterion("3", points=4, after=OFFSET)
def test_clock_exactly(submission: Submission, find: Finder, rng: random.Random) -> None:
    """policy="clock" hits and misses exactly as the definition does, with pages pinned."""
    judge_policy(submission, find, rng, "clock", TRACE_STEPS)


@pytest.mark.criterion("3", points=3, after=OFFSET)
def test_dirty_pages_survive_eviction(submission: Submission, rng: random.Random) -> None:
    """A changed page that was evicted is read again with its change."""
    file = submission.PageFile(submission.path("dirty.oor"))
    ids = allocate(submission, file, 40)
    for policy in ("lru", "clock"):
        pool = submission.BufferPool(file, 8, policy)
        notes = {page_id: rng.randbytes(8) for page_id in ids}
        for page_id in ids:
            with pool.fetch(page_id) as page:
                page.data_mut()[2000:2008] = notes[page_id]
        for page_id in ids:
            with pool.fetch(page_id) as page:
                found = bytes(page.data)[2000:2008]
            what = f"data[2000:2008] of page {page_id}, changed, evicted and fetched again"
            expect(found, notes[page_id], what)
        pool.flush_all()


@pytest.mark.criterion("3", points=1, after=OFFSET)
def test_a_load_that_fails(submission: Submission) -> None:
    """A failed load harms nobody: the evicted page is safe, the frame is used again."""
    name = "fail.oor"
    file = submission.PageFile(submission.path(name))
    ids = allocate(submission, file, 4)
    file.close()
    raw = submission.read(name)
    pages = {page_id: page_in(raw, page_id) for page_id in ids}
    bad = ids[3]
    submission.write(name, bytes(PAGE_SIZE), bad * PAGE_SIZE)
    file = submission.PageFile(submission.path(name))
    pool = submission.BufferPool(file, 2, "lru")
    with pool.fetch(ids[0]) as page:
        page.data_mut()[2000:2004] = b"kept"
    read_through(pool, ids[1], pages[ids[1]], "an undamaged page")
    for _ in range(3):
        with submission.raises("CorruptPage", call=f"fetch({bad}), zeros on disk"):
            pool.fetch(bad)
    read_through(pool, ids[2], pages[ids[2]], "an undamaged page after a load that failed")
    with pool.fetch(ids[0]) as page:
        found = bytes(page.data)[2000:2004]
    expect(found, b"kept", "the change to the page evicted for a load that failed")
    submission.write(name, pages[bad], bad * PAGE_SIZE)
    read_through(pool, bad, pages[bad], "the page after it was repaired")


@pytest.mark.criterion("3", points=2, after=OFFSET)
def test_all_frames_pinned(submission: Submission) -> None:
    """With every frame pinned, fetch raises PoolExhausted and the pinned pages stay."""
    file = submission.PageFile(submission.path("pinned.oor"))
    ids = allocate(submission, file, 10)
    for policy in ("lru", "clock"):
        pool = submission.BufferPool(file, 8, policy)
        held = [pool.fetch(page_id).__enter__() for page_id in ids[:8]]
        for _ in range(2):
            with submission.raises("PoolExhausted", call="fetch(9) with all 8 frames pinned"):
                pool.fetch(ids[8])
        for page_id, page in zip(ids, held, strict=False):
            found = int.from_bytes(page.data[4:8], "little")
            expect(found, page_id, f"page id in the data of pinned page {page_id}")
        held[3].__exit__(None, None, None)
        with pool.fetch(ids[8]) as page:
            found = int.from_bytes(page.data[4:8], "little")
        expect(found, ids[8], "page id in the data of fetch(9) after one page was unpinned")
        for page in (*held[:3], *held[4:]):
            page.__exit__(None, None, None)


@pytest.mark.criterion("3", points=3, after=OFFSET)
def test_pins_end_with_the_block(submission: Submission) -> None:
    """An exception inside `with pool.fetch(...)` gives the pin back."""
    file = submission.PageFile(submission.path("leak.oor"))
    ids = allocate(submission, file, 16)
    pool = submission.BufferPool(file, 8)
    for page_id in ids[:8]:
        try:
            with pool.fetch(page_id):
                raise KeyError("in the block")
        except KeyError:
            continue
    held: list[Any] = []
    for page_id in ids[8:]:
        try:
            held.append(pool.fetch(page_id).__enter__())
        except Exception as error:
            raise CriterionFailed(
                f"8 blocks `with pool.fetch(...)` ended by an exception; of 8 frames only "
                f"{len(held)} can be pinned afterwards: {error}",
                "with pool.fetch(1): raise KeyError",
            ) from error
    for page in held:
        page.__exit__(None, None, None)


# -- bonus ---------------------------------------------------------------------------------------


@pytest.mark.criterion("2q", points=3, after=OFFSET)
def test_2q_keeps_the_hot_set(submission: Submission, rng: random.Random) -> None:
    """policy="2q": 50 hot pages stay in 64 frames while a scan runs through them."""
    file = submission.PageFile(submission.path("scan.oor"))
    ids = allocate(submission, file, 50 + SCAN_READS // 2)
    hot, scan = ids[:50], iter(ids[50:])
    pool = submission.BufferPool(file, 64, "2q")
    fetch, warm = pool.fetch, 0
    for i in range(SCAN_READS):
        if i == SCAN_WARM:
            warm = counters(pool)[0]
        with fetch(rng.choice(hot)):
            pass
        if i % 2:
            with fetch(next(scan)):  # a new page each time: never a hit
                continue
    rate = (counters(pool)[0] - warm) / (SCAN_READS - SCAN_WARM)
    require(
        rate >= 0.90,
        f"Hit rate of 50 hot pages in 64 frames, a page of a scan after every second read: "
        f"{rate:.2f}, expected at least 0.90 (LRU gives 0.69, CLOCK 0.65)",
    )


@pytest.mark.criterion("direct", points=2, after=OFFSET)
def test_direct_io(submission: Submission, rng: random.Random) -> None:
    """PageFile(path, direct=True) reads and writes the same pages, past the page cache."""
    name = "direct.oor"
    ids, pages = sealed_file(submission, rng, name, 64)
    host = submission.host_path(name)
    if _cached_pages(host, drop=True):
        pytest.skip("This file system keeps every page in memory: direct I/O cannot be seen")
    file = submission.PageFile(submission.path(name), direct=True)
    pool = submission.BufferPool(file, 8)
    for page_id in rng.sample(ids, len(ids)):
        read_through(pool, page_id, pages[page_id], "a file opened with direct=True")
    cached = _cached_pages(host, drop=False)
    require(
        cached < len(ids) // 2,
        f"After {len(ids)} pages were read with direct=True, {cached} of them lie in the kernel's "
        "page cache; O_DIRECT leaves it alone",
    )
    with pool.fetch(ids[0]) as page:
        page.data_mut()[50:54] = b"past"
    pool.flush_all()
    file.close()
    found = page_in(submission.read(name), ids[0])
    expect(found[50:54], b"past", "Bytes 50..53 of a page changed and flushed with direct=True")
    sealed(found, "A page flushed with direct=True")


def _cached_pages(path: Path, *, drop: bool) -> int:
    """How many pages of the file the kernel holds; `drop` asks it to let go of them first."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if drop:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(fd).st_size
        with mmap.mmap(fd, size) as view:
            start = ctypes.c_char.from_buffer(view)
            resident = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.mincore(ctypes.byref(start), ctypes.c_size_t(size), resident)
            del start
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
        return sum(flag & 1 for flag in resident)
    finally:
        os.close(fd)


@pytest.mark.criterion("flusher", points=1, after=OFFSET)
def test_flush_some(submission: Submission, rng: random.Random) -> None:
    """flush_some(limit) writes that many dirty pages nobody has pinned, and keeps them."""
    name = "some.oor"
    ids, _ = sealed_file(submission, rng, name, 8)
    file = submission.PageFile(submission.path(name))
    pool = submission.BufferPool(file, 8)
    for page_id in ids[:6]:
        with pool.fetch(page_id) as page:
            page.data_mut()[50:54] = b"new!"

    def on_disk() -> list[int]:
        raw = submission.read(name)
        new = [page_id for page_id in ids if page_in(raw, page_id)[50:54] == b"new!"]
        for page_id in new:
            sealed(page_in(raw, page_id), f"Page {page_id}, written by flush_some")
        return new

    expect(on_disk(), [], "Changed pages on disk before flush_some")
    pinned = pool.fetch(ids[0]).__enter__()
    expect(pool.flush_some(2), 2, "flush_some(2) with 6 dirty pages, one of them pinned")
    expect(len(on_disk()), 2, "Changed pages on disk after flush_some(2)")
    expect(pool.flush_some(64), 3, "flush_some(64) with 3 dirty pages and a pinned one")
    expect(on_disk(), ids[1:6], "Changed pages on disk while the first is pinned")
    pinned.__exit__(None, None, None)
    expect(pool.flush_some(64), 1, "flush_some(64) after the last page was unpinned")
    expect(pool.flush_some(64), 0, "flush_some(64) with nothing dirty")
    before = counters(pool)[1]
    for page_id in ids[:6]:
        with pool.fetch(page_id):
            continue
    expect(counters(pool)[1], before, "Misses: pages that were flushed stay in the pool")
