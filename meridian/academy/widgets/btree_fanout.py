"""How high a B+ tree is: sliders for its page, keys and pointers, and the heights that follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meridian.academy.widgets.base import ACCENT, FAINT, GOOD, INK, MUTED, svg_document
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.svg_parts import BOLD, dot, line, text
from meridian.database.btree.layout import NODE_HEADER

__all__ = ["BTreeFanout", "NodeShape", "paint_heights"]

PAGE_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_WIDTH, _LEFT, _RIGHT = 720.0, 62.0, 20.0
_DECADES, _TOP, _ROW, _LEVELS = 9, 44.0, 26.0, 8


class NodeShape(NamedTuple):
    """What a node has room for, in bytes; the header takes 32. `value` is a record's address."""

    page: int = 4096
    key: int = 4
    child: int = 4
    value: int = 6

    @property
    def leaf_capacity(self) -> int:
        """Entries in a full leaf."""
        return (self.page - NODE_HEADER) // (self.key + self.value)

    @property
    def fan_out(self) -> int:
        """Children of a full internal node: one more than keys."""
        return (self.page - NODE_HEADER - self.child) // (self.key + self.child) + 1

    def capacity(self, height: int) -> int:
        """Keys in the fullest tree of `height` levels."""
        return int(self.leaf_capacity * self.fan_out ** (height - 1))

    def fewest(self, height: int) -> int:
        """Keys in the emptiest one whose nodes, but for the root, are at least half full."""
        if height == 1:
            return 1
        below = -(-self.fan_out // 2)
        return int(2 * below ** (height - 2) * (self.leaf_capacity // 2))

    def height(self, keys: int) -> int:
        """Levels of the fullest tree of so many keys."""
        height = 1
        while self.capacity(height) < keys:
            height += 1
        return height

    def greatest_height(self, keys: int) -> int:
        """Levels of the emptiest one."""
        height = 1
        while self.fewest(height + 1) <= keys:
            height += 1
        return height


def _x(keys: float) -> float:
    return _LEFT + math.log10(keys) / _DECADES * (_WIDTH - _LEFT - _RIGHT)


def _y(height: float) -> float:
    return _TOP + (_LEVELS - height) * _ROW


def _steps(limits: Iterable[float]) -> str:
    """A staircase that goes up one level behind each of `limits`, and ends above the top level."""
    path, height = f"M{_x(1):.1f} {_y(1):.1f}", 1
    for keys in limits:
        if keys >= 10**_DECADES:
            break
        path += f"H{_x(keys):.1f}"
        if height == _LEVELS:
            return path
        height += 1
        path += f"V{_y(height):.1f}"
    return path + f"H{_x(10**_DECADES):.1f}"


def paint_heights(
    shape: NodeShape, keys: int, measured: Mapping[int, float] | None = None, *, title: str = ""
) -> str:
    """Height against the number of keys, for the fullest and the emptiest tree of `shape`.

    `measured` are page reads per lookup of real trees, by their number of keys.
    """
    bottom = _y(1) + 14
    parts = [text(8, 17, title, size=13, extra=BOLD), text(8, 36, "levels", size=10.5, fill=MUTED)]
    for height in range(1, _LEVELS + 1):
        parts.append(line(_LEFT, _y(height), _WIDTH - _RIGHT, _y(height), FAINT))
        parts.append(text(_LEFT - 8, _y(height) + 4, str(height), size=11, anchor="end"))
    for decade in range(_DECADES + 1):
        x = _x(10**decade)
        parts.append(line(x, bottom - 4, x, bottom, MUTED))
        words = ("1", "10", "100", "1 k", "10 k", "100 k", "1 M", "10 M", "100 M", "1 G")[decade]
        parts.append(text(x, bottom + 13, words, size=10, fill=MUTED, anchor="middle"))
    levels = range(1, _LEVELS + 1)
    for limits, ink, look in (
        ([shape.fewest(height + 1) for height in levels], INK, 'stroke-dasharray="6 4"'),
        ([shape.capacity(height) for height in levels], ACCENT, ""),
    ):
        parts.append(
            f'<path d="{_steps(limits)}" style="stroke:{ink};fill:none" stroke-width="2" {look}/>'
        )
    parts.append(line(_x(keys), _TOP - 6, _x(keys), bottom, GOOD, 1.6, "2 3"))
    parts.append(text(_x(keys), _TOP - 10, f"{keys:,} keys", size=10.5, fill=GOOD, anchor="middle"))
    for count, reads in (measured or {}).items():
        parts.append(dot(_x(count), _y(reads), 5, INK))
    y = bottom + 34
    parts.append(line(_LEFT, y - 4, _LEFT + 26, y - 4, ACCENT, 2))
    parts.append(text(_LEFT + 32, y, "every node full", size=10.5))
    parts.append(line(_LEFT + 150, y - 4, _LEFT + 176, y - 4, INK, 2, "6 4"))
    parts.append(text(_LEFT + 182, y, "every node half full, two children at the root", size=10.5))
    if measured:
        parts.append(dot(_LEFT + 458, y - 4, 5, INK))
        parts.append(text(_LEFT + 468, y, "pages read, real trees", size=10.5))
    return svg_document(_WIDTH, y + 10, "".join(parts), title=title)


class BTreeFanout(Playground):
    """Sliders for page, key and pointer size over the heights of all trees of that shape.

    `measured` are page reads per lookup of real trees of the layout as it is (4,096-byte pages,
    4-byte keys and children), by their number of keys; they are drawn while the shape is theirs.
    """

    def __init__(self, measured: Mapping[int, float] | None = None, *, keys: int = 100_000) -> None:
        self._measured = dict(measured or {})
        self.page = choice(
            "page", {f"{size:,} bytes": size for size in PAGE_SIZES}, 4096, width="13rem"
        )
        self.key = slider("key, bytes", 4, 4, 64, 1, width="19rem")
        self.child = slider("child pointer, bytes", 4, 4, 16, 1, width="21rem")
        names = {f"{10**n:,}": 10**n for n in range(2, 10)}
        self.count = choice("keys", names, keys, width="14rem")
        super().__init__([self.page, self.key, self.child, self.count], self._heights)

    def _heights(self) -> Shown:
        shape = NodeShape(self.page.value, self.key.value, self.child.value)
        keys: int = self.count.value
        low, high = shape.height(keys), shape.greatest_height(keys)
        levels = f"{low} levels" if low == high else f"{low} to {high} levels"
        room = ", ".join(f"{shape.capacity(height):,}" for height in (1, 2, 3))
        words = (
            f"Fan-out {shape.fan_out:,}, {shape.leaf_capacity:,} entries per leaf: {keys:,} keys "
            f"need {levels}. Full trees of 1, 2 and 3 levels hold {room}."
        )
        own = self._measured if shape == NodeShape() else None
        title = f"Pages of {shape.page:,} bytes, keys of {shape.key}, pointers of {shape.child}"
        return Shown(words, (paint_heights(shape, keys, own, title=title),))
