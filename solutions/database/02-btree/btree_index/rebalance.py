"""Bonus: nodes that are less than half full borrow from a neighbour or merge with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .node import InternalNode, LeafNode

if TYPE_CHECKING:
    from .btree import BPlusTree, Path


def mend(tree: BPlusTree, node: LeafNode | InternalNode, path: Path) -> None:
    """Bring `node`, to which `path` leads, up to the minimum fill, and those above if they need it.

    The minimum is ``leaf_cap // 2`` entries, or ``(internal_cap + 1) // 2`` children. A neighbour
    is one under the same parent. The root is exempt.
    """
    ### BEGIN SOLUTION #eager: mend() - borrow if a neighbour can spare one, else merge; go on above
    while path and _missing(tree, node):
        page_id, i = path.pop()
        parent = tree._internal(page_id)
        if len(parent.children) == 1:  # no neighbour: the parent is the one to mend
            node = parent
            continue
        left = i - 1 if i else 0  # the pair is children `left` and `left + 1`
        first, second = tree._load(parent.children[left]), tree._load(parent.children[left + 1])
        if isinstance(first, LeafNode) and isinstance(second, LeafNode):
            merged = _leaves(tree, first, second, parent, left, from_left=bool(i))
        elif isinstance(first, InternalNode) and isinstance(second, InternalNode):
            merged = _nodes(tree, first, second, parent, left, from_left=bool(i))
        tree._save(first)
        if not merged:
            tree._save(second)
            tree._save(parent)
            return
        del parent.keys[left], parent.children[left + 1]
        tree._save(parent)
        tree.pool.free_page(second.page_id)
        node = parent
    tree._lower_root()
    ### END SOLUTION


### BEGIN SOLUTION
def _missing(tree: BPlusTree, node: LeafNode | InternalNode) -> bool:
    return _spare(tree, node) < 0


def _spare(tree: BPlusTree, node: LeafNode | InternalNode) -> int:
    """How many entries or children the node has beyond the minimum."""
    if isinstance(node, LeafNode):
        return len(node.keys) - tree.leaf_cap // 2
    return len(node.children) - (tree.internal_cap + 1) // 2


def _leaves(
    tree: BPlusTree,
    first: LeafNode,
    second: LeafNode,
    parent: InternalNode,
    left: int,
    *,
    from_left: bool,
) -> bool:
    """Borrow, or move all of `second` to `first`; whether they were merged."""
    if _spare(tree, first if from_left else second) > 0:
        if from_left:
            second.insert(0, *first.pop(len(first.keys) - 1))
        else:
            first.insert(len(first.keys), *second.pop(0))
        parent.keys[left] = second.keys[0]  # the right one's first key separates
        return False
    first.keys += second.keys
    first.pages += second.pages
    first.slots += second.slots
    tree._unchain(second)  # its neighbours are on disk; `first` is in memory
    first.next_leaf = second.next_leaf
    return True


def _nodes(
    tree: BPlusTree,
    first: InternalNode,
    second: InternalNode,
    parent: InternalNode,
    left: int,
    *,
    from_left: bool,
) -> bool:
    """The same for internal nodes: separators pass through the parent."""
    if _spare(tree, first if from_left else second) > 0:
        if from_left:
            second.keys.insert(0, parent.keys[left])
            second.children.insert(0, first.children.pop())
            parent.keys[left] = first.keys.pop()
        else:
            first.keys.append(parent.keys[left])
            first.children.append(second.children.pop(0))
            parent.keys[left] = second.keys.pop(0)
        return False
    first.keys.append(parent.keys[left])
    first.keys += second.keys
    first.children += second.children
    return True


### END SOLUTION
