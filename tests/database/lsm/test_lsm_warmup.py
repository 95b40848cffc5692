"""After `warmup` nothing is compiled: kernels are called with the types that it named."""

from __future__ import annotations

import subprocess
import sys

CODE = """
from importlib import import_module
import numpy as np
names = "_hash_kernels", "_order_kernels", "_merge_kernels"
modules = [import_module(f"meridian.database.lsm.{name}") for name in names]
for module in modules:
    module.warmup()

def compiled():
    return {
        f"{module.__name__}.{name}": len(kernel.signatures)
        for module in modules
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")
    }

before = compiled()
from meridian.database.lsm import *
ids = np.arange(100)
rows = norad_keys(ids)
keys = [row.tobytes() for row in rows]
frozen = norad_keys(ids)
frozen.flags.writeable = False
columns = Columns.of(zip(keys, keys))
for given in (rows, frozen, rows[::2], keys, Columns.fixed(rows, rows), columns):
    hash_many(given)
    bloom = BloomFilter(100)
    bloom.insert_many(given)
    bloom = BloomFilter.from_bytes(bloom.to_bytes())
    bloom.may_contain_many(given)
bloom.insert(b"a"), bloom.may_contain(b"a"), hash64(b"a"), hash64(memoryview(b"a"))
tables = [MemTable(), MemTable()]
tables[0].put_many(rows, rows)
tables[1].delete_many(keys)
tables[1].columns()
parts = [table.freeze() for table in tables]
merge_columns(parts, keep_tombstones=False)
merge_columns([part[3:9] for part in parts])
take(concat(parts), np.array([1, 2]))
kway_merge([ids.astype(np.uint32), ids.astype(np.uint64)])
after = compiled()
assert sum(before.values()) >= 10, before
assert after == before, {name: n for name, n in after.items() if n != before[name]}
"""


def test_nothing_is_compiled_after_warmup() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
