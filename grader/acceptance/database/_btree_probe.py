"""What runs in the worker, beside the tree: its pool and file, and loops whose calls are too many.

Hostile code could tamper with the counters of the pool that are read here; what lies in the file,
and what calls returned, is compared by the judge.
"""

from __future__ import annotations

import contextlib
import os
from itertools import islice
from typing import Any

from meridian.database.storage import BufferPool, PageFile, RecordId


def told(value: object) -> int | str | None:
    """A record id in its packed form; what is none, by its class."""
    if value is None:
        return None
    return value.pack() if type(value) is RecordId else f"a {type(value).__name__}, no RecordId"


def rows(items: Any) -> list[Any]:
    """What `range` gives, as keys and packed record ids."""
    return [
        (item[0], told(item[1])) if type(item) is tuple and len(item) == 2 else repr(item)
        for item in items
    ]


def rid(packed: int) -> RecordId:
    return RecordId(packed >> 16, packed & 0xFFFF)


def node(package: Any, keys: list[int], children: list[int], asked: list[int]) -> list[Any]:
    """An internal node of level 1: which child for each of `asked`, its page, and read again."""
    made = package.InternalNode(7, 1)
    made.keys.extend(keys)
    made.children.extend(children)
    page = bytearray(4096)
    made.to_page(page)
    again = package.InternalNode.from_page(page)
    found = [made.find_child(key) for key in asked]
    return [found, bytes(page), [list(again.keys), list(again.children)]]


class Index:
    """A tree of the package on a pool of its own."""

    def __init__(
        self, package: Any, path: str, frames: int, options: dict[str, Any], fresh: bool = True
    ) -> None:
        if fresh and os.path.exists(path):
            os.unlink(path)
        self._file = PageFile(path)
        self._pool = BufferPool(self._file, frames)
        self.tree = package.BPlusTree(self._pool, **options)
        self._left = ""  # what left a pin, first of all
        self._iterators: list[Any] = []

    # -- calls ------------------------------------------------------------------------------------

    def insert(self, keys: list[int], rids: list[int]) -> None:
        for key, packed in zip(keys, rids, strict=True):
            self.tree.insert(key, rid(packed))
            self._check_pins("insert", key)

    def get(self, keys: list[int]) -> list[Any]:
        found = []
        for key in keys:
            found.append(told(self.tree.get(key)))
            self._check_pins("get", key)
        return found

    def delete(self, keys: list[int]) -> list[Any]:
        found = []
        for key in keys:
            found.append(told(self.tree.delete(key)))
            self._check_pins("delete", key)
        return found

    def ranges(self, bounds: list[tuple[int, int]], options: dict[str, Any]) -> list[list[Any]]:
        found = []
        for lo, hi in bounds:
            found.append(rows(self.tree.range(lo, hi, **options)))
            self._check_pins("range", lo)
        return found

    def everything(self) -> list[Any]:
        return rows(self.tree.range())

    def bulk_load(self, keys: list[int], rids: list[int]) -> None:
        self.tree.bulk_load(list(zip(keys, map(rid, rids), strict=True)))
        self._check_pins("bulk_load", len(keys))

    def stats(self) -> list[Any]:
        now = self.tree.stats()
        self._check_pins("stats", 0)
        return [now.height, now.leaf_count, now.internal_count, now.count, now.fill_factor]

    def get_many(self, keys: Any) -> Any:
        return self.tree.get_many(keys)

    # -- iterators that are left open -------------------------------------------------------------

    def open_ranges(self, starts: list[int], hi: int) -> list[Any]:
        """Begin a range at each of `starts`, take one item of each, keep all of them open."""
        self._iterators = [iter(self.tree.range(lo, hi)) for lo in starts]
        first = [row for iterator in self._iterators for row in rows(islice(iterator, 1))]
        self._check_pins("open ranges", len(starts))
        return first

    def go_on(self) -> list[list[Any]]:
        """The rest of the ranges that were left open."""
        rest = [rows(iterator) for iterator in self._iterators]
        self._iterators = []
        return rest

    def changing(self, steps: list[tuple[str, int]], packed: int, options: dict[str, Any]) -> Any:
        """The whole range, with a step after each item: insert or delete that key."""
        items, left = [], iter(steps)
        for item in self.tree.range(**options):
            items.append(item)
            name, key = next(left, ("", 0))
            if name == "insert":
                self.tree.insert(key, rid(packed))
            elif name == "delete":
                self.tree.delete(key)
        return rows(items)

    # -- pool and file ----------------------------------------------------------------------------

    def counters(self) -> list[int]:
        stats = self._pool.stats
        return [stats.hits, stats.misses, stats.evictions]

    def left_pinned(self) -> str:
        """The first call that left a pin, or nothing."""
        return self._left

    def _check_pins(self, name: str, argument: int) -> None:
        if not self._left and (pinned := self._pool.pinned()):
            self._left = f"{name}({argument}) left pages pinned: {sorted(pinned)[:8]}"

    def save(self) -> None:
        """Everything is in the file, its header too."""
        self._pool.flush_all()
        self._file.sync()

    def pages(self) -> int:
        return self._file.page_count

    def close(self) -> None:
        self._pool.close()
        self._file.close()

    def drop(self) -> None:
        """Close without a word, whatever state it is in."""
        self._iterators = []
        with contextlib.suppress(Exception):
            self._pool.close()
        with contextlib.suppress(Exception):
            self._file.close()


class Cold:
    """Looks keys up, each through a pool that holds nothing yet, and counts the pages it reads."""

    def __init__(self, package: Any, path: str, options: dict[str, Any]) -> None:
        self._package, self._path, self._options = package, path, options

    def get(self, keys: list[int]) -> list[Any]:
        found = []
        with PageFile(self._path) as file:
            for key in keys:
                pool = BufferPool(file, 64)
                tree = self._package.BPlusTree(pool, **self._options)
                before = pool.stats.misses
                value = tree.get(key)
                found.append((told(value), pool.stats.misses - before))
        return found

    def ranges(self, bounds: list[tuple[int, int]]) -> list[Any]:
        found = []
        with PageFile(self._path) as file:
            for lo, hi in bounds:
                pool = BufferPool(file, 64)
                tree = self._package.BPlusTree(pool, **self._options)
                before = pool.stats.misses
                count = sum(1 for _ in tree.range(lo, hi))
                found.append((count, pool.stats.misses - before))
        return found


class Racer:
    """One side of a race: keys are laid out before the clock runs, and answers told after it."""

    def __init__(self, package: Any, path: str, frames: int = 4096) -> None:
        if os.path.exists(path):
            os.unlink(path)
        self._package, self._path = package, path
        self._file = PageFile(path)
        self._pool = BufferPool(self._file, frames)
        self._tree = package.BPlusTree(self._pool)
        self._keys: list[int] = []
        self._pairs: list[tuple[int, RecordId]] = []
        self._found: list[Any] = []

    def deal(self, keys: list[int], rids: list[int]) -> None:
        self._pairs = list(zip(keys, map(rid, rids), strict=True))

    def ask(self, keys: list[int]) -> None:
        self._keys = keys

    def insert(self) -> None:
        insert = self._tree.insert
        for key, value in self._pairs:
            insert(key, value)
        self._pool.flush_all()

    def bulk_load(self) -> None:
        self._tree.bulk_load(self._pairs)
        self._pool.flush_all()

    def get(self) -> None:
        get = self._tree.get
        self._found = [get(key) for key in self._keys]

    def found(self) -> list[Any]:
        return [told(value) for value in self._found]

    def save(self) -> None:
        self._pool.flush_all()
        self._file.sync()

    def put(self, places: list[tuple[int, int, int]]) -> None:
        """Set the u16 at byte `at` of a page to `slot`, through the pool, behind the tree."""
        for page_id, at, slot in places:
            with self._pool.fetch(page_id) as page:
                page.data_mut()[at : at + 2] = slot.to_bytes(2, "little")

    def batch(self, keys: Any) -> None:
        """Keep an array of keys for `get_many`, and a list of them for `get`."""
        self._array, self._keys = keys, keys.tolist()

    def get_many(self) -> None:
        self._answer = self._tree.get_many(self._array)

    def answer(self) -> Any:
        return self._answer

    def renew(self) -> None:
        """An empty tree in a new file."""
        self.close()
        self.__init__(self._package, self._path, self._pool.frames)  # type: ignore[misc]

    def close(self) -> None:
        self._pool.close()
        self._file.close()
