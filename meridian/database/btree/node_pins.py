"""The pages of one change: all of them pinned and sound before the first byte changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import INTERNAL, LEAF
from meridian.database.btree.node import NodeView
from meridian.database.storage.errors import CorruptPage, PageOutOfRange, PinError
from meridian.database.storage.page import HEADER_SIZE, PageType
from meridian.database.storage.pinned_page import PinnedPage

if TYPE_CHECKING:
    from meridian.database.btree.tree_core import TreeCore

__all__ = ["NodePins", "give_back", "pin_node"]

_TYPE_AT = 8


class NodePins:
    """Hold what a change needs, so that it cannot fail half-way.

    In the ``with`` block `node` and `create` pin pages; whatever fails there undoes everything,
    new pages included. Then, in `editing`, bytes change.
    """

    def __init__(self, tree: TreeCore) -> None:
        self._tree = tree
        self._pages: list[PinnedPage] = []
        self._created: list[int] = []

    def node(self, page_id: int, level: int) -> NodeView:
        """Pin node `page_id`, which should be of `level`.

        Raises `TreeCorrupt`, and what `BufferPool.fetch` raises.
        """
        page = pin_node(self._tree, page_id, level)
        self._pages.append(page)
        return self._view(page)

    def create(self, *levels: int) -> list[NodeView]:
        """Pin new, empty nodes of these levels. The last step before `editing`."""
        created = self._tree.pool.new_pages(len(levels), PageType.INDEX)
        self._pages += created
        self._created += [page.page_id for page in created]
        nodes = [self._view(page) for page in created]
        for node, level in zip(nodes, levels, strict=True):
            node.format(level)
        return nodes

    @contextmanager
    def editing(self) -> Iterator[None]:
        """In the block the pinned nodes change from one valid tree to another."""
        with self._tree.pool.latch:
            for page in self._pages:
                page.mark_dirty()
            yield
            self._created.clear()

    def _view(self, page: PinnedPage) -> NodeView:
        return NodeView(memoryview(self._tree.pool.arena[page.frame]), page.page_id)

    def __enter__(self) -> NodePins:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._pages:
            self._pages.pop().unpin()
        give_back(self._tree, self._created)


def pin_node(tree: TreeCore, page_id: int, level: int) -> PinnedPage:
    """Pin node `page_id`, which should be of `level`; `TreeCorrupt` if it is none."""
    pool = tree.pool
    try:
        page = pool.fetch(page_id)
    except PageOutOfRange:
        count = pool.file.page_count
        raise TreeCorrupt(page_id, f"a node names it, but the file has {count} pages") from None
    try:
        view = memoryview(pool.arena[page.frame])
        kind = LEAF if level == 0 else INTERNAL
        if view[_TYPE_AT] != PageType.INDEX:
            raise TreeCorrupt(page_id, f"type {view[_TYPE_AT]} instead of a node's")
        node = NodeView(view, page_id)
        if node.level != level or view[HEADER_SIZE] != kind:
            raise TreeCorrupt(
                page_id,
                f"node type {view[HEADER_SIZE]} of level {node.level} where level {level} belongs",
            )
        if node.count > node.room:
            raise TreeCorrupt(page_id, f"{node.count} keys, and room for {node.room}")
    except BaseException:
        page.unpin()
        raise
    return page


def give_back(tree: TreeCore, page_ids: list[int]) -> None:
    """Return pages that no node names to the file, and those it did not take the last time.

    The tree is right without that, so a disk that fails here costs space only: the pages are
    tried again with the next change of structure, as long as the tree is open.
    """
    tree._unfreed += page_ids
    for _ in range(len(tree._unfreed)):
        page_id = tree._unfreed.pop(0)
        try:
            tree.pool.free_page(page_id)
        except (OSError, PinError):
            tree._unfreed.append(page_id)
        except CorruptPage:  # on disk, where nobody needs it any more: it is never used again
            continue
