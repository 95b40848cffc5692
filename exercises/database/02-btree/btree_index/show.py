"""`show_tree`: look at a tree. Given: nothing to write here."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meridian.database.storage import BufferPool

_WIDE = 8  # keys of a node that are shown


def show_tree(pool: BufferPool) -> str:
    """The tree in `pool`, a line for each node: level by level, the root first.

    Reads root slots and pages byte by byte, so that it also shows a tree that is wrong.
    `print(show_tree(pool))`.
    """
    packed, count = pool.file.get_root(0), pool.file.get_root(1)
    root, height = packed & 0xFFFF_FFFF, packed >> 32
    lines = [f"root {root}  height {height}  keys {count}"]
    level, shown = [root] if root else [], set()
    while level:
        below: list[int] = []
        for page_id in level:
            if page_id in shown or not 0 < page_id < pool.file.page_count:
                lines.append(f"  page {page_id}: shown above, or not in the file")
                continue
            shown.add(page_id)
            with pool.fetch(page_id) as page:
                raw = bytes(page.data)
            line, children = _node(raw, page_id)
            lines.append(line)
            below += children
        level = below
    return "\n".join(lines)


def _node(raw: bytes, page_id: int) -> tuple[str, list[int]]:
    kind, count, following, before, level = struct.unpack_from("<BHIIB", raw, 17)
    size = len(raw) - 32
    keys = struct.unpack_from(f"<{min(count, size // 4)}I", raw, 32)
    few = " ".join(map(str, keys[:_WIDE])) + (f" .. {keys[-1]}" if len(keys) > _WIDE else "")
    if kind:
        return f"  leaf {page_id} (prev {before}, next {following}): {few}", []
    at = 32 + 4 * ((size - 4) // 8)
    children = struct.unpack_from(f"<{min(count + 1, (len(raw) - at) // 4)}I", raw, at)
    named = " ".join(map(str, children[:_WIDE])) + (" .." if len(children) > _WIDE else "")
    return f"  node {page_id} (level {level}): {few}  children {named}", list(children)
