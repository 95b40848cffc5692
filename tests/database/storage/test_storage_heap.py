"""The page manager against a dict, single calls and batches; overflow chains and their faults."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import meridian.database.storage as api
from meridian.database.storage import (
    BadPageType,
    BadSlot,
    ChecksumMismatch,
    CorruptPage,
    PageManager,
    PageOutOfRange,
    PageType,
    RecordId,
    RecordNotFound,
    RecordTooLarge,
    SlottedPage,
    StorageClosed,
    seal,
)
from meridian.database.storage.overflow import OverflowChains, overflow_capacity
from meridian.testing import FaultyFileSystem
from meridian.testing.storage import check_page_manager, decode_page

LENGTHS = st.sampled_from([0, 1, 8, 40, 40, 40, 82, 200, 490, 491, 492, 1500])


def test_the_contract(tmp_path: Path) -> None:
    check_page_manager(api, tmp_path)


class HeapAgainstDict(RuleBasedStateMachine):
    """Pages of 512 bytes, 3 frames: every few calls evict, every long record overflows."""

    @initialize(policy=st.sampled_from(["lru", "clock", "2q"]), reuse=st.booleans())
    def start(self, policy: str, reuse: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.options = {"frames": 3, "policy": policy, "page_size": 512, "reuse_slots": reuse}
        self.open()
        self.model: dict[RecordId, bytes] = {}
        self.dead: set[RecordId] = set()
        self.count = 0

    def open(self) -> None:
        path = Path(self.folder.name) / "a.oor"
        self.heap = PageManager(path, **self.options)  # type: ignore[arg-type]

    def make(self, length: int) -> bytes:
        self.count += 1
        return (b"%d." % self.count * (length + 1))[:length]

    def add(self, rid: RecordId, record: bytes) -> None:
        assert type(rid) is RecordId
        assert rid not in self.model
        assert rid not in self.dead or self.options["reuse_slots"], "a slot was used again"
        self.model[rid] = record

    def remove(self, rid: RecordId) -> None:
        del self.model[rid]
        self.dead.add(rid)

    @rule(length=LENGTHS, kind=st.sampled_from([bytes, bytearray, memoryview]))
    def insert(self, length: int, kind: type) -> None:
        record = self.make(length)
        self.add(self.heap.insert(kind(record)), record)

    @rule(length=st.integers(1, 60), count=st.integers(0, 40), array=st.booleans())
    def insert_many(self, length: int, count: int, array: bool) -> None:
        records = [self.make(length) for _ in range(count)]
        given = np.frombuffer(b"".join(records), np.uint8).reshape(count, length)
        rids = self.heap.insert_many(given if array else records)
        assert rids.dtype == np.uint64
        for rid, record in zip(rids.tolist(), records, strict=True):
            self.add(RecordId.unpack(rid), record)

    @rule(lengths=st.lists(LENGTHS, max_size=8))
    def insert_many_of_all_lengths(self, lengths: list[int]) -> None:
        records = [self.make(length) for length in lengths]
        rids = self.heap.insert_many(records)
        for rid, record in zip(rids.tolist(), records, strict=True):
            self.add(RecordId.unpack(rid), record)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        rid = data.draw(st.sampled_from(sorted(self.model)))
        assert self.heap.delete(rid) is True
        assert self.heap.delete(rid) is False
        assert self.heap.get(rid) is None
        self.remove(rid)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_many(self, data: st.DataObject) -> None:
        rids = data.draw(st.lists(st.sampled_from(sorted(self.model)), max_size=20))
        gone = set(rids)
        dead = [rid.pack() for rid in list(self.dead - set(self.model))[:5]]
        packed = np.array([*(rid.pack() for rid in rids), *dead], np.uint64)
        assert self.heap.delete_many(packed) == len(gone)
        for rid in gone:
            self.remove(rid)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), length=LENGTHS)
    def update(self, data: st.DataObject, length: int) -> None:
        rid = data.draw(st.sampled_from(sorted(self.model)))
        record = self.make(length)
        before = self.heap.page_info(rid.page_id)
        old = len(self.model[rid]) if len(self.model[rid]) <= 491 else 8
        moved = self.heap.update(rid, record)
        fits = (length if length <= 491 else 8) <= old + before.free_total
        assert (moved == rid) is fits
        self.remove(rid)
        self.add(moved, record) if moved != rid else self.model.update({rid: record})

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        page_id = data.draw(st.sampled_from(sorted(self.model))).page_id
        before = self.heap.page_info(page_id)
        gained = self.heap.compact(page_id)
        after = self.heap.page_info(page_id)
        assert gained == before.free_total - before.free_contiguous
        assert after == before._replace(free_contiguous=before.free_total)

    @rule()
    def reopen(self) -> None:
        self.heap.close()
        self.open()
        assert self.heap.damaged == ()

    @rule(batch=st.sampled_from([1, 7, 4096]))
    def scan(self, batch: int) -> None:
        found, order = {}, []
        for rids, rows in self.heap.scan(batch):
            assert 0 < len(rids) == len(rows) <= batch
            order += rids.tolist()
            found.update(zip(rids.tolist(), (row.tobytes() for row in rows), strict=True))
        assert order == sorted(order)
        assert found == {rid.pack(): record for rid, record in self.model.items()}

    @rule(width=LENGTHS)
    def get_many(self, width: int) -> None:
        rids = [*self.model, *self.dead]
        packed = np.array([rid.pack() for rid in rids], np.uint64)
        rows, ok = self.heap.get_many(packed, width)
        assert (rows.shape, rows.dtype, ok.dtype) == ((len(rids), width), np.uint8, np.bool_)
        for rid, row, hit in zip(rids, rows, ok, strict=True):
            record = self.model.get(rid)
            assert hit == (record is not None and len(record) == width)
            assert row.tobytes() == (record if hit else bytes(width))

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        for rid, record in list(self.model.items())[-5:]:
            assert self.heap.get(rid) == record
        assert self.heap.pool.pinned() == {}
        space = self.heap._space
        space._settle()
        for page_id in {rid.page_id for rid in self.model}:
            info = self.heap.page_info(page_id)
            assert space.free[page_id] == info.free_total
            holes = info.slot_count - info.live_count if self.options["reuse_slots"] else 0
            assert space.holes[page_id] == holes

    def teardown(self) -> None:
        if hasattr(self, "model"):
            assert dict(self.heap.iter_records()) == self.model
            self.heap.close()
            self.folder.cleanup()


HeapAgainstDict.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestHeapAgainstDict = HeapAgainstDict.TestCase


@pytest.fixture
def heap(path: Path, faults: FaultyFileSystem) -> PageManager:
    return PageManager(path, frames=8, fs=faults)


@pytest.mark.parametrize("length", [4075, 4076, 4073 * 2, 4073 * 2 + 1, 10_000, 100_000])
def test_long_records(heap: PageManager, length: int) -> None:
    record = os.urandom(length)
    rid = heap.insert(record)
    pages = heap.file.page_count
    assert pages == 2 + (-(-length // 4073) if length > 4075 else 0)
    assert heap.get(rid) == record
    assert heap.update(rid, b"short") == rid
    assert heap.file.free_count == pages - 2
    assert heap.update(rid, record[::-1]) == rid
    assert heap.get(rid) == record[::-1]
    assert heap.delete(rid)
    assert heap.file.free_count == pages - 2
    heap.insert(record)
    assert heap.file.page_count == pages, "freed pages are used again"
    heap.close()


def test_the_tail_of_chains_through_one_frame(path: Path) -> None:
    with PageManager(path, frames=1, page_size=512) as heap:
        record = os.urandom(20_000)
        rid = heap.insert(record)
        assert heap.get(rid) == record
        rows = np.arange(2000, dtype=np.uint32)
        rids = heap.insert_many(rows)
        found, ok = heap.get_many(rids[::-1], 4)
        assert ok.all()
        assert (found.view(np.uint32).ravel() == rows[::-1]).all()
        assert heap.delete_many(rids) == 2000


def break_chain(heap: PageManager, page_id: int, following: int, length: int) -> None:
    with heap.pool.fetch(page_id) as page:
        data = page.data_mut()
        data[17:23] = following.to_bytes(4, "little") + length.to_bytes(2, "little")


@pytest.mark.parametrize(
    ("following", "length", "message"),
    [
        ("itself", 4073, "bytes so far|circle"),
        ("first", 100, "circle"),
        (0, 4073, "expected 10000"),
        (99, 4073, "goes on to 99"),
        ("data", 4073, "an overflow page"),
        (0, 0, "bytes so far"),
        (0, 60000, "bytes so far"),
    ],
)
def test_chains_that_do_not_add_up(
    heap: PageManager, following: str | int, length: int, message: str
) -> None:
    rid = heap.insert(os.urandom(10_000))
    stub = heap._heap._read(*rid)[1]
    assert stub is not None
    first, second, _ = OverflowChains(heap.pool).pages(rid.page_id, stub)
    target = {"itself": second, "first": first, "data": rid.page_id}.get(following, following)  # type: ignore[call-overload]
    break_chain(heap, second, target, length)
    for call in (
        heap.get,
        heap.delete,
        lambda rid: heap.update(rid, b"x"),
        lambda _: list(heap.scan()),
    ):
        with pytest.raises(CorruptPage, match=message):
            call(rid)
    assert heap.pool.pinned() == {}
    heap.close()


def test_a_full_disk_in_the_middle_of_a_chain(heap: PageManager, faults: FaultyFileSystem) -> None:
    heap.insert(b"first")
    full = OSError(errno.ENOSPC, "No space left on device")
    faults.fail("pwritev", nth=3, error=full)
    with pytest.raises(OSError, match="No space"):
        heap.insert(os.urandom(20_000))
    faults.heal()
    assert [record for _, record in heap.iter_records()] == [b"first"]
    assert heap.file.free_count == 2, "the pages written so far are free again"
    heap.close()


def test_a_full_disk_in_the_middle_of_a_batch(path: Path, faults: FaultyFileSystem) -> None:
    heap = PageManager(path, frames=4, fs=faults)
    kept = heap.insert(b"kept")
    faults.fail("pwritev", nth=12, error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        heap.insert_many(np.zeros((5000, 82), np.uint8))
    assert dict(heap.iter_records()) == {kept: b"kept"}
    assert len(heap.insert_many(np.ones((5000, 82), np.uint8))) == 5000
    heap.close()


def test_a_batch_that_cannot_be_taken_back_says_what_stays(
    path: Path, faults: FaultyFileSystem
) -> None:
    heap = PageManager(path, frames=4, fs=faults)
    faults.fail("pwritev", nth=12, times=None)
    with pytest.raises(OSError, match="Input/output") as caught:
        heap.insert_many(np.zeros((5000, 82), np.uint8))
    faults.heal()
    stay = len(list(heap.iter_records()))
    assert 0 < stay < 5000
    assert caught.value.__notes__ == [f"{stay} records of the batch stay stored"]
    heap.close()


def test_a_record_longer_than_the_format(
    heap: PageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meridian.database.storage.overflow._MAX_RECORD", 9000)
    with pytest.raises(RecordTooLarge, match="9001 bytes, the limit is 9000") as caught:
        heap.insert(bytes(9001))
    assert isinstance(caught.value, ValueError)
    heap.close()


def test_ids_that_name_nothing(heap: PageManager) -> None:
    rid = heap.insert(b"x")
    with heap.pool.new_page(PageType.INDEX) as page:
        index_id = page.page_id
    for slot in (1, 46, 65535, -1):
        assert heap.get(RecordId(rid.page_id, slot)) is None
        assert heap.delete(RecordId(rid.page_id, slot)) is False
        with pytest.raises(RecordNotFound, match=f"page 1, slot {slot}"):
            heap.update(RecordId(rid.page_id, slot), b"y")
    for page_id in (0, 3, -1, 2**32):
        for call in (heap.get, heap.delete, lambda r: heap.update(r, b"y")):
            with pytest.raises(PageOutOfRange):
                call(RecordId(page_id, 0))
    for call in (heap.get, heap.delete, lambda r: heap.update(r, b"y")):
        with pytest.raises(BadPageType, match="a data page, found type 2"):
            call(RecordId(index_id, 0))
    with pytest.raises(BadPageType):
        heap.get_many(np.array([index_id << 16]), 4)
    with pytest.raises(BadPageType):
        heap.delete_many(np.array([index_id << 16]))
    for rid_like in (0, 65535, 99 << 16, 2**60):
        with pytest.raises(PageOutOfRange):
            heap.get_many(np.array([rid_like], np.uint64), 4)
    heap.close()


@pytest.mark.parametrize("wrong", [None, 7, "ab", (1,), (1, 2, 3), ("1", 0), (1, 0.0), (True, 0)])
def test_ids_of_the_wrong_type(heap: PageManager, wrong: object) -> None:
    heap.insert(b"x")
    for call in (heap.get, heap.delete, lambda r: heap.update(r, b"y")):
        with pytest.raises(TypeError, match="Expected"):
            call(wrong)  # type: ignore[arg-type]
    heap.close()


def test_numpy_numbers_and_plain_pairs_are_ids(heap: PageManager) -> None:
    rid = heap.insert(b"x")
    assert heap.get((rid.page_id, rid.slot)) == b"x"  # type: ignore[arg-type]
    assert heap.get(RecordId(np.int64(rid.page_id), np.uint16(rid.slot))) == b"x"  # type: ignore[arg-type]
    heap.close()


def test_batches_of_the_wrong_type(heap: PageManager) -> None:
    rid = heap.insert(b"x")
    for wrong in (b"bytes", "text", [1, 2], [b"x", None], np.array([None, b"x"])):
        with pytest.raises(TypeError, match="Expected"):
            heap.insert_many(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one record per row"):
        heap.insert_many(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(ValueError, match="one record per row"):
        heap.insert_many(np.zeros((2, 3), np.float64))
    for wrong_ids in (np.array([1.5]), np.array([[1]]), "abc"):
        with pytest.raises(TypeError, match="flat array of ints"):
            heap.get_many(wrong_ids, 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="48 bits"):
        heap.get_many(np.array([-1]), 4)
    with pytest.raises(TypeError, match="width as int"):
        heap.get_many([rid.pack()], 1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="width >= 0"):
        heap.get_many([rid.pack()], -1)
    for batch, error in ((0, ValueError), (-1, ValueError), ("4", TypeError)):
        with pytest.raises(error, match="batch"):
            heap.scan(batch)  # type: ignore[arg-type]
    assert [len(heap.insert_many(empty)) for empty in ([], np.zeros((0, 5), np.uint8))] == [0, 0]
    assert heap.delete_many([]) == 0
    assert heap.get_many([], 5)[0].shape == (0, 5)
    assert dict(heap.iter_records()) == {rid: b"x"}
    heap.close()


def test_arrays_of_any_layout(heap: PageManager) -> None:
    rng = np.random.default_rng(5)
    table = rng.integers(0, 255, (100, 60), np.uint8)
    cases = [table[:, ::2], table[::-1], np.asfortranarray(table), np.zeros((3, 0), np.uint8)]
    for case in cases:
        rids = heap.insert_many(case)
        rows, ok = heap.get_many(rids, case.shape[1])
        assert ok.all()
        assert (rows == case).all()
    dates = np.array(["2024-02-14", "2025-01-01"], "datetime64[ns]")
    rows, ok = heap.get_many(heap.insert_many(dates), 8)
    assert (rows.view("datetime64[ns]").ravel() == dates).all()
    heap.close()


def test_47_element_sets_in_a_page(path: Path) -> None:
    with PageManager(path, frames=4096) as heap:
        heap.insert_many(np.zeros((100_000, 82), np.uint8))
        assert heap.file.page_count == 1 + 2128
        assert {heap.page_info(p).live_count for p in range(1, 2128)} == {47}


def test_a_scan_that_is_abandoned_holds_nothing(heap: PageManager) -> None:
    heap.insert_many(np.zeros((1000, 82), np.uint8))
    for walk in (heap.scan(10), heap.iter_records()):
        next(walk)
        assert heap.pool.pinned() == {}
        walk.close()  # type: ignore[attr-defined]
    heap.close()


def test_a_scan_through_a_small_pool_keeps_the_hot_pages(path: Path) -> None:
    with PageManager(path, frames=8, policy="lru") as heap:
        rids = heap.insert_many(np.zeros((2000, 82), np.uint8))
        heap.flush()
        hot = [RecordId.unpack(rid) for rid in rids[:90:47].tolist()]
        for rid in hot:
            heap.get(rid)
        assert sum(len(rows) for _, rows in heap.scan()) == 2000
        assert {rid.page_id for rid in hot} <= set(heap.pool.resident())


def damage(path: Path, page_id: int, at: int = 2000) -> None:
    raw = bytearray(path.read_bytes())
    raw[page_id * 4096 + at] ^= 1
    path.write_bytes(raw)


def test_a_damaged_page_is_reported_and_left_alone(path: Path) -> None:
    with PageManager(path) as heap:
        rids = heap.insert_many(np.zeros((47 * 3, 82), np.uint8))
    damage(path, 2)
    with PageManager(path) as heap:
        assert heap.damaged == (2,)
        with pytest.raises(ChecksumMismatch):
            heap.get(RecordId(2, 0))
        with pytest.raises(ChecksumMismatch):
            heap.get_many(rids, 82)
        assert heap.get(RecordId(1, 0)) == bytes(82)
        new = heap.insert(b"x" * 500)
        assert new.page_id == 4
    before = path.read_bytes()[2 * 4096 : 3 * 4096]
    damage(path, 2)
    assert bytes(before) != path.read_bytes()[2 * 4096 : 3 * 4096]
    with PageManager(path) as heap:
        assert heap.damaged == ()
        assert heap.get_many(rids, 82)[1].all()


def test_a_directory_that_lies_under_a_valid_checksum(path: Path) -> None:
    with PageManager(path) as heap:
        heap.insert_many(np.zeros((40, 82), np.uint8))
    raw = bytearray(path.read_bytes())
    page = memoryview(raw)[4096:8192]
    page[17 + 4 * 5 : 17 + 4 * 5 + 4] = bytes.fromhex("f00f5200")  # 4080..4162
    seal(page)
    page.release()
    path.write_bytes(raw)
    with PageManager(path) as heap:
        assert heap.damaged == (1,)
        assert heap.get(RecordId(1, 4)) == bytes(82)
        for call in (
            lambda: heap.get(RecordId(1, 5)),
            lambda: heap.delete(RecordId(1, 5)),
            lambda: heap.compact(1),
            lambda: heap.get_many([1 << 16 | 5], 82),
            lambda: heap.delete_many([1 << 16 | 5]),
            lambda: list(heap.scan()),
        ):
            with pytest.raises(BadSlot):
                call()
        assert heap.insert(b"x").page_id == 2
        assert heap.insert_many(np.zeros((3, 82), np.uint8))[0] >> 16 == 2
        assert heap.pool.pinned() == {}


def test_a_page_that_goes_bad_while_open_is_told_once(heap: PageManager, path: Path) -> None:
    heap.insert_many(np.zeros((40, 82), np.uint8))
    heap.flush()
    with heap.pool.fetch(1) as page:
        data = page.data_mut()
        data[9:11] = (1500).to_bytes(2, "little")  # more slots than the page has bytes
    with pytest.raises(BadSlot):
        heap.insert(b"x")
    assert heap.insert(b"x").page_id == 2
    heap.close()


def test_pages_that_others_allocate_are_not_touched(heap: PageManager) -> None:
    heap.insert(b"x")
    with heap.pool.new_page(PageType.INDEX) as page:
        page.data_mut()[17:] = b"\xab" * 4079
    rids = heap.insert_many(np.zeros((200, 82), np.uint8))
    assert 2 not in set((rids >> np.uint64(16)).tolist())
    with heap.pool.fetch(2) as page:
        assert bytes(page.data[17:]) == b"\xab" * 4079
    heap.close()
    with PageManager(heap.file.path) as heap:
        assert sum(len(rows) for _, rows in heap.scan()) == 201
        with pytest.raises(BadPageType):
            heap.page_info(2)


def test_a_closed_manager_says_so(heap: PageManager) -> None:
    rid = heap.insert(b"x")
    heap.close()
    heap.close()
    for call in (
        lambda: heap.get(rid),
        lambda: heap.insert(b"y"),
        lambda: heap.insert(bytes(9000)),
        lambda: heap.delete(rid),
        lambda: heap.update(rid, b"y"),
        lambda: heap.flush(),
        lambda: heap.page_info(1),
        lambda: heap.compact(1),
        lambda: heap.insert_many([b"a", b"b"]),
        lambda: heap.get_many([rid.pack()], 1),
        lambda: heap.delete_many([rid.pack()]),
        lambda: list(heap.scan()),
        lambda: list(heap.iter_records()),
    ):
        with pytest.raises(StorageClosed):
            call()


def test_closing_on_a_full_disk_can_be_tried_again(
    heap: PageManager, faults: FaultyFileSystem
) -> None:
    rid = heap.insert(b"kept")
    faults.fail("pwritev", error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        heap.close()
    assert heap.get(rid) == b"kept"
    heap.close()
    with PageManager(heap.file.path) as again:
        assert again.file.was_clean
        assert again.get(rid) == b"kept"


def test_pages_look_as_the_format_says(heap: PageManager, path: Path) -> None:
    heap.insert(b"one")
    heap.insert(os.urandom(5000))
    heap.delete(RecordId(1, 0))
    heap.close()
    raw = path.read_bytes()
    data = decode_page(raw[4096:8192])
    assert data.slots[0] == (0xFFFF, 0)
    assert data.slots[1][1] == 0x8008
    first = int.from_bytes(raw[4096 + data.slots[1][0] + 4 :][:4], "little")
    overflow = raw[first * 4096 : (first + 1) * 4096]
    assert decode_page(overflow).page_type == PageType.OVERFLOW
    assert int.from_bytes(overflow[21:23], "little") == overflow_capacity(4096) == 4073


def test_slots_are_used_again_after_a_delete(heap: PageManager) -> None:
    """The ABA hole, as documented: an old id names the new record."""
    rid = heap.insert(b"old")
    heap.insert(b"other")
    heap.delete(rid)
    assert heap.insert(b"new") == rid
    assert heap.get(rid) == b"new"
    slots = SlottedPage(bytes(heap.pool.arena[heap.pool.page_table[1]])).slot_count
    assert slots == 2
    heap.close()


def test_a_hook_sees_the_pages_of_a_batch_too(heap: PageManager) -> None:
    logged: dict[int, bytes] = {}
    heap.pool.before_flush = lambda page_id, page: logged.update({page_id: bytes(page)})
    heap.insert_many(np.ones((1000, 82), np.uint8))
    heap.flush()
    for page_id in range(1, heap.file.page_count):
        page = memoryview(bytearray(4096))
        heap.file.read_page(page_id, page)
        assert logged[page_id] == bytes(page), "a page reached the file past the hook"
    heap.close()


def test_a_batch_uses_free_pages_first(heap: PageManager) -> None:
    heap.delete(heap.insert(bytes(20_000)))
    free, pages = heap.file.free_count, heap.file.page_count
    assert free == 5
    heap.insert_many(np.ones((200, 82), np.uint8))
    assert (heap.file.free_count, heap.file.page_count) == (1, pages)
    heap.close()
