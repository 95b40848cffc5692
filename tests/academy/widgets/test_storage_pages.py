"""Pictures of pages: every byte is accounted for, damage is painted, buttons are the engine's."""

from __future__ import annotations

import base64
import re
import struct
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meridian.academy.widgets.bit_flipper import BitFlipper
from meridian.academy.widgets.page_painter import named_record, record_name
from meridian.academy.widgets.page_regions import Kind, read_page_map
from meridian.academy.widgets.page_sizes import SIZES, pack_page
from meridian.academy.widgets.source_code import show_source
from meridian.academy.widgets.storage_pages import (
    PagePainter,
    PagePicture,
    PageSizes,
    show_chain,
    show_page,
)
from meridian.database.storage import (
    PageHeader,
    PageType,
    SlottedPage,
    page_checksum,
    seal,
)


def filled(*records: bytes, size: int = 1024, page_id: int = 3) -> bytearray:
    buf = bytearray(size)
    page = SlottedPage.format(buf, page_id)
    for record in records:
        assert page.insert(record) is not None
    seal(buf)
    return buf


def overflow_page(page_id: int, following: int, payload: bytes, size: int = 512) -> bytearray:
    buf = bytearray(size)
    PageHeader(page_id, PageType.OVERFLOW, 0, 17).pack_into(buf)
    struct.pack_into("<IH", buf, 17, following, len(payload))
    buf[23 : 23 + len(payload)] = payload
    seal(buf)
    return buf


def svg_of(picture: PagePicture) -> ET.Element:
    return ET.fromstring(picture.svg)


def words(svg: str) -> str:
    """All text of a picture, tooltips left out."""
    return " ".join(
        "".join(node.itertext()) for node in ET.fromstring(svg).iter() if node.tag.endswith("}text")
    )


# Regions


@given(
    size=st.sampled_from([512, 1024, 4096]),
    lengths=st.lists(st.integers(0, 200), max_size=30),
    deleted=st.sets(st.integers(0, 29)),
    compact=st.booleans(),
)
def test_regions_cover_every_byte_once_and_agree_with_the_engine(size, lengths, deleted, compact):
    buf = bytearray(size)
    page = SlottedPage.format(buf, 9)
    for number, length in enumerate(lengths):
        page.insert(bytes([number]) * length)
    for slot in deleted:
        page.delete(slot)
    if compact:
        page.compact()
    seal(buf)

    found = read_page_map(buf)

    assert found.faults == []
    ends = [region.stop for region in found.regions]
    assert [region.start for region in found.regions] == [0, *ends[:-1]]
    assert ends[-1] == size
    assert found.free_contiguous == page.free_contiguous
    assert found.free_total == page.free_total
    assert len(found.slots) == page.slot_count
    for region in found.regions:
        if region.kind is Kind.RECORD:
            assert bytes(buf[region.start : region.stop]) == bytes(page.get(region.slot) or b"")


@given(st.binary(min_size=18, max_size=700))
@example(bytes(8) + b"\x04" + bytes(9))  # an overflow page too short for its link
@example(b"OOR1" + bytes(4) + b"\x01\xff\xff" + bytes(600))  # more slots than bytes
def test_any_bytes_at_all_can_be_painted(noise):
    found = read_page_map(noise)
    assert sum(region.stop - region.start for region in found.regions) == len(noise)
    assert found.faults, "noise cannot carry the right checksum by chance in this many tries"
    ET.fromstring(show_page(noise).svg)


@given(st.integers(0, 8 * 1024 - 1))
def test_any_flipped_bit_is_painted_as_a_fault(bit):
    page = filled(b"ISS", b"HUBBLE" * 20, b"TERRA" * 30)
    page[bit // 8] ^= 1 << bit % 8
    picture = show_page(page, mark=bit // 8)
    assert "✘" in words(picture.svg)
    assert re.search(r"CRC stored 0x\w{8}, computed 0x\w{8}", words(picture.svg))


def test_garbage_is_what_no_live_slot_points_at():
    page = filled(b"a" * 100, b"b" * 50, b"c" * 70)
    SlottedPage(page).delete(1)
    seal(page)
    garbage = [r for r in read_page_map(page).regions if r.kind is Kind.GARBAGE]
    assert [(r.start, r.stop) for r in garbage] == [(1024 - 150, 1024 - 100)]


def test_overlapping_and_straying_slots_are_named():
    page = filled(b"a" * 100, b"b" * 50)
    struct.pack_into("<HH", page, 17, 1000, 100)  # past the end
    struct.pack_into("<HH", page, 21, 20, 10)  # inside the directory
    assert read_page_map(page, sealed=False).faults == [
        "slot 0 points outside the record region",
        "slot 1 points outside the record region",
    ]
    page = filled(b"a" * 100, b"b" * 50)
    struct.pack_into("<HH", page, 21, 1024 - 120, 50)
    assert "slot 0 overlaps the record before it" in read_page_map(page, sealed=False).faults


def test_other_page_types_show_their_own_fields():
    free = bytearray(512)
    PageHeader(4, PageType.FREE, 0, 17).pack_into(free)
    struct.pack_into("<I", free, 17, 9)
    seal(free)
    assert "next free 9" in words(show_page(free).svg)
    chained = overflow_page(5, 6, b"x" * 300)
    assert "payload 300 bytes" in words(show_page(chained).svg)
    index = bytearray(512)
    PageHeader(6, PageType.INDEX, 0, 17).pack_into(index)
    seal(index)
    assert read_page_map(index).regions[-1].kind is Kind.BODY


# show_page


def test_a_picture_survives_an_untrusted_notebook():
    bundle = show_page(filled(b"ISS"))._repr_mimebundle_()
    encoded = re.fullmatch(
        r'<img alt="[^"]*" src="data:image/svg\+xml;base64,([^"]+)">', bundle["text/html"]
    )
    assert encoded is not None
    assert base64.b64decode(encoded[1]).startswith(b"<svg")
    assert bundle["text/plain"].startswith("[picture] page 3, DATA, 1,024 bytes, 1 record, free")


def test_the_legend_adds_up_to_the_page():
    page = filled(b"a" * 100, b"b" * 50, b"c" * 70)
    SlottedPage(page).delete(0)
    seal(page)
    totals = [
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) B\b", words(show_page(page).svg))
    ]
    assert sum(totals) == 1024


def test_hex_shows_the_bytes_asked_for():
    page = filled(b"OBJECT 25544")
    shown = words(show_page(page, hex=(0, 16)).svg)
    assert page[:16].hex(" ") in shown
    assert "OOR1" in shown


def test_equal_pages_give_equal_pictures_and_others_do_not():
    assert show_page(filled(b"a")).svg == show_page(filled(b"a")).svg
    assert show_page(filled(b"a")).svg != show_page(filled(b"b")).svg


def test_arrows_are_drawn_for_the_slots_named():
    page = filled(*[b"x" * 30] * 20)
    drawn = [
        show_page(page, arrows=arrows).svg.count("marker-end")
        for arrows in (None, True, False, [17], [17, 99])
    ]
    assert drawn == [0, 20, 0, 1, 1]


def test_labels_are_escaped():
    picture = show_page(filled(b"x" * 90), label=lambda _: "<script>alert(1)</script>")
    assert "<script>" not in picture.svg
    assert "<script>alert(1)</script>" in words(picture.svg)


def test_save_writes_the_svg(tmp_path):
    picture = show_page(filled(b"ISS"))
    assert picture.save(tmp_path / "page.svg").read_text(encoding="utf-8") == picture.svg


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (None, TypeError),
        (7, TypeError),
        ("text", TypeError),
        (b"", ValueError),
        (bytes(17), ValueError),
    ],
)
def test_what_is_not_a_page_is_refused(bad, error):
    with pytest.raises(error, match="Expected a page"):
        show_page(bad)


@pytest.mark.parametrize("mark", [-1, 1024])
def test_a_mark_outside_the_page_is_refused(mark):
    with pytest.raises(ValueError, match="from 0 to 1,023"):
        show_page(filled(b"a"), mark=mark)


@pytest.mark.parametrize("size", SIZES)
def test_every_page_size_stays_within_a_screen(size):
    page, _ = pack_page(size, bytes(82), 1)
    svg = svg_of(show_page(page))
    height = float(svg.attrib["height"])
    assert height < 900
    for node in svg.iter():
        if node.tag.endswith("}text"):
            assert 0 < float(node.attrib["y"]) <= height


# Chains


def chained_pages() -> dict[int, bytearray]:
    home = bytearray(512)
    page = SlottedPage.format(home, 1)
    page.insert(b"plain")
    page.insert(struct.pack("<II", 700, 2), overflow=True)
    seal(home)
    return {
        1: home,
        2: overflow_page(2, 5, b"x" * 400),
        5: overflow_page(5, 0, b"y" * 300),
    }


def test_a_chain_is_followed_to_its_end():
    picture = show_chain(chained_pages().__getitem__, 1, 1)
    assert picture.summary == "record (1, 1) of 700 bytes on pages 2 -> 5"
    assert "payloads add up: 700 bytes" in words(picture.svg)


def test_a_damaged_chain_is_painted_with_what_is_wrong():
    pages = chained_pages()
    pages[5] = overflow_page(5, 2, b"y" * 300)
    assert "comes back to page 2" in show_chain(pages.__getitem__, 1, 1).summary
    assert "stroke-dasharray" in show_chain(pages.__getitem__, 1, 1).svg
    pages[5] = overflow_page(5, 0, b"y" * 299)
    assert "stroke-dasharray" not in show_chain(pages.__getitem__, 1, 1).svg
    assert "699 bytes found, 700 promised" in show_chain(pages.__getitem__, 1, 1).summary
    pages[5] = filled(b"no", size=512, page_id=5)
    assert "page 5 is DATA, not OVERFLOW" in show_chain(pages.__getitem__, 1, 1).summary


@pytest.mark.parametrize("slot", [0, 2, -1])
def test_a_slot_without_a_chain_is_refused(slot):
    with pytest.raises(ValueError, match="holds no overflow stub"):
        show_chain(chained_pages().__getitem__, 1, slot)


# Widgets


def press(box, words_on_it: str) -> None:
    def buttons(widget):
        for child in getattr(widget, "children", ()):
            if getattr(child, "description", "") == words_on_it and hasattr(child, "click"):
                yield child
            yield from buttons(child)

    (button,) = buttons(box)
    button.click()


def test_buttons_do_what_the_engine_does():
    painter = PagePainter(512)
    for _ in range(4):
        press(painter, "Insert")
    assert painter.page.slot_count == 4
    assert painter._slot.value == 0, "a slot is chosen from the start"
    painter._slot.value = 1
    press(painter, "Delete")
    assert painter._slot.value == 0
    assert painter.page.get(1) is None
    kept = {slot: bytes(painter.page.get(slot)) for slot in (0, 2, 3)}
    press(painter, "Compact")
    assert {slot: bytes(painter.page.get(slot)) for slot in (0, 2, 3)} == kept
    assert painter.page.free_contiguous == painter.page.free_total
    press(painter, "Insert")
    assert painter.page.slot_count == 4, "the tombstone is taken again"
    press(painter, "Start again")
    assert painter.page.slot_count == 0


def test_a_refused_insert_says_which_space_ran_out():
    painter = PagePainter(512)
    for length in (150, 150, 150):
        painter.insert(length)
    painter.delete(0)
    before = bytes(painter.buf)
    assert painter.insert(200) is None
    assert "not even in total" in painter.said
    assert painter.insert(120) is None
    assert "compacting would make room" in painter.said
    assert bytes(painter.buf) == before
    assert "✘" in words(painter.svg())
    painter.compact()
    assert painter.insert(120) == 0
    assert painter.insert(60) is None, "63 bytes are left, and a new slot takes 4 of them"
    assert "needs 64, has 63" in painter.said
    assert "not even in total" in painter.said


def test_compacting_shows_where_records_lay():
    painter = PagePainter(512)
    for length in (60, 60, 60):
        painter.insert(length)
    painter.delete(0)
    painter.compact()
    assert painter.svg().count("stroke-dasharray") >= 2
    painter.insert(40)
    assert painter._before == []


def test_the_painter_shows_a_picture_without_a_kernel():
    bundle = PagePainter(512)._repr_mimebundle_()
    assert "data:image/svg+xml" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_records_carry_their_names():
    assert record_name(named_record("ISS 25544", 96)) == "ISS 25544"
    assert record_name(named_record("ISS 25544", 5)) == "ISS 2"
    with pytest.raises(ValueError, match="at least one name"):
        PagePainter(512, names=())


@pytest.mark.parametrize(
    ("byte", "error", "part"),
    [(0, "BadMagic", "magic"), (9, "ChecksumMismatch", "slots"), (14, "ChecksumMismatch", "CRC"),
     (1000, "ChecksumMismatch", "record")],
)  # fmt: skip
def test_the_flipper_reports_what_the_engine_says(byte, error, part):
    page = filled(b"ISS" * 30)
    flipper = BitFlipper(page, 3)
    flipper.byte.value = byte
    outcome = flipper.outcome()
    assert (outcome.byte, outcome.error) == (byte, error)
    assert part in outcome.part
    assert error in words(flipper.svg())
    assert flipper.svg() in flipper._view.value
    assert sum(a != b for a, b in zip(page, flipper.flipped(), strict=True)) == 1
    if error == "ChecksumMismatch":
        assert f"{page_checksum(flipper.flipped()):#010x}" in words(flipper.svg())


def test_the_sizes_are_counted_on_a_real_page():
    page, packing = pack_page(4096, bytes(82), 100_000)
    assert (packing.records, packing.wasted_bytes, packing.pages) == (47, 242, 2128)
    assert read_page_map(page).faults == []
    sizes = PageSizes(bytes(82))
    sizes.size.value = 512
    assert "20,000 pages" in words(sizes._view.value)
    with pytest.raises(ValueError, match="does not fit"):
        pack_page(512, bytes(600), 1)


# Source


def test_source_is_that_of_the_running_library():
    listing = show_source(page_checksum, SlottedPage.insert, SlottedPage.free_total)
    assert "def page_checksum" in listing.text
    assert "\ndef insert" in listing.text, "methods are shown without their indent"
    assert "def free_total" in listing.text
    assert "meridian.database.storage.page.page_checksum" in repr(listing)
    assert listing._repr_markdown_().count("```python") == 3


@pytest.mark.parametrize("thing", [len, 7, "text"])
def test_what_has_no_source_is_refused(thing):
    with pytest.raises(TypeError, match="No Python source"):
        show_source(thing)
    with pytest.raises(ValueError, match="got nothing"):
        show_source()
