"""Four live sources and a replay for a quarter of a second. The sources are given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import anyio

from .records import AggregatorReport, FeedKind, Frame, FramePriority
from .source import SourceHandle

### BEGIN SOLUTION
# isort: split
from .aggregator import TelemetryAggregator

### END SOLUTION
__all__ = ["main", "run_demo"]

LIVE, FRAMES_OF_EACH, EMERGENCIES_OF_EACH = 4, 10, 2
REPLAY_ID, REPLAY_FRAMES = 100, 5
PROCESSING_S = 0.005
STATS_S = 0.05


async def live_uplink(source: SourceHandle, source_id: int) -> None:
    """A routine backlog, and the emergencies behind it: only priority brings these to the front."""
    async with source:
        for sequence in range(FRAMES_OF_EACH):
            urgent = sequence >= FRAMES_OF_EACH - EMERGENCIES_OF_EACH
            priority = FramePriority.EMERGENCY if urgent else FramePriority.ROUTINE
            payload = f"telemetry {source_id}/{sequence}".encode()
            frame = Frame(source_id, FeedKind.LIVE_UPLINK, priority, sequence, payload)
            await source.send(frame)


async def archived_replay(source: SourceHandle) -> None:
    """Frames of an old pass, at their own pace."""
    kind, routine = FeedKind.ARCHIVED_REPLAY, FramePriority.ROUTINE
    async with source:
        for sequence in range(REPLAY_FRAMES):
            await source.send(Frame(REPLAY_ID, kind, routine, sequence, b"replayed"))
            await anyio.sleep(PROCESSING_S)


async def process(frame: Frame) -> None:
    """What stands for the work on a frame; one line for each."""
    await anyio.sleep(PROCESSING_S)
    print(f"{frame.priority.name:9} source {frame.source_id:3}, frame {frame.sequence}")


async def run_demo() -> AggregatorReport:
    """Run the sources above to their end, print the stats every 50 ms, shut down; the report."""
    ### BEGIN SOLUTION #8: run_demo() - add sources, run, print, shut down
    aggregator = TelemetryAggregator(process=process)
    reports: list[AggregatorReport] = []

    async def run() -> None:
        reports.append(await aggregator.run())

    async def show() -> None:
        while not reports:
            print(aggregator.stats.borrow())
            await anyio.sleep(STATS_S)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(show)
        async with anyio.create_task_group() as sources:
            for source_id in range(LIVE):
                source = await aggregator.add_source(source_id, FeedKind.LIVE_UPLINK)
                sources.start_soon(live_uplink, source, source_id)
            source = await aggregator.add_source(REPLAY_ID, FeedKind.ARCHIVED_REPLAY)
            sources.start_soon(archived_replay, source)
        aggregator.request_shutdown()
    print(aggregator.stats.borrow())
    return reports[0]
    ### END SOLUTION


def main(argv: Sequence[str] | None = None) -> int:
    """The demo as a command; 0 when it ended cleanly."""
    parser = argparse.ArgumentParser(prog="telemetry-aggregator", description=__doc__)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    report = anyio.run(run_demo, backend=parser.parse_args(argv).backend)
    print(report)
    return 0 if report.clean else 1
