"""What subscribers and readers of the statistics see of an aggregator."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.channels import (
    BroadcastReceiver,
    ChannelClosed,
    Frame,
    Lagged,
    PipelineStats,
    TelemetryAggregator,
)
from meridian.testing.settling import settle
from tests.foundation.channels.aggregator_rig import (
    LIVE,
    Rig,
    frame,
    read_all,
    send_all,
)

pytestmark = pytest.mark.anyio


async def test_all_subscribers_see_what_was_processed_in_that_order() -> None:
    rig = Rig()
    shown: tuple[list[Frame], list[Frame]] = ([], [])
    async with (
        anyio.create_task_group() as group,
        rig.running(processor_capacity=4, broadcast_capacity=4) as aggregator,
    ):
        for into in shown:
            group.start_soon(read_all, aggregator.subscribe(), into)
        await settle()
        async with anyio.create_task_group() as senders:
            for n in range(6):
                items = [frame(n, k, urgent=k % 9 == 0) for k in range(100)]
                senders.start_soon(send_all, await aggregator.add_source(n, LIVE), items)
    assert shown[0] == shown[1] == rig.frames
    assert len(rig.frames) == 600


async def test_a_subscriber_may_miss_two_turns_and_no_frame() -> None:
    """Between its batches it lets the others run twice, as an unlucky order of tasks would."""
    shown: list[Frame] = []

    async def read(subscriber: BroadcastReceiver[Frame]) -> None:
        while batch := await subscriber.recv_many():
            shown.extend(batch)
            for _ in range(2):
                await checkpoint()

    async def at_once(_: Frame) -> None:
        """A process that never lets others run."""

    aggregator = TelemetryAggregator(process=at_once)
    async with anyio.create_task_group() as group, Rig().running(aggregator):
        group.start_soon(read, aggregator.subscribe())
        await settle()
        async with anyio.create_task_group() as senders:
            for n in range(48):
                items = [frame(n, k) for k in range(100)]
                senders.start_soon(send_all, await aggregator.add_source(n, LIVE), items)
    assert len(shown) == 4_800


async def test_a_subscriber_that_lags_is_accounted_for() -> None:
    rig = Rig()
    async with rig.running(broadcast_capacity=16, processor_capacity=4) as aggregator:
        archive, gone = aggregator.subscribe("archive"), aggregator.subscribe()
        gone.close()
        source = await aggregator.add_source(1, LIVE)
        await send_all(source, [frame(1, n) for n in range(100)])
    with pytest.raises(Lagged) as caught:
        await archive.recv()
    assert caught.value.missed == 84
    assert [each.sequence for each in await archive.recv_many()] == list(range(84, 100))
    with pytest.raises(ChannelClosed):
        await archive.recv()
    assert archive.received + archive.missed == len(rig.frames) == 100


async def test_statistics_are_true_at_every_moment_in_any_thread() -> None:
    rig = Rig()
    seen: list[PipelineStats] = []
    over = threading.Event()

    async def until_read() -> None:
        """Until the other thread has read once more, from now on."""
        target = len(seen) + 2  # the first of them may have been read before
        while len(seen) < target:
            time.sleep(0)
            await anyio.lowlevel.checkpoint()

    async with rig.running() as aggregator:
        stats = aggregator.stats

        def look() -> None:
            while not over.is_set():
                seen.append(stats.borrow())
                time.sleep(0)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            subscriber = aggregator.subscribe()
            source = await aggregator.add_source(1, LIVE)
            with anyio.fail_after(60):
                for n in range(300):
                    await source.send(frame(1, n, urgent=n % 3 == 0))
                    assert stats.borrow().frames_routed == n + 1
                    await subscriber.recv()
                    assert stats.borrow().frames_processed == n + 1, "counted before it is shown"
                    if n % 10 == 0:
                        await until_read()
        finally:
            over.set()
            thread.join(30)
    assert len(set(seen)) >= 30, "it was read while frames flowed"
    assert aggregator.stats.borrow() == PipelineStats(300, 300, 100)
    for a, b in pairwise(seen):
        assert a.frames_routed <= b.frames_routed
        assert a.frames_processed <= b.frames_processed
        assert b.emergency_count <= b.frames_processed <= b.frames_routed
    with pytest.raises(ChannelClosed):
        await aggregator.stats.wait_for(lambda each: each.frames_routed > 300)
