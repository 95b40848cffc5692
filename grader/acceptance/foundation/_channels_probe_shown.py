"""Scenarios of criteria 4 and 7, run in the worker: what subscribers see.

Each begins with `kit`, the module of the other probe. Hostile code could tamper with what is noted.
"""

from __future__ import annotations

from typing import Any

import anyio
import structlog

Row = tuple[int, int, int]  # source, sequence, priority

FAILURES = (ValueError, KeyError, EOFError, TimeoutError)


async def failing(kit: Any, package: Any, frames: int) -> dict[str, Any]:
    """`process` never waits, and raises for one frame of five; two subscribers read on and on."""
    done: list[Row] = []
    shown: list[list[Row]] = [[], []]
    ends: list[list[str]] = [[], []]

    async def process(one: Any) -> None:
        if one.sequence % 5 == 2:
            raise FAILURES[one.sequence % 4]("`process` failed: skip this frame, and go on")
        done.append(kit.row(one))

    config = package.AggregatorConfig(broadcast_capacity=kit.BEHIND)
    aggregator = package.TelemetryAggregator(config, process=process)
    async with anyio.create_task_group() as group:
        async with kit.running(aggregator) as it:
            for number in range(2):
                group.start_soon(kit.read, aggregator.subscribe(), shown[number], ends[number])
            source = await kit.add(package, aggregator, 1)
            for sequence in range(frames):
                await source.send(kit.frame(package, 1, sequence, int(sequence % 7 == 0)))
        with anyio.move_on_after(kit.PATIENCE_S):
            while not all(ends):
                await anyio.sleep(1)
        group.cancel_scope.cancel()
    return {
        "report": it.fields,
        "processed": len(done),
        "urgent": sum(priority for _, _, priority in done),
        "shown": [len(rows) for rows in shown],
        "same": [rows == done for rows in shown],
        "ends": ends,
    }


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
