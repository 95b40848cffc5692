"""A lookup in a B+ tree: type an id, see the path, count what was compared."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from meridian.academy.widgets.btree_picture import TreePicture, Visit, descend
from meridian.academy.widgets.btree_runs import CAP, Edit, run_edits
from meridian.academy.widgets.btree_svg import paint_tree
from meridian.academy.widgets.playground import Playground, Shown

__all__ = ["BTreeDescent", "words_of"]

_IDS = (25544, 900, 48274, 20580, 43013, 39084, 27424, 5, 53807, 33591, 41240, 25338, 36411,
        44713, 11, 49044, 28654, 40697)  # fmt: skip


def words_of(picture: TreePicture, key: int, way: Sequence[Visit]) -> str:
    """What a lookup of `key` did, as a sentence."""
    if not way:
        return f"{key}: the tree is empty, nothing is read."
    compared = sum(len(visit.compared) for visit in way)
    steps = ", then ".join(f"page {v.page_id} ({len(v.compared)})" for v in way)
    verdict = "found" if way[-1].found else "not there"
    total = sum(len(leaf.keys) for leaf in picture.leaves)
    return (
        f"{key}: {verdict}. {steps}: {len(way)} pages read, {compared} comparisons "
        f"for one of {total:,} ids."
    )


class BTreeDescent(Playground):
    """Type an id: the path lights up, and every comparison is numbered.

    By default a real tree of order 5, grown by inserting `ids` in the order given; or any
    `picture`, read from the pages of an engine of your own.
    """

    def __init__(
        self,
        key: int = 25544,
        *,
        ids: Sequence[int] = _IDS,
        picture: TreePicture | None = None,
    ) -> None:
        self._caps = None if picture else (CAP, CAP)
        if picture is None:
            picture = run_edits([Edit(number) for number in ids])[-1].tree
        self.tree = picture
        self.key = ipywidgets.BoundedIntText(
            key,
            0,
            2**32 - 1,
            description="NORAD id",
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="14rem"),
        )
        super().__init__([self.key], self._look)

    def _look(self) -> Shown:
        key = self.key.value
        way = descend(self.tree, key)
        words = words_of(self.tree, key, way)
        lit = {(way[-1].page_id, key)} if way and way[-1].found else ()
        svg = paint_tree(self.tree, title=f"Lookup of {key}", way=way, caps=self._caps, lit=lit)
        return Shown(words, (svg,))
