"""An aggregator ends in one way, whoever asks for it and whatever hangs."""

from __future__ import annotations

import threading

import anyio
import pytest

from meridian.foundation.channels import (
    AggregatorConfig,
    AggregatorReport,
    AggregatorUsed,
    ChannelClosed,
    Frame,
    ShuttingDown,
    TelemetryAggregator,
)
from meridian.testing.settling import settle
from tests.foundation.channels.aggregator_rig import (
    LIVE,
    Rig,
    frame,
    read_all,
)

pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("virtual_time")
async def test_a_shutdown_processes_what_was_accepted_and_refuses_the_rest() -> None:
    rig = Rig(takes_s=0.01)
    shown: list[Frame] = []
    async with anyio.create_task_group() as group, rig.running() as aggregator:
        group.start_soon(read_all, aggregator.subscribe(), shown)
        source = await aggregator.add_source(1, LIVE)
        for n in range(200):
            await source.send(frame(1, n, urgent=n % 50 == 7))
        aggregator.request_shutdown()
        aggregator.request_shutdown()
        for late in (frame(1, 200), frame(1, 201, urgent=True)):
            with pytest.raises(ShuttingDown) as caught:
                await source.send(late)
            assert caught.value.item == late
            with pytest.raises(ShuttingDown):
                source.try_send(late)
        with pytest.raises(ShuttingDown):
            await aggregator.add_source(2, LIVE)
        assert source.is_closed
    assert rig.report is not None
    assert rig.report.elapsed_s == pytest.approx(2)
    assert rig.report == AggregatorReport(
        routed=200,
        processed=200,
        emergency=4,
        rejected=4,
        discarded=0,
        clean=True,
        elapsed_s=rig.report.elapsed_s,
    )
    assert shown == rig.frames
    assert aggregator.statistics().waiting == 0
    with pytest.raises(ChannelClosed):
        await aggregator.subscribe().recv()


@pytest.mark.usefixtures("virtual_time")
async def test_a_source_that_never_stops_does_not_postpone_it() -> None:
    rig = Rig(takes_s=0.001)
    refused: list[object] = []
    async with rig.running(feed_capacity=4, routine_capacity=4) as aggregator:

        async def flood(n: int) -> None:
            source = await aggregator.add_source(n, LIVE)
            while True:
                try:
                    await source.send(frame(n, 0, urgent=n == 2))
                except ShuttingDown as refusal:
                    refused.append(refusal.item)
                    return

        async with anyio.create_task_group() as group:
            for n in (0, 0, 1, 2)[1:]:
                group.start_soon(flood, n)
            await anyio.sleep(1)
            aggregator.request_shutdown()
    assert rig.report is not None
    assert rig.report.clean
    assert rig.report.elapsed_s < 1.5
    assert rig.report.rejected == len(refused) == 3


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("count", [1, 5, 30])
async def test_a_hung_process_ends_at_the_deadline(count: int) -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(
        feed_capacity=8, routine_capacity=16, processor_capacity=16, shutdown_deadline_s=2
    ) as aggregator:
        source = await aggregator.add_source(1, LIVE)
        for n in range(count):
            await source.send(frame(1, n, urgent=n % 4 == 1))
            await settle()
        removed: list[int] = []

        async def remove() -> None:
            removed.append(await aggregator.remove_source(1))

        async with anyio.create_task_group() as group:
            group.start_soon(remove)
            await settle()
            aggregator.request_shutdown()
    report = rig.report
    assert report is not None
    assert not report.clean
    assert (report.routed, report.processed, report.discarded) == (count, 0, count)
    assert report.elapsed_s == pytest.approx(2)
    # Of 30, 8 are emergencies, one is in hand, 16 in the lane, and the rest is in the feed.
    assert removed == [5 if count == 30 else 0]


async def test_a_shutdown_before_the_run_or_from_a_thread() -> None:
    rig = Rig()
    aggregator = TelemetryAggregator(process=rig.process)
    source = await aggregator.add_source(1, LIVE)
    await source.send(frame(1, 0))
    aggregator.request_shutdown()
    report = await aggregator.run()
    assert (report.processed, report.clean) == (1, True)
    with pytest.raises(AggregatorUsed):
        await aggregator.run()
    with pytest.raises(ShuttingDown):
        await source.send(frame(1, 1))

    async with Rig().running() as aggregator:
        source = await aggregator.add_source(1, LIVE)
        thread = threading.Thread(target=aggregator.request_shutdown)
        thread.start()
        thread.join(30)
        with pytest.raises(ShuttingDown):
            await source.send(frame(1, 1))


async def test_a_cancelled_run_leaves_nobody_waiting() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    config = AggregatorConfig(feed_capacity=1, routine_capacity=1, processor_capacity=1)
    aggregator = TelemetryAggregator(config, process=rig.process)
    refused: list[object] = []

    async def flood() -> None:
        source = await aggregator.add_source(1, LIVE)
        for n in range(3):
            await source.send(frame(1, n))
        with pytest.raises(ShuttingDown) as caught:
            await source.send(frame(1, 3))
        refused.append(caught.value.item)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            async with anyio.create_task_group() as running:
                running.start_soon(aggregator.run)
                await settle()
                running.cancel_scope.cancel()
    assert refused == [frame(1, 3)]
    stats = aggregator.statistics()
    assert (stats.routed, stats.discarded, stats.waiting) == (3, 3, 0)
