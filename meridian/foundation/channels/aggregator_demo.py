"""Four live sources and a replay for a quarter of a second: emergencies overtake a backlog."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import anyio

from meridian.foundation.channels.aggregator import (
    AggregatorReport,
    FeedKind,
    Frame,
    FramePriority,
    SourceHandle,
    TelemetryAggregator,
)

__all__ = ["main", "run_demo"]

_LIVE, _FRAMES, _EMERGENCIES = 4, 10, 2
_REPLAY_ID, _REPLAY_FRAMES = 100, 5
_PROCESSING_S, _STATS_S = 0.005, 0.05


async def run_demo() -> AggregatorReport:
    """45 frames, 8 of them emergencies sent behind the others; prints each, and the counts."""
    aggregator = TelemetryAggregator(process=_process, name="demo")
    reports: list[AggregatorReport] = []

    async def run() -> None:
        reports.append(await aggregator.run())

    async def show() -> None:
        while not reports:
            print(aggregator.stats.borrow())
            await anyio.sleep(_STATS_S)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(show)
        async with anyio.create_task_group() as sources:
            for source_id in range(_LIVE):
                source = await aggregator.add_source(source_id, FeedKind.LIVE_UPLINK)
                sources.start_soon(_send, source, _FRAMES, _EMERGENCIES, 0)
            replay = await aggregator.add_source(_REPLAY_ID, FeedKind.ARCHIVED_REPLAY)
            sources.start_soon(_send, replay, _REPLAY_FRAMES, 0, _PROCESSING_S)
        aggregator.request_shutdown()
    print(aggregator.stats.borrow())
    return reports[0]


async def _send(source: SourceHandle, count: int, emergencies: int, every_s: float) -> None:
    async with source:
        for n in range(count):
            urgent = n >= count - emergencies
            priority = FramePriority.EMERGENCY if urgent else FramePriority.ROUTINE
            await source.send(Frame(source.source_id, source.kind, priority, n, b"telemetry"))
            await anyio.sleep(every_s)


async def _process(frame: Frame) -> None:
    await anyio.sleep(_PROCESSING_S)
    print(f"{frame.priority.name:9} source {frame.source_id:3}, frame {frame.sequence}")


def main(argv: Sequence[str] | None = None) -> int:
    """The demo as a command; 0 when it ended cleanly."""
    parser = argparse.ArgumentParser(prog="telemetry-aggregator", description=__doc__)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    report = anyio.run(run_demo, backend=parser.parse_args(argv).backend)
    print(report)
    return 0 if report.clean else 1
