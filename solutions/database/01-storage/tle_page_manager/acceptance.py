"""The run that the directive asks for: fill, read, delete, compact, report."""

from __future__ import annotations

import os
from collections import Counter

from .catalog import catalog
from .page_manager import PageManager

RECORDS, FRAMES = 200, 8


def run_acceptance(path: str | os.PathLike[str]) -> dict[str, int]:
    """Run on a fresh file at `path`, replacing what is there; print and return the counts.

    Insert the 200 records of `catalog()`; open the file again with 8 frames and read them in
    order; delete those in even slots; compact every page. Keys, in this order: `inserted`,
    `read`, `deleted`, and `hits` and `misses` of the reading pass alone. Prints the same numbers on
    one line, `inserted=200 read=...`: no time, no address, nothing that differs from run to run.
    """
    ### BEGIN SOLUTION #7: run_acceptance() - insert, reopen, read, delete, compact, print
    if os.path.exists(path):
        os.unlink(path)
    with PageManager(path, frames=FRAMES) as manager:
        rids = [manager.insert(record.pack()) for record in catalog(RECORDS)]
    counts = Counter(inserted=len(rids))
    with PageManager(path, frames=FRAMES) as manager:
        stats = manager.pool.stats
        hits, misses = stats.hits, stats.misses
        counts["read"] = sum(manager.get(rid) is not None for rid in rids)
        hits, misses = stats.hits - hits, stats.misses - misses
        counts["deleted"] = sum(manager.delete(rid) for rid in rids if rid.slot % 2 == 0)
        for page_id in sorted({rid.page_id for rid in rids}):
            manager.compact(page_id)
    report = {**counts, "hits": hits, "misses": misses}
    print(" ".join(f"{name}={count}" for name, count in report.items()))
    return report
    ### END SOLUTION
