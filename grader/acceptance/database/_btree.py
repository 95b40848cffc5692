"""What several tests of the B+ tree suite need: a tree in the worker, and what it must answer."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grader.acceptance.database._btree_walk import INTERNAL_CAP, LEAF_CAP, Tree, walk
from grader.judging.compare import CriterionFailed, require, show
from grader.proxy.submission import Submission

__all__ = [
    "ABSENT",
    "BASE",
    "BOUNDS",
    "BULK",
    "DELETE",
    "MAX_KEY",
    "PROBE",
    "RANGE",
    "SMALL",
    "SPLITS",
    "Index",
    "expect_rows",
    "opened",
    "random_keys",
    "record_ids",
    "stored",
]

PROBE = Path(__file__).with_name("_btree_probe.py")
MAX_KEY = 2**32 - 1
SMALL = {"leaf_cap": 4, "internal_cap": 4}
CHUNK = 5_000  # calls in one question

# What other tests stand on: when one of these fails, they would only say the same again.
BASE = "test_ten_thousand_lookups"
ABSENT = "test_absent_keys"
RANGE = "test_a_hundred_and_one"
BOUNDS = "test_any_bounds"
DELETE = "test_a_thousand_deleted"
BULK = "test_bulk_load"
# What the judge's walk stands on wherever it is not the point.
SPLITS = ("test_leaves_split", "test_levels_grow", "test_every_order")


class Index:
    """A tree of the submission, with a pool and a file of its own, as the judge uses it."""

    def __init__(
        self,
        submission: Submission,
        name: str,
        frames: int = 256,
        *,
        fresh: bool = True,
        **options: Any,
    ) -> None:
        self._submission, self._name = submission, name
        self._caps = {
            "leaf_cap": options.get("leaf_cap", LEAF_CAP),
            "internal_cap": options.get("internal_cap", INTERNAL_CAP),
        }
        make = submission.probe(PROBE).Index
        self.there = make(submission.module(), submission.path(name), frames, options, fresh)

    def insert(self, entries: Mapping[int, int]) -> None:
        """`insert(key, rid)` for each, in their order."""
        for part in _parts(list(entries)):
            self.there.insert(part, [entries[key] for key in part])

    def expect_found(self, keys: Iterable[int], entries: Mapping[int, int], when: str = "") -> None:
        """`get` of each key must answer as `entries` do."""
        for part in _parts(list(keys)):
            for key, got in zip(part, self.there.get(part), strict=True):
                _expect_rid(got, entries.get(key), f"get({key}){when}")

    def delete(self, keys: Sequence[int], entries: dict[int, int]) -> None:
        """`delete` of each key must answer as `entries` do, which lose them."""
        for part in _parts(list(keys)):
            for key, got in zip(part, self.there.delete(part), strict=True):
                _expect_rid(got, entries.pop(key, None), f"delete({key})")

    def expect_range(self, lo: int, hi: int, entries: Mapping[int, int], **options: Any) -> None:
        """`range(lo, hi)` must give these entries of `entries`, which ascend."""
        (got,) = self.there.ranges([(lo, hi)], options)
        expect_rows(got, lo, hi, entries, **options)

    def saved(self, *, strict: bool = False) -> Tree:
        """The tree that the judge finds in the file, after every page was flushed."""
        self.there.save()
        return walk(self._submission.read(self._name), strict=strict, **self._caps)

    def expect_stored(self, entries: Mapping[int, int], when: str, **options: Any) -> Tree:
        """The file must have a sound tree of just these entries."""
        tree = self.saved(**options)
        stored(tree, entries, when)
        return tree

    def close(self) -> None:
        self.there.close()


@contextlib.contextmanager
def opened(submission: Submission, name: str, frames: int = 256, **options: Any) -> Iterator[Index]:
    """An `Index` that is closed after the block, however that ends."""
    index = Index(submission, name, frames, **options)
    try:
        yield index
    finally:
        with contextlib.suppress(Exception):  # a worker that is lost: the cause is on its way
            index.there.drop()


def stored(tree: Tree, entries: Mapping[int, int], when: str) -> None:
    """The leaves must hold `entries` and nothing else."""
    found = tree.entries
    for key in sorted(entries.keys() | found.keys()):
        _expect_rid(found.get(key), entries.get(key), f"{when}: key {key} in the leaves")


def expect_rows(
    got: object, lo: int, hi: int, entries: Mapping[int, int], *, reverse: bool = False
) -> None:
    """What a range gave, compared with the entries between its bounds."""
    call = f"list(range({lo}, {hi}{', reverse=True' if reverse else ''}))"
    want = sorted((key, rid) for key, rid in entries.items() if lo <= key <= hi)
    if reverse:
        want.reverse()
    if got == want:
        return
    if not isinstance(got, list):
        raise CriterionFailed(f"{call}: expected rows, got {show(got)}")
    pairs = enumerate(zip(got, want, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(got), len(want)))
    raise CriterionFailed(
        f"{call}: {len(got)} rows, expected {len(want)}; they differ from row {at} on: expected "
        f"{_row(want, at)}, got {_row(got, at)}",
        f"keys {show(sorted(entries))}" if len(entries) <= 40 else "",
    )


def _row(rows: list[Any], at: int) -> str:
    if at >= len(rows):
        return "the end"
    row = rows[at]
    return f"({row[0]}, {_shown(row[1])})" if isinstance(row, tuple) else show(row)


def _expect_rid(got: object, want: int | None, what: str) -> None:
    require(
        type(got) is type(want) and got == want,
        f"{what}: expected {_shown(want)}, got {_shown(got)}",
    )


def _shown(packed: object) -> str:
    if type(packed) is int:
        return f"RecordId({packed >> 16}, {packed & 0xFFFF})"
    return packed if isinstance(packed, str) else show(packed)


def _parts(keys: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def random_keys(rng: random.Random, count: int) -> list[int]:
    """Different keys of 32 bits in any order, the smallest and the largest among them."""
    keys = {0, MAX_KEY, *rng.sample(range(1, MAX_KEY), count - 2)}
    return rng.sample(sorted(keys), count)


def record_ids(rng: random.Random, keys: Iterable[int]) -> dict[int, int]:
    """A record id for each key, packed, in the keys' order."""
    return {key: rng.getrandbits(48) for key in keys}
