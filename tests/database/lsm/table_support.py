"""Tables of known entries, and all ways to ask them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from meridian.database.lsm import (
    MISSING,
    TOMBSTONE,
    Columns,
    SSTable,
    SSTableBuilder,
    SstMeta,
    hash_columns,
    norad_key,
)
from meridian.database.lsm.table_batch import Probe
from meridian.database.lsm.types import Found, Value

Entries = list[tuple[bytes, Value]]

KEYS = st.binary(min_size=1, max_size=6) | st.integers(0, 999).map(norad_key)
VALUES = st.binary(max_size=60) | st.sampled_from([b"", TOMBSTONE, b"x" * 500])
ENTRIES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=60).map(lambda d: sorted(d.items()))


def build(path: Path, entries: Entries, *, sst_id: int = 1, **options: object) -> SstMeta:
    with SSTableBuilder(path, sst_id=sst_id, **options) as builder:  # type: ignore[arg-type]
        for key, value in entries:
            builder.add(key, value)
        return builder.finish()


def probe_of(keys: list[bytes], *, hashed: bool = True) -> Probe:
    columns = Columns.of((key, b"") for key in keys)
    return Probe(columns.keys, columns.key_starts, hash_columns(columns) if hashed else None)


def everything(table: SSTable, keys: list[bytes]) -> list[Found]:
    """What the batch answers to `keys`."""
    out: list[Found] = [MISSING] * len(keys)
    table.get_values(probe_of(keys), np.arange(len(keys)), out)
    return out
