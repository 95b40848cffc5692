"""The broker, select and the tracker against what a program would write instead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import numpy as np

from benchmarks.bounds import Bound
from benchmarks.broker_sides import HANDLERS, STATIONS, broker_sides, latency_ms, waiting_sides
from benchmarks.harness import Side
from benchmarks.table import Row, Table
from meridian.academy import plots
from meridian.foundation.channels import channel
from meridian.foundation.tasks import TaskTracker, select

__all__ = ["ALL_ROWS", "TABLE", "main"]


def select_sides(items: int) -> tuple[Side, Side]:
    """The first of three branches, of which one is always ready."""

    async def ours() -> int:
        ends = [channel(8) for _ in range(3)]
        tx = ends[1][0]
        total = 0
        for item in range(items):
            tx.try_send(item)
            _, value = await select(*(rx for _, rx in ends))
            total += value
        for sender, receiver in ends:
            sender.close()
            receiver.close()
        return total

    async def theirs() -> int:
        queues: list[asyncio.Queue[int]] = [asyncio.Queue(8) for _ in range(3)]
        total = 0
        for item in range(items):
            queues[1].put_nowait(item)
            tasks = [asyncio.ensure_future(waiting.get()) for waiting in queues]
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in late:
                task.cancel()
            total += sum(task.result() for task in done)
        return total

    return (
        Side("select", lambda _: anyio.run(ours)),
        Side("asyncio.wait of three tasks", lambda _: asyncio.run(theirs())),
    )


def tracker_sides(items: int) -> tuple[Side, Side]:
    """Start a task that does nothing, and wait for it."""

    async def nothing() -> None:
        pass

    async def ours() -> int:
        async with TaskTracker() as tracker:
            for _ in range(items):
                await tracker.spawn(nothing).join()
        return items

    async def theirs() -> int:
        async with anyio.create_task_group() as tasks:
            for _ in range(items):
                over = anyio.Event()

                async def run(over: anyio.Event = over) -> None:
                    await nothing()
                    over.set()

                tasks.start_soon(run)
                await over.wait()
        return items

    return (
        Side("TaskTracker", lambda _: anyio.run(ours)),
        Side("anyio task group", lambda _: anyio.run(theirs)),
    )


def _latency(out: Path, quick: bool) -> list[Bound]:
    """Latency under a steady load: a distribution, not a race."""
    found = np.array(latency_ms(1.0 if quick else 30.0))
    p50, p99 = np.percentile(found, [50, 99])
    fig, ax = plots.figure(7.2, 3.0)
    ordered = np.sort(found)
    ax.plot(ordered, 1 - np.arange(ordered.size) / ordered.size, color=plots.series(0).color)
    ax.set(xscale="log", yscale="log", xlabel="ms from when a frame is due to the last handler")
    ax.set(ylabel="share of frames that took longer")
    ax.set_title(f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {found.max():.1f} ms")
    said = plots.statement(
        workload=(
            f"4,800 frames of 256 bytes a second from {STATIONS} connections to {HANDLERS} "
            "handlers; every second a thread of the pool sleeps 200 ms, for a catalog refresh."
        ),
        bias="no peer. The stations run in the broker's own process and loop.",
    )
    plots.note(fig, said)
    numbers = {
        "statement": said,
        "frames": int(found.size),
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": found.max(),
        "quick": quick,
    }
    plots.save(fig, out / "foundation-01-tasks-latency", numbers)
    return [
        Bound("latency, 99 of 100", "frame", p99 * 1e6, 20e6),
        Bound("latency, the longest", "frame", float(found.max()) * 1e6, 250e6),
    ]


TABLE = Table(
    key="foundation/01-tasks",
    title="Meridian tasks and broker against asyncio",
    rows=[
        *(
            Row(
                f"{STATIONS} connections to {HANDLERS} handlers",
                "delivered frame",
                sides,
                items=10_000,
                quick_items=50,
                target=3.0,
                clock="wall",
                rounds=6,
                sampled=True,
                most_ns=1e9 / 100_000,
            )
            for sides in (broker_sides, waiting_sides)
        ),
        Row("select, one of three ready", "select", select_sides, 10_000, 200, 5.0),
        Row("spawn and join", "task", tracker_sides, 5_000, 200, 1 / 1.5),
    ],
    workload=(
        "frames of 256 bytes from 48 connections of another process, 10,000 each, to three "
        "handlers that count; medians of interleaved pairs. Wall time per delivered frame for the "
        "broker, CPU time for the others."
    ),
    bias=(
        "written by the authors of meridian. The peer of the broker is readexactly for each "
        "frame and a queue of 256 for each handler, which drops when it is full, as ours does when "
        "a handler lags, or waits; dropped frames count for nothing, and a session that finds its "
        "frames in the buffer gives handlers no turn, so queues that drop drop nearly all. "
        "asyncio.wait loses the value of a branch that finishes beside the first; select does not."
    ),
    peers=("anyio",),
    alone={"latency": _latency},
)
ALL_ROWS = TABLE.names
main = TABLE.main
