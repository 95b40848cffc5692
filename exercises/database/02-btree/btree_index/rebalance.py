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
    raise NotImplementedError(
        "database/02-btree #eager: mend() - borrow if a neighbour can spare one, else merge; go on above"
    )
