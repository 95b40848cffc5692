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
    raise NotImplementedError(
        "database/01-storage #7: run_acceptance() - insert, reopen, read, delete, compact, print"
    )
