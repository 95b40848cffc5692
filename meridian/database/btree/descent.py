"""Finish what a kernel could not: pages that are not in memory, leaves that are full."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from meridian.database.btree import _search_kernels as search
from meridian.database.btree._edit_kernels import MORE
from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import pin_node
from meridian.database.btree.tree_meta import HEIGHT, MISS_LEVEL, NEXT_LEVEL, NEXT_PAGE, ROOT, SEEN
from meridian.database.storage.errors import StorageClosed
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.btree.point_access import PointAccess
    from meridian.database.storage.pinned_page import PinnedPage

__all__ = ["change", "edge", "lookup", "raise_broken"]

_RULES = {
    search.BAD_TYPE: "no index page, where a node belongs",
    search.BAD_LEVEL: "not a node of the level that belongs here",
    search.BAD_COUNT: "more keys than there is room",
    search.BAD_CHILD: "page 0 as a child",
}


def lookup(tree: PointAccess, key: int) -> int:
    """The packed record id of `key`, or `ABSENT`, loading one level's page at a time.

    Each page is pinned while the kernel looks at it, so that each call comes at least one level
    further, however small the pool is. The tree's latch is held for reading.
    """
    pool, numbers = tree.pool, tree._meta.numbers
    if not numbers[HEIGHT]:
        return search.ABSENT
    page_id, level = numbers[ROOT], numbers[HEIGHT] - 1
    while True:
        page = pin_node(tree, page_id, level)
        try:
            with pool.latch:
                if tree._frames.page_table is not tree._seen:
                    tree._seen = tree._meta.look_at(pool)
                found: int = search.get_from(tree._array, key, page_id, level)
                missed = numbers[MISS_LEVEL]
                pool.stats.hits += level - 1 - missed
                if tree._touch is not None and found >= search.ABSENT:
                    tree._touch_pages(SEEN, 1)
        finally:
            page.unpin()
        if found >= search.ABSENT:
            return found
        page_id, level = raise_broken(found), missed


def change(tree: PointAccess, call: Callable[[], int], step: Callable[[], int | None]) -> int:
    """Run `call`, a kernel's, until it has done its work; its result.

    `step` does something towards that when the kernel asks for `MORE`; what it returns, unless it
    is ``None``, is the result. The tree's latch is held for writing.
    """
    numbers = tree._meta.numbers
    pinned: PinnedPage | None = None
    try:
        while True:
            with tree.pool.latch:
                found = call()
            if found >= search.ABSENT:
                return found
            if pinned is not None:
                pinned.unpin()
                pinned = None
            if found != MORE:
                pinned = pin_node(tree, raise_broken(found), numbers[NEXT_LEVEL])
            elif (done := step()) is not None:
                return done
    finally:
        numbers[NEXT_PAGE] = 0
        if pinned is not None:
            pinned.unpin()


def raise_broken(found: int) -> int:
    """The page that a kernel asks for; `TreeCorrupt` if it reports a broken rule instead."""
    rule = -found >> search.RULE
    if rule:
        raise TreeCorrupt(-found & (1 << search.RULE) - 1, _RULES[rule])
    return -found - 1


def edge(tree: PointAccess, *, last: bool) -> tuple[int, RecordId] | None:
    """The lowest or the `last` key with its record id, ``None`` in an empty tree."""
    pool, numbers = tree.pool, tree._numbers
    with nullcontext() if tree.latch.held() else tree.latch.read():
        page_id = numbers[ROOT]
        for level in reversed(range(numbers[HEIGHT])):
            with pin_node(tree, page_id, level) as page:
                node = NodeView(memoryview(pool.arena[page.frame]), page_id)
                if level:
                    page_id = int(node.children[-last])
                elif node.count:
                    return int(node.keys[-last]), RecordId.unpack(int(node.rids[-last]))
                else:
                    raise TreeCorrupt(page_id, "a leaf without keys")
    if pool.closed:
        raise StorageClosed("The buffer pool")
    return None
