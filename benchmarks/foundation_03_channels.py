"""Channels against what a program would use instead: the rows of the module's performance table."""

from __future__ import annotations

from benchmarks.channel_bounds import aggregator_bounds, emergency_bounds, watch_bounds
from benchmarks.channel_sides import (
    batch_side,
    broadcast_sides,
    ring_sides,
    single_sides,
    three_streams,
)
from benchmarks.table import Row, Table

__all__ = ["ALL_ROWS", "TABLE", "main"]

_SINGLE = [
    Row(
        f"send and recv, capacity {capacity}, {backend}",
        "item",
        single_sides(capacity, backend, peer),
        items=20_000,
        quick_items=500,
        target=target,
    )
    for capacity in (64, 1_024)
    for backend, peer, target in (
        ("asyncio", "anyio", 20.0),
        ("asyncio", "asyncio.Queue", 2.0),
        ("trio", "anyio", 20.0),
    )
]

TABLE = Table(
    key="foundation/03-channels",
    title="Meridian channels against queues and streams",
    rows=[
        *_SINGLE,
        Row(
            "send and recv, capacity 1, asyncio",
            "item",
            single_sides(1, "asyncio", "anyio"),
            items=10_000,
            quick_items=500,
            note="every item is a switch of tasks on both sides",
        ),
        Row("batches of 256", "item", batch_side(1_024, "asyncio"), 200_000, 1_000, most_ns=200),
        Row(
            "broadcast to 3, batches of 16",
            "item",
            broadcast_sides(1_024, 3, 16),
            items=50_000,
            quick_items=512,
            target=2.0,
            most_ns=1_000,
        ),
        Row("broadcast to 3, batches of 16", "item", three_streams(1_024), 5_000, 256),
        Row(
            "records between threads",
            "record",
            ring_sides(1_000),
            items=5_000_000,
            quick_items=20_000,
            target=2.0,
            clock="wall",
            most_ns=20,
        ),
    ],
    workload=(
        "integers from one producer to one consumer (broadcast: three) in one loop; records of 24 "
        "bytes in batches of 1,000 between two threads; medians of 20 interleaved pairs, the start "
        "of the loop included. CPU time, wall time between threads. Aggregator: 48 sources of "
        "256-byte frames, two subscribers; its emergencies while every lane is full and a frame "
        "takes 2 ms, from when each is due."
    ),
    bias=(
        "written by the authors of meridian. anyio's streams let other tasks run at every call, "
        "ours at every 128th and wherever they wait; asyncio's queue never does unless it waits. "
        "The queues cannot be closed, so they carry a sentinel. Nobody lags in the broadcast."
    ),
    peers=("anyio", "trio"),
    alone={"aggregator": aggregator_bounds, "emergencies": emergency_bounds, "watch": watch_bounds},
)
ALL_ROWS = TABLE.names
main = TABLE.main
