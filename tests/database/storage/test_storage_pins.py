"""The handle of a pinned page: a borrow that is checked when it ends."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

from meridian.database.storage import BufferPool, PinError, PinLeak, SlottedPage

MakePool = Callable[..., BufferPool]
ESCAPES: dict[str, Callable[[memoryview], object]] = {
    "frombuffer": lambda view: np.frombuffer(view, np.uint8),
    "asarray": np.asarray,
    "part of an array": lambda view: np.frombuffer(view, np.uint32)[10:20],
    "slice": lambda view: view[10:20],
    "cast": lambda view: view.cast("I"),
    "read-only": lambda view: view.toreadonly(),
    "record": lambda view: SlottedPage(view).get(0),
}


def test_nothing_works_after_unpin(make_pool: MakePool) -> None:
    pool = make_pool(2)
    page = pool.fetch(1)
    view, changed, slotted = page.data, page.data_mut(), SlottedPage(page.data)
    assert page.data is view
    assert view.readonly
    assert not changed.readonly
    page.unpin()
    for touch in (
        lambda: view[0],
        lambda: changed[0],
        lambda: bytes(view),
        lambda: slotted.get(0),
        lambda: page.data,
        lambda: page.data_mut(),
        lambda: page.mark_dirty(),
        lambda: page.unpin(),
    ):
        with pytest.raises(ValueError, match=r"released memoryview|already given up"):
            touch()
    assert "unpinned" in repr(page)
    assert pool.pinned() == {}


@pytest.mark.parametrize("kind", ESCAPES)
@pytest.mark.parametrize("writable", [False, True])
def test_a_view_that_outlives_its_pin_is_told(
    make_pool: MakePool, kind: str, writable: bool
) -> None:
    pool = make_pool(2)
    page = pool.fetch(1)
    escaped = ESCAPES[kind](page.data_mut() if writable else page.data)
    for _ in range(2):
        with pytest.raises(PinError, match="view escaped"):
            page.unpin()
    assert pool.pinned() == {1: 1}, "the page stays while something looks into it"
    assert bytes(page.data[:4]) == b"OOR1"
    del escaped
    page.unpin()
    assert pool.pinned() == {}


def test_an_escaped_view_is_told_at_the_end_of_the_block(make_pool: MakePool) -> None:
    pool = make_pool(2)
    with pytest.raises(PinError, match="view escaped"), pool.fetch(1) as page:
        array = np.frombuffer(page.data, np.uint8)
    del array
    page.unpin()


@pytest.mark.parametrize("kind", ESCAPES)
def test_an_exception_releases_the_pin_whatever_it_keeps_alive(
    make_pool: MakePool, kind: str
) -> None:
    pool = make_pool(8)
    for page_id in range(1, 9):
        kept = None
        with pytest.raises(KeyError), pool.fetch(page_id) as page:  # noqa: PT012
            kept = ESCAPES[kind](page.data)
            raise KeyError(page_id)
        assert kept is not None
    held = [pool.fetch(page_id) for page_id in range(9, 17)]
    assert len(pool.pinned()) == 8
    for page in held:
        page.unpin()


def test_unpinning_inside_the_block_is_fine(make_pool: MakePool) -> None:
    pool = make_pool(2)
    with pool.fetch(1) as page:
        page.unpin()
    assert pool.pinned() == {}


def test_two_handles_on_one_page_are_two_pins(make_pool: MakePool) -> None:
    pool = make_pool(2)
    first, second = pool.fetch(1), pool.fetch(1)
    view = second.data
    first.unpin()
    assert pool.pinned() == {1: 1}
    assert bytes(view[:4]) == b"OOR1"
    second.unpin()


@pytest.mark.filterwarnings("always::ResourceWarning")
def test_a_forgotten_handle_is_a_leak(make_pool: MakePool) -> None:
    pool = make_pool(2)

    def forget(page_id: int) -> None:
        pool.fetch(page_id)

    with pytest.warns(ResourceWarning, match="Page 1 was never unpinned"):
        forget(1)
    gc.collect()
    assert pool.statistics().leaks == 1
    assert pool.pinned() == {1: 1}, "the pin stays: nothing proves that the bytes are unused"
    with pytest.raises(PinLeak):
        pool.close()


def test_a_handle_that_was_unpinned_or_whose_pool_is_closed_is_no_leak(
    make_pool: MakePool,
) -> None:
    pool = make_pool(2)
    with pool.fetch(1):
        pass
    held = pool.fetch(2)
    with pytest.raises(PinLeak):
        pool.close()
    del held
    gc.collect()
    assert pool.statistics().leaks == 0


def test_an_unchecked_pool_lends_the_frame_itself(make_pool: MakePool) -> None:
    pool = make_pool(2, checked=False)
    with pool.fetch(1) as page:
        view, array = page.data, np.frombuffer(page.data_mut(), np.uint8)
    assert view.readonly
    assert bytes(view[:4]) == b"OOR1"
    assert array[0] == ord("O")
    assert pool.pinned() == {}
    assert pool.statistics().dirty == 1


def test_marking_dirty_by_hand(make_pool: MakePool) -> None:
    pool = make_pool(2)
    with pool.fetch(1) as page:
        pool.arena[page.frame, 2000] = 9
        page.mark_dirty()
    assert pool.flush_all() == 1
