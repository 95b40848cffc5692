"""Criteria 1 and 2: pages at their offsets, and a checksum on every one of them."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.database._storage import (
    OFFSET,
    allocate,
    decoded,
    first_bit_not_caught,
    page_in,
    random_page,
    read_through,
    sealed,
    sealed_file,
    values_of,
)
from grader.judging.compare import Compared, CriterionFailed, expect, require, show
from grader.proxy.submission import Submission
from meridian.testing.storage import PAGE_SIZE, page_crc

FLIPS = 2_000


@pytest.mark.criterion("1", points=5)
def test_pages_lie_at_their_offset(submission: Submission, rng: random.Random) -> None:
    """Pages written in shuffled order lie at page_id * 4096 and read back identical."""
    file = submission.PageFile(submission.path("pages.oor"))
    ids = allocate(submission, file, 100)
    pages = {page_id: random_page(rng, page_id) for page_id in ids}
    order = rng.sample(ids, len(ids))
    for page_id in order:
        file.write_page(page_id, submission.buffer(pages[page_id]).view())
    file.close()
    raw = submission.read("pages.oor")
    for page_id in sorted(ids):
        found, want = page_in(raw, page_id), pages[page_id]
        # Bytes 13..16, the checksum, are criterion 2's affair.
        same = found[:13] == want[:13] and found[17:] == want[17:]
        where = [other for other in ids if pages[other][17:] == found[17:]]
        require(
            same,
            f"Bytes {page_id * PAGE_SIZE}..{(page_id + 1) * PAGE_SIZE} of the file are not what "
            f"write_page({page_id}, page) was given",
            f"page {where[0]} is there" if where else f"they start {found[:17].hex(' ')}",
        )
    file = submission.PageFile(submission.path("pages.oor"))
    into = submission.buffer(PAGE_SIZE)
    for page_id in rng.sample(ids, len(ids)):
        file.read_page(page_id, into.view())
        expect(bytes(into), page_in(raw, page_id), f"read_page({page_id}, into) of what it wrote")


@pytest.mark.criterion("1", points=1)
def test_reading_past_the_end(submission: Submission) -> None:
    """A page id outside the file raises PageOutOfRange."""
    file = submission.PageFile(submission.path("short.oor"))
    allocate(submission, file, 3)
    into = submission.buffer(PAGE_SIZE)
    for page_id in (4, 5, 1_000_000, -1, 0):
        call = f"read_page({page_id}, into) of a file with pages 1..3"
        with submission.raises("PageOutOfRange", call=call):
            file.read_page(page_id, into.view())


@pytest.mark.criterion("1", points=2)
def test_a_short_tail_is_an_error(submission: Submission) -> None:
    """A page that lost its last byte raises TruncatedFile; it is never padded."""
    name = "tail.oor"
    file = submission.PageFile(submission.path(name))
    allocate(submission, file, 5)  # fresh pages end in zeros: padding would look right
    submission.truncate(name, 6 * PAGE_SIZE - 1)
    with submission.raises("TruncatedFile", call="read_page(5, into) of 4,095 bytes"):
        file.read_page(5, submission.buffer(PAGE_SIZE).view())
    submission.truncate(name, 6 * PAGE_SIZE)
    file.close()
    submission.truncate(name, 6 * PAGE_SIZE - 1)
    with submission.raises("TruncatedFile", call="Opening and reading a file cut by one byte"):
        file = submission.PageFile(submission.path(name))
        file.read_page(5, submission.buffer(PAGE_SIZE).view())


@pytest.mark.criterion("1", points=2)
def test_freed_pages_come_back(submission: Submission) -> None:
    """allocate_page() takes the page freed last, also after reopening, before the file grows."""
    name = "free.oor"
    file = submission.PageFile(submission.path(name))
    ids = allocate(submission, file, 8)
    freed = [ids[2], ids[5], ids[3]]
    for page_id in freed:
        file.free_page(page_id)
    file.close()
    size = len(submission.read(name))
    submission.restart()
    file = submission.PageFile(submission.path(name))
    again = values_of(submission.map(file.allocate_page, [()] * 3))
    expect(
        again,
        freed[::-1],
        f"allocate_page() three times, after free_page of {freed} and reopening",
    )
    file.close()
    raw = submission.read(name)
    expect(len(raw), size, "Bytes in the file after freed pages were allocated again")
    for page_id in again:
        found = decoded(page_in(raw, page_id), f"Page {page_id}, freed and allocated again")
        expect(found[1:5], (page_id, 1, 0, PAGE_SIZE), "its id, type, record count, free offset")


@pytest.mark.criterion("2", points=6, after=OFFSET)
def test_every_flipped_body_bit(submission: Submission, rng: random.Random) -> None:
    """A flipped bit in bytes 17..4095 is CorruptPage on the read through the pool, never data."""
    page = random_page(rng, 7)
    found, want = submission.page_checksum(submission.buffer(page)), page_crc(page)
    require(
        type(found) is int and found == want,
        f"page_checksum(page), the CRC-32 of bytes 0..12 continued over 17..4095: expected "
        f"{want:#010x}, got {hex(found) if type(found) is int else show(found)}",
        check=Compared(found, want),
    )
    first, last = 17 * 8, PAGE_SIZE * 8 - 1
    bits = sorted({first, last, *rng.sample(range(first, last), FLIPS - 2)})
    missed = first_bit_not_caught(submission, rng, bits)
    if missed:
        bit, happened = missed
        raise CriterionFailed(
            f"fetch of a page with one bit of its body flipped {happened}; "
            "it must raise CorruptPage",
            f"bit {bit % 8} of byte {bit // 8}",
        )


@pytest.mark.criterion("2", points=3, after=OFFSET)
def test_every_flipped_header_bit(submission: Submission, rng: random.Random) -> None:
    """A flipped bit in the header, page id and checksum included, raises CorruptPage."""
    missed = first_bit_not_caught(submission, rng, range(17 * 8))
    if missed:
        bit, happened = missed
        fields = {0: "magic", 4: "page id", 8: "type", 9: "record count", 11: "free space offset"}
        field = "checksum" if bit >= 13 * 8 else fields[max(k for k in fields if k <= bit // 8)]
        raise CriterionFailed(
            f"fetch of a page with one bit of its {field} flipped {happened}; "
            "it must raise CorruptPage",
            f"bit {bit % 8} of byte {bit // 8}",
        )


@pytest.mark.criterion("2", points=2, after=OFFSET)
def test_swapped_pages(submission: Submission, rng: random.Random) -> None:
    """Two whole pages that changed places raise MisdirectedPage."""
    ids, pages = sealed_file(submission, rng, "swap.oor", 6)
    one, two = rng.sample(ids, 2)
    submission.write("swap.oor", pages[two], one * PAGE_SIZE)
    submission.write("swap.oor", pages[one], two * PAGE_SIZE)
    file = submission.PageFile(submission.path("swap.oor"))
    pool = submission.BufferPool(file, 8)
    for page_id in (one, two):
        call = f"fetch({page_id}) after pages {one} and {two} changed places on disk"
        with submission.raises("MisdirectedPage", call=call):
            pool.fetch(page_id)


@pytest.mark.criterion("2", points=2, after=OFFSET)
def test_a_page_that_was_good_before(submission: Submission, rng: random.Random) -> None:
    """Every read is verified: a page that goes bad after it was read once is refused as well."""
    ids, pages = sealed_file(submission, rng, "later.oor", 40)
    file = submission.PageFile(submission.path("later.oor"))
    pool = submission.BufferPool(file, 8)
    for page_id in ids:  # the first ones are long evicted at the end
        read_through(pool, page_id, pages[page_id], "an undamaged page")
    fresh = random_page(rng, ids[0])
    torn = fresh[: PAGE_SIZE // 2] + pages[ids[0]][PAGE_SIZE // 2 :]
    submission.write("later.oor", torn, ids[0] * PAGE_SIZE)
    with submission.raises("CorruptPage", call=f"fetch({ids[0]}), half old and half new on disk"):
        pool.fetch(ids[0])
    damaged = pages[ids[1]][:-1] + bytes([pages[ids[1]][-1] ^ 1])
    submission.write("later.oor", damaged, ids[1] * PAGE_SIZE)
    with submission.raises("CorruptPage", call=f"read_page({ids[1]}), good before, now damaged"):
        file.read_page(ids[1], submission.buffer(PAGE_SIZE).view())


@pytest.mark.criterion("2", points=2, after=OFFSET)
def test_what_is_flushed_is_sealed(submission: Submission, rng: random.Random) -> None:
    """A page changed in the pool is on disk, with a checksum of its new bytes, after flush_all."""
    ids, _ = sealed_file(submission, rng, "flush.oor", 5)
    file = submission.PageFile(submission.path("flush.oor"))
    pool = submission.BufferPool(file, 8)
    for page_id in ids:
        with pool.fetch(page_id) as page:
            page.data_mut()[100:108] = page_id.to_bytes(8, "little")
    pool.flush_all()
    raw = submission.read("flush.oor")
    for page_id in ids:
        page_bytes = page_in(raw, page_id)
        what = f"Page {page_id} on disk after data_mut()[100:108] = ... and flush_all()"
        expect(page_bytes[100:108], page_id.to_bytes(8, "little"), what)
        sealed(page_bytes, what)
