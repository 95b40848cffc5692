"""Slotted pages against a list of records, and directories that lie."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import meridian.database.storage as api
from meridian.database.storage import BadSlot, PageHeader, SlottedPage
from meridian.testing.storage import check_slotted_page, decode_page

RECORDS = st.binary(max_size=200) | st.binary(min_size=400, max_size=520)


def new_page(size: int = 4096) -> tuple[SlottedPage, bytearray]:
    buf = bytearray(size)
    return SlottedPage.format(buf, 3), buf


def test_the_contract() -> None:
    check_slotted_page(api)


class PageAgainstDict(RuleBasedStateMachine):
    """The oracle: a dict of slot to bytes. Space is checked by arithmetic from the definition."""

    @initialize(size=st.sampled_from([512, 1024, 4096]))
    def start(self, size: int) -> None:
        self.size = size
        self.page, self.buf = new_page(size)
        self.model: dict[int, bytes | None] = {}

    def free(self) -> int:
        live = sum(len(r) for r in self.model.values() if r is not None)
        return self.size - 17 - 4 * len(self.model) - live

    @rule(record=RECORDS, reuse=st.booleans(), overflow=st.booleans())
    def insert(self, record: bytes, reuse: bool, overflow: bool) -> None:
        before, contiguous = bytes(self.buf), self.page.free_contiguous
        holes = [slot for slot, kept in self.model.items() if kept is None]
        expected = min(holes) if holes and reuse else len(self.model)
        need = len(record) + (0 if expected < len(self.model) else 4)
        slot = self.page.insert(record, reuse_slots=reuse, overflow=overflow)
        if need > contiguous:
            assert slot is None
            assert self.buf == before
        else:
            assert slot == expected
            assert self.page.is_overflow(slot) is overflow
            self.model[slot] = record

    @rule(slot=st.integers(-2, 60))
    def delete(self, slot: int) -> None:
        assert self.page.delete(slot) is (self.model.get(slot) is not None)
        if slot in self.model:
            self.model[slot] = None

    @rule(slot=st.integers(-2, 60), record=RECORDS)
    def update(self, slot: int, record: bytes) -> None:
        before, old = bytes(self.buf), self.model.get(slot)
        done = self.page.update(slot, record)
        assert done is (old is not None and len(record) <= len(old) + self.free())
        if done:
            self.model[slot] = record
        else:
            assert self.buf == before

    @rule()
    def compact(self) -> None:
        contiguous = self.page.free_contiguous
        gained = self.page.compact()
        assert self.page.free_contiguous == self.page.free_total == contiguous + gained
        end = 17 + 4 * self.page.slot_count
        assert not any(self.buf[end : end + self.page.free_contiguous]), "stale bytes stay"
        before = bytes(self.buf)
        assert self.page.compact() == 0
        assert self.buf == before

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "page"):
            return
        self.page.check()
        assert self.page.slot_count == len(self.model)
        assert self.page.live_count == sum(r is not None for r in self.model.values())
        assert self.page.free_total == self.free() >= self.page.free_contiguous >= 0
        for slot, record in self.model.items():
            found = self.page.get(slot)
            assert (None if found is None else bytes(found)) == record
        stored = [None if r is None else r for r in self.model.values()]
        assert decode_page(self.buf).records == stored


PageAgainstDict.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestPageAgainstDict = PageAgainstDict.TestCase


@pytest.mark.parametrize(("length", "fit"), [(82, 47), (140, 28), (4075, 1), (4076, 0), (0, 1019)])
def test_how_many_records_fit(length: int, fit: int) -> None:
    page, _ = new_page()
    slots = [page.insert(bytes(length)) for _ in range(fit + 1)]
    assert slots == [*range(fit), None]


def test_exactly_the_free_bytes_fit_into_a_reused_slot() -> None:
    page, _ = new_page()
    for _ in range(47):
        page.insert(bytes(82))
    page.delete(10)
    page.delete(20)
    assert page.insert(bytes(page.free_total)) is None
    page.compact()
    assert page.insert(bytes(page.free_total)) == 10
    assert page.free_total == 0
    assert page.insert(b"") == 20


@pytest.mark.parametrize("record", [b"", bytearray(b"abc"), memoryview(b"abcdef")[::2]])
def test_records_of_any_bytes_like_kind(record: bytes) -> None:
    page, _ = new_page()
    slot = page.insert(record)
    assert slot is not None
    found = page.get(slot)
    assert found is not None
    assert bytes(found) == bytes(record)


def test_wrong_types_are_told() -> None:
    page, buf = new_page()
    with pytest.raises(TypeError, match="bytes-like"):
        page.insert("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="slot as int"):
        page.get("0")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="writable"):
        SlottedPage(bytes(buf)).insert(b"x")
    with pytest.raises(ValueError, match="power of two"):
        SlottedPage(bytearray(1000))
    with pytest.raises(TypeError, match="bytes-like"):
        SlottedPage(None)  # type: ignore[arg-type]


def test_an_update_may_take_its_bytes_from_the_page_itself() -> None:
    page, _ = new_page(512)
    page.insert(b"a" * 100)
    page.insert(b"b" * 150)
    page.insert(b"c" * 100)
    page.delete(0)
    source = page.get(1)
    assert source is not None
    assert page.update(2, source)
    found = page.get(2)
    assert found is not None
    assert bytes(found) == b"b" * 150


def with_directory(count: int, start: int, slots: list[tuple[int, int]]) -> SlottedPage:
    page, buf = new_page()
    buf[:17] = PageHeader(3, api.PageType.DATA, count, start).pack()
    for i, (offset, length) in enumerate(slots):
        at = 17 + 4 * i
        buf[at : at + 4] = offset.to_bytes(2, "little") + length.to_bytes(2, "little")
    return page


@pytest.mark.parametrize(
    ("count", "start", "slots", "slot"),
    [
        (1, 4000, [(4000, 200)], 0),  # leaves the page
        (1, 4000, [(18, 10)], 0),  # inside the directory
        (2, 4000, [(4000, 50), (4020, 30)], 0),  # overlap
        (1, 4000, [(3990, 10)], 0),  # in free space
        (1, 4000, [(0xFFFF, 5)], 0),  # deleted, with a length
        (1100, 4096, [], 1100),  # directory longer than the page
        (0, 5000, [], 0),  # records begin behind the page
        (2, 20, [], 2),  # directory and records overlap
    ],
)
def test_a_directory_that_lies(
    count: int, start: int, slots: list[tuple[int, int]], slot: int
) -> None:
    page = with_directory(count, start, slots)
    before = bytes(page._view)
    with pytest.raises(BadSlot) as caught:
        page.check()
    assert (caught.value.page_id, caught.value.slot) == (3, slot)
    with pytest.raises(BadSlot):
        page.compact()
    assert page._view == before


@given(seed=st.integers(0, 2**32), holes=st.integers(0, 60))
@settings(max_examples=200)
def test_random_directories_never_lead_outside(seed: int, holes: int) -> None:
    """Whatever a directory says, the only error is `BadSlot` and no call changes the length."""
    rng = random.Random(seed)
    start = rng.choice([rng.randrange(65536), rng.randrange(200, 4097)])
    slots = [(rng.randrange(65536), rng.randrange(65536)) for _ in range(holes)]
    slots = [(o % 4200, n % 300) if rng.random() < 0.7 else (o, n) for o, n in slots]
    page = with_directory(rng.choice([holes, rng.randrange(65536)]), start, slots)
    for slot in (0, 1, holes, 5000, 70000):
        for call in (page.get, page.delete, page.is_overflow):
            try:
                found = call(slot)
            except BadSlot:
                continue
            assert not isinstance(found, memoryview) or len(found) <= 4096
    for attempt in (
        page.compact,
        page.check,
        lambda: page.insert(b"x"),
        lambda: page.update(0, b"y" * 90),
    ):
        try:
            attempt()
        except BadSlot:
            continue
    assert len(page._view) == 4096
