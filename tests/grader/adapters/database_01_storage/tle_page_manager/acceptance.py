from __future__ import annotations

import os

from meridian.database.storage import PageManager
from meridian.orbital.catalog import synthetic_catalog


def run_acceptance(path: str) -> dict[str, int]:
    """The run of criterion 7 on the system itself."""
    if os.path.exists(path):
        os.unlink(path)
    records = synthetic_catalog(200, seed=42)
    with PageManager(path, frames=8) as manager:
        rids = [manager.insert(records[i : i + 1].tobytes()) for i in range(len(records))]
    with PageManager(path, frames=8) as manager:
        before = manager.pool.statistics()
        read = sum(manager.get(rid) is not None for rid in rids)
        after = manager.pool.statistics()
        deleted = sum(manager.delete(rid) for rid in rids[::2])
        for page_id in sorted({rid.page_id for rid in rids}):
            manager.compact(page_id)
    report = {
        "inserted": len(rids),
        "read": read,
        "deleted": deleted,
        "hits": after.hits - before.hits,
        "misses": after.misses - before.misses,
    }
    print(report)
    return report
