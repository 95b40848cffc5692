"""Tables to read, damage and close; engines to fill."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    TOMBSTONE,
    BlockCache,
    Columns,
    LsmEngine,
    LsmOptions,
    SSTable,
    SSTableBuilder,
    norad_key,
    norad_keys,
)
from tests.database.lsm.engine_support import Mixed, Open
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    """`opened(**options)`: an engine in `folder`, closed at the end of the test."""
    engines: list[LsmEngine] = []

    def make(**options: object) -> LsmEngine:
        engine = LsmEngine(folder, LsmOptions(**({"fsync": False} | options)))  # type: ignore[arg-type]
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def mixed(opened: Open) -> Mixed:
    """Everything everywhere: level 2, level 1, level 0, a frozen memtable, the active one."""
    engine = opened(
        memtable_bytes=40_000, l0_trigger=3, l1_bytes=60_000, target_file_bytes=20_000, size_ratio=3
    )
    rng, model = random.Random(6), {}
    for _ in range(12_000):
        key = norad_key(rng.randrange(0, 6_000, 2))
        if rng.random() < 0.1:
            engine.delete(key)
            model.pop(key, None)
        else:
            model[key] = rng.randbytes(20)
            engine.put(key, model[key])
    engine.freeze()
    for number in range(0, 300, 3):
        model[norad_key(number)] = b"y" * 20
        engine.put(norad_key(number), b"y" * 20)
    stats = engine.stats()
    assert len(stats.files_per_level) >= 3
    assert stats.immutables == 1
    assert stats.memtable_bytes
    return engine, model
