"""The order of a dict that only grows, brought up to date when it is asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import Final

from meridian.database.lsm.types import Value

__all__ = ["SortedKeys"]

_RECENT: Final = 1024


class SortedKeys:
    """Scan right after a write without sorting everything again.

    A dict remembers the order in which keys came, so those that are new since the last scan are
    its last ones. They are kept apart, sorted, until there are so many that merging them into the
    rest is worth its while. Not for two threads at once, nor while the dict grows.
    """

    __slots__ = ("_entries", "_recent", "_settled")

    def __init__(self, entries: dict[bytes, Value]) -> None:
        self._entries = entries
        self._settled: list[bytes] = []
        self._recent: list[bytes] = []

    def between(
        self, low: bytes | None, high: bytes | None, limit: int | None = None
    ) -> list[bytes]:
        """The keys from `low` to `high`, both included, the first `limit` of them.

        None: from the first, to the last, all of them.
        """
        self._catch_up()
        settled, recent = (_cut(keys, low, high, limit) for keys in (self._settled, self._recent))
        if not recent:
            return settled
        keys = settled + recent
        keys.sort()  # two runs in order: they are merged
        return keys[:limit]

    def _catch_up(self) -> None:
        settled, recent, entries = self._settled, self._recent, self._entries
        new = len(entries) - len(settled) - len(recent)
        if not new:
            return
        recent += islice(reversed(entries), new)
        if len(recent) <= _RECENT:
            recent.sort()
            return
        from meridian.database.lsm.ordering import in_order

        settled += in_order(recent)
        recent.clear()
        settled.sort()


def _cut(
    keys: list[bytes], low: bytes | None, high: bytes | None, limit: int | None
) -> list[bytes]:
    first = 0 if low is None else bisect_left(keys, low)
    last = len(keys) if high is None else bisect_right(keys, high)
    return keys[first : last if limit is None else min(last, first + limit)]
