"""The run that the directive asks for: five phases, a line for each."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from meridian.database.storage import BufferPool, PageFile, RecordId

from .btree import BPlusTree

IDS, SEED, PER_PAGE = 6_000, 43, 47


def record_id(key: int) -> RecordId:
    """Where module 1 would have put object `key`: 47 records to a page. Given."""
    return RecordId(1 + key // PER_PAGE, key % PER_PAGE)


def run_acceptance(path: str | os.PathLike[str], frames: int = 16) -> list[dict[str, Any]]:
    """Run on a fresh file at `path`, replacing what is there; print and return a row per phase.

    1. `insert`: ids 1 to 6,000, each with `record_id(id)`, in the order
       ``random.Random(43).sample(range(1, 6_001), 6_000)``
    2. `lookup`: `get` of 1 to 7,000, ascending
    3. `range`: `range(3000, 3100)`, then all of it, both to the end
    4. `delete`: 10, 20, .. 6,000, ascending, then all that are left, ascending
    5. `bulk`: `bulk_load` of the same 6,000 ids

    A row has, in this order: `phase`; `height`, `leaves` and `fill` (rounded to 4 digits) when the
    phase has ended; `hits` and `misses` of the pool in the phase, without what asking for the
    others costs. Printed as ``insert: height=2 leaves=..``: no time, no address, nothing that
    differs from run to run. The file is closed at the end, with the tree of phase 5 in it.
    """
    ### BEGIN SOLUTION #7: run_acceptance() - a function per phase, the pool's counters around it
    if os.path.exists(path):
        os.unlink(path)
    ids = range(1, IDS + 1)
    rows = []
    with PageFile(path) as file, BufferPool(file, frames) as pool:
        tree = BPlusTree(pool)

        def insert() -> None:
            for key in random.Random(SEED).sample(ids, IDS):
                tree.insert(key, record_id(key))

        def lookup() -> None:
            for key in range(1, IDS + 1001):
                tree.get(key)

        def scan() -> None:
            assert len(list(tree.range(3000, 3100))) == 101
            assert len(list(tree.range())) == IDS

        def delete() -> None:
            for key in (*range(10, IDS + 1, 10), *(key for key in ids if key % 10)):
                tree.delete(key)

        def bulk() -> None:
            tree.bulk_load([(key, record_id(key)) for key in ids])

        phases: dict[str, Callable[[], None]] = {
            "insert": insert,
            "lookup": lookup,
            "range": scan,
            "delete": delete,
            "bulk": bulk,
        }
        for name, run in phases.items():
            hits, misses = pool.stats.hits, pool.stats.misses
            run()
            counted = {"hits": pool.stats.hits - hits, "misses": pool.stats.misses - misses}
            now = tree.stats()
            row = {"phase": name, "height": now.height, "leaves": now.leaf_count}
            row |= {"fill": round(now.fill_factor, 4), **counted}
            print(f"{name}:", *(f"{field}={row[field]}" for field in list(row)[1:]))
            rows.append(row)
    return rows
    ### END SOLUTION
