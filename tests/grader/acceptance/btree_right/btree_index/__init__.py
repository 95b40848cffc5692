"""Another right answer: recursive, plain lists, links mended after the fact, no bonus."""

from __future__ import annotations

import random
import struct
from bisect import bisect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from meridian.database.storage import BufferPool, PageFile, PageType, RecordId

HEAD = struct.Struct("<BHIIB")


class DuplicateKey(ValueError):
    pass


class KeyRange(ValueError):
    pass


class Stats(NamedTuple):
    height: int
    leaf_count: int
    internal_count: int
    count: int
    fill_factor: float


def checked(key: Any) -> int:
    if isinstance(key, bool) or not isinstance(key, int) or key < 0 or key > 2**32 - 1:
        raise KeyRange(repr(key))
    return key


class LeafNode:
    def __init__(self, page_id: int, rows: Any = ()) -> None:
        self.page_id = page_id
        self.keys = [key for key, _ in rows]
        self.pages = [rid.page_id for _, rid in rows]
        self.slots = [rid.slot for _, rid in rows]
        self.next_leaf = self.prev_leaf = 0

    @property
    def rows(self) -> list[tuple[int, RecordId]]:
        return list(zip(self.keys, map(RecordId, self.pages, self.slots), strict=True))

    def to_page(self, buf: Any) -> None:
        count = len(self.keys)
        struct.pack_into("<H", buf, 9, count)
        HEAD.pack_into(buf, 17, 1, count, self.next_leaf, self.prev_leaf, 0)
        struct.pack_into(f"<{count}I", buf, 32, *self.keys)
        struct.pack_into(f"<{count}I", buf, 32 + 4 * 406, *self.pages)
        struct.pack_into(f"<{count}H", buf, 32 + 8 * 406, *self.slots)

    @classmethod
    def from_page(cls, buf: Any) -> LeafNode:
        _, count, following, before, _ = HEAD.unpack_from(buf, 17)
        leaf = cls(int.from_bytes(buf[4:8], "little"))
        leaf.keys = list(struct.unpack_from(f"<{count}I", buf, 32))
        leaf.pages = list(struct.unpack_from(f"<{count}I", buf, 32 + 4 * 406))
        leaf.slots = list(struct.unpack_from(f"<{count}H", buf, 32 + 8 * 406))
        leaf.next_leaf, leaf.prev_leaf = following, before
        return leaf


class InternalNode:
    def __init__(self, page_id: int, level: int) -> None:
        self.page_id, self.level = page_id, level
        self.keys: list[int] = []
        self.children: list[int] = []

    def find_child(self, key: int) -> int:
        return bisect(self.keys, key)

    def to_page(self, buf: Any) -> None:
        struct.pack_into("<H", buf, 9, len(self.keys))
        HEAD.pack_into(buf, 17, 0, len(self.keys), 0, 0, self.level)
        struct.pack_into(f"<{len(self.keys)}I", buf, 32, *self.keys)
        struct.pack_into(f"<{len(self.children)}I", buf, 32 + 4 * 507, *self.children)

    @classmethod
    def from_page(cls, buf: Any) -> InternalNode:
        _, count, _, _, level = HEAD.unpack_from(buf, 17)
        node = cls(int.from_bytes(buf[4:8], "little"), level)
        node.keys = list(struct.unpack_from(f"<{count}I", buf, 32))
        node.children = list(struct.unpack_from(f"<{count + 1}I", buf, 32 + 4 * 507))
        return node


class BPlusTree:
    def __init__(
        self, pool: BufferPool, *, leaf_cap: int | None = None, internal_cap: int | None = None
    ) -> None:
        self.pool, self.file = pool, pool.file
        self.leaf_cap, self.internal_cap = leaf_cap or 406, internal_cap or 507
        self.changes = 0

    # Everything about the tree is asked of the file each time.
    @property
    def root(self) -> int:
        return self.file.get_root(0) % 2**32

    @property
    def height(self) -> int:
        return self.file.get_root(0) >> 32

    @property
    def count(self) -> int:
        return self.file.get_root(1)

    def load(self, page_id: int) -> Any:
        with self.pool.fetch(page_id) as page:
            return (LeafNode if page.data[17] else InternalNode).from_page(page.data)

    def save(self, *nodes: Any) -> None:
        for node in nodes:
            with self.pool.fetch(node.page_id) as page:
                node.to_page(page.data_mut())

    def page(self) -> int:
        with self.pool.new_page(PageType.INDEX) as page:
            return page.page_id

    def get(self, key: int) -> RecordId | None:
        checked(key)
        leaf = self.leaf_of(key) if self.root else LeafNode(0)
        if key not in leaf.keys:
            return None
        at = leaf.keys.index(key)
        return RecordId(leaf.pages[at], leaf.slots[at])

    def leaf_of(self, key: int) -> LeafNode:
        node = self.load(self.root)
        while isinstance(node, InternalNode):
            node = self.load(node.children[node.find_child(key)])
        assert isinstance(node, LeafNode)
        return node

    def insert(self, key: int, rid: RecordId) -> None:
        checked(key)
        if not self.root:
            leaf = LeafNode(self.page())
            self.save(leaf)
            self.file.set_root(0, leaf.page_id | 1 << 32)
        grown = self.put(self.root, key, rid)
        if grown:
            root = InternalNode(self.page(), self.height)
            root.keys, root.children = [grown[0]], [self.root, grown[1]]
            self.save(root)
            self.file.set_root(0, root.page_id | self.height + 1 << 32)
        self.file.set_root(1, self.count + 1)
        self.changes += 1

    def put(self, page_id: int, key: int, rid: RecordId) -> tuple[int, int] | None:
        """Insert below `page_id`; the separator and page of a new right half, if there is one."""
        node = self.load(page_id)
        if isinstance(node, LeafNode):
            if key in node.keys:
                raise DuplicateKey(str(key))
            at = bisect(node.keys, key)
            node.keys.insert(at, key)
            node.pages.insert(at, rid.page_id)
            node.slots.insert(at, rid.slot)
            if len(node.keys) <= self.leaf_cap:
                self.save(node)
                return None
            half = len(node.keys) - len(node.keys) // 2
            right = LeafNode(self.page(), node.rows[half:])
            del node.keys[half:], node.pages[half:], node.slots[half:]
            self.link(right, self.load(node.next_leaf) if node.next_leaf else None)
            self.link(node, right)
            self.save(node, right)
            return right.keys[0], right.page_id
        at = node.find_child(key)
        grown = self.put(node.children[at], key, rid)
        if not grown:
            return None
        node.keys.insert(at, grown[0])
        node.children.insert(at + 1, grown[1])
        if len(node.keys) <= self.internal_cap:
            self.save(node)
            return None
        half = len(node.keys) // 2
        other = InternalNode(self.page(), node.level)
        other.keys, other.children = node.keys[half + 1 :], node.children[half + 1 :]
        up = node.keys[half]
        node.keys, node.children = node.keys[:half], node.children[: half + 1]
        self.save(node, other)
        return up, other.page_id

    def link(self, left: LeafNode | None, right: LeafNode | None) -> None:
        if left:
            left.next_leaf = right.page_id if right else 0
            self.save(left)
        if right:
            right.prev_leaf = left.page_id if left else 0
            self.save(right)

    def delete(self, key: int) -> RecordId | None:
        checked(key)
        found = self.get(key)
        if found is None:
            return None
        self.take(self.root, key)
        root = self.load(self.root)
        while isinstance(root, InternalNode) and len(root.children) == 1:
            self.file.set_root(0, root.children[0] | self.height - 1 << 32)
            self.pool.free_page(root.page_id)
            root = self.load(self.root)
        self.file.set_root(1, self.count - 1)
        self.changes += 1
        return found

    def take(self, page_id: int, key: int) -> bool:
        """Delete below `page_id`; whether nothing is left there, and the page given back."""
        node = self.load(page_id)
        if isinstance(node, LeafNode):
            at = node.keys.index(key)
            del node.keys[at], node.pages[at], node.slots[at]
            self.save(node)
            if node.keys or page_id == self.root:
                return False
            before = self.load(node.prev_leaf) if node.prev_leaf else None
            self.link(before, self.load(node.next_leaf) if node.next_leaf else None)
        else:
            at = node.find_child(key)
            if not self.take(node.children[at], key):
                return False
            del node.children[at]
            if node.keys:
                # Either neighbour may have the range of what is gone: here the one behind.
                del node.keys[at if at < len(node.keys) else -1]
                self.save(node)
            if node.children:
                return False
            if page_id == self.root:  # an empty leaf takes its place
                leaf = LeafNode(self.page())
                self.save(leaf)
                self.file.set_root(0, leaf.page_id | 1 << 32)
        self.pool.free_page(page_id)
        return True

    def range(self, lo: int = 0, hi: int = 2**32 - 1) -> Iterator[tuple[int, RecordId]]:
        checked(lo), checked(hi)
        return self.walk(lo, hi)

    def walk(self, lo: int, hi: int) -> Iterator[tuple[int, RecordId]]:
        leaf = self.leaf_of(lo) if self.root and lo <= hi else None
        while leaf:
            changes = self.changes
            for row in leaf.rows:
                if lo <= row[0] <= hi and changes == self.changes:
                    lo = row[0] + 1
                    yield row
            if lo > hi or not self.root:
                return
            if changes != self.changes:
                leaf = self.leaf_of(lo)
            elif not leaf.next_leaf or (leaf.keys and leaf.keys[-1] >= hi):
                return
            else:
                leaf = self.load(leaf.next_leaf)

    def bulk_load(self, pairs: Any) -> None:
        pairs = list(pairs)
        keys = [checked(key) for key, _ in pairs]
        if self.count or any(a >= b for a, b in pairwise(keys)):
            raise ValueError("not ascending, or not empty")
        if not pairs:
            return
        if self.root:
            self.pool.free_page(self.root)
        ids = [self.page() for _ in range(0, len(pairs), self.leaf_cap)]
        for i, page_id in enumerate(ids):
            leaf = LeafNode(page_id, pairs[i * self.leaf_cap : (i + 1) * self.leaf_cap])
            leaf.prev_leaf = ids[i - 1] if i else 0
            leaf.next_leaf = ids[i + 1] if i + 1 < len(ids) else 0
            self.save(leaf)
        level, lows, height = ids, keys[:: self.leaf_cap], 1
        fan_out = self.internal_cap + 1
        while len(level) > 1:
            above, above_lows = [], []
            for start in range(0, len(level), fan_out):
                node = InternalNode(self.page(), height)
                node.children = level[start : start + fan_out]
                node.keys = lows[start : start + fan_out][1:]
                self.save(node)
                above.append(node.page_id)
                above_lows.append(lows[start])
            level, lows, height = above, above_lows, height + 1
        self.file.set_root(0, level[0] | height << 32)
        self.file.set_root(1, len(pairs))
        self.changes += 1

    def stats(self) -> Stats:
        leaves, internal = 0, 0
        left = [self.root] if self.root else []
        while left:
            node = self.load(left.pop())
            leaves += isinstance(node, LeafNode)
            internal += isinstance(node, InternalNode)
            left += getattr(node, "children", [])
        fill = self.count / leaves / self.leaf_cap if leaves else 0.0
        return Stats(self.height, leaves, internal, self.count, fill)


def run_acceptance(path: Any, frames: int = 16) -> list[dict[str, Any]]:
    Path(path).unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    everyone = {key: RecordId(1 + key // 47, key % 47) for key in range(1, 6_001)}
    with PageFile(path) as file, BufferPool(file, frames) as pool:
        tree = BPlusTree(pool)
        hits = misses = 0

        def done(phase: str) -> None:
            now = (pool.stats.hits - hits, pool.stats.misses - misses)
            stats = tree.stats()
            row = {"phase": phase, "height": stats.height, "leaves": stats.leaf_count}
            row.update(fill=round(stats.fill_factor, 4), hits=now[0], misses=now[1])
            rows.append(row)
            print(phase + ": " + " ".join(f"{k}={v}" for k, v in row.items() if k != "phase"))

        for key in random.Random(43).sample(range(1, 6_001), 6_000):
            tree.insert(key, everyone[key])
        done("insert")
        hits, misses = pool.stats.hits, pool.stats.misses
        for key in range(1, 7_001):
            tree.get(key)
        done("lookup")
        hits, misses = pool.stats.hits, pool.stats.misses
        list(tree.range(3000, 3100)), list(tree.range())
        done("range")
        hits, misses = pool.stats.hits, pool.stats.misses
        for key in sorted(everyone, key=lambda key: (key % 10 > 0, key)):
            tree.delete(key)
        done("delete")
        hits, misses = pool.stats.hits, pool.stats.misses
        tree.bulk_load(everyone.items())
        done("bulk")
    return rows
