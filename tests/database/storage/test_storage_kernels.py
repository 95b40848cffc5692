"""Kernels and their plain-Python twins give the same answers on the same random pages."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.storage import SlottedPage
from meridian.database.storage import _kernels as kernels

SIZE = 512


def random_pages(rng: random.Random, *, damage: bool) -> np.ndarray:
    """Four frames: slotted pages after random work, some of them with damaged directories."""
    arena = np.zeros((4, SIZE), np.uint8)
    for frame in range(4):
        buf = bytearray(SIZE)
        page = SlottedPage.format(buf, frame + 1)
        for _ in range(rng.randrange(40)):
            if rng.random() < 0.7:
                page.insert(rng.randbytes(rng.choice([0, 8, 8, 30])), overflow=rng.random() < 0.1)
            elif page.slot_count:
                page.delete(rng.randrange(page.slot_count))
        if damage and rng.random() < 0.5:
            at = rng.choice([8, 9, 10, 11, 12, *range(17, 60)])
            buf[at] = rng.randrange(256)
        arena[frame] = np.frombuffer(buf, np.uint8)
    return arena


def some_rids(rng: random.Random, count: int, pages: int = 7) -> np.ndarray:
    rids = [rng.randrange(1, pages) << 16 | rng.randrange(30) for _ in range(count)]
    return np.array(rids, np.uint64)


TABLE = np.array([-1, 0, 1, 2, 3, -1], np.int32)  # page 6 lies beyond the table


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32), damage=st.booleans(), width=st.sampled_from([0, 8, 30]))
def test_get_rows(seed: int, damage: bool, width: int) -> None:
    rng = random.Random(seed)
    arena, rids = random_pages(rng, damage=damage), some_rids(rng, 60)
    todo = np.array(sorted(rng.sample(range(60), 40)), np.int64)
    results = []
    for run in (kernels.get_rows, kernels.get_rows.py_func):
        out, status, refs = (
            np.zeros((60, width), np.uint8),
            np.zeros(60, np.uint8),
            np.zeros(4, np.uint8),
        )
        pending = run(arena, TABLE, refs, kernels.read_only(rids), todo, out, status)
        results.append((int(pending), out.tolist(), status.tolist(), refs.tolist()))
    assert results[0] == results[1]
    if not damage:  # the third opinion: the slotted page itself
        for i in todo:
            page_id, slot = int(rids[i]) >> 16, int(rids[i]) & 0xFFFF
            if page_id > 4:
                assert results[0][2][i] == kernels.PENDING
                continue
            page = SlottedPage(arena[page_id - 1].tobytes())
            record = page.get(slot)
            if record is None:
                expected = kernels.MISSING
            elif page.is_overflow(slot):
                expected = kernels.OVERFLOW
            else:
                expected = kernels.OK if len(record) == width else kernels.OTHER
            assert results[0][2][i] == expected
            if expected == kernels.OK:
                assert bytes(results[0][1][i]) == bytes(record or b"")


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), damage=st.booleans())
def test_delete_rows(seed: int, damage: bool) -> None:
    rng = random.Random(seed)
    arena, rids = random_pages(rng, damage=damage), np.unique(some_rids(rng, 40, pages=5))
    results = []
    for run in (kernels.delete_rows, kernels.delete_rows.py_func):
        work, status = arena.copy(), np.zeros(len(rids), np.uint8)
        lengths = np.zeros(len(rids), np.int64)
        run(work, TABLE, rids, status, lengths)
        results.append((work.tolist(), status.tolist(), lengths.tolist()))
    assert results[0] == results[1]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    damage=st.booleans(),
    width=st.sampled_from([0, 8, 30]),
    batch=st.sampled_from([1, 5, 100]),
)
def test_scan_rows(seed: int, damage: bool, width: int, batch: int) -> None:
    rng = random.Random(seed)
    arena = random_pages(rng, damage=damage)
    page_ids = np.array(rng.sample([1, 2, 3, 4, 5, 6], 5), np.int64)
    results = []
    for run in (kernels.scan_rows, kernels.scan_rows.py_func):
        cursor, rids = np.zeros(3, np.int64), np.zeros(batch, np.uint64)
        out, trail = np.zeros((batch, width), np.uint8), []
        for _ in range(200):
            filled, stop = run(arena, TABLE, page_ids, cursor, rids, out)
            trail.append((int(filled), int(stop), cursor.tolist(), rids.tolist(), out.tolist()))
            if stop == kernels.OK:
                break
            if stop in (kernels.PENDING, kernels.BAD_SLOT):
                cursor[0] += 1
                cursor[1] = 0
            elif stop != kernels.FULL:
                cursor[1] += 1
        assert stop == kernels.OK
        results.append(trail)
    assert results[0] == results[1]


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32),
    damage=st.booleans(),
    width=st.sampled_from([1, 8, 30, 200]),
    reuse=st.booleans(),
)
def test_insert_rows(seed: int, damage: bool, width: int, reuse: bool) -> None:
    rng = random.Random(seed)
    arena = random_pages(rng, damage=damage)
    rows = kernels.read_only(np.frombuffer(rng.randbytes(60 * width), np.uint8).reshape(60, width))
    frames, page_ids = np.array([2, 0, 3], np.int32), np.array([3, 1, 4], np.int64)
    results = []
    for run in (kernels.insert_rows, kernels.insert_rows.py_func):
        work, rids, result = arena.copy(), np.zeros(60, np.uint64), np.zeros(3, np.int64)
        done = run(work, frames, page_ids, rows, rids, reuse, result)
        results.append((int(done), work.tolist(), rids.tolist(), result.tolist()))
    assert results[0] == results[1]
    if damage:
        return
    # The third opinion: slotted pages that take the same records one by one.
    done, work, rids, result = results[0]
    stored = 0
    for k, frame in enumerate(frames):
        buf = bytearray(arena[frame].tobytes())
        page = SlottedPage(buf)
        while stored < 60:
            slot = page.insert(rows[stored].tobytes(), reuse_slots=reuse)
            if slot is None and page.compact():
                slot = page.insert(rows[stored].tobytes(), reuse_slots=reuse)
            if slot is None:
                break
            assert rids[stored] == int(page_ids[k]) << 16 | slot
            stored += 1
        found = SlottedPage(bytes(work[frame]))
        found.check()
        records = [page.get(slot) for slot in range(page.slot_count)]
        assert [found.get(slot) for slot in range(found.slot_count)] == records
        assert result[k] == page.free_total << 16 | page.slot_count - page.live_count
    assert stored == done


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32), width=st.integers(1, SIZE - 21), count=st.integers(1, 60),
    first=st.sampled_from([1, 255, 2**32 - 8]),
)  # fmt: skip
def test_fill_pages(seed: int, width: int, count: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    stale = rng.integers(0, 256, (4, SIZE), np.uint8)
    rows = rng.integers(0, 256, (count, width), np.uint8)
    frames = np.array([2, 0, 3], np.int32)  # frame 1 is not ours
    want, want_rids = stale.copy(), []
    for k, frame in enumerate(frames.tolist()):
        page = SlottedPage.format(memoryview(want[frame]), first + k)
        while (
            len(want_rids) < count
            and (slot := page.insert(bytes(rows[len(want_rids)]))) is not None
        ):
            want_rids.append((first + k) << 16 | slot)
    for run in (kernels.fill_pages, kernels.fill_pages.py_func):
        arena, rids = stale.copy(), np.zeros(count, np.uint64)
        stored = int(run(arena, frames, first, kernels.read_only(rows), rids))
        assert rids[:stored].tolist() == want_rids
        assert (arena == want).all()


@pytest.mark.parametrize("seed", range(20))
def test_damaged_pages_never_lead_outside_their_frame(seed: int) -> None:
    """Frames around the damaged one keep every byte, whatever its header and directory say."""
    rng = random.Random(seed)
    arena = np.zeros((3, SIZE), np.uint8)
    for frame in range(3):
        buf = bytearray(SIZE)
        SlottedPage.format(buf, frame + 1).insert(b"x" * 20)
        arena[frame] = np.frombuffer(buf, np.uint8)
    arena[1, 9:] = np.frombuffer(rng.randbytes(SIZE - 9), np.uint8)
    if seed % 2:
        arena[1, 9:13] = [20, 0, 400 & 0xFF, 400 >> 8]
    rows = kernels.read_only(np.ones((5, 20), np.uint8))
    before, result = arena.copy(), np.zeros(1, np.int64)
    frames, page_ids = np.array([1], np.int32), np.array([2], np.int64)
    kernels.insert_rows(arena, frames, page_ids, rows, np.zeros(5, np.uint64), True, result)
    assert (arena[0] == before[0]).all()
    assert (arena[2] == before[2]).all()
    assert result[0] >= 0 or (arena[1] == before[1]).all()
