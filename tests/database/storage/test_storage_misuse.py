"""What a caller may get wrong: a clear error at once, and nothing lost or overwritten."""

from __future__ import annotations

import gc
import io
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meridian.database.storage import (
    BufferPool,
    ChecksumMismatch,
    PageFile,
    PageHeader,
    PageManager,
    PagesLost,
    PageType,
    PinError,
    PinLeak,
    PoolExhausted,
    RecordId,
    SlottedPage,
    StorageClosed,
    seal,
)
from tests.database.storage.support import sealed_page

MakeFile = Callable[..., PageFile]
MakePool = Callable[..., BufferPool]

INTEGERS = [np.dtype(code).type for code in "bBhHiIlLqQ"]
NO_INTEGERS = [True, np.True_, 1.0, np.float64(1), "1", None]


@pytest.mark.parametrize("kind", INTEGERS)
def test_numpy_ids_do_not_wrap(make_file: MakeFile, path: Path, kind: Any) -> None:
    """16 * 4096 is 0 in 16 bits, and 100 * 4096 nothing good in 8: both are in the file header."""
    file = make_file(101)
    header = path.read_bytes()[:4096]
    into = memoryview(bytearray(4096))
    for page_id in (16, 100):
        file.write_page(kind(page_id), sealed_page(page_id, b"mine"))
        file.read_page(kind(page_id), into)
        file.read_pages(np.array([page_id], kind), [into])
        file.write_pages([kind(page_id)], [into])
        assert SlottedPage(into).get(kind(0)) == b"mine"
    raw = path.read_bytes()
    assert raw[17:4096] == header[17:]  # but for the clean flag, which a first write takes down
    file.set_root(kind(3), kind(100))
    assert (file.get_root(kind(3)), type(file.get_root(3))) == (100, int)
    file.free_page(kind(100))
    assert file.allocate_pages(kind(2)) == [100, 102]
    assert all(type(page_id) is int for page_id in file.allocate_pages(kind(1)))


@pytest.mark.parametrize("kind", INTEGERS)
def test_numpy_ids_above_the_file(tmp_path: Path, kind: Any) -> None:
    with PageManager(tmp_path / "a.oor", frames=kind(100), page_size=512) as heap:
        assert heap.pool.arena.shape == (100, 512)
        rids = [heap.insert(b"%d" % i) for i in range(3)]
        for i, (page_id, slot) in enumerate(rids):
            assert heap.get(RecordId(kind(page_id), kind(slot))) == b"%d" % i
            assert heap.get((kind(page_id), slot)) == b"%d" % i
        assert heap.page_info(kind(1)).live_count == 3
        assert heap.compact(kind(1)) == 0
        assert heap.update((kind(1), kind(0)), b"new") == rids[0]
        assert heap.delete(RecordId(kind(1), kind(0)))
        with heap.pool.fetch(kind(1)) as page:
            assert type(page.page_id) is int
        assert [page.unpin() for page in heap.pool.new_pages(kind(2))] == [None, None]
        heap.pool.free_page(kind(2))


@pytest.mark.parametrize("value", NO_INTEGERS)
def test_numbers_that_are_none(make_pool: MakePool, value: Any) -> None:
    pool = make_pool(4)
    page = memoryview(bytearray(4096))
    for call in (
        lambda: pool.file.read_page(value, page),
        lambda: pool.file.read_pages([value], [page]),
        lambda: pool.file.write_page(value, page),
        lambda: pool.file.free_page(value),
        lambda: pool.file.allocate_pages(value),
        lambda: pool.file.get_root(value),
        lambda: pool.file.set_root(0, value),
        lambda: pool.fetch(value),
        lambda: pool.fetch_many([2, value]),
        lambda: pool.unpin_many([0, value]),
        lambda: pool.new_pages(value),
        lambda: BufferPool(pool.file, value),
        lambda: RecordId(1, value).pack(),
        lambda: RecordId(value, 1).pack(),
        lambda: RecordId.unpack(value),
        lambda: SlottedPage(sealed_page(1)).get(value),
        lambda: SlottedPage(sealed_page(1)).delete(value),
    ):
        with pytest.raises(TypeError, match=r"Expected .*int"):
            call()
    assert pool.pinned() == {}


@pytest.mark.parametrize("kind", INTEGERS)
def test_packing_numpy_parts(kind: Any) -> None:
    packed = RecordId(kind(100), kind(7)).pack()
    assert (packed, type(packed)) == (100 << 16 | 7, int)
    assert RecordId.unpack(kind(100)) == (0, 100)


@pytest.mark.parametrize("parts", [(-1, 0), (0, -1), (2**32, 0), (0, 2**16), (np.int8(-1), 0)])
def test_record_ids_out_of_range(parts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="page_id < 2"):
        RecordId(*parts).pack()
    for packed in (-1, 2**48, np.int64(-1), np.uint64(2**63)):
        with pytest.raises(ValueError, match="48 bits"):
            RecordId.unpack(packed)


def test_a_manager_that_is_dropped_says_what_is_lost_and_lets_go(path: Path) -> None:
    held = [PageManager(path)]
    held[0].insert(b"x")
    with pytest.warns(ResourceWarning) as told:
        held.clear()
    messages = [str(warning.message) for warning in told]
    assert f"{path} was never closed: 1 changed page is lost" in messages
    assert f"Unclosed file {path}" in messages
    PageManager(path).close()


def test_a_pool_with_nothing_to_lose_goes_quietly(make_file: MakeFile) -> None:
    pool = BufferPool(make_file(3))
    pool.fetch(1).unpin()
    del pool
    gc.collect()  # a warning here is an error


@pytest.mark.parametrize("damage", ["page", "link", "written", "circle"])
@pytest.mark.parametrize("others", [0, 3])
def test_a_bad_page_on_the_free_list_stops_nobody(path: Path, damage: str, others: int) -> None:
    with PageManager(path) as heap:
        kept = [heap.insert(b"kept %d" % i) for i in range(5)]
        pages = heap.file.allocate_pages(others + 1)
        for page_id in pages:
            heap.file.free_page(page_id)
    head = pages[-1]
    page = bytearray(4096)
    SlottedPage.format(page, head, PageType.DATA if damage == "written" else PageType.FREE)
    struct.pack_into("<I", page, 17, {"link": 99, "circle": head}.get(damage, 0))
    seal(page)
    if damage == "page":
        page[100] ^= 1
    with open(path, "r+b") as disk:
        disk.seek(head * 4096)
        disk.write(page)
    for again in (False, True):  # after reopening
        with PageManager(path) as heap:
            taken = heap.file.allocate_pages(others + 2)
            assert len(set(taken)) == others + 2
            assert (head in taken) == (damage in ("link", "circle") and not again)
            assert not {rid.page_id for rid in kept} & set(taken)
            assert heap.file.free_count == 0
            assert heap.damaged == ((head,) if damage == "page" else ())
            assert [heap.get(rid) for rid in kept] == [b"kept %d" % i for i in range(5)]
            assert heap.get(heap.insert(b"y" * 20_000)) == b"y" * 20_000


def test_damage_while_open_is_reported_once(make_file: MakeFile, path: Path) -> None:
    file = make_file(4)
    for page_id in (1, 2, 3):
        file.free_page(page_id)
    with open(path, "r+b") as disk:
        disk.seek(3 * 4096 + 50)
        disk.write(b"!")
    assert file.allocate_pages(3) == [1, 2, 5], "rebuilt in order of pages, then the file grows"
    assert file.damaged == (3,)
    with pytest.raises(ChecksumMismatch):
        file.read_page(3, memoryview(bytearray(4096)))


def test_a_bad_page_alone_on_the_list_after_a_crash(path: Path) -> None:
    file = PageFile(path)
    file.allocate_pages(2)
    file.free_page(1)
    file.sync()
    file._io.file.close()
    file._closed = True
    with open(path, "r+b") as disk:
        disk.seek(4096 + 50)
        disk.write(b"!")
    with PageFile(path) as file:
        assert (file.free_count, file.allocate_page()) == (0, 3)


def test_a_free_page_that_is_written_is_in_use_again(make_file: MakeFile) -> None:
    file = make_file(4)
    for page_id in (1, 2, 3):
        file.free_page(page_id)
    file.write_page(3, sealed_page(3, b"stubborn"))
    assert file.allocate_pages(3) == [1, 2, 5]
    into = bytearray(4096)
    file.read_page(3, memoryview(into))
    assert SlottedPage(into).get(0) == b"stubborn"
    assert file.damaged == ()


@pytest.mark.parametrize("checked", [True, False])
def test_what_is_written_after_the_pool_closed_is_told(make_pool: MakePool, checked: bool) -> None:
    pool = make_pool(4, checked=checked)
    page, other = pool.fetch(1), pool.fetch(2)
    view, seen = page.data_mut(), other.data
    with pytest.raises(PinLeak):
        pool.close()
    view[100] = 9
    assert seen[0] == ord("O")
    for use in (lambda: page.data, page.data_mut, page.mark_dirty, lambda: other.data):
        with pytest.raises(StorageClosed, match="pool is closed"):
            use()
    del view
    with pytest.raises(StorageClosed, match="written to page 1 since then is lost"):
        page.unpin()
    with pytest.raises(PinError, match="already given up"):
        page.unpin()
    other.unpin()


def test_marking_many_pages_dirty_after_the_pool_closed(make_pool: MakePool) -> None:
    pool = make_pool(4)
    frames = pool.fetch_many([1, 2])
    with pytest.raises(PinLeak):
        pool.close()
    with pytest.raises(StorageClosed):
        pool.unpin_many(frames, dirty=True)


def test_a_pool_over_a_read_only_file_refuses_changes(make_file: MakeFile, path: Path) -> None:
    make_file(3).close()
    before = path.read_bytes()
    with PageFile(path, readonly=True) as file, BufferPool(file, 4) as pool:
        frames = pool.fetch_many([3])
        with pool.fetch(1) as page:
            for change in (
                page.data_mut,
                page.mark_dirty,
                pool.new_page,
                lambda: pool.free_page(2),
                lambda: pool.unpin_many(frames, dirty=True),
            ):
                with pytest.raises(io.UnsupportedOperation, match="read-only"):
                    change()
            assert bytes(page.data[:4]) == b"OOR1"
        pool.unpin_many(frames)
        assert pool.statistics().dirty == 0
    assert path.read_bytes() == before


def test_closing_after_the_file_is_gone_names_what_is_lost_once(path: Path) -> None:
    heap = PageManager(path)
    heap.insert(b"x")
    heap.file.close()
    with pytest.raises(PagesLost, match=rf"{path} is closed: the changes of 1 page are lost \(1\)"):
        heap.close()
    assert heap.pool.closed
    heap.close()
    with PageManager(path) as heap:
        heap.file.close()


@pytest.mark.parametrize(
    "record", [np.array([object()]), np.array([{}, 1]), np.zeros(1, [("a", "i4"), ("b", "O")])]
)
def test_references_are_no_records(path: Path, record: Any) -> None:
    with PageManager(path) as heap:
        for call in (lambda: heap.insert(record), lambda: heap.insert_many(record)):
            with pytest.raises(TypeError, match="Expected bytes-like"):
                call()
        with pytest.raises(TypeError, match="Expected bytes-like"):
            heap.insert_many([b"x", record])
        assert list(heap.iter_records()) == []


def test_records_with_other_items_than_bytes(path: Path) -> None:
    row = np.array([(1, b"ab")], [("O", "<i4"), ("s", "S2")])  # a field may be called O
    with PageManager(path) as heap:
        with pytest.raises(TypeError, match=r"Expected bytes-like, got ndarray of datetime64\[D\]"):
            heap.insert(np.array(["2026-01-01"], "M8[D]"))
        assert heap.get(heap.insert(row[0])) == row.tobytes()
        assert heap.get(heap.insert(row)) == row.tobytes()
        assert heap.get(heap.insert(np.arange(3.0)[::2])) == np.array([0.0, 2.0]).tobytes()


def test_batches_of_the_wrong_kind(path: Path) -> None:
    with PageManager(path) as heap:
        for wrong in ({b"a": 1}, {b"a"}, frozenset(), b"abc", "abc", memoryview(b"abc"), 5, None):
            with pytest.raises(TypeError, match="Expected a sequence of records, got one"):
                heap.insert_many(wrong)
        rids = heap.insert_many(b"%d" % i for i in range(12))
        assert [heap.get(RecordId.unpack(rid)) for rid in rids] == [b"%d" % i for i in range(12)]
        for kind in (np.int8, np.bool_, np.float32):
            with pytest.raises(ValueError, match=re.escape("(3, 8): pass records.view(np.uint8)")):
                heap.insert_many(np.zeros((3, 8), kind))
        with pytest.raises(TypeError, match=r"uint64 of shape \(6, 2\)"):
            heap.get_many(rids.reshape(6, 2), 1)
        for call in (heap.get, heap.delete, lambda rid: heap.update(rid, b"x")):
            for rid in ([1, 0], {1, 0}, b"\1\0", (1,), (1, 0, 0), 65536, None, np.array([1, 0])):
                with pytest.raises(TypeError, match=r"RecordId or a tuple \(page_id, slot\)"):
                    call(rid)
        assert heap.get((1, 0)) == b"0"
        assert heap.delete((1, 0))


def test_messages_of_the_pool(make_pool: MakePool) -> None:
    pool = make_pool(4)
    with pytest.raises(PoolExhausted, match=r"^Need 5 frames, the pool has 4: open a larger pool"):
        pool.fetch_many([1, 2, 3, 4, 5])
    pool.fetch(1).unpin()
    with pool.fetch(9), pytest.raises(PoolExhausted) as caught:
        pool.fetch_many([1, 2, 3, 4])
    assert (caught.value.needed, caught.value.pins) == (4, {9: 1})
    with pytest.raises(PinError, match=r"^There is no frame 99: the pool has 4") as wrong:
        pool.unpin_many([99])
    assert wrong.value.page_id is None
    with pytest.raises(PinError, match="Frame 3 has 0 pins, not 1"):
        pool.unpin_many([3])


def test_headers_and_pages_of_no_known_type() -> None:
    with pytest.raises(ValueError, match="99 is not a valid PageType"):
        PageHeader(1, 99).pack()
    page = bytearray(b"x" * 4096)
    with pytest.raises(ValueError, match="77 is not a valid PageType"):
        SlottedPage.format(page, 1, page_type=77)
    assert page == b"x" * 4096


def test_a_page_with_gaps_is_not_called_read_only(make_file: MakeFile) -> None:
    gaps = memoryview(bytearray(8192))[::2]
    for call in (
        lambda: seal(gaps),
        lambda: SlottedPage(gaps),
        lambda: make_file(1).read_page(1, gaps),
        lambda: PageHeader(1, PageType.DATA).pack_into(gaps),
    ):
        with pytest.raises(TypeError, match="contiguous buffer, got one with gaps"):
            call()
    with pytest.raises(TypeError, match="got a read-only buffer"):
        seal(memoryview(bytes(4096)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "at least 1 frame, got 0"),
        ({"frames": 10**12}, "frames, got 1000000000000: 4096000000000000 bytes"),
        ({"policy": "fifo"}, "Expected a policy"),
        ({"page_size": 1000}, "power of two"),
    ],
)
def test_a_manager_that_cannot_be_leaves_no_file(
    path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PageManager(path, **options)
    assert not path.exists()


def test_too_little_memory_says_how_much(
    make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    file = make_file(1)
    monkeypatch.setattr("meridian.database.storage.frame_table.mmap.mmap", refuse)
    with pytest.raises(MemoryError, match="No 32768 bytes of memory for the frames"):
        BufferPool(file, 8)


@pytest.mark.parametrize("readonly", [False, True])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, readonly: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/null")):
        with pytest.raises(OSError, match="Not a regular file") as caught:
            PageFile(path, readonly=readonly)
        assert caught.value.filename == str(path)
