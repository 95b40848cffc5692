"""An aggregator under test: a process that records and may be held, and frames to send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from meridian.foundation.channels import (
    AggregatorConfig,
    AggregatorReport,
    BroadcastReceiver,
    FeedKind,
    Frame,
    FramePriority,
    Lagged,
    SourceHandle,
    TelemetryAggregator,
)

LIVE, REPLAY = FeedKind.LIVE_UPLINK, FeedKind.ARCHIVED_REPLAY
ROUTINE, EMERGENCY = FramePriority.ROUTINE, FramePriority.EMERGENCY
BOUND_OF_LANES = 256 + 64 + 64


def frame(source_id: int, sequence: int, *, urgent: bool = False) -> Frame:
    return Frame(source_id, LIVE, EMERGENCY if urgent else ROUTINE, sequence, b"t" * 8)


class Rig:
    """A process that records, takes its time, and may be held by a gate."""

    def __init__(self, takes_s: float | None = None) -> None:
        self.frames: list[Frame] = []
        self.begun: list[Frame] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.takes_s = takes_s
        self.report: AggregatorReport | None = None
        self.watch: Callable[[], None] = lambda: None

    async def process(self, item: Frame) -> None:
        self.begun.append(item)
        self.watch()
        await self.gate.wait()
        if self.takes_s is not None:
            await anyio.sleep(self.takes_s)
        self.frames.append(item)

    @asynccontextmanager
    async def running(
        self, aggregator: TelemetryAggregator | None = None, **config: float
    ) -> AsyncIterator[TelemetryAggregator]:
        """An aggregator that runs in this block, and is shut down at its end."""
        aggregator = aggregator or TelemetryAggregator(
            AggregatorConfig(**config),  # type: ignore[arg-type]
            process=self.process,
        )

        async def run() -> None:
            self.report = await aggregator.run()

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            yield aggregator
            aggregator.request_shutdown()


async def send_all(source: SourceHandle, items: list[Frame]) -> None:
    async with source:
        for item in items:
            await source.send(item)


async def read_all(subscriber: BroadcastReceiver[Frame], into: list[Frame]) -> None:
    while True:
        try:
            batch = await subscriber.recv_many()
        except Lagged:
            continue
        if not batch:
            return
        into += batch
