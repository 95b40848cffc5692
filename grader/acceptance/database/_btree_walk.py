"""The judge's own reading of a tree: from the bytes of its file, by the layout table alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise

from grader.judging.compare import require
from meridian.testing.storage import PAGE_SIZE, decode_file_header

__all__ = ["INTERNAL_CAP", "LEAF_CAP", "Leaf", "Tree", "walk"]

LEAF_CAP, INTERNAL_CAP = (PAGE_SIZE - 32) // 10, (PAGE_SIZE - 36) // 8
INDEX_PAGE, END = 2, 2**32
_NODE = struct.Struct("<BHIIB")  # from byte 17: type, keys, next, previous, level


@dataclass(frozen=True, slots=True)
class Leaf:
    page_id: int
    keys: tuple[int, ...]
    rids: tuple[int, ...]  # packed
    following: int
    before: int


@dataclass(slots=True)
class Tree:
    """A tree that keeps every rule, leaf by leaf."""

    height: int
    leaves: list[Leaf] = field(default_factory=list)
    internal: int = 0
    separators: list[int] = field(default_factory=list)

    @property
    def entries(self) -> dict[int, int]:
        """All keys, ascending, each with its packed record id."""
        return {
            key: rid for leaf in self.leaves for key, rid in zip(leaf.keys, leaf.rids, strict=True)
        }


def walk(
    raw: bytes, *, leaf_cap: int = LEAF_CAP, internal_cap: int = INTERNAL_CAP, strict: bool = False
) -> Tree:
    """Every node that root slot 0 leads to; `CriterionFailed` for the first broken rule.

    `strict`: nodes are at least half full, but for those on the rightmost path.
    """
    header = decode_file_header(raw)
    root, height, count = header.roots[0] % END, header.roots[0] // END, header.roots[1]
    require(
        bool(root) == bool(height) and height < 40,
        f"Root slot 0 names page {root} as root of {height} levels; both are 0 without keys",
    )
    tree, seen = Tree(height), set[int]()

    def visit(page_id: int, level: int, low: int, high: int, last: bool) -> None:
        what = f"Page {page_id}, level {level} of the tree"
        page = raw[page_id * PAGE_SIZE : (page_id + 1) * PAGE_SIZE]
        require(page_id > 0 and len(page) == PAGE_SIZE, f"{what}: the file has no such page")
        require(page_id not in seen, f"{what}: two children lead to it")
        seen.add(page_id)
        kind, keys_here, following, before, stored_level = _NODE.unpack_from(page, 17)
        require(page[8] == INDEX_PAGE, f"{what}: the page's type is {page[8]}, not INDEX (2)")
        require(
            (kind == 1) == (level == 0) and stored_level == level,
            f"{what}: node type {kind} and level {stored_level} are stored in it",
        )
        cap = internal_cap if level else leaf_cap
        require(keys_here <= cap, f"{what}: {keys_here} keys, at most {cap} are allowed")
        repeated = int.from_bytes(page[9:11], "little")
        require(repeated == keys_here, f"{what}: record_count is {repeated}, of {keys_here} keys")
        keys = struct.unpack_from(f"<{keys_here}I", page, 32)
        falling = next((f"{a}, {b}" for a, b in pairwise(keys) if a >= b), None)
        require(falling is None, f"{what}: its keys do not ascend: {falling}")
        outside = next((key for key in keys if not low <= key < high), None)
        require(
            outside is None,
            f"{what}: key {outside}, but its separators say {low} <= key < {high}",
        )
        is_root = page_id == root
        least = cap // 2 if level == 0 else (cap + 1) // 2
        if level == 0:
            require(bool(keys) or is_root, f"{what}: an empty leaf, and not the root")
            require(
                not strict or is_root or last or len(keys) >= least,
                f"{what}: {len(keys)} keys, expected at least {least} with rebalance='eager'",
            )
            pages = struct.unpack_from(f"<{keys_here}I", page, 32 + 4 * LEAF_CAP)
            slots = struct.unpack_from(f"<{keys_here}H", page, 32 + 8 * LEAF_CAP)
            rids = tuple(p << 16 | s for p, s in zip(pages, slots, strict=True))
            tree.leaves.append(Leaf(page_id, keys, rids, following, before))
            return
        tree.internal += 1
        tree.separators += keys
        children = struct.unpack_from(f"<{keys_here + 1}I", page, 32 + 4 * INTERNAL_CAP)
        require(not is_root or bool(keys), f"{what}: a root with one child")
        require(
            not strict or is_root or last or len(children) >= least,
            f"{what}: {len(children)} children, expected at least {least} with rebalance='eager'",
        )
        bounds = (low, *keys, high)
        for i, child in enumerate(children):
            visit(child, level - 1, bounds[i], bounds[i + 1], last and i == len(keys))

    if root:
        visit(root, height - 1, 0, END, last=True)
    _chain(tree.leaves)
    held = sum(len(leaf.keys) for leaf in tree.leaves)
    require(count == held, f"Root slot 1 says {count} keys, the leaves have {held}")
    lost = header.page_count - 1 - header.free_count - len(seen)
    require(lost == 0, f"{lost} pages are neither in the tree nor on the file's free list")
    return tree


def _chain(leaves: list[Leaf]) -> None:
    """Both links of every leaf must name its neighbours in the tree."""
    ids = [0, *(leaf.page_id for leaf in leaves), 0]
    for leaf, before, following in zip(leaves, ids, ids[2:], strict=False):
        for name, link, want in (
            ("next_leaf", leaf.following, following),
            ("prev_leaf", leaf.before, before),
        ):
            require(
                link == want,
                f"Leaf {leaf.page_id} (keys {leaf.keys[:1]} ..): {name} is {link}, its neighbour "
                f"in the tree is {want}",
            )
