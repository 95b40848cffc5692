"""Contract checks of pages: header, page file, slotted records.

Each takes `api`, an object with the public names of `meridian.database.storage` as attributes,
runs in well under a second, and raises `AssertionError` with a sentence that names the call.
Randomness is seeded: a failure repeats.
"""

from __future__ import annotations

import os
import random
import reprlib
from pathlib import Path
from typing import Any

from meridian.testing.storage.format import PAGE_SIZE, decode_page, encode_page, page_crc
from meridian.testing.storage.slotted import SlottedPageModel

__all__ = [
    "check_page_file",
    "check_page_header",
    "check_slotted_page",
    "must_raise",
]

StrPath = str | os.PathLike[str]


def must_raise(names: str, call: str, function: Any, *arguments: Any) -> None:
    """`function` must raise an exception whose class, or a base of it, is in `names`."""
    try:
        result = function(*arguments)
    except Exception as error:
        found = {cls.__name__ for cls in type(error).__mro__}
        if found.isdisjoint(names.split()):
            raise AssertionError(f"{call} must raise {names}, got {error!r}") from error
    else:
        raise AssertionError(f"{call} must raise {names}, it returned {reprlib.repr(result)}")


def check_page_header(api: Any) -> None:
    """Bytes of a header, the checksum's vector and coverage, the order of `verify`."""
    header = api.PageHeader(7, api.PageType.DATA, 0, PAGE_SIZE)
    raw = bytes(header.pack())
    want = bytes.fromhex("4f4f523107000000010000001000000000")
    assert raw == want, f"PageHeader(7, DATA, 0, 4096).pack() is {raw.hex()}, not {want.hex()}"
    page = bytearray(raw.ljust(PAGE_SIZE, b"\0"))
    found = api.page_checksum(page)
    assert found == 0xA006F748, f"page_checksum of that page is {found:#x}, not 0xa006f748"
    assert api.seal(page) == found, "seal() does not return the checksum"
    assert page[13:17] == found.to_bytes(4, "little"), "seal() does not store the checksum"
    again = api.PageHeader.unpack(page)
    fields = (again.page_id, int(again.page_type), again.record_count, again.free_space_offset)
    assert fields == (7, 1, 0, PAGE_SIZE), f"unpack() of page 7 gives {fields}"
    assert again.checksum == found, f"unpack() gives checksum {again.checksum:#x}"
    assert api.verify(page, 7).page_id == 7, "verify() does not return the page's header"
    rng = random.Random(7)
    page[17:] = rng.randbytes(PAGE_SIZE - 17)
    assert api.page_checksum(page) == page_crc(page), "page_checksum() of a random page is wrong"
    api.seal(page)
    for at in (*range(17), 17, 2048, PAGE_SIZE - 1):
        bad = bytearray(page)
        bad[at] ^= 1 << rng.randrange(8)
        expected = "BadMagic" if at < 4 else "ChecksumMismatch"
        must_raise(expected, f"verify() with a bit of byte {at} flipped", api.verify, bad, 7)
    must_raise("MisdirectedPage", "verify(page 7, 8)", api.verify, page, 8)
    wrong = encode_page(8, page_type=9)
    must_raise("MisdirectedPage", "verify() of page 8 with type 9 as 7", api.verify, wrong, 7)
    must_raise("BadPageType", "verify() of a page of type 9", api.verify, wrong, 8)
    for length in (0, 16):
        must_raise("CorruptPage ValueError", f"PageHeader.unpack({length} bytes)",
                    api.PageHeader.unpack, bytes(length))  # fmt: skip


def check_page_file(api: Any, folder: StrPath) -> None:
    """Offsets, range, free list through a reopening, truncation, misplaced pages, the lock."""
    path = Path(folder) / "check-file.oor"
    rng = random.Random(1)
    pages: dict[int, bytes] = {}
    file = api.PageFile(path)
    ids = [file.allocate_page() for _ in range(20)]
    assert ids == list(range(1, 21)), f"the first 20 pages of a new file are {ids}"
    for page_id in rng.sample(ids, len(ids)):
        page = bytearray(encode_page(page_id, rng.randbytes(PAGE_SIZE - 17)))
        file.write_page(page_id, memoryview(page))
        pages[page_id] = bytes(page)
    raw = path.read_bytes()
    for page_id, want in pages.items():
        at = page_id * PAGE_SIZE
        assert raw[at : at + PAGE_SIZE] == want, f"page {page_id} is not at byte {at} of the file"
    into = bytearray(PAGE_SIZE)
    for page_id, want in pages.items():
        file.read_page(page_id, memoryview(into))
        assert into == want, f"read_page({page_id}) gives other bytes than were written"
    for page_id in (0, 21, 2**32 - 1, -1):
        must_raise("PageOutOfRange", f"read_page({page_id}) of a file of 20 pages",
                    file.read_page, page_id, memoryview(into))  # fmt: skip
    must_raise("FileLocked", "a second PageFile on an open file", api.PageFile, path)
    for page_id in (5, 9, 7):
        file.free_page(page_id)
    must_raise("ValueError", "free_page(7) for the second time", file.free_page, 7)
    file.close()
    file.close()
    with api.PageFile(path) as file:
        ids = [file.allocate_page() for _ in range(4)]
        assert ids == [7, 9, 5, 21], f"after freeing 5, 9, 7 and reopening, pages {ids} came"
        file.read_page(9, memoryview(into))
        found = decode_page(into)
        assert found[:5] == (b"OOR1", 9, 1, 0, PAGE_SIZE), f"a reused page is not empty: {found}"
        assert page_crc(into) == found.checksum, "allocate_page() left an unsealed page"
    raw = path.read_bytes()
    one, two = raw[PAGE_SIZE : 2 * PAGE_SIZE], raw[2 * PAGE_SIZE : 3 * PAGE_SIZE]
    path.write_bytes(raw[:PAGE_SIZE] + two + one + raw[3 * PAGE_SIZE :])
    with api.PageFile(path) as file:
        for page_id in (1, 2):
            must_raise("MisdirectedPage", f"read_page({page_id}) after pages 1 and 2 were swapped",
                        file.read_page, page_id, memoryview(into))  # fmt: skip
        size = os.stat(path).st_size
        os.truncate(path, size - 1)
        must_raise("TruncatedFile", "read_page() of a page that lost its last byte",
                    file.read_page, size // PAGE_SIZE - 1, memoryview(into))  # fmt: skip
        os.truncate(path, size)
    os.truncate(path, size - 1)
    must_raise("TruncatedFile", "opening a file that lost its last byte", api.PageFile, path)
    os.truncate(path, PAGE_SIZE)
    must_raise("TruncatedFile", "opening a file that lost all pages", api.PageFile, path)
    path.write_bytes(rng.randbytes(2 * PAGE_SIZE))
    must_raise("BadMagic BadFormat", "opening a foreign file", api.PageFile, path)


def check_slotted_page(api: Any) -> None:
    """2,000 random operations in step with the model; capacity; damaged directories."""
    rng = random.Random(3)
    for page_size in (512, PAGE_SIZE):
        buf = bytearray(page_size)
        page, model = api.SlottedPage.format(buf, 3), SlottedPageModel(page_size)
        for step in range(1000):
            _slotted_step(rng, page, model, buf)
            got = (page.slot_count, page.live_count, page.free_contiguous, page.free_total)
            want = (model.slot_count, model.live_count, model.free_contiguous, model.free_total)
            assert got == want, (
                f"after {step + 1} operations slot_count, live_count, free_contiguous, free_total "
                f"are {got}, not {want}"
            )
            page.check()
        assert decode_page(buf).records == model.records, "the bytes say other records than get()"
        for slot in (-1, model.slot_count, 2**16):
            assert page.get(slot) is None, f"get({slot}) of {model.slot_count} slots is not None"
            assert page.delete(slot) is False, f"delete({slot}) is not False"
    page = api.SlottedPage.format(bytearray(PAGE_SIZE), 3)
    slots = [page.insert(bytes(82)) for _ in range(48)]
    assert slots == [*range(47), None], f"48 records of 82 bytes go to slots {slots}"
    page = api.SlottedPage.format(bytearray(PAGE_SIZE), 3)
    assert page.insert(bytes(4076)) is None, "a record of 4076 bytes cannot fit beside its slot"
    assert page.insert(bytes(4075)) == 0, "a record of 4075 bytes fits an empty page"
    entry = (4000).to_bytes(2, "little") + (200).to_bytes(2, "little")
    bad = bytearray(encode_page(3, entry, record_count=1, free_space_offset=4000))
    must_raise("BadSlot", "get(0) of bytes 4000..4200", api.SlottedPage(bad).get, 0)
    must_raise("BadSlot", "check() with a slot at 4000..4200", api.SlottedPage(bad).check)


def _slotted_step(rng: random.Random, page: Any, model: SlottedPageModel, buf: bytearray) -> None:
    slot = rng.randrange(-1, model.slot_count + 1)
    action = rng.random()
    if action < 0.5:
        record = rng.randbytes(rng.choice((0, 1, 8, 82, len(buf) // 6)))
        before = bytes(buf)
        got, want = page.insert(record), model.insert(record)
        assert got == want, f"insert({len(record)} bytes) gives {got}, not {want}"
        assert got is not None or before == buf, "insert() gave None and changed the page"
    elif action < 0.85:
        got, want = page.delete(slot), model.delete(slot)
        assert got is want, f"delete({slot}) gives {got}, not {want}"
    elif action < 0.9:
        gained, expected = page.compact(), model.compact()
        assert gained == expected, f"compact() gives {gained}, not {expected}"
    found, kept = page.get(slot), model.get(slot)
    got_bytes = None if found is None else bytes(found)
    assert got_bytes == kept, (
        f"get({slot}) gives {reprlib.repr(got_bytes)}, not {reprlib.repr(kept)}"
    )
