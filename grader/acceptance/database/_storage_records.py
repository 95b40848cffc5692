"""Criteria 4, 5 and 6 and the overflow bonus: records in slotted pages, and in the heap file."""

from __future__ import annotations

import random
from typing import Any

import pytest

from grader.acceptance.database._storage import (
    DELETING,
    MANAGER,
    OFFSET,
    PAGE,
    TLE_BYTES,
    TLE_FIELDS,
    content,
    decoded,
    insert_all,
    page_in,
    place,
    record_ids,
    tle_bytes,
    tle_records,
    tle_values,
    values_of,
)
from grader.judging.compare import expect, require, show
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission
from meridian.testing.storage import PAGE_SIZE, decode_page

# -- 4: insert and lookup ------------------------------------------------------------------------


@pytest.mark.criterion("4", points=4)
def test_forty_records_in_a_page(submission: Submission, rng: random.Random) -> None:
    """40 records in one slotted page, each found under its slot with equal bytes."""
    buf = submission.buffer(PAGE_SIZE)
    page = submission.SlottedPage.format(buf, 3)
    records = tle_records(rng, 40)
    expect(page.free_contiguous, 4079, "free_contiguous of an empty page")
    for i, record in enumerate(records):
        expect(page.insert(record), i, f"insert(record) into a page with {i} records")
    for i, record in enumerate(records):
        expect(content(page.get(i), f"get({i})"), record, f"get({i}) of 40 records")
    for slot in (40, 65_535, -1):
        expect(page.get(slot), None, f"get({slot}) of 40 records")
    found = decoded(bytes(buf), "The page's bytes")
    expect(found.records, records, "The records that the slot directory points to")
    expect(page.free_contiguous, 639, "free_contiguous after 40 records: 4079 - 40 * (82 + 4)")


@pytest.mark.criterion("4", points=4, after=(PAGE, OFFSET))
def test_forty_records_in_the_manager(submission: Submission, rng: random.Random) -> None:
    """40 records through PageManager: one page, 40 slots, equal bytes, also after reopening."""
    path = submission.path("forty.oor")
    records = tle_records(rng, 40)
    manager = submission.PageManager(path, frames=8)
    places = [place(rid) for rid in insert_all(submission, manager, records)]
    expect(len({page_id for page_id, _ in places}), 1, "Number of pages for 40 records of 82 bytes")
    expect(sorted(slot for _, slot in places), list(range(40)), "Slots of the 40 RecordIds")
    for when in ("", " after reopening"):
        found = values_of(submission.map(manager.get, record_ids(submission, places)))
        for i, (got, record) in enumerate(zip(found, records, strict=True)):
            expect(got, record, f"get(RecordId{places[i]}){when}")
        missing = submission.RecordId(places[0][0], 40)
        expect(manager.get(missing), None, f"get of slot 40, which never was{when}")
        manager.close()
        manager = submission.PageManager(path, frames=8)
    manager.close()
    page_id = places[0][0]
    on_disk = decoded(page_in(submission.read("forty.oor"), page_id), f"Page {page_id} on disk")
    stored = [on_disk.records[slot] for _, slot in places]
    expect(stored, records, f"The records in page {page_id} on disk, in the order of insertion")


@pytest.mark.criterion("4", points=2)
def test_element_sets(submission: Submission, rng: random.Random) -> None:
    """TleRecord packs into the field table's 82 bytes and back, and refuses what is not one."""
    for values in tle_values(rng, 40):
        record, raw = submission.TleRecord(*values), tle_bytes(values)
        expect(record.pack(), raw, f"TleRecord({values[0]}, {values[1]!r}, ...).pack()")
        again = submission.TleRecord.unpack(raw)
        for name, value in zip(TLE_FIELDS, values, strict=True):
            expect(getattr(again, name), value, f"TleRecord.unpack(...).{name}")
    fine = tle_values(rng, 1)[0]
    wrong = ((0, 2**32), (1, "98067ABCD"), (2, float("nan")), (4, 1.0), (4, -0.1), (5, 180.5))
    for at, value in wrong:
        bad = [*fine[:at], value, *fine[at + 1 :]]
        call = f"TleRecord with {TLE_FIELDS[at]}={value!r}, pack()"
        with submission.raises("ValueError", "TypeError", call=call):
            submission.TleRecord(*bad).pack()


# -- 5: delete and compact -----------------------------------------------------------------------


def _half_deleted(submission: Submission, rng: random.Random) -> tuple[Any, Remote, list[bytes]]:
    """A buffer with a page of 40 records of which the even slots were deleted."""
    buf = submission.buffer(PAGE_SIZE)
    page = submission.SlottedPage.format(buf, 3)
    records = tle_records(rng, 40)
    for record in records:
        page.insert(record)
    for slot in range(0, 40, 2):
        expect(page.delete(slot), True, f"delete({slot}) of a stored record")
    return buf, page, records


def _survivors(page: Remote, records: list[bytes], when: str) -> None:
    for slot, record in enumerate(records):
        want = record if slot % 2 else None
        expect(content(page.get(slot), f"get({slot})"), want, f"get({slot}) {when}")


@pytest.mark.criterion("5", points=5, after=PAGE)
def test_deleted_slots_are_none(submission: Submission, rng: random.Random) -> None:
    """Deleted slots look up as None, the others are untouched, a second delete is False."""
    buf, page, records = _half_deleted(submission, rng)
    _survivors(page, records, "after slots 0, 2, 4, ... were deleted")
    expect(page.delete(0), False, "delete(0) for the second time")
    for slot in (40, -1):
        expect(page.delete(slot), False, f"delete({slot}), which never was")
    expect((page.slot_count, page.live_count), (40, 20), "slot_count, live_count")
    expect(page.free_contiguous, 639, "free_contiguous: deleting moves nothing")
    expect(page.free_total, 639 + 20 * TLE_BYTES, "free_total after 20 deletions")
    slots = decoded(bytes(buf), "The page's bytes").slots
    expect(slots[0], (0xFFFF, 0), "Offset and length of a deleted slot, on the page")


@pytest.mark.criterion("5", points=8, after=DELETING)
def test_compaction_keeps_slot_ids(submission: Submission, rng: random.Random) -> None:
    """compact() keeps every slot id and makes all free space contiguous and zero."""
    buf, page, records = _half_deleted(submission, rng)
    before = page.free_contiguous
    expect(page.compact(), 20 * TLE_BYTES, "compact() with 20 records of 82 bytes deleted")
    _survivors(page, records, "after compact()")
    expect(page.slot_count, 40, "slot_count after compact()")
    expect(page.free_contiguous - before, 20 * TLE_BYTES, "By how much free_contiguous grew")
    expect(page.free_total, page.free_contiguous, "free_total after compact()")
    raw = bytes(buf)
    stale = [i for i, b in enumerate(raw[17 + 40 * 4 : PAGE_SIZE - 20 * TLE_BYTES], 177) if b]
    require(not stale, "Free bytes must be zero after compact()", f"byte {(stale or [0])[0]}")
    expect(page.compact(), 0, "compact() for the second time")
    expect(bytes(buf), raw, "The page after the second compact()")


@pytest.mark.criterion("5", points=4, after=DELETING)
def test_reinsertion_reuses_slots(submission: Submission, rng: random.Random) -> None:
    """Inserting takes the lowest deleted slot again."""
    _, page, records = _half_deleted(submission, rng)
    page.compact()
    for slot in range(0, 40, 2):
        records[slot] = tle_records(rng, 1)[0]
        expect(page.insert(records[slot]), slot, f"insert(record) with slot {slot} deleted")
    for slot, record in enumerate(records):
        expect(content(page.get(slot), f"get({slot})"), record, f"get({slot}) after reinsertion")
    expect(page.insert(records[0]), 40, "insert(record) with no slot deleted")


@pytest.mark.criterion("5", points=3, after=MANAGER)
def test_deleting_through_the_manager(submission: Submission, rng: random.Random) -> None:
    """PageManager: deleted ids are None; with reuse_slots=False they stay so for ever."""
    path = submission.path("delete.oor")
    manager = submission.PageManager(path, frames=8, reuse_slots=False)
    records = tle_records(rng, 40)
    places = [place(rid) for rid in insert_all(submission, manager, records)]
    page_id = places[0][0]
    rids = record_ids(submission, places)
    expect(
        values_of(submission.map(manager.delete, rids[::2])), [True] * 20, "delete of 20 records"
    )
    expect(manager.delete(*rids[0]), False, "delete of the same RecordId again")
    before = manager.page_info(page_id).free_contiguous
    manager.compact(page_id)
    info = manager.page_info(page_id)
    grown = info.free_contiguous - before
    expect(grown, 20 * TLE_BYTES, "By how much page_info(page_id).free_contiguous grew")
    expect(info.free_total, info.free_contiguous, "page_info(page_id).free_total after compact")
    insert_all(submission, manager, tle_records(rng, 60))
    for i, got in enumerate(values_of(submission.map(manager.get, rids))):
        want = records[i] if i % 2 else None
        what = "kept" if i % 2 else "deleted under reuse_slots=False"
        expect(got, want, f"get(RecordId{places[i]}), {what}, after 60 more inserts")


# -- 6: a full page ------------------------------------------------------------------------------


@pytest.mark.criterion("6", points=4, after=PAGE)
def test_a_full_page_refuses(submission: Submission, rng: random.Random) -> None:
    """47 element sets fit a page; the 48th is None and changes no byte."""
    buf = submission.buffer(PAGE_SIZE)
    page = submission.SlottedPage.format(buf, 3)
    records = tle_records(rng, 48)
    slots = [page.insert(record) for record in records[:47]]
    expect(slots, list(range(47)), "insert(record) 47 times: 47 * (82 + 4) <= 4079")
    before = bytes(buf)
    expect(page.insert(records[47]), None, "insert(record) for the 48th time")
    expect(bytes(buf), before, "The page's bytes after a refused insert")


@pytest.mark.criterion("6", points=2, after=MANAGER)
def test_the_next_page_takes_it(submission: Submission, rng: random.Random) -> None:
    """The record that the full page refused goes to another page."""
    manager = submission.PageManager(submission.path("next.oor"), frames=8)
    records = tle_records(rng, 48)
    rids = insert_all(submission, manager, records)
    places = [place(rid) for rid in rids]
    expect([page for page, _ in places[:47]], [places[0][0]] * 47, "Pages of the first 47 records")
    require(places[47][0] != places[0][0], f"insert for the 48th time: page {places[0][0]} is full")
    found = values_of(submission.map(manager.get, [(rid,) for rid in rids]))
    require(found == records, "get(rid) after the page was full: other bytes than were inserted")


@pytest.mark.criterion("6", points=2)
def test_the_largest_record(submission: Submission, rng: random.Random) -> None:
    """4,075 bytes fit an empty page beside their slot, 4,076 do not."""
    for size, want in ((4076, None), (4079, None), (4075, 0)):
        buf = submission.buffer(PAGE_SIZE)
        page = submission.SlottedPage.format(buf, 3)
        before, record = bytes(buf), rng.randbytes(size)
        expect(page.insert(record), want, f"insert({size} bytes) into an empty page")
        if want is None:
            expect(bytes(buf), before, f"The page's bytes after {size} bytes were refused")
        else:
            expect(content(page.get(0), "get(0)"), record, f"get(0) of {size} bytes")


@pytest.mark.criterion("6", points=2, after=PAGE)
def test_an_exact_fit_by_reuse(submission: Submission, rng: random.Random) -> None:
    """A record of exactly free_total bytes fits after compaction: a reused slot costs nothing."""
    buf = submission.buffer(PAGE_SIZE)
    page = submission.SlottedPage.format(buf, 3)
    for record in tle_records(rng, 47):
        page.insert(record)
    for slot in rng.sample(range(47), 3):
        page.delete(slot)
    size = PAGE_SIZE - 17 - 47 * 4 - 44 * TLE_BYTES
    record, before = rng.randbytes(size), bytes(buf)
    call = f"insert({size} bytes) into a page with {size} free bytes and a deleted slot"
    expect(page.insert(record), None, f"{call}, before compact()")
    expect(bytes(buf), before, "The page's bytes after a refused insert")
    page.compact()
    slot = page.insert(record)
    require(type(slot) is int, f"{call}, after compact(): expected a slot, got {show(slot)}")
    expect(content(page.get(slot), "get"), record, f"get({slot}) of the record that fits exactly")


# -- bonus ---------------------------------------------------------------------------------------


@pytest.mark.criterion("overflow", points=4, after=MANAGER)
def test_overflow_records(submission: Submission, rng: random.Random) -> None:
    """Records of 10 KB and 100 KB go to OVERFLOW pages, come back whole, and free their pages."""
    name = "overflow.oor"
    records = [rng.randbytes(size) for size in (10_000, 82, 100_000, 4_076, 4_073 * 3)]
    manager = submission.PageManager(submission.path(name), frames=8)
    places = [place(rid) for rid in insert_all(submission, manager, records)]
    for when in ("", " after reopening"):
        found = values_of(submission.map(manager.get, record_ids(submission, places)))
        for record, got in zip(records, found, strict=True):
            expect(got, record, f"get(rid) of a record of {len(record)} bytes{when}")
        manager.close()
        size = len(submission.read(name))
        manager = submission.PageManager(submission.path(name), frames=8)
    raw = submission.read(name)
    types = [decode_page(page_in(raw, i)).page_type for i in range(1, len(raw) // PAGE_SIZE)]
    need = 3 + 25 + 2 + 3  # 4,073 bytes to a page
    require(
        types.count(4) == need,
        f"OVERFLOW pages in the file: {types.count(4)}, expected {need}, of 4,073 bytes each",
    )
    for _ in range(3):
        for rid in record_ids(submission, places):
            expect(manager.delete(*rid), True, "delete(rid) of an overflow record")
            expect(manager.get(*rid), None, "get(rid) of a deleted overflow record")
        places = [place(rid) for rid in insert_all(submission, manager, records)]
    found = values_of(submission.map(manager.get, record_ids(submission, places)))
    require(found == records, "get(rid) of records whose chains reuse freed pages: other bytes")
    manager.close()
    grown = (len(submission.read(name)) - size) // PAGE_SIZE
    require(
        grown <= 1, f"Deleting and inserting the same records made the file {grown} pages longer"
    )
