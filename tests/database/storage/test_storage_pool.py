"""The buffer pool: what is where, what is written when, what a fault leaves behind."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import meridian.database.storage as api
from meridian.database.storage import (
    BadMagic,
    BufferPool,
    ChecksumMismatch,
    PageFile,
    PageOutOfRange,
    PageType,
    PinError,
    PinLeak,
    PinnedPage,
    PoolExhausted,
    SlottedPage,
    StorageClosed,
)
from meridian.testing import FaultyFileSystem
from meridian.testing.storage import check_buffer_pool, decode_page, page_crc
from tests.database.storage.support import record_of

MakePool = Callable[..., BufferPool]
POLICIES = pytest.mark.parametrize("policy", ["lru", "clock", "2q"])


def on_disk(path: Path, page_id: int) -> bytes:
    return path.read_bytes()[page_id * 4096 : (page_id + 1) * 4096]


def write(pool: BufferPool, page_id: int, word: bytes) -> None:
    with pool.fetch(page_id) as page:
        page.data_mut()[2000 : 2000 + len(word)] = word


def check_tables(pool: BufferPool) -> None:
    """The page table, the frames and the free frames say the same thing."""
    table, loaded = pool._table, {}
    for page_id in range(len(pool.page_table)):
        if pool.page_table[page_id] >= 0:
            loaded[page_id] = int(pool.page_table[page_id])
    assert loaded == table.frame_of
    assert sorted(loaded) == pool.resident()
    assert len(set(loaded.values())) == len(loaded)
    for frame in range(pool.frames):
        page_id = table.page_of[frame]
        assert page_id == -1 or loaded[page_id] == frame
        assert (page_id == -1) is (frame in table.free)
    for frame in table.free:
        assert (pool.pin_counts[frame], pool.dirty_bits[frame]) == (0, 0)
    assert (pool.pin_counts >= 0).all()
    assert not pool._loader._transit
    assert not pool._writer.leaving
    assert not pool._writer.in_flight


def test_the_contract(tmp_path: Path) -> None:
    check_buffer_pool(api, tmp_path, ("lru", "clock", "2q"))


class PoolAgainstDict(RuleBasedStateMachine):
    """Any order of calls; the oracle is a dict of page contents and a dict of pins."""

    @initialize(policy=st.sampled_from(["lru", "clock", "2q"]), frames=st.integers(2, 6))
    def start(self, policy: str, frames: int) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.faults = FaultyFileSystem()
        self.path = Path(self.folder.name) / "a.oor"
        self.file = PageFile(self.path, 512, fs=self.faults)
        self.pool = BufferPool(self.file, frames, policy)
        self.content: dict[int, int] = {}
        self.held: list[PinnedPage] = []
        self.clock = 0

    def pins(self) -> dict[int, int]:
        pages = [page.page_id for page in self.held]
        return {page: pages.count(page) for page in pages}

    def has_room(self, page_id: int = 0) -> bool:
        return page_id in self.pins() or len(self.pins()) < self.pool.frames

    @rule()
    def new(self) -> None:
        if self.has_room():
            with self.pool.new_page() as page:
                self.content[page.page_id] = 0
        else:
            with pytest.raises(PoolExhausted):
                self.pool.new_page()

    @precondition(lambda self: self.content)
    @rule(data=st.data(), scan=st.booleans(), hold=st.booleans(), change=st.booleans())
    def fetch(self, data: st.DataObject, scan: bool, hold: bool, change: bool) -> None:
        page_id = data.draw(st.sampled_from(sorted(self.content)))
        if not self.has_room(page_id):
            with pytest.raises(PoolExhausted) as caught:
                self.pool.fetch(page_id, scan=scan)
            assert caught.value.pins == self.pins()
            return
        page = self.pool.fetch(page_id, scan=scan)
        assert int.from_bytes(page.data[200:208], "little") == self.content[page_id]
        if change:
            self.clock += 1
            page.data_mut()[200:208] = self.clock.to_bytes(8, "little")
            self.content[page_id] = self.clock
        if hold:
            self.held.append(page)
        else:
            page.unpin()

    @precondition(lambda self: self.content)
    @rule(data=st.data(), nth=st.integers(1, 2), op=st.sampled_from(["preadv", "pwritev"]))
    def fetch_with_a_failing_disk(self, data: st.DataObject, nth: int, op: str) -> None:
        page_id = data.draw(st.sampled_from(sorted(self.content)))
        self.faults.fail(op, nth)
        try:
            with self.pool.fetch(page_id) as page:
                assert int.from_bytes(page.data[200:208], "little") == self.content[page_id]
        except (OSError, PoolExhausted):
            pass
        self.faults.heal()

    @precondition(lambda self: self.content)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        page_id = data.draw(st.sampled_from(sorted(self.content)))
        if page_id in self.pins():
            with pytest.raises(PinError, match="cannot be freed"):
                self.pool.free_page(page_id)
        else:
            self.pool.free_page(page_id)
            del self.content[page_id]
            assert page_id not in self.pool.resident()

    @precondition(lambda self: self.content)
    @rule(data=st.data())
    def fetch_many(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.content)), max_size=5))
        before = self.pins()
        if len(set(ids) | set(before)) > self.pool.frames:
            with pytest.raises(PoolExhausted):
                self.pool.fetch_many(ids)
        else:
            frames = self.pool.fetch_many(ids)
            assert self.pool.page_table[ids].tolist() == frames.tolist()
            for page_id, frame in zip(ids, frames, strict=True):
                found = int.from_bytes(self.pool.arena[frame, 200:208].tobytes(), "little")
                assert found == self.content[page_id]
            self.pool.unpin_many(frames)
        assert self.pool.pinned() == before

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0, 10))
    def unpin(self, index: int) -> None:
        page = self.held.pop(index % len(self.held))
        page.unpin()
        with pytest.raises(PinError):
            page.unpin()

    @rule(limit=st.integers(0, 4))
    def flush_some(self, limit: int) -> None:
        assert self.pool.flush_some(limit) <= limit

    @rule(fail=st.booleans())
    def flush_all(self, fail: bool) -> None:
        dirty = int(self.pool.dirty_bits.sum())
        if fail and dirty:
            self.faults.fail("pwritev")
            with pytest.raises(OSError, match="Input/output"):
                self.pool.flush_all()
            assert int(self.pool.dirty_bits.sum()) == dirty
        else:
            assert self.pool.flush_all() == dirty
            assert not self.pool.dirty_bits.any()
            raw = self.path.read_bytes()
            for page_id, value in self.content.items():
                page = raw[page_id * 512 : (page_id + 1) * 512]
                assert decode_page(page).checksum == page_crc(page)
                assert int.from_bytes(page[200:208], "little") == value

    @invariant()
    def consistent(self) -> None:
        if hasattr(self, "pool"):
            check_tables(self.pool)
            assert self.pool.pinned() == self.pins()

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            for page in self.held:
                page.unpin()
            self.pool.close()
            self.file.close()
            self.folder.cleanup()


PoolAgainstDict.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPoolAgainstDict = PoolAgainstDict.TestCase


@POLICIES
def test_the_victim_of_a_failed_load_is_safe(
    make_pool: MakePool, path: Path, faults: FaultyFileSystem, policy: str
) -> None:
    """Written once, whole in the file; the frame empty; the failed page in no table."""
    pool = make_pool(2, policy)
    write(pool, 1, b"kept")
    with pool.fetch(2):
        faults.fail("preadv")
        before = faults.counts["pwritev"]
        with pytest.raises(OSError, match="Input/output"):
            pool.fetch(9)
        assert faults.counts["pwritev"] == before + 1
        assert decode_page(on_disk(path, 1)).checksum == page_crc(on_disk(path, 1))
        assert on_disk(path, 1)[2000:2004] == b"kept"
        assert pool.resident() == [2]
        check_tables(pool)
        assert record_of(pool, 9) == b"page 9"
    assert pool.stats.writebacks == 1


@POLICIES
@pytest.mark.parametrize("damage", [0, 100, 4000])
def test_a_damaged_page_hurts_nobody_else(
    make_pool: MakePool, path: Path, faults: FaultyFileSystem, policy: str, damage: int
) -> None:
    pool = make_pool(4, policy)
    faults.flip_bit(path, 7 * 4096 + damage, 3)
    for _ in range(10):
        with pytest.raises(BadMagic if damage < 4 else ChecksumMismatch):
            pool.fetch(7)
        check_tables(pool)
    held = [pool.fetch(page_id) for page_id in (1, 2, 3, 4)]
    for page in held:
        page.unpin()
    with pytest.raises(ChecksumMismatch if damage >= 4 else BadMagic):
        pool.fetch_many([1, 7, 9])
    assert pool.pinned() == {}
    check_tables(pool)
    faults.flip_bit(path, 7 * 4096 + damage, 3)
    assert record_of(pool, 7) == b"page 7"


@POLICIES
def test_a_victim_that_cannot_be_written_stays(
    make_pool: MakePool, faults: FaultyFileSystem, path: Path, policy: str
) -> None:
    pool = make_pool(2, policy)
    write(pool, 1, b"one")
    write(pool, 2, b"two")
    faults.fail("pwritev", error=OSError(errno.ENOSPC, "No space left on device"), times=None)
    for attempt in (lambda: pool.fetch(9), lambda: pool.new_page(), lambda: pool.flush_all()):
        with pytest.raises(OSError, match="No space"):
            attempt()
        assert pool.resident() == [1, 2]
        assert pool.dirty_bits.tolist() == [1, 1]
        check_tables(pool)
    with pytest.raises(OSError, match="No space"):
        pool.close()
    assert not pool.closed
    faults.heal()
    pool.close()
    assert on_disk(path, 1)[2000:2003] == b"one"
    assert on_disk(path, 2)[2000:2003] == b"two"


def test_a_failed_allocation_leaves_a_free_frame(
    make_pool: MakePool, faults: FaultyFileSystem
) -> None:
    pool = make_pool(2)
    pages = pool.file.page_count
    faults.fail("pwritev", error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        pool.new_page()
    check_tables(pool)
    assert pool.file.page_count == pages
    with pool.new_page(PageType.INDEX) as page:
        assert (page.page_id, page.data[8]) == (pages, 2)


def test_when_all_frames_are_pinned(make_pool: MakePool) -> None:
    pool = make_pool(3)
    held = [pool.fetch(1), pool.fetch(1), pool.fetch(2), pool.fetch(3)]
    before = pool.statistics()
    with pytest.raises(PoolExhausted, match=r"\{1: 2, 2: 1, 3: 1\}.*larger pool") as caught:
        pool.fetch(4)
    assert caught.value.pins == {1: 2, 2: 1, 3: 1}
    with pytest.raises(PoolExhausted):
        pool.new_page()
    assert pool.file.page_count == 21, "no page was allocated for nothing"
    after = pool.statistics()
    assert after._replace(exhausted=0) == before._replace(exhausted=0)
    assert after.exhausted == 2
    for page in held:
        page.unpin()
    assert record_of(pool, 4) == b"page 4"


@POLICIES
def test_a_changed_page_comes_back(make_pool: MakePool, policy: str) -> None:
    pool = make_pool(2, policy)
    for round_ in range(3):
        for page_id in range(1, 21):
            write(pool, page_id, b"%d:%d" % (page_id, round_))
    for page_id in range(1, 21):
        with pool.fetch(page_id) as page:
            word = b"%d:2" % page_id
            assert bytes(page.data[2000 : 2000 + len(word)]) == word
    assert pool.stats.evictions > 50


def test_a_page_freed_past_the_pool_is_forgotten(make_pool: MakePool) -> None:
    pool = make_pool(4)
    write(pool, 5, b"old")
    pool.file.free_page(5)
    with pool.new_page() as page:
        assert page.page_id == 5
        assert not any(page.data[17:])
    check_tables(pool)


def test_freeing_a_page_that_the_file_refuses(make_pool: MakePool) -> None:
    pool = make_pool(4)
    write(pool, 5, b"kept")
    with pytest.raises(ValueError, match="file header"):
        pool.free_page(0)
    with pytest.raises(ValueError, match="not allocated"):
        pool.free_page(99)
    pool.free_page(6)
    with pytest.raises(ValueError, match="already free"):
        pool.free_page(6)
    with (
        pool.fetch(5) as page,
        pytest.raises(PinError, match="Page 5: it has 1 pin, so it cannot be freed"),
    ):
        pool.free_page(page.page_id)
    check_tables(pool)


def test_numbers_that_name_no_page(make_pool: MakePool) -> None:
    pool = make_pool(4)
    for page_id in (0, 21, -1, 2**40):
        for call in (pool.fetch, pool.flush_page, lambda p: pool.fetch_many([1, p])):
            with pytest.raises(PageOutOfRange):
                call(page_id)
    for wrong in ("1", 1.0, None, True):
        with pytest.raises(TypeError, match="page_id as int"):
            pool.fetch(wrong)  # type: ignore[arg-type]
    with pool.fetch(np.int64(3)) as page:  # type: ignore[arg-type]
        assert type(page.page_id) is int
    for wrong in (np.array([1.0]), np.array([[1]]), "abc"):
        with pytest.raises(TypeError, match="flat array of ints"):
            pool.fetch_many(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1 frame"):
        BufferPool(pool.file, 0)
    with pytest.raises(TypeError, match="frames as int"):
        BufferPool(pool.file, 1.5)  # type: ignore[arg-type]
    assert pool.pinned() == {}
    check_tables(pool)


def test_many_pages_at_once(make_pool: MakePool, faults: FaultyFileSystem) -> None:
    pool = make_pool(10)
    write(pool, 4, b"x")
    before = faults.counts["preadv"]
    frames = pool.fetch_many(np.array([3, 4, 5, 6, 3], np.uint32))
    assert faults.counts["preadv"] == before + 2  # 3, and 5..6
    assert pool.pinned() == {3: 2, 4: 1, 5: 1, 6: 1}
    assert (pool.stats.misses, pool.stats.hits) == (4, 2)
    with pytest.raises(PinError, match="Page 3: frame 1 has 2 pins, not 3"):
        pool.unpin_many([frames[0]] * 3)
    with pytest.raises(PinError, match="no frame 10"):
        pool.unpin_many([10])
    with pytest.raises(PinError, match="no frame -1"):
        pool.unpin_many([frames[1], -1])
    assert pool.pinned() == {3: 2, 4: 1, 5: 1, 6: 1}
    pool.unpin_many(frames, dirty=True)
    assert pool.statistics().dirty == 4
    with pytest.raises(PoolExhausted):
        pool.fetch_many(range(1, 12))
    assert pool.pinned() == {}
    check_tables(pool)
    assert len(pool.fetch_many([])) == 0


def test_the_arena_is_one_memory_in_three_views(make_pool: MakePool) -> None:
    pool = make_pool(4)
    with pool.fetch(3) as page:
        row = pool.arena[page.frame]
        page.data_mut()[3000] = 77
        assert row[3000] == 77
        row[3001] = 78
        assert page.data[3001] == 78
        del row
    assert pool.arena.shape == (4, 4096)
    assert pool.arena.__array_interface__["data"][0] % 4096 == 0


def test_the_page_table_grows_with_the_file(make_pool: MakePool) -> None:
    pool = make_pool(4)
    for _ in range(300):
        with pool.new_page() as page:
            assert pool.page_table[page.page_id] == page.frame
    check_tables(pool)


def test_flushing_one_page(make_pool: MakePool, path: Path) -> None:
    pool = make_pool(4)
    write(pool, 3, b"three")
    assert pool.flush_page(3) is True
    assert on_disk(path, 3)[2000:2005] == b"three"
    assert pool.flush_page(3) is False
    assert pool.flush_page(9) is False  # not in memory
    with pool.fetch(3) as page:
        page.data_mut()[2000:2005] = b"THREE"
        assert pool.flush_page(3) is True  # pinned pages too
    assert on_disk(path, 3)[2000:2005] == b"THREE"
    assert pool.statistics().dirty == 1, "the handle might have changed it after the flush"


def test_flush_some_goes_round_and_leaves_pinned_pages(make_pool: MakePool) -> None:
    pool = make_pool(6)
    for page_id in range(1, 7):
        write(pool, page_id, b"x")
    with pool.fetch(2):
        assert pool.flush_some(3) == 3
        write(pool, 1, b"y")
        assert pool.flush_some(2) == 2
        assert pool.flush_some(9) == 1
        assert pool.statistics().dirty == 1
    assert pool.flush_some() == 1
    assert pool.flush_some() == 0


def test_closing_with_pins_left(make_pool: MakePool, path: Path) -> None:
    pool = make_pool(4)
    write(pool, 1, b"one")
    held = pool.fetch(2)
    with pytest.raises(PinLeak, match=r"\{2: 1\}") as caught:
        pool.close()
    assert caught.value.pins == {2: 1}
    assert on_disk(path, 1)[2000:2003] == b"one"
    held.unpin()
    pool.close()
    for call in (
        lambda: pool.fetch(1),
        lambda: pool.fetch_many([1]),
        lambda: pool.new_page(),
        lambda: pool.free_page(1),
        lambda: pool.flush_all(),
        lambda: pool.flush_some(),
        lambda: pool.flush_page(1),
    ):
        with pytest.raises(StorageClosed):
            call()


def test_counters(make_pool: MakePool) -> None:
    pool = make_pool(2)
    for page_id in (1, 1, 2, 3, 1):
        write(pool, page_id, b"x")
    frozen = pool.statistics()
    assert frozen[:5] == (1, 4, 2, 2, 0)
    assert frozen[5:] == (2, 2, 0, 2, 0)
    assert frozen.hit_rate == pool.stats.hit_rate == 0.2
    pool.stats.reset()
    assert pool.stats.hit_rate == 0.0
    assert frozen.hits == 1


def test_slots_on_pinned_pages(make_pool: MakePool) -> None:
    pool = make_pool(2)
    with pool.fetch(1) as page:
        assert SlottedPage(page.data_mut()).insert(b"second") == 1
    with pool.fetch(2), pool.fetch(3):
        pass
    with pool.fetch(1) as page:
        assert SlottedPage(page.data).slot_count == 2
