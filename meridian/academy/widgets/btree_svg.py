"""Paint a B+ tree from its pages: nodes as boxes of keys, children below, leaves chained.

Nothing is told by colour alone: a page that was read, written or is new says so in its head, keys
that were compared carry the number of the comparison, a broken chain a cross.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LINE,
    MUTED,
    PANEL,
    svg_document,
)
from meridian.academy.widgets.btree_picture import (
    TreeNode,
    TreePicture,
    Visit,
    descend,
    read_tree,
)
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.svg_parts import BOLD, head, line, rect, text

__all__ = ["CHANGED", "NEW", "READ", "paint_tree", "show_tree"]

NEW, CHANGED, READ = "new", "written", "read"
_LOOKS = {NEW: (GOOD, 2.4, "5 3"), CHANGED: (GOOD, 2.2, ""), READ: (ACCENT, 2.2, "")}
_HEAD, _CELL, _TALL = 14.0, 28.0, 42.0
_EMPTY, _GAP, _FALL, _PAD = 9.0, 18.0, 52.0, 8.0
_MOST_KEYS, _MOST_CHILDREN = 8, 14


class _Box(NamedTuple):
    node: TreeNode
    x: float
    y: float
    wide: float
    cells: tuple[int, ...]  # positions of the keys shown; -1 stands for those left out


class _Painter:
    """One picture: places every box, then draws it."""

    def __init__(
        self,
        picture: TreePicture,
        marks: Mapping[int, str],
        way: Sequence[Visit],
        caps: tuple[int, int] | None,
        lit: Collection[tuple[int, int]],
    ) -> None:
        self.marks = dict(marks)
        self.ways = {visit.page_id: visit for visit in way}
        for visit in way:
            self.marks.setdefault(visit.page_id, READ)
        self.caps = caps
        self.lit = set(lit)
        self.nodes = picture.nodes
        longest = max((len(str(k)) for node in self.nodes.values() for k in node.keys), default=1)
        self.cell = 12.0 + 7.6 * longest
        self.boxes: dict[int, _Box] = {}
        self.left_out: list[tuple[float, float, int]] = []  # x, y, children that are not drawn
        self.bottom = 0.0

    def place(self, page_id: int, x: float, y: float) -> float:
        """Lay out a node and what is below it from `x` on; the width that took."""
        node = self.nodes[page_id]
        self.bottom = max(self.bottom, y + _TALL)
        cells = self._cells(node)
        wide = self._width(node, cells)
        at = x
        for child in self._shown(node):
            if child is None:
                hidden = len(node.children) - sum(c is not None for c in self._shown(node))
                self.left_out.append((at + 30, y + _TALL + _FALL + _TALL / 2, hidden))
                at += 60 + _GAP
            else:
                at += self.place(child, at, y + _TALL + _FALL) + _GAP
        below = max(0.0, at - x - _GAP)
        whole = max(wide, below)
        if below and below < wide:
            self._shift(node, (wide - below) / 2)
        self.boxes[page_id] = _Box(node, x + (whole - wide) / 2, y, wide, cells)
        return whole

    def _shift(self, node: TreeNode, by: float) -> None:
        for child in node.children:
            if child in self.boxes:
                box = self.boxes[child]
                self.boxes[child] = box._replace(x=box.x + by)
                self._shift(box.node, by)

    def _shown(self, node: TreeNode) -> list[int | None]:
        """The children to draw; one ``None`` in place of those between that are left out."""
        children = list(node.children)
        if len(children) <= _MOST_CHILDREN:
            return [*children]
        marked = [i for i, c in enumerate(children) if c in self.marks][:4]
        keep = sorted({0, 1, *marked, len(children) - 2, len(children) - 1})
        shown: list[int | None] = [children[i] for i in keep]
        shown.insert(2, None)
        return shown

    def _cells(self, node: TreeNode) -> tuple[int, ...]:
        count = len(node.keys)
        if count <= _MOST_KEYS:
            return tuple(range(count))
        return (0, 1, -1, count - 1)

    def _empty(self, node: TreeNode) -> int:
        if self.caps is None:
            return 0
        cap = self.caps[node.level > 0]
        return max(0, cap - len(node.keys)) if cap <= _MOST_KEYS else 0

    def _width(self, node: TreeNode, cells: Sequence[int]) -> float:
        keys = sum(self.cell if i >= 0 else 66.0 for i in cells)
        words = 16 + 5.4 * len(self._title(node))
        return max(keys + self._empty(node) * _EMPTY + 2 * _PAD, words)

    def _title(self, node: TreeNode) -> str:
        mark = self.marks.get(node.page_id)
        return f"page {node.page_id}" + (f": {mark}" if mark else "")

    def paint(self) -> Iterable[str]:
        for box in self.boxes.values():
            yield from self._edges(box)
        for box in self.boxes.values():
            yield from self._box(box)
        for x, y, hidden in self.left_out:
            yield text(x, y, f"... {hidden:,}", size=10.5, fill=MUTED, anchor="middle")
            yield text(x, y + 13, "more", size=10.5, fill=MUTED, anchor="middle")
        yield from self._chain()

    def slot(self, box: _Box, position: int) -> float:
        """Where the pointer to child `position` leaves: between two keys."""
        shown = [i for i in box.cells if i >= 0]
        if len(shown) == len(box.node.keys):
            return box.x + _PAD + position * self.cell
        part = position / max(1, len(box.node.children) - 1)
        return box.x + _PAD + part * (box.wide - 2 * _PAD)

    def _edges(self, box: _Box) -> Iterable[str]:
        visit = self.ways.get(box.node.page_id)
        for position, child in enumerate(box.node.children):
            below = self.boxes.get(child)
            if below is None:
                continue
            taken = visit is not None and visit.position == position and child in self.ways
            x0, x1 = self.slot(box, position), below.x + below.wide / 2
            ink, width = (ACCENT, 2.6) if taken else (LINE, 1.2)
            yield line(x0, box.y + _TALL, x1, below.y - (6 if taken else 0), ink, width)
            if taken:
                yield head(x1, below.y, 1.5708, ink)

    def _box(self, box: _Box) -> Iterable[str]:
        node = box.node
        mark = self.marks.get(node.page_id, "")
        ink, width, dashes = _LOOKS.get(mark.split(",")[0], (LINE, 1.2, ""))
        yield rect(box.x, box.y, box.wide, _HEAD, f"fill:{PANEL}")
        bold = BOLD if mark else ""
        middle = box.x + box.wide / 2
        fill = INK if mark else MUTED
        yield text(
            middle,
            box.y + 10.5,
            self._title(node),
            size=9.5,
            fill=fill,
            anchor="middle",
            extra=bold,
        )
        look = f"fill:none;stroke:{ink};stroke-width:{width:g}"
        yield rect(box.x, box.y, box.wide, _TALL, look, f'rx="3" stroke-dasharray="{dashes}"')
        visit = self.ways.get(node.page_id)
        order: dict[int, str] = {}  # of comparisons, by the key's position
        for number, at in enumerate(visit.compared if visit else (), 1):
            order[at] = f"{order.get(at, '')} {number}".strip()
        x, y = box.x + _PAD, box.y + _HEAD
        for cell in box.cells:
            if cell < 0:
                yield text(
                    x + 33, y + 17, f"({len(node.keys)} keys)", size=10, fill=MUTED, anchor="middle"
                )
                x += 66
                continue
            key = node.keys[cell]
            lit = (node.page_id, key) in self.lit
            if lit:
                look = f"fill:none;stroke:{GOOD};stroke-width:1.8"
                yield rect(x + 1.5, y + 2.5, self.cell - 3, _CELL - 12, look, 'rx="2"')
            elif cell:
                yield line(x, y + 3, x, y + _CELL - 10, LINE)
            yield text(
                x + self.cell / 2, y + 14.5, str(key), size=12, anchor="middle",
                extra=BOLD if lit or cell in order else "",
            )  # fmt: skip
            if cell in order:
                middle = x + self.cell / 2
                yield text(middle, y + 25, order[cell], size=9.5, fill=ACCENT, anchor="middle")
            x += self.cell
        for _ in range(self._empty(node)):
            yield rect(x + 1.5, y + 4, _EMPTY - 3, _CELL - 14, f"fill:{PANEL}")
            x += _EMPTY

    def _chain(self) -> Iterable[str]:
        leaves = [box for box in self.boxes.values() if box.node.level == 0]
        leaves.sort(key=lambda box: box.x)
        for left, right in pairwise(leaves):
            if right.x - left.x - left.wide > 60 and self.left_out:
                continue  # others lie between them
            y = left.y + _HEAD + 10
            x0, x1 = left.x + left.wide + 1, right.x - 1
            there = left.node.next_leaf == right.node.page_id
            back = right.node.prev_leaf == left.node.page_id
            ink = MUTED if there and back else BAD
            yield line(x0, y, x1, y, ink, 1.2, "" if there and back else "2 2")
            if there:
                yield head(x1, y, 0.0, ink, 0.6)
            if back:
                yield head(x0, y, 3.1416, ink, 0.6)
            if not (there and back):
                yield text((x0 + x1) / 2, y - 4, "✘", size=11, fill=BAD, anchor="middle")


def paint_tree(
    picture: TreePicture,
    *,
    title: str = "",
    marks: Mapping[int, str] | None = None,
    way: Sequence[Visit] = (),
    caps: tuple[int, int] | None = None,
    lit: Collection[tuple[int, int]] = (),
    promoted: Collection[tuple[int, int]] = (),
) -> str:
    """The tree as an SVG document.

    `marks` says what happened to a page (`NEW`, `CHANGED`, `READ`, or words of your own). `way`
    lights the path of a lookup. With `caps` (entries of a leaf, keys of an internal node) empty
    places are drawn. `lit` are keys to frame, as (page, key); from a child up to each separator
    of `promoted`, as (page, position of the key), leads an arrow. Large nodes and levels are
    drawn by their ends.
    """
    if not picture.levels:
        body = text(8, 18, title or "An empty tree", size=13, extra=BOLD)
        body += text(8, 40, "no page: the root slot is 0", size=11, fill=MUTED)
        return svg_document(360, 50, body, title=title or "An empty tree")
    painter = _Painter(picture, marks or {}, way, caps, lit)
    top = 30.0 if title else 8.0
    width = painter.place(picture.levels[0][0].page_id, 8.0, top) + 16
    width = max(width, 16 + 7.2 * len(title))
    parts = [text(8, 17, title, size=13, extra=BOLD)] if title else []
    parts += painter.paint()
    for page_id, position in promoted:
        parts += _promotion(painter, page_id, position)
    words = title or f"A B+ tree of {picture.height} levels"
    return svg_document(width, painter.bottom + 10, "".join(parts), title=words)


def show_tree(
    source: Any,
    root: int,
    *,
    key: int | None = None,
    title: str = "",
    caps: tuple[int, int] | None = None,
) -> PagePicture:
    """The tree below page `root` of a pool or a `PageFile`, as a picture; `key` lights its path.

    Raises what `read_tree` raises.
    """
    tree = read_tree(source, root)
    way = () if key is None else descend(tree, key)
    svg = paint_tree(tree, title=title, way=way, caps=caps)
    return PagePicture(svg, title or f"A B+ tree of {tree.height} levels")


def _promotion(painter: _Painter, page_id: int, position: int) -> Iterable[str]:
    """An arrow from the child to the right of a separator up to it."""
    box = painter.boxes.get(page_id)
    if box is None or len(box.cells) != len(box.node.keys):
        return
    below = painter.boxes.get(box.node.children[position + 1])
    if below is None:
        return
    x1, y1 = box.x + _PAD + (position + 0.5) * painter.cell, box.y + _TALL + 2
    x0, y0 = below.x + min(24.0, below.wide / 3), below.y - 2
    middle = (y0 + y1) / 2
    yield (
        f'<path d="M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} '
        f'{x1:.1f} {y1 + 4:.1f}" style="stroke:{GOOD};fill:none" stroke-width="1.8" '
        f'stroke-dasharray="5 3"/>'
    )
    yield head(x1, y1, -1.5708, GOOD, 0.8)
    yield text(x0 + 6, y0 - 6, "up", size=9.5, fill=GOOD, extra=BOLD)
