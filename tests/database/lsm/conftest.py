"""Tables to read, damage and close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    TOMBSTONE,
    BlockCache,
    Columns,
    SSTable,
    SSTableBuilder,
    norad_keys,
)
from tests.database.lsm.table_support import (
    Entries,
    build,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sst_000001.dat"


@pytest.fixture
def small_table(path: Path) -> tuple[Path, Entries]:
    """A table of a few blocks of every kind."""
    entries: Entries = [(b"a", b"alpha"), (b"ab", TOMBSTONE), (b"b" * 30, b"long key"), (b"c", b"")]
    entries += [(b"d", b"oversized" * 12), (b"e%d" % 1, b"1"), (b"e2", b"two"), (b"f", b"last")]
    build(path, entries, block_size=64)
    return path, entries


@pytest.fixture
def catalog(path: Path) -> Iterator[tuple[SSTable, np.ndarray]]:
    """10,000 records under even ids, cached: (table, values)."""
    values = np.random.default_rng(3).integers(0, 256, (10_000, 82), np.uint8)
    with SSTableBuilder(path, sst_id=1) as builder:
        builder.add_columns(Columns.fixed(norad_keys(np.arange(0, 20_000, 2)), values))
        builder.finish()
    with SSTable(path, BlockCache(1 << 20)) as table:
        yield table, values
