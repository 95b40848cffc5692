"""The run that the directive asks for: a cascade of 100,000 records, then what it cost."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import Any

from .bloom import BloomFilter
from .keys import norad_key
from .lsm import LsmEngine

RECORDS, VALUE_BYTES, ASKED = 100_000, 82, 1_000
BITS = (5, 10, 14, 20)
FILTER_KEYS, STRANGERS = 5_000, 10_000


def run_acceptance(path: str | os.PathLike[str], records: int = RECORDS) -> dict[str, Any]:
    """Run in a fresh engine in the folder `path`, replacing what is there; print, return counts.

    Put `records` records of VALUE_BYTES bytes under the ids 1.. in a shuffled order, with the
    engine's defaults: `records`, `tables` (files then), `in_memory` (records not in a file).
    Then five times: overwrite records // 10 random ids, flush, and note how many tables each level
    has: `files_over_time`, a list of five lists, and `write_amp`. Ask for ASKED random ids:
    `read_amp`, `block_reads`. `space_amp`: bytes of the tables / key and value bytes of a whole
    scan. `fpr`: for each of BITS the measured rate of a filter of FILTER_KEYS keys, asked
    STRANGERS others, as a string "10": 0.008.

    Seeded, so that two runs give the same. What differs, time and records/s, is printed alone:
    records/s of the first step, with its flushes, beside the 50,000/s that the cascade needs.
    """
    ### BEGIN SOLUTION #8: run_acceptance() - put, update and flush, ask, scan, filters; print
    if os.path.exists(path):
        shutil.rmtree(path)
    rng = random.Random(44)
    ids = rng.sample(range(1, records + 1), records)
    noise = rng.randbytes(VALUE_BYTES + records)
    with LsmEngine(path) as engine:
        start_s = time.perf_counter()
        for i in ids:
            engine.put(norad_key(i), noise[i : i + VALUE_BYTES])
        seconds = time.perf_counter() - start_s
        stats = engine.stats()
        report: dict[str, Any] = {
            "records": records,
            "tables": sum(map(len, stats["levels"])),
            "in_memory": stats["memtable_entries"],
            "files_over_time": [],
        }
        for _ in range(5):
            for i in rng.choices(ids, k=records // 10):
                engine.put(norad_key(i), noise[-VALUE_BYTES - i : -i])
            engine.flush()
            report["files_over_time"].append([len(level) for level in engine.stats()["levels"]])
        before = engine.stats()["block_reads"]
        for i in rng.choices(ids, k=ASKED):
            engine.get(norad_key(i))
        stats = engine.stats()
        live_bytes = sum(len(key) + len(value) for key, value in engine.scan())
    report["write_amp"] = round(stats["write_amp"], 3)
    report["read_amp"] = round(stats["read_amp"], 3)
    report["block_reads"] = stats["block_reads"] - before
    report["space_amp"] = round(stats["table_bytes"] / live_bytes, 3)
    report["fpr"] = {str(bits): _false_positives(bits) for bits in BITS}
    print(
        f"{records:,} records in {seconds:.2f} s: {records / seconds:,.0f} records/s, "
        "the cascade needs 50,000/s"
    )
    for name, count in report.items():
        print(f"{name}={count}")
    return report
    ### END SOLUTION


### BEGIN SOLUTION
def _false_positives(bits_per_key: int) -> float:
    bloom = BloomFilter(FILTER_KEYS, bits_per_key)
    for i in range(FILTER_KEYS):
        bloom.insert(norad_key(2 * i))
    hits = sum(bloom.may_contain(norad_key(2 * i + 1)) for i in range(STRANGERS))
    return hits / STRANGERS


### END SOLUTION
