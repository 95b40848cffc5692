"""The page format: bytes, checksum, and the order in which damage is named."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.storage import (
    BadMagic,
    BadPageType,
    ChecksumMismatch,
    CorruptPage,
    MisdirectedPage,
    PageHeader,
    PageType,
    RecordId,
    page_checksum,
    seal,
    verify,
)
from meridian.database.storage.page import check_page_size, format_page
from meridian.testing.storage import check_page_header, encode_page, page_crc

SIZES = st.sampled_from([512, 1024, 4096, 32768])
U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)


def test_the_contract() -> None:
    import meridian.database.storage as api

    check_page_header(api)


def test_the_published_vector() -> None:
    header = PageHeader(7, PageType.DATA, 0, 4096)
    assert header.pack().hex() == "4f4f523107000000010000001000000000"
    assert page_checksum(header.pack() + bytes(4079)) == 0xA006F748
    assert zlib.crc32(b"123456789") == 0xCBF43926


@given(page_id=U32, kind=st.sampled_from(PageType), count=U16, offset=U16, checksum=U32)
def test_a_header_comes_back(
    page_id: int, kind: PageType, count: int, offset: int, checksum: int
) -> None:
    header = PageHeader(page_id, kind, count, offset, checksum)
    assert PageHeader.unpack(header.pack()) == header
    assert header.pack() == struct.pack("<4sIBHHI", b"OOR1", page_id, kind, count, offset, checksum)
    buf = bytearray(b"\xff" * 40)
    header.pack_into(buf)
    assert buf == header.pack() + b"\xff" * 23


@given(size=SIZES, page_id=U32, data=st.data())
def test_every_flipped_bit_is_found(size: int, page_id: int, data: st.DataObject) -> None:
    body = data.draw(st.binary(min_size=0, max_size=64))
    page = bytearray(encode_page(page_id, body, page_size=size))
    assert verify(page, page_id).page_id == page_id
    assert seal(page) == page_crc(page) == page_checksum(bytes(page))
    at, bit = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 7))
    page[at] ^= 1 << bit
    with pytest.raises(BadMagic if at < 4 else ChecksumMismatch) as caught:
        verify(page, page_id)
    assert caught.value.page_id == page_id
    if isinstance(caught.value, ChecksumMismatch):
        assert caught.value.stored != caught.value.computed


def test_damage_is_named_in_order() -> None:
    page = bytearray(encode_page(5, page_type=9))
    with pytest.raises(MisdirectedPage) as misdirected:
        verify(page, 6)
    assert (misdirected.value.page_id, misdirected.value.found) == (6, 5)
    with pytest.raises(BadPageType, match="found type 9"):
        verify(page, 5)
    page[100] ^= 1
    with pytest.raises(ChecksumMismatch):
        verify(page, 6)
    page[0] ^= 1
    with pytest.raises(BadMagic, match="4e 4f 52 31"):
        verify(page, 6)
    with pytest.raises(CorruptPage):
        verify(bytes(4096), 0)


@pytest.mark.parametrize("wrong", ["text", 7, None, [1, 2]])
def test_wrong_types_are_told(wrong: object) -> None:
    for call in (page_checksum, seal, PageHeader.unpack, lambda page: verify(page, 1)):
        with pytest.raises(TypeError, match="Expected bytes-like"):
            call(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, 1, 16])
def test_too_short_is_told(length: int) -> None:
    for call in (page_checksum, PageHeader.unpack, lambda page: verify(page, 1)):
        with pytest.raises(ValueError, match=f"got .*{length}"):
            call(bytes(length))
    with pytest.raises(ValueError, match="17 bytes"):
        PageHeader(1, PageType.DATA).pack_into(bytearray(length))


def test_read_only_pages_cannot_be_sealed_or_formatted() -> None:
    with pytest.raises(TypeError, match="writable"):
        seal(memoryview(bytes(4096)))
    with pytest.raises(TypeError, match="writable"):
        format_page(memoryview(bytes(4096)), 1, PageType.DATA)


@pytest.mark.parametrize(
    ("field", "value"), [("page_id", 2**32), ("page_id", -1), ("record_count", 70000)]
)
def test_fields_that_do_not_fit_are_told(field: str, value: int) -> None:
    values = {"page_id": 1, "page_type": PageType.DATA, field: value}
    with pytest.raises(ValueError, match="does not fit"):
        PageHeader(**values).pack()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -4096, 256, 511, 1000, 4097, 65536, 2**20])
def test_page_sizes_that_the_format_cannot_address(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        check_page_size(size)
    with pytest.raises(TypeError):
        check_page_size(str(size))  # type: ignore[arg-type]


def test_views_of_any_shape_are_accepted() -> None:
    page = bytearray(encode_page(3))
    expected = page_checksum(page)
    doubled = bytearray(8192)
    doubled[::2] = page
    assert page_checksum(memoryview(doubled)[::2]) == expected  # not contiguous: by copy
    assert page_checksum(memoryview(page).cast("I")) == expected
    assert verify(memoryview(page).toreadonly(), 3).page_id == 3


@given(page_id=U32, slot=U16)
def test_record_ids_pack_in_order(page_id: int, slot: int) -> None:
    rid = RecordId(page_id, slot)
    assert RecordId.unpack(rid.pack()) == rid
    assert rid.pack() == page_id << 16 | slot


@given(a=st.tuples(U32, U16), b=st.tuples(U32, U16))
def test_packed_ids_sort_as_pairs(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert (RecordId(*a).pack() < RecordId(*b).pack()) is (a < b)


@pytest.mark.parametrize("bad", [(2**32, 0), (0, 2**16), (-1, 0), (0, -1)])
def test_record_ids_that_do_not_fit(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="got"):
        RecordId(*bad).pack()
    with pytest.raises(ValueError, match="48 bits"):
        RecordId.unpack(2**48)
    with pytest.raises(ValueError, match="48 bits"):
        RecordId.unpack(-1)
