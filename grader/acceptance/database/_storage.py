"""What several tests of the storage suite need: records, files, slots, a pool replayed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from grader.judging.compare import CriterionFailed, require, show
from grader.proxy.proxy import Remote, RemoteBuffer, RemoteError
from grader.proxy.submission import Submission
from meridian.testing.storage import PAGE_SIZE, DecodedPage, decode_page, encode_page, page_crc

TLE_BYTES = 82
TLE_FIELDS = (
    "norad_id",
    "intl_designator",
    "epoch",
    "mean_motion",
    "eccentricity",
    "inclination",
    "raan",
    "arg_perigee",
    "mean_anomaly",
    "bstar",
    "element_set",
    "rev_number",
)
BODY_BYTES = PAGE_SIZE - 17

# What other tests stand on: when one of these fails, they would only say the same again.
OFFSET = "test_pages_lie_at_their_offset"
PAGE = "test_forty_records_in_a_page"
MANAGER = "test_forty_records_in_the_manager"
DELETING = "test_deleted_slots_are_none"
_TLE = struct.Struct("<I8s8dHI")

TleValues = tuple[int, str, float, float, float, float, float, float, float, float, int, int]


def tle_values(rng: random.Random, count: int) -> list[TleValues]:
    """Random element sets with values a record can hold."""
    return [
        (
            rng.randrange(1, 2**32),
            f"{rng.randrange(100):02d}{rng.randrange(1000):03d}{rng.choice('ABCDEFGH')}",
            rng.uniform(0.0, 99366.0),
            rng.uniform(0.1, 17.0),
            rng.random(),
            rng.uniform(0.0, 180.0),
            rng.uniform(0.0, 360.0),
            rng.uniform(0.0, 360.0),
            rng.uniform(0.0, 360.0),
            rng.uniform(-0.01, 0.01),
            rng.randrange(2**16),
            rng.randrange(2**32),
        )
        for _ in range(count)
    ]


def tle_bytes(values: TleValues) -> bytes:
    """The 82 bytes of an element set, by the field table."""
    return _TLE.pack(values[0], values[1].encode(), *values[2:])


def tle_records(rng: random.Random, count: int) -> list[bytes]:
    return [tle_bytes(values) for values in tle_values(rng, count)]


def values_of(answers: Sequence[Any]) -> list[Any]:
    """The answers of `Submission.map`; the first exception among them is raised."""
    for answer in answers:
        if isinstance(answer, RemoteError):
            raise answer
    return list(answers)


def content(value: Any, call: str) -> bytes | None:
    """The bytes behind what `get` answered, which may be a view in the worker."""
    if isinstance(value, RemoteBuffer):
        return bytes(value)
    if value is None or type(value) is bytes:
        return value
    got = value.class_name if isinstance(value, Remote) else type(value).__name__
    raise CriterionFailed(f"{call}: expected bytes, a memoryview or None, got {got}")


def place(rid: Any, call: str = "PageManager.insert(record)") -> tuple[int, int]:
    """`page_id` and `slot` of a RecordId."""
    if not isinstance(rid, Remote):
        raise CriterionFailed(f"{call}: expected a RecordId, got {show(rid)}")
    page_id, slot = rid.page_id, rid.slot
    if type(page_id) is not int or type(slot) is not int:
        raise CriterionFailed(f"{call}: expected two ints, got ({show(page_id)}, {show(slot)})")
    return page_id, slot


def record_ids(submission: Submission, places: Iterable[tuple[int, int]]) -> list[tuple[Any]]:
    """RecordIds as arguments for `Submission.map`."""
    return [(rid,) for rid in values_of(submission.map(submission.RecordId, list(places)))]


def insert_all(submission: Submission, manager: Remote, records: list[bytes]) -> list[Any]:
    """The RecordIds of all `records`, inserted in order."""
    return values_of(submission.map(manager.insert, [(record,) for record in records]))


def allocate(submission: Submission, file: Remote, count: int) -> list[int]:
    """The ids of `count` new pages, which must be ints and all different."""
    ids = values_of(submission.map(file.allocate_page, [()] * count))
    wrong = next((page_id for page_id in ids if type(page_id) is not int), None)
    require(wrong is None, f"allocate_page(): expected an int, got {show(wrong)}")
    require(
        len(set(ids)) == len(ids) and min(ids) >= 1,
        f"allocate_page() {count} times: expected {count} different ids from 1 on, "
        f"got {show(sorted(ids))}",
    )
    return ids


def random_page(rng: random.Random, page_id: int) -> bytes:
    """A sealed DATA page without slots whose body is noise."""
    return encode_page(page_id, rng.randbytes(BODY_BYTES))


def page_in(raw: bytes, page_id: int) -> bytes:
    """Page `page_id` of a file's content; it must be there."""
    page = raw[page_id * PAGE_SIZE : (page_id + 1) * PAGE_SIZE]
    require(
        len(page) == PAGE_SIZE,
        f"The file has {len(raw)} bytes: page {page_id} must be bytes {page_id * PAGE_SIZE}.."
        f"{(page_id + 1) * PAGE_SIZE}",
    )
    return page


def decoded(page: bytes, what: str) -> DecodedPage:
    """The page's fields as the judge reads them, after magic and slots are in order."""
    try:
        found = decode_page(page)
    except ValueError as error:
        raise CriterionFailed(f"{what}: {error}", page[:64].hex(" ")) from None
    require(
        found.magic == b"OOR1", f"{what}: expected magic OOR1, got {found.magic!r}", page[:17].hex()
    )
    return found


def sealed(page: bytes, what: str) -> None:
    """The checksum stored in the page must be that of its bytes."""
    stored, computed = decode_page(page).checksum, page_crc(page)
    require(
        stored == computed,
        f"{what}: the stored checksum is {stored:#010x}, its bytes give {computed:#010x}",
        f"header {page[:17].hex(' ')}",
    )


def sealed_file(
    submission: Submission, rng: random.Random, name: str, count: int
) -> tuple[list[int], dict[int, bytes]]:
    """A closed file whose `count` pages hold noise that the judge sealed and wrote itself."""
    file = submission.PageFile(submission.path(name))
    ids = allocate(submission, file, count)
    file.close()
    pages = {page_id: random_page(rng, page_id) for page_id in ids}
    for page_id, page in pages.items():
        submission.write(name, page, page_id * PAGE_SIZE)
    return ids, pages


def first_bit_not_caught(
    submission: Submission, rng: random.Random, bits: Sequence[int]
) -> tuple[int, str] | None:
    """Flip one bit in each page of a file and fetch every page through a pool of 8 frames.

    Returns the lowest of `bits` whose page was not refused with `CorruptPage`, and what happened
    instead. Also requires that an undamaged page is read, before and after.
    """
    ids, pages = sealed_file(submission, rng, "flips.oor", len(bits) + 1)
    sound, *damaged = ids
    for page_id, bit in zip(damaged, bits, strict=True):
        page = bytearray(pages[page_id])
        page[bit // 8] ^= 1 << bit % 8
        submission.write("flips.oor", bytes(page), page_id * PAGE_SIZE)
    file = submission.PageFile(submission.path("flips.oor"))
    pool = submission.BufferPool(file, 8)
    read_through(pool, sound, pages[sound], "an undamaged page")
    answers = submission.map(pool.fetch, [(page_id,) for page_id in damaged])
    missed = [
        (bit, f"raised {answer.class_name}" if isinstance(answer, RemoteError) else "gave the page")
        for bit, answer in zip(bits, answers, strict=True)
        if not (isinstance(answer, RemoteError) and answer.is_a("CorruptPage"))
    ]
    if missed:
        return min(missed)
    read_through(pool, sound, pages[sound], f"an undamaged page after {len(bits)} damaged ones")
    return None


def read_through(pool: Remote, page_id: int, want: bytes, what: str) -> None:
    """`pool.fetch(page_id).data` must be `want`."""
    try:
        with pool.fetch(page_id) as page:
            got = bytes(page.data)
    except RemoteError as error:
        if error.is_a("NotImplementedError"):
            raise
        raise CriterionFailed(f"fetch({page_id}) of {what} raised {error.message}") from error
    if got != want:
        at = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), len(got))
        raise CriterionFailed(
            f"fetch({page_id}).data of {what}: {len(got)} bytes that differ from byte {at} on"
        )


def counters(pool: Remote) -> tuple[int, int]:
    """`hits` and `misses` of `pool.stats`."""
    stats = pool.stats
    fields = stats.fields if isinstance(stats, Remote) else None
    if fields is not None and {"hits", "misses"} <= fields.keys():
        hits, misses = fields["hits"], fields["misses"]
    else:
        hits, misses = stats.hits, stats.misses
    if type(hits) is not int or type(misses) is not int:
        raise CriterionFailed(f"pool.stats: expected ints, got {show(hits)} and {show(misses)}")
    return hits, misses
