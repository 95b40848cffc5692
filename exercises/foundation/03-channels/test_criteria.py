"""One test per criterion, to check yourself: `uv run pytest test_criteria.py -k criterion_1`.

They are a part of what the grader looks at; it adds random histories, times, and both event loops
for each. Each message says what was called and what must come back. Work from criterion 1 upwards:
the later ones stand on the earlier ones.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from meridian.foundation.channels import Full

sys.path.insert(0, str(Path(__file__).parent))

import telemetry_aggregator as ta

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
LIVE = ta.FeedKind.LIVE_UPLINK
PATIENCE_S = 20.0


def frame(source_id: int, sequence: int, *, urgent: bool = False) -> ta.Frame:
    priority = ta.FramePriority.EMERGENCY if urgent else ta.FramePriority.ROUTINE
    return ta.Frame(source_id, LIVE, priority, sequence, b"telemetry")


class Work:
    """A `process` that notes what it is given, waits for a gate, and takes its time."""

    def __init__(self, takes_s: float = 0.0, *, gated: bool = False) -> None:
        self.begun: list[ta.Frame] = []
        self.done: list[ta.Frame] = []
        self.takes_s = takes_s
        self.gate = anyio.Event()
        if not gated:
            self.gate.set()

    async def __call__(self, one: ta.Frame) -> None:
        self.begun.append(one)
        await self.gate.wait()
        await anyio.sleep(self.takes_s)
        self.done.append(one)


@asynccontextmanager
async def running(
    aggregator: ta.TelemetryAggregator,
) -> AsyncIterator[list[ta.AggregatorReport]]:
    """It runs in this block and is shut down at its end; the report is in the list then."""
    reports: list[ta.AggregatorReport] = []

    async def run(*, task_status: Any) -> None:
        reports.append(await aggregator.run(task_status=task_status))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            await group.start(run)
            yield reports
            aggregator.request_shutdown()


def go(backend: str, function: Callable[..., Awaitable[None]]) -> None:
    anyio.run(function, backend=backend)


@BACKENDS
def test_criterion_1_emergencies_first(backend: str) -> None:
    async def check() -> None:
        work = Work(gated=True)
        aggregator = ta.TelemetryAggregator(process=work)
        async with running(aggregator):
            source = await aggregator.add_source(1, LIVE)
            await source.send(frame(1, 0))
            await anyio.sleep(0.05)  # the processor has it in hand
            for sequence in range(1, 20):
                await source.send(frame(1, sequence))
            for sequence in (20, 21):
                await source.send(frame(1, sequence, urgent=True))
            work.gate.set()
        order = [one.sequence for one in work.begun]
        assert order == [0, 20, 21, *range(1, 20)], "the frame in hand, emergencies, then the rest"

    go(backend, check)


@BACKENDS
def test_criterion_2_sources_come_and_go(backend: str) -> None:
    async def check() -> None:
        work = Work(0.0005)
        aggregator = ta.TelemetryAggregator(process=work)
        async with running(aggregator):
            kept = await aggregator.add_source(1, LIVE)
            removed = await aggregator.add_source(2, LIVE)
            with pytest.raises(ta.DuplicateSource):
                await aggregator.add_source(2, LIVE)
            for sequence in range(20):
                await kept.send(frame(1, sequence))
                await removed.send(frame(2, sequence))
            assert await aggregator.remove_source(2, drain=True) == 0
            with pytest.raises(ta.UnknownSource):
                await aggregator.remove_source(2)
            await aggregator.add_source(2, LIVE)
        assert [one.sequence for one in work.done if one.source_id == 2] == list(range(20))
        assert len(work.done) == 40

    go(backend, check)


@BACKENDS
def test_criterion_3_a_slow_processor_slows_the_sources_down(backend: str) -> None:
    async def check() -> None:
        work = Work(gated=True)
        aggregator = ta.TelemetryAggregator(process=work)
        accepted: list[ta.Frame] = []

        async def flood(number: int) -> None:
            source = await aggregator.add_source(number, LIVE)
            for sequence in range(200):
                await source.send(frame(number, sequence))
                accepted.append(frame(number, sequence))

        async with running(aggregator), anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(flood, number)
            await anyio.sleep(0.3)
            assert len(accepted) <= 8 * 32 + 256 + 64 + 64, "frames accepted, none processed"
            source = await aggregator.add_source(99, LIVE)
            with anyio.fail_after(1):
                await source.send(frame(99, 0, urgent=True))
            work.gate.set()
        assert work.begun[1] == frame(99, 0, urgent=True)
        assert len(work.done) == 1601, "none was dropped"

    go(backend, check)


@BACKENDS
def test_criterion_3_try_send_never_waits(backend: str) -> None:
    async def check() -> None:
        work = Work(gated=True)
        aggregator = ta.TelemetryAggregator(process=work)
        async with running(aggregator):
            source = await aggregator.add_source(1, LIVE)
            accepted, refused = 0, None
            for sequence in range(400):
                try:
                    source.try_send(frame(1, sequence))
                    accepted += 1
                except Full as full:
                    refused = full.item
                    break
                await anyio.sleep(0)
            assert 0 < accepted <= 32 + 256 + 64
            assert refused == frame(1, accepted), "the frame comes back"
            source.try_send(frame(1, 1000, urgent=True))
            work.gate.set()
        assert len(work.done) == accepted + 1

    go(backend, check)


@BACKENDS
def test_criterion_4_a_failed_frame_is_skipped(backend: str) -> None:
    async def check() -> None:
        async def process(one: ta.Frame) -> None:
            if one.sequence == 1:
                raise OSError("the disk is full")

        aggregator = ta.TelemetryAggregator(process=process)
        subscriber = aggregator.subscribe()
        async with running(aggregator) as reports:
            source = await aggregator.add_source(1, LIVE)
            for sequence in range(3):
                await source.send(frame(1, sequence))
        assert [one.sequence async for one in subscriber] == [0, 2]
        assert (reports[0].routed, reports[0].processed) == (3, 2)

    go(backend, check)


@BACKENDS
def test_criterion_4_subscribers_see_what_was_processed(backend: str) -> None:
    async def check() -> None:
        work = Work()
        aggregator = ta.TelemetryAggregator(process=work)
        subscribers = [aggregator.subscribe() for _ in range(2)]
        async with running(aggregator):
            source = await aggregator.add_source(1, LIVE)
            for sequence in range(50):
                await source.send(frame(1, sequence, urgent=sequence % 7 == 0))
        for subscriber in subscribers:
            with anyio.fail_after(5):
                shown = [one async for one in subscriber]
            assert shown == work.done

    go(backend, check)


@BACKENDS
def test_criterion_5_statistics(backend: str) -> None:
    async def check() -> None:
        aggregator = ta.TelemetryAggregator()
        async with running(aggregator):
            subscriber = aggregator.subscribe()
            source = await aggregator.add_source(1, LIVE)
            for sequence in range(20):
                await source.send(frame(1, sequence, urgent=True))
                await subscriber.recv()
                stats = aggregator.stats.borrow()
                assert stats.frames_processed > sequence, "counted before it is shown"
                assert stats.emergency_count <= stats.frames_processed <= stats.frames_routed
        assert aggregator.stats.borrow() == ta.PipelineStats(20, 20, 20)

    go(backend, check)


@BACKENDS
def test_criterion_6_shutdown(backend: str) -> None:
    async def check() -> None:
        work = Work(gated=True)
        aggregator = ta.TelemetryAggregator(process=work)
        async with running(aggregator) as reports:
            sources = [await aggregator.add_source(number, LIVE) for number in range(8)]
            for sequence in range(25):
                for number, source in enumerate(sources):
                    await source.send(frame(number, sequence))
            aggregator.request_shutdown()
            with pytest.raises(ta.ShuttingDown) as caught:
                await sources[0].send(frame(0, 25))
            assert caught.value.item == frame(0, 25)
            work.gate.set()
        report = reports[0]
        assert (report.routed, report.processed, report.rejected) == (200, 200, 1)
        assert report.clean

    go(backend, check)


@BACKENDS
def test_criterion_6_a_hung_processor(backend: str) -> None:
    async def check() -> None:
        config = ta.AggregatorConfig(shutdown_deadline_s=0.2)
        aggregator = ta.TelemetryAggregator(config, process=Work(gated=True))
        async with running(aggregator) as reports:
            source = await aggregator.add_source(1, LIVE)
            for sequence in range(10):
                await source.send(frame(1, sequence))
            start_s = time.monotonic()
        assert time.monotonic() - start_s < 1.2
        assert (reports[0].processed, reports[0].discarded, reports[0].clean) == (0, 10, False)

    go(backend, check)


@BACKENDS
def test_criterion_7_a_slow_archive_lags_alone(backend: str) -> None:
    async def check() -> None:
        work = Work()
        aggregator = ta.TelemetryAggregator(process=work)
        archive = aggregator.subscribe("archive")  # and never reads
        async with running(aggregator):
            source = await aggregator.add_source(1, LIVE)
            for sequence in range(400):
                await source.send(frame(1, sequence))
        assert archive.missed == 400 - 128
        assert archive.received + archive.missed + archive.pending == len(work.done) == 400

    go(backend, check)


@BACKENDS
def test_criterion_8_the_demo(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ta.main(["--backend", backend]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "processed=45, emergency=8" in lines[-1]
    assert sum("PipelineStats(" in line for line in lines) >= 3
