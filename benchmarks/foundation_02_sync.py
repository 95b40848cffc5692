"""Queues, locks, counters and the screening against their peers: the module's performance table."""

from __future__ import annotations

from benchmarks.sync_sides import (
    bulk_sides,
    counter_sides,
    kernel_sides,
    litmus_bounds,
    method_sides,
    mutex_sides,
    pair_sides,
    rwlock_sides,
    screening_sides,
    threads_sides,
)
from benchmarks.table import Row, Table

__all__ = ["ALL_ROWS", "TABLE", "main"]

TABLE = Table(
    key="foundation/02-sync",
    title="Meridian locks and queues against the standard library",
    rows=[
        Row("push, then pop", "pair", pair_sides(shuffled=False), 20_000, 500, 2.5),
        Row("push, then pop, times shuffled", "pair", pair_sides(shuffled=True), 5_000, 500),
        Row(
            "3 producers, never full",
            "pair",
            threads_sides(0),
            items=20_000,
            quick_items=300,
            target=3.0,
            clock="wall",
        ),
        Row(
            "3 producers, capacity 64",
            "pair",
            threads_sides(64),
            items=10_000,
            quick_items=300,
            target=1.25,
            clock="wall",
        ),
        Row("many at once", "pair", bulk_sides(64), 20_000, 500, 2.0),
        Row("count", "increment", counter_sides, 100_000, 1_000, 2.0),
        Row(
            "count, atomic",
            "increment",
            method_sides,
            items=50_000,
            quick_items=1_000,
            note="the method of an atomic pays for entering a kernel each time",
        ),
        Row(
            "count, in a kernel",
            "increment",
            kernel_sides,
            items=100_000,
            quick_items=1_000,
            target=50.0,
            most_ns=4,
            note="not like for like: what leaving the interpreter buys",
        ),
        Row(
            "lock and release",
            "turn",
            mutex_sides,
            items=100_000,
            quick_items=1_000,
            target=1 / 3,
            note="ours also refuses re-entry and is poisoned by exceptions",
        ),
        Row(
            "read lock",
            "turn",
            rwlock_sides,
            items=20_000,
            quick_items=500,
            target=1.5,
            needs="readerwriterlock",
        ),
        Row(
            "screen altitudes",
            "object",
            screening_sides,
            items=50_000,
            quick_items=1_000,
            target=3.0,
            clock="wall",
            needs="scipy",
        ),
    ],
    workload=(
        "commands of three urgencies made outside the clock; 50,000 objects of which a tenth lie "
        "in three shells, pairs under 5 km; medians of 20 interleaved pairs. CPU time, wall time "
        "where threads work together."
    ),
    bias=(
        "written by the authors of meridian. The heap of the peer orders tuples and keeps no "
        "counters. A sharded counter is exact when its writers are quiet, one under a lock at any "
        "time. The tree takes distances up to the threshold, ours below it: no pair lies on it."
    ),
    peers=("readerwriterlock", "scipy", "numba"),
    alone={"litmus": litmus_bounds},
)
ALL_ROWS = TABLE.names
main = TABLE.main
