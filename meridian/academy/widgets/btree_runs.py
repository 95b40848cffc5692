"""Inserts and deletes on a real tree of tiny nodes, one at a time, with what each did to the pages.

The tree is the library's, on a file and a pool of its own; only the capacities are small.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from meridian.academy.widgets.btree_picture import TreePicture, Visit, descend, read_tree
from meridian.database.btree import BPlusTree, DuplicateKey
from meridian.database.storage import BufferPool, PageFile, RecordId

__all__ = ["CAP", "MAX_EDITS", "Edit", "Moment", "read_edits", "run_edits"]

CAP = 4
MAX_EDITS, MAX_ID = 80, 99_999
_EDIT = re.compile(r"([+-]?)(\d{1,5})")


class Edit(NamedTuple):
    """One insert, or a delete."""

    key: int
    delete: bool = False

    def __str__(self) -> str:
        return f"{'delete' if self.delete else 'insert'} {self.key}"


class Moment(NamedTuple):
    """The tree before or after an edit, and what there is to see."""

    edit: Edit | None
    done: bool  # after it; else on the way to the leaf
    tree: TreePicture
    way: tuple[Visit, ...]
    new: tuple[int, ...]  # pages
    changed: tuple[int, ...]
    gone: tuple[int, ...]
    promoted: tuple[tuple[int, int], ...]  # new separators: page, position
    said: str


def read_edits(words: str) -> list[Edit]:
    """The edits that `words` name, separated by blanks or commas: ``17`` inserts, ``-17`` deletes.

    Raises `ValueError` naming the first that is neither.
    """
    tokens = words.replace(",", " ").split()
    if len(tokens) > MAX_EDITS:
        raise ValueError(f"Expected at most {MAX_EDITS} inserts and deletes, got {len(tokens)}")
    edits = []
    for token in tokens:
        match = _EDIT.fullmatch(token)
        if match is None or not token.isascii():
            raise ValueError(
                f"Expected an id from 0 to {MAX_ID}, or one with a minus, got {token[:20]!r}"
            )
        edits.append(Edit(int(match[2]), match[1] == "-"))
    return edits


def run_edits(
    edits: str | Sequence[Edit],
    *,
    rebalance: str = "lazy",
    append_split: bool = False,
    cap: int = CAP,
) -> list[Moment]:
    """Make `edits` on an empty tree of `cap` keys per node; the moments before and after each.

    Moment 0 is the empty tree; moment 2i - 1 is the descent of edit i, moment 2i what it did.
    """
    edits = read_edits(edits) if isinstance(edits, str) else list(edits)
    with (
        tempfile.TemporaryDirectory(prefix="meridian-") as folder,
        PageFile(Path(folder) / "tree.oor", 512) as file,
        BufferPool(file, frames=64) as pool,
    ):
        tree = BPlusTree(
            pool, rebalance=rebalance, append_split=append_split, leaf_cap=cap, internal_cap=cap
        )
        return list(_moments(tree, edits))


def _moments(tree: BPlusTree, edits: Sequence[Edit]) -> Iterator[Moment]:
    before = read_tree(tree.pool, tree.root)
    yield Moment(None, True, before, (), (), (), (), (), "Empty: no root, no page.")
    for edit in edits:
        way = descend(before, edit.key)
        yield Moment(edit, False, before, way, (), (), (), (), _looked(tree, edit, before, way))
        refused = _make(tree, edit)
        after = read_tree(tree.pool, tree.root)
        yield _done(edit, before, after, refused, merges=tree.rebalance == "eager")
        before = after


def _make(tree: BPlusTree, edit: Edit) -> str:
    """Do it; what was refused, or an empty string."""
    if edit.delete:
        return "" if tree.delete(edit.key) is not None else "it is not there: None, nothing changed"
    try:
        tree.insert(edit.key, RecordId(edit.key + 1, edit.key % 47))
    except DuplicateKey:
        return "it is there already: DuplicateKey, nothing changed"
    return ""


def _looked(tree: BPlusTree, edit: Edit, before: TreePicture, way: Sequence[Visit]) -> str:
    if not way:
        return f"{edit}: the tree is empty."
    leaf = before.nodes[way[-1].page_id]
    count = sum(len(visit.compared) for visit in way)
    words = f"{edit}: {_pages(len(way))} read, {count} comparisons; "
    if edit.delete:
        if not way[-1].found:
            return words + f"the leaf on page {leaf.page_id} does not have it."
        least = tree.leaf_cap // 2 if tree.rebalance == "eager" else 1
        if before.height == 1 or len(leaf.keys) > least:
            return words + f"page {leaf.page_id} can spare it."
        state = "it is the last entry of" if len(leaf.keys) == 1 else "below half without it:"
        return words + f"{state} page {leaf.page_id}."
    if way[-1].found:
        return words + f"page {leaf.page_id} has it already."
    room = tree.leaf_cap - len(leaf.keys)
    return (
        words + f"the leaf on page {leaf.page_id} has {f'room for {room}' if room else 'no room'}."
    )


def _done(
    edit: Edit, before: TreePicture, after: TreePicture, refused: str, *, merges: bool
) -> Moment:
    old, now = before.nodes, after.nodes
    new = tuple(page_id for page_id in now if page_id not in old)
    gone = tuple(page_id for page_id in old if page_id not in now)
    changed = tuple(p for p in now if p in old and now[p] != old[p])
    separators = {(node.level, key) for node in old.values() if node.level for key in node.keys}
    promoted = tuple(
        (node.page_id, i)
        for node in now.values()
        for i, key in enumerate(node.keys)
        if node.level and (node.level, key) not in separators
    )
    said = f"{edit}: {refused}." if refused else f"{edit}: " + "; ".join(
        _told(edit, before, after, new, changed, gone, promoted, merges)
    ) + "."  # fmt: skip
    return Moment(edit, True, after, (), new, changed, gone, promoted, said)


def _told(
    edit: Edit,
    before: TreePicture,
    after: TreePicture,
    new: Sequence[int],
    changed: Sequence[int],
    gone: Sequence[int],
    promoted: Sequence[tuple[int, int]],
    merges: bool,
) -> Iterator[str]:
    nodes = after.nodes
    ups = [nodes[page_id].keys[i] for page_id, i in promoted]
    if not edit.delete:
        halves = [page_id for page_id in new if page_id != after.levels[0][0].page_id]
        if ups:
            yield f"{_count(max(1, len(halves)), 'split')}, {_listed(ups)} went up"
    elif gone:
        pages = _listed([f"page {page_id}" for page_id in gone])
        yield f"two nodes merged, {pages} freed" if merges else f"{pages} freed"
    elif sum(nodes[page_id].level == 0 for page_id in changed) > 1:
        yield f"borrowed from a sibling; the separator is now {_listed(ups)}"
    if before.height != after.height:
        root = f", root on page {after.levels[0][0].page_id}" if after.height else ""
        yield f"the height is {after.height}{root}"
    yield f"{_pages(len(new) + len(changed))} written"


def _pages(count: int) -> str:
    return _count(count, "page")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _listed(things: Sequence[object]) -> str:
    *most, last = [str(thing) for thing in things]
    return f"{', '.join(most)} and {last}" if most else last
