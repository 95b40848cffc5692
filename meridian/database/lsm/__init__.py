"""A log-structured merge engine: writes in memory, immutable sorted files, merging behind.

Read in this order: `types` and `columns` (keys, values, many of them), `memtable` (what was written
last), `bloom` and `block` (what a table is made of), `sstable`, `cache`, `merge` (the newest wins),
`version` and `manifest` (which tables count), `compaction`, `engine`. Names are loaded when first
used: importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.lazy import lazy_names

if TYPE_CHECKING:
    from meridian.database.lsm.batch import *  # noqa: F403
    from meridian.database.lsm.block import *  # noqa: F403
    from meridian.database.lsm.bloom import *  # noqa: F403
    from meridian.database.lsm.cache import *  # noqa: F403
    from meridian.database.lsm.columns import *  # noqa: F403
    from meridian.database.lsm.compaction import *  # noqa: F403
    from meridian.database.lsm.engine import *  # noqa: F403
    from meridian.database.lsm.errors import *  # noqa: F403
    from meridian.database.lsm.fifo import *  # noqa: F403
    from meridian.database.lsm.hashing import *  # noqa: F403
    from meridian.database.lsm.leveled import *  # noqa: F403
    from meridian.database.lsm.manifest import *  # noqa: F403
    from meridian.database.lsm.memtable import *  # noqa: F403
    from meridian.database.lsm.merge import *  # noqa: F403
    from meridian.database.lsm.options import *  # noqa: F403
    from meridian.database.lsm.ordering import concat as concat
    from meridian.database.lsm.ordering import take as take
    from meridian.database.lsm.sstable import *  # noqa: F403
    from meridian.database.lsm.sstable_builder import *  # noqa: F403
    from meridian.database.lsm.stats import LsmStats as LsmStats
    from meridian.database.lsm.tiered import *  # noqa: F403
    from meridian.database.lsm.types import *  # noqa: F403
    from meridian.database.lsm.version import *  # noqa: F403

_EXPORTS = {
    "types": (
        "MAX_KEY",
        "MAX_VALUE",
        "MISSING",
        "TOMBSTONE",
        "Missing",
        "Tombstone",
        "norad_id",
        "norad_key",
        "norad_keys",
    ),
    "columns": ("Columns",),
    "hashing": ("hash64", "hash_columns", "hash_many"),
    "bloom": ("BloomFilter", "PrefixBloom"),
    "block": ("Block", "encode_block"),
    "cache": ("BlockCache", "CacheStatistics"),
    "sstable_builder": ("SSTableBuilder",),
    "sstable": ("Probe", "ReadCounters", "SSTable"),
    "batch": ("WriteBatch",),
    "engine": ("LsmEngine",),
    "options": ("KeyPrefix", "LsmOptions"),
    "stats": ("LsmStats",),
    "manifest": ("ManifestStore", "SnapshotManifest"),
    "compaction": ("CompactionKind", "CompactionTask", "Strategy"),
    "leveled": ("Leveled",),
    "tiered": ("Tiered",),
    "fifo": ("Fifo",),
    "version": ("SstMeta", "Version", "VersionEdit", "table_name"),
    "memtable": ("MemTable",),
    "ordering": ("concat", "take"),
    "merge": ("kway_merge", "merge_columns", "merge_iter"),
    "errors": (
        "CorruptTable",
        "EngineClosed",
        "EngineFailed",
        "EngineLocked",
        "FrozenError",
        "LsmError",
        "ManifestCorrupt",
        "ManifestMissing",
        "MissingTable",
        "OutOfOrder",
    ),
}
__all__ = sorted(name for names in _EXPORTS.values() for name in names)

__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
