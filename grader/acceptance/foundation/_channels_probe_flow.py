"""Scenarios of criteria 3, 5 and 7, run in the worker: pressure, statistics, lag.

Each begins with `kit`, the module of the other probe. Hostile code could tamper with what is noted.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import structlog

Row = tuple[int, int, int]  # source, sequence, priority


async def pressure(kit: Any, package: Any, frames: int, takes_s: float) -> dict[str, Any]:
    """Eight sources send as fast as they can, and one an emergency while all is full."""
    work = kit.Work(takes_s)
    aggregator = package.TelemetryAggregator(process=work)
    accepted, most = 0, 0
    spent_s: list[float] = []
    urgent: dict[str, float] = {}

    async def feed(number: int) -> None:
        nonlocal accepted, most
        source = await kit.add(package, aggregator, number)
        start_s = anyio.current_time()
        for sequence in range(frames):
            await source.send(kit.frame(package, number, sequence))
            accepted += 1
            most = max(most, accepted - len(work.done))
        spent_s.append(anyio.current_time() - start_s)
        source.close()

    async with kit.running(aggregator), anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(feed, number)
        await anyio.sleep(takes_s * frames)
        source = await kit.add(package, aggregator, 99)
        start_s = anyio.current_time()
        with anyio.move_on_after(kit.PATIENCE_S / 10):
            await source.send(kit.frame(package, 99, 0, 1))
        urgent["sent_s"] = anyio.current_time() - start_s
        while (99, 0, 1) not in work.done and anyio.current_time() < start_s + kit.PATIENCE_S / 10:
            await anyio.sleep(takes_s / 4)
        urgent["processed_s"] = anyio.current_time() - start_s
    if (99, 0, 1) in work.done:
        urgent["processed_s"] = work.done_s[work.done.index((99, 0, 1))] - start_s
    return {
        "processed": len(work.done),
        "most": most,
        "spent_s": sorted(spent_s),
        "waited": sum(s > takes_s * frames for s in spent_s),
        **urgent,
    }


def _snapshot(stats: Any) -> tuple[int, int, int]:
    now = stats.borrow()
    return now.frames_routed, now.frames_processed, now.emergency_count


async def looked_at(
    kit: Any, package: Any, frames: int
) -> tuple[list[tuple[int, int, int]], list[Any]]:
    """Snapshots after each frame that a subscriber got, with the last; and the report."""
    seen: list[tuple[int, int, int]] = []
    aggregator = package.TelemetryAggregator(process=kit.Work())
    async with kit.running(aggregator) as it:
        subscriber = aggregator.subscribe()
        source = await kit.add(package, aggregator, 1)
        for sequence in range(frames):
            await source.send(kit.frame(package, 1, sequence, sequence % 2))
            await subscriber.recv()
            seen.append(_snapshot(aggregator.stats))
            await kit.rest()
    seen.append(_snapshot(aggregator.stats))
    return seen, it.fields


async def from_a_thread(
    kit: Any, package: Any, reads: int, patience_s: float
) -> tuple[int, float, bool]:
    """Borrow from a thread while `process` holds the loop: how often that was done, the processor
    time it took, and whether no value was impossible.
    """
    over = threading.Event()
    count, cpu_s, sound = 0, 0.0, True
    stats: Any = None

    def borrow() -> None:
        nonlocal count, cpu_s, sound
        began_s = time.thread_time()
        last = stats.borrow()
        while count < reads and not over.is_set():
            for _ in range(100):
                now = stats.borrow()
            count += 100
            sound = sound and now.emergency_count <= now.frames_processed <= now.frames_routed
            sound = sound and now.frames_processed >= last.frames_processed
            last = now
        cpu_s = time.thread_time() - began_s
        over.set()

    async def process(one: Any) -> None:
        if one.sequence == 5:
            threading.Thread(target=borrow, daemon=True).start()
            over.wait(patience_s)  # the loop is held

    aggregator = package.TelemetryAggregator(process=process)
    stats = aggregator.stats
    async with kit.running(aggregator):
        source = await kit.add(package, aggregator, 1)
        for sequence in range(20):
            await source.send(kit.frame(package, 1, sequence))
    done = count
    over.set()
    return done, cpu_s, sound


async def lagging(
    kit: Any, package: Any, frames: int, takes_s: float, archive_s: float
) -> dict[str, Any]:
    """An archive that takes `archive_s` for a frame (0: there is none), and a quick subscriber."""
    work = kit.Work(takes_s)
    aggregator = package.TelemetryAggregator(process=work)
    events: list[str] = []
    before = list(structlog.get_config()["processors"])

    def note(_logger: object, _method: str, line: Any) -> Any:
        events.append(line.get("event", ""))
        raise structlog.DropEvent

    quick: list[Row] = []
    slow: list[Row] = []
    archive: Any = aggregator.subscribe("archive") if archive_s else None

    async def store() -> None:
        while True:
            try:
                slow.append(kit.row(await archive.recv()))
            except Exception as error:
                if type(error).__name__ != "Lagged":
                    return
                continue
            await anyio.sleep(archive_s)

    processors = structlog.get_config()["processors"]
    processors[:] = [note]
    try:
        async with anyio.create_task_group() as group:
            start_s = anyio.current_time()
            async with kit.running(aggregator) as it:
                group.start_soon(kit.read, aggregator.subscribe(), quick, [])
                if archive is not None:
                    group.start_soon(store)
                source = await kit.add(package, aggregator, 1)
                for sequence in range(frames):
                    await source.send(kit.frame(package, 1, sequence))
            elapsed_s = anyio.current_time() - start_s
            with anyio.move_on_after(kit.PATIENCE_S):
                await anyio.sleep(archive_s * frames)
            group.cancel_scope.cancel()
    finally:
        processors[:] = before
    return {
        "report": it.fields,
        "elapsed_s": elapsed_s,
        "quick": len(quick),
        "received": archive.received if archive else 0,
        "missed": archive.missed if archive else 0,
        "in_order": slow == sorted(slow),
        "lagged": events.count("handler_lagged"),
    }
