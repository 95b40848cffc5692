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
    raise NotImplementedError(
        "database/03-lsm #8: run_acceptance() - put, update and flush, ask, scan, filters; print"
    )
