"""A B+ tree as values, read from its pages: what the pictures of module 2 are drawn from.

Everything comes from the bytes of the pages, by the layout. So any engine that writes that layout
can be looked at, and one that claims a tree it did not write cannot.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import INTERNAL, LEAF, MAX_HEIGHT
from meridian.database.btree.node import NodeView
from meridian.database.storage import PageFile

__all__ = ["MAX_NODES", "TreeNode", "TreePicture", "Visit", "descend", "read_tree"]

MAX_NODES = 20_000


class TreeNode(NamedTuple):
    """One page: its keys; an internal node's children, one more than keys; a leaf's neighbours."""

    page_id: int
    level: int  # 0: a leaf
    keys: tuple[int, ...]
    children: tuple[int, ...]
    prev_leaf: int
    next_leaf: int


class TreePicture(NamedTuple):
    """The nodes from the root down, each level from left to right; empty for an empty tree."""

    levels: tuple[tuple[TreeNode, ...], ...]

    @property
    def height(self) -> int:
        return len(self.levels)

    @property
    def leaves(self) -> tuple[TreeNode, ...]:
        return self.levels[-1] if self.levels else ()

    @property
    def nodes(self) -> dict[int, TreeNode]:
        """Every node by its page, the root first."""
        return {node.page_id: node for level in self.levels for node in level}


class Visit(NamedTuple):
    """A node on the way to a key: which keys were compared, in order, and where it goes on."""

    page_id: int
    compared: tuple[int, ...]  # positions of keys
    position: int  # of the child below; in a leaf, how many keys are not above the one sought
    found: bool  # in a leaf: it is there


def read_tree(source: PageFile | Any, root: int) -> TreePicture:
    """The tree below page `root` (0: an empty one) of a `PageFile`, or of anything with `fetch`.

    A pool shows what it holds, written back or not, and counts these fetches as any others.
    Raises `TreeCorrupt` with the page whose bytes cannot be part of a tree, `ValueError` above
    20,000 nodes, and what reading raises.
    """
    if not root:
        return TreePicture(())
    seen = {root}
    levels: list[tuple[TreeNode, ...]] = [(_read(source, root),)]
    while levels[-1][0].level:
        below: list[TreeNode] = []
        for parent in levels[-1]:
            for page_id in parent.children:
                if page_id in seen:
                    raise TreeCorrupt(page_id, "two nodes name it as their child")
                if len(seen) == MAX_NODES:
                    raise ValueError(f"Expected at most {MAX_NODES:,} nodes to draw")
                seen.add(page_id)
                node = _read(source, page_id)
                if node.level != parent.level - 1:
                    raise TreeCorrupt(page_id, f"level {node.level} below level {parent.level}")
                below.append(node)
        levels.append(tuple(below))
    return TreePicture(tuple(levels))


def _read(source: Any, page_id: int) -> TreeNode:
    if isinstance(source, PageFile):
        page = bytearray(source.page_size)
        source.read_page(page_id, memoryview(page))
        return _node(NodeView(page, page_id))
    with source.fetch(page_id) as pinned:
        return _node(NodeView(bytes(pinned.data), page_id))


def _node(view: NodeView) -> TreeNode:
    kind, level = view.view[17], view.level
    if kind not in (INTERNAL, LEAF) or (kind == LEAF) != (level == 0) or level >= MAX_HEIGHT:
        raise TreeCorrupt(view.page_id, f"node type {kind} at level {level}")
    if view.count > view.room:
        raise TreeCorrupt(view.page_id, f"{view.count} keys, room for {view.room}")
    return TreeNode(
        view.page_id,
        level,
        tuple(view.keys.tolist()),
        () if view.is_leaf else tuple(view.children.tolist()),
        view.prev_leaf,
        view.next_leaf,
    )


def descend(picture: TreePicture, key: int) -> tuple[Visit, ...]:
    """The way of a lookup of `key`, from the root to the leaf.

    Compares the keys that the library's kernel compares: it halves the node until one place is
    left, and asks in the leaf once more whether the key before that place is the one sought.
    Raises `TreeCorrupt` where a child is missing, as `read_tree` would.
    """
    nodes, way = picture.nodes, []
    node = picture.levels[0][0] if picture.levels else None
    while node is not None:
        position, compared = _upper_bound(node.keys, key)
        if node.level == 0:
            if position:
                compared.append(position - 1)
            found = position > 0 and node.keys[position - 1] == key
            way.append(Visit(node.page_id, tuple(compared), position, found))
            return tuple(way)
        way.append(Visit(node.page_id, tuple(compared), position, False))
        child = node.children[position]
        if child not in nodes:
            raise TreeCorrupt(child, f"page {node.page_id} names it as its child")
        node = nodes[child]
    return ()


def _upper_bound(keys: tuple[int, ...], key: int) -> tuple[int, list[int]]:
    """How many keys are not above `key`, and the positions looked at to find out."""
    at, left, compared = 0, len(keys), []
    while left > 1:
        half = left >> 1
        compared.append(at + half - 1)
        if keys[at + half - 1] <= key:
            at += half
        left -= half
    if left == 1:
        compared.append(at)
        at += keys[at] <= key
    return at, compared
