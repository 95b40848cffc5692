"""What the aggregator and a watch are held to by themselves: nobody else offers the same."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import anyio
import numpy as np
from anyio.abc import TaskStatus

from benchmarks.bounds import Bound
from meridian.foundation.channels import (
    BroadcastReceiver,
    ChannelClosed,
    FeedKind,
    Frame,
    FramePriority,
    ShuttingDown,
    SourceHandle,
    TelemetryAggregator,
    watch,
)

__all__ = ["aggregator_bounds", "emergency_bounds", "watch_bounds"]

SOURCES, SUBSCRIBERS = 48, 2
_PAYLOAD = bytes(256)
_PROCESSING_S = 0.002


def _frame(source: int, number: int, priority: FramePriority = FramePriority.ROUTINE) -> Frame:
    return Frame(source, FeedKind.LIVE_UPLINK, priority, number, _PAYLOAD)


def aggregator_bounds(_out: Path, quick: bool) -> list[Bound]:
    """Frames of 256 bytes from 48 sources to two subscribers, who must miss none."""
    each = 100 if quick else 4_000
    bounds = []
    for backend in ("asyncio", "trio"):
        took_s = min(anyio.run(_through, each, backend=backend) for _ in range(1 if quick else 5))
        name = f"aggregator, {SOURCES} sources, {backend}"
        bounds.append(Bound(name, "frame", took_s / (each * SOURCES) * 1e9, 1e9 / 100_000))
    return bounds


async def _through(each: int) -> float:
    aggregator = TelemetryAggregator()
    frames = [[_frame(source, number) for number in range(each)] for source in range(SOURCES)]
    seen = [0] * SUBSCRIBERS

    async def look(number: int, receiver: BroadcastReceiver[Frame]) -> None:
        while batch := await receiver.recv_many():
            seen[number] += len(batch)

    async def feed(handle: SourceHandle, mine: list[Frame]) -> None:
        async with handle:
            for frame in mine:
                await handle.send(frame)

    async with anyio.create_task_group() as tasks:
        for number in range(SUBSCRIBERS):
            tasks.start_soon(look, number, aggregator.subscribe())
        await tasks.start(_run, aggregator)
        handles = [
            await aggregator.add_source(source, FeedKind.LIVE_UPLINK) for source in range(SOURCES)
        ]
        started_s = time.perf_counter()
        async with anyio.create_task_group() as feeding:
            for handle, mine in zip(handles, frames, strict=True):
                feeding.start_soon(feed, handle, mine)
        aggregator.request_shutdown()
    took_s = time.perf_counter() - started_s
    if seen != [each * SOURCES] * SUBSCRIBERS:
        raise AssertionError(f"Expected {each * SOURCES} frames at each subscriber, got {seen}")
    return took_s


def emergency_bounds(_out: Path, quick: bool) -> list[Bound]:
    """From when an emergency is due to the end of its processing, 48 sources saturating.

    The limit is two processing times, as long as one really takes here, and 1 ms.
    """
    emergencies = 5 if quick else 400
    bounds = []
    for backend in ("asyncio", "trio"):
        took_s, processing_s = anyio.run(_urgent, emergencies, backend=backend)
        p99_s = float(np.percentile(took_s, 99))
        name = f"emergency under load, 99 of 100, {backend}"
        bounds.append(Bound(name, "frame", p99_s * 1e9, (2 * processing_s + 1e-3) * 1e9))
    return bounds


async def _urgent(emergencies: int) -> tuple[list[float], float]:
    due_s: list[float] = []
    took_s: list[float] = []
    processing_s: list[float] = []

    async def process(frame: Frame) -> None:
        started_s = time.perf_counter()
        await anyio.sleep(_PROCESSING_S)
        ended_s = time.perf_counter()
        processing_s.append(ended_s - started_s)
        if frame.priority is FramePriority.EMERGENCY:
            took_s.append(ended_s - due_s[frame.sequence])

    aggregator = TelemetryAggregator(process=process)

    async def flood(handle: SourceHandle, source: int) -> None:
        number = 0
        try:
            while True:
                await handle.send(_frame(source, number))
                number += 1
        except ShuttingDown:
            pass

    async with anyio.create_task_group() as tasks:
        await tasks.start(_run, aggregator)
        for source in range(SOURCES):
            handle = await aggregator.add_source(source, FeedKind.LIVE_UPLINK)
            tasks.start_soon(flood, handle, source)
        urgent = await aggregator.add_source(SOURCES, FeedKind.LIVE_UPLINK)
        await anyio.sleep(0.2)  # until every lane is full
        begun_s = time.perf_counter()
        for number in range(emergencies):
            due_s.append(begun_s + 0.011 * number)
            await anyio.sleep(max(0.0, due_s[-1] - time.perf_counter()))
            await urgent.send(_frame(SOURCES, number, FramePriority.EMERGENCY))
        aggregator.request_shutdown()
    return took_s, float(np.percentile(processing_s, 99))


async def _run(
    aggregator: TelemetryAggregator,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    await aggregator.run(task_status=task_status)


def watch_bounds(_out: Path, quick: bool) -> list[Bound]:
    """What a send costs for each receiver that waits, until all have seen it and wait again."""
    bounds = []
    for backend in ("asyncio", "trio"):
        took_s = anyio.run(_watched, 10 if quick else 1_000, 3 if quick else 50, backend=backend)
        bounds.append(Bound(f"watch, 1,000 waiting, {backend}", "receiver", took_s * 1e9, 10_000))
    return bounds


async def _watched(receivers: int, sends: int) -> float:
    tx, _ = watch(0)

    async def look() -> None:
        rx = tx.subscribe()
        with suppress(ChannelClosed):
            while True:
                await rx.changed()

    took_s = []
    async with anyio.create_task_group() as tasks:
        for _ in range(receivers):
            tasks.start_soon(look)
        while tx.statistics().waiting < receivers:
            await anyio.sleep(0)
        for number in range(sends):
            started_s = time.perf_counter()
            tx.send(number)
            while tx.statistics().waiting < receivers:
                await anyio.sleep(0)
            took_s.append(time.perf_counter() - started_s)
        tx.close()
    return float(np.median(took_s)) / receivers
