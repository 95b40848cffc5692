"""What every byte of a page is for, read tolerantly so that a damaged page can be looked at too.

The storage engine refuses a page that fails one check. A picture of that page is exactly what one
wants then, so this module reads the bytes itself, reports what is wrong as `faults`, and never
raises on content. The layout is the one of ``meridian/database/storage/page.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from meridian.database.storage import HEADER_SIZE, MAGIC, SLOT_SIZE, TOMBSTONE, page_checksum

__all__ = ["Kind", "PageMap", "Region", "Slot", "read_page_map"]

MIN_PAGE_SIZE = 512
PAGE_TYPES = ("FILE_HEADER", "DATA", "INDEX", "FREE", "OVERFLOW")
OVERFLOW_FLAG = 0x8000  # bit 15 of a slot's length: the slot holds the stub of a chain
_STUB = struct.Struct("<II")
_HEADER_FIELDS = (
    ("magic", 0, 4),
    ("page id", 4, 8),
    ("type", 8, 9),
    ("slots", 9, 11),
    ("free offset", 11, 13),
    ("CRC", 13, 17),
)
_FILE_FIELDS = (
    ("version", 2),
    ("page size", 4),
    ("page count", 4),
    ("free head", 4),
    ("free count", 4),
    ("flags", 4),
    ("roots", 128),
)


class Kind(Enum):
    """The part a run of bytes plays. Values are the words of the legend."""

    HEADER = "header field"
    CHECKSUM = "checksum"
    SLOT = "slot"
    TOMBSTONE = "tombstone"
    FREE = "free"
    RECORD = "record"
    STUB = "overflow stub"
    GARBAGE = "garbage"
    LINK = "link"
    PAYLOAD = "overflow payload"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes ``start:stop`` of a page and what they are for."""

    start: int
    stop: int
    kind: Kind
    label: str = ""
    detail: str = ""
    slot: int = -1


@dataclass(frozen=True, slots=True)
class Slot:
    """One entry of the slot directory as stored; `live` is false for a tombstone."""

    index: int
    offset: int
    length: int
    live: bool
    overflow: bool


@dataclass(slots=True)
class PageMap:
    """A page taken apart. `regions` cover every byte once, in order."""

    size: int
    page_id: int
    page_type: str
    free_space_offset: int
    stored: int
    computed: int
    sealed: bool = True
    regions: list[Region] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def crc_differs(self) -> bool:
        return self.sealed and self.stored != self.computed

    @property
    def free_contiguous(self) -> int:
        return sum(r.stop - r.start for r in self.regions if r.kind is Kind.FREE)

    @property
    def free_total(self) -> int:
        return self.free_contiguous + sum(
            r.stop - r.start for r in self.regions if r.kind is Kind.GARBAGE
        )

    def at(self, byte: int) -> Region:
        """The region that holds `byte`. Raises `IndexError` outside the page."""
        for region in self.regions:
            if region.start <= byte < region.stop:
                return region
        raise IndexError(f"Byte {byte} lies outside the page of {self.size} bytes")

    def summary(self) -> str:
        """One line a reader can take in, also the text form of a picture."""
        parts = [f"page {self.page_id}", self.page_type, f"{self.size:,} bytes"]
        if self.page_type == "DATA":
            live = sum(slot.live for slot in self.slots)
            dead = len(self.slots) - live
            counts = [_count(live, "record"), *([_count(dead, "tombstone")] if dead else [])]
            parts.append(" and ".join(counts))
            parts.append(f"free {self.free_contiguous:,} contiguous of {self.free_total:,}")
        return ", ".join(parts)


def read_page_map(
    buf: bytes | bytearray | memoryview,
    *,
    label: Callable[[bytes], str] | None = None,
    sealed: bool = True,
) -> PageMap:
    """Take a page of any type apart.

    `label` turns a record's bytes into the short text painted on it; without one a record shows
    its slot number. ``sealed=False`` is for a page in memory, whose checksum is not yet written.
    Raises `TypeError` for something that has no bytes and `ValueError` for a buffer too small to
    hold a page header.
    """
    try:
        page = bytes(memoryview(buf).cast("B"))
    except TypeError as error:
        raise TypeError(f"Expected a page as bytes, got {type(buf).__name__}") from error
    if len(page) <= HEADER_SIZE:
        raise ValueError(f"Expected a page of more than {HEADER_SIZE} bytes, got {len(page)}")

    page_id, kind, count, free_offset, stored = struct.unpack_from("<IBHHI", page, 4)
    named = PAGE_TYPES[kind] if kind < len(PAGE_TYPES) else f"type {kind}"
    result = PageMap(len(page), page_id, named, free_offset, stored, page_checksum(page), sealed)
    if page[:4] != MAGIC:
        result.faults.append(f"magic is {page[:4].hex(' ')}, not {MAGIC.hex(' ')} ({MAGIC!r})")
    if result.crc_differs:
        result.faults.append(f"CRC stored {stored:#010x}, computed {result.computed:#010x}")
    if kind >= len(PAGE_TYPES):
        result.faults.append(f"page type {kind} does not exist")

    header = [
        Region(
            start, stop, Kind.CHECKSUM if name == "CRC" else Kind.HEADER, name, _value(page, name)
        )
        for name, start, stop in _HEADER_FIELDS
    ]
    if len(page) < MIN_PAGE_SIZE:
        result.faults.append(f"{len(page)} bytes, and a page has {MIN_PAGE_SIZE} at least")
        body = _opaque_body(page, result)
    elif named == "DATA":
        body = _slotted_body(page, result, count, label)
    else:
        body = _BODIES.get(named, _opaque_body)(page, result)
    result.regions = [*header, *body]
    return result


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _value(page: bytes, name: str) -> str:
    start, stop = next((a, b) for n, a, b in _HEADER_FIELDS if n == name)
    if name == "magic":
        return repr(page[start:stop])[1:]
    number = int.from_bytes(page[start:stop], "little")
    return f"{number:#010x}" if name == "CRC" else f"{number:,}"


def _opaque_body(page: bytes, _: PageMap) -> Iterator[Region]:
    yield Region(HEADER_SIZE, len(page), Kind.BODY, "body")


def _file_header_body(page: bytes, _: PageMap) -> Iterator[Region]:
    start = HEADER_SIZE
    for name, width in _FILE_FIELDS:
        stop = min(start + width, len(page))
        text = "16 x u64" if name == "roots" else str(int.from_bytes(page[start:stop], "little"))
        yield Region(start, stop, Kind.LINK, name, text)
        start = stop
    if start < len(page):
        yield Region(start, len(page), Kind.FREE, "unused")


def _free_body(page: bytes, _: PageMap) -> Iterator[Region]:
    following = int.from_bytes(page[HEADER_SIZE : HEADER_SIZE + 4], "little")
    yield Region(HEADER_SIZE, HEADER_SIZE + 4, Kind.LINK, "next free", str(following))
    yield Region(HEADER_SIZE + 4, len(page), Kind.FREE, "unused")


def _overflow_body(page: bytes, result: PageMap) -> Iterator[Region]:
    following, length = struct.unpack_from("<IH", page, HEADER_SIZE)
    start = HEADER_SIZE + 6
    stop = start + length
    if stop > len(page):
        result.faults.append(f"payload of {length:,} bytes runs past the page end")
        stop = len(page)
    yield Region(HEADER_SIZE, HEADER_SIZE + 4, Kind.LINK, "next", str(following))
    yield Region(HEADER_SIZE + 4, start, Kind.LINK, "length", str(length))
    if stop > start:
        yield Region(start, stop, Kind.PAYLOAD, f"payload {stop - start:,} bytes")
    if stop < len(page):
        yield Region(stop, len(page), Kind.FREE, "unused")


_BODIES = {"FILE_HEADER": _file_header_body, "FREE": _free_body, "OVERFLOW": _overflow_body}


def _slotted_body(
    page: bytes, result: PageMap, count: int, label: Callable[[bytes], str] | None
) -> Iterator[Region]:
    fits = (len(page) - HEADER_SIZE) // SLOT_SIZE
    if count > fits:
        result.faults.append(f"{count:,} slots do not fit the page")
        yield Region(HEADER_SIZE, len(page), Kind.BODY, f"unreadable: {count:,} slots?")
        return
    directory_end = HEADER_SIZE + SLOT_SIZE * count
    records: list[Region] = []
    for index in range(count):
        base = HEADER_SIZE + SLOT_SIZE * index
        offset, raw_length = struct.unpack_from("<HH", page, base)
        live = offset != TOMBSTONE
        overflow = live and bool(raw_length & OVERFLOW_FLAG)
        length = raw_length & ~OVERFLOW_FLAG if overflow else raw_length
        slot = Slot(index, offset, length, live, overflow)
        result.slots.append(slot)
        where = f"{offset:,} +{length}" if live else "deleted"
        yield Region(
            base,
            base + SLOT_SIZE,
            Kind.SLOT if live else Kind.TOMBSTONE,
            str(index) if live else "†",
            where,
            index,
        )
        if live:
            if offset < directory_end or offset + length > len(page):
                result.faults.append(f"slot {index} points outside the record region")
            elif length:
                records.append(_record(page, slot, label))

    edge = min(max(result.free_space_offset, directory_end), len(page))
    if edge != result.free_space_offset:
        result.faults.append(f"free offset {result.free_space_offset:,} is outside the page body")
    position = directory_end
    for region in sorted(records, key=lambda r: (r.start, r.stop)):
        if region.start < position:
            result.faults.append(f"slot {region.slot} overlaps the record before it")
            if region.stop <= position:
                continue
            region = Region(
                position, region.stop, region.kind, region.label, region.detail, region.slot
            )
        yield from _gap(position, region.start, edge)
        yield region
        position = region.stop
    yield from _gap(position, len(page), edge)


def _record(page: bytes, slot: Slot, label: Callable[[bytes], str] | None) -> Region:
    stop = slot.offset + slot.length
    if slot.overflow:
        text = "stub"
        if slot.length == _STUB.size:
            total, first = _STUB.unpack_from(page, slot.offset)
            text = f"{total:,} bytes from page {first}"
        return Region(slot.offset, stop, Kind.STUB, f"{slot.index}", text, slot.index)
    text = f"{slot.index}" if label is None else label(page[slot.offset : stop])
    return Region(slot.offset, stop, Kind.RECORD, text, f"slot {slot.index}", slot.index)


def _gap(start: int, stop: int, edge: int) -> Iterator[Region]:
    """Bytes no record owns: free below `edge`, where the record region begins; garbage above."""
    if start < min(stop, edge):
        yield Region(start, min(stop, edge), Kind.FREE, "free space")
    if max(start, edge) < stop:
        yield Region(max(start, edge), stop, Kind.GARBAGE, "")
