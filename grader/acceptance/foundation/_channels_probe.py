"""What runs in the worker, beside the aggregator: sources, gates, clocks, subscribers.

Hostile code could tamper with what is noted here: the tests say where they rely on it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

Row = tuple[int, int, int]  # source, sequence, priority
BEHIND = 256  # four turns of the processor: who reads all the time has its own before that
PATIENCE_S = 600.0  # of virtual time; what takes longer is stuck


def frame(package: Any, source_id: int, sequence: int, priority: int = 0) -> Any:
    kind = package.FeedKind.LIVE_UPLINK
    return package.Frame(source_id, kind, package.FramePriority(priority), sequence, b"telemetry")


def row(one: Any) -> Row:
    return one.source_id, one.sequence, int(one.priority)


async def rest() -> None:
    """Let every other task run until it waits; more turns than any chain of them needs."""
    for _ in range(40):
        await checkpoint()


class Work:
    """A `process` that notes what it is given, may be gated, and takes its time."""

    def __init__(self, takes_s: float = 0.0, *, gated: bool = False) -> None:
        self.begun: list[Row] = []
        self.done: list[Row] = []
        self.done_s: list[float] = []
        self.takes_s = takes_s
        self.gate = anyio.Event()
        if not gated:
            self.gate.set()

    async def __call__(self, one: Any) -> None:
        self.begun.append(row(one))
        await self.gate.wait()
        if self.takes_s:
            await anyio.sleep(self.takes_s)
        self.done.append(row(one))
        self.done_s.append(anyio.current_time())


def fields(report: Any) -> list[Any]:
    names = ("routed", "processed", "emergency", "rejected", "discarded", "clean")
    return [getattr(report, name) for name in names]


class Run:
    """A run of an aggregator, and what it reported."""

    def __init__(self, aggregator: Any) -> None:
        self.aggregator = aggregator
        self.fields: list[Any] = []
        self.stopped = anyio.Event()
        self.asked_s = 0.0
        self.took_s = -1.0

    async def run(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        report = await self.aggregator.run(task_status=task_status)
        self.took_s = anyio.current_time() - self.asked_s
        self.fields = fields(report)
        self.stopped.set()

    async def stop(self) -> None:
        """Ask for the shutdown, and wait until `run` has returned."""
        self.asked_s = anyio.current_time()
        self.aggregator.request_shutdown()
        await self.stopped.wait()


@asynccontextmanager
async def running(aggregator: Any) -> AsyncIterator[Run]:
    """It runs in this block, and is asked to shut down at its end."""
    it = Run(aggregator)
    async with anyio.create_task_group() as group:
        await group.start(it.run)
        yield it
        with anyio.move_on_after(PATIENCE_S):
            await it.stop()
        group.cancel_scope.cancel()


async def add(package: Any, aggregator: Any, source_id: int) -> Any:
    return await aggregator.add_source(source_id, package.FeedKind.LIVE_UPLINK)


async def refusal(call: Any) -> str:
    """The name of what awaiting `call` raises."""
    try:
        await call
    except Exception as error:
        return type(error).__name__
    return "nothing"


def tried(source: Any, one: Any) -> tuple[str, bool]:
    """What `try_send` raises, and whether that hands `one` back."""
    try:
        source.try_send(one)
    except Exception as error:
        return type(error).__name__, getattr(error, "item", None) == one
    return "nothing", False


async def send_until_held(source: Any, frames: Any) -> list[Any]:
    """Those of `frames` that are accepted before a `send` has waited for five seconds."""
    accepted: list[Any] = []
    with anyio.move_on_after(5):
        for one in frames:
            await source.send(one)
            accepted.append(one)
            await rest()
    return accepted


async def read(subscriber: Any, rows: list[Row], ends: list[str]) -> None:
    """Read to the end, whose name is noted."""
    while True:
        try:
            rows.append(row(await subscriber.recv()))
        except Exception as error:
            ends.append(type(error).__name__)
            if type(error).__name__ != "Lagged":
                return


class Race:
    """48 sources, two subscribers; a round is over when both have read to the end."""

    def __init__(self, package: Any) -> None:
        self.package = package
        self.frames: list[list[Any]] = []

    def deal(self, sources: int, each: int, payload: bytes) -> None:
        package = self.package
        kind, priority = package.FeedKind.LIVE_UPLINK, package.FramePriority
        self.frames = [
            [
                package.Frame(number, kind, priority(int(n % 50 == 49)), n, payload)
                for n in range(each)
            ]
            for number in range(sources)
        ]

    def run(self) -> list[int]:
        """Frames that each subscriber has received. What it missed is not among them."""
        return anyio.run(self._run)

    async def _run(self) -> list[int]:
        config = self.package.AggregatorConfig(broadcast_capacity=BEHIND)
        aggregator = self.package.TelemetryAggregator(config)
        counts = [0, 0]

        async def count(number: int) -> None:
            subscriber = aggregator.subscribe()
            while True:
                try:
                    batch = await subscriber.recv_many()
                except LookupError:  # it lags: those frames are lost to it
                    continue
                counts[number] += len(batch)
                if not batch:
                    return

        async def feed(source: Any, frames: list[Any]) -> None:
            async with source:
                for one in frames:
                    await source.send(one)

        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(count, number)
            await rest()
            async with running(aggregator), anyio.create_task_group() as sources:
                for number, frames in enumerate(self.frames):
                    source = await add(self.package, aggregator, number)
                    sources.start_soon(feed, source, frames)
        return counts
