"""Sources come and go while frames flow, and every frame of theirs is accounted for."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from meridian.foundation.channels import (
    DuplicateSource,
    SendClosed,
    SourceHandle,
    TelemetryAggregator,
    UnknownSource,
)
from meridian.testing.settling import settle
from tests.foundation.channels.aggregator_rig import (
    LIVE,
    REPLAY,
    Rig,
    frame,
)

pytestmark = pytest.mark.anyio


async def test_sources_come_and_go_while_frames_flow() -> None:
    rig = Rig()
    sent = Counter[int]()
    refused: list[bool] = []
    async with rig.running(feed_capacity=2, routine_capacity=3) as aggregator:

        async def feed(n: int) -> None:
            source = await aggregator.add_source(n, LIVE)
            try:
                for k in range(200):
                    await source.send(frame(n, k))
                    sent[n] += 1
            except SendClosed as closed:
                refused.append(closed.item == frame(n, sent[n]))
            source.close()

        async with anyio.create_task_group() as group:
            for n in range(10):
                group.start_soon(feed, n)
            await settle()
            for n in range(5):
                if n in aggregator.sources():
                    assert await aggregator.remove_source(n) == 0
    assert rig.report is not None
    assert rig.report.clean
    got = Counter(each.source_id for each in rig.frames)
    assert got == sent
    assert all(refused)
    assert all(sent[n] == 200 for n in range(5, 10))
    for n in range(10):
        assert [f.sequence for f in rig.frames if f.source_id == n] == list(range(sent[n]))


async def test_an_id_is_taken_until_its_source_is_drained() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(feed_capacity=4, routine_capacity=1, processor_capacity=1) as aggregator:
        source = await aggregator.add_source(7, LIVE)
        with pytest.raises(DuplicateSource):
            await aggregator.add_source(7, REPLAY)
        for n in range(5):
            await source.send(frame(7, n))
            await settle()
        removed: list[int] = []

        async def remove() -> None:
            removed.append(await aggregator.remove_source(7))

        async with anyio.create_task_group() as group:
            group.start_soon(remove)
            group.start_soon(remove)
            await settle()
            assert removed == []
            assert source.is_closed
            with pytest.raises(DuplicateSource):
                await aggregator.add_source(7, LIVE)
            with pytest.raises(SendClosed) as caught:
                await source.send(frame(7, 9))
            assert caught.value.item == frame(7, 9)
            rig.gate.set()
        assert removed == [0, 0]
        with pytest.raises(UnknownSource):
            await aggregator.remove_source(7)
        (await aggregator.add_source(7, LIVE)).close()
        assert aggregator.sources() == ()
    assert [each.sequence for each in rig.frames] == list(range(5))


async def test_without_draining_the_feed_is_thrown_away_and_counted() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(feed_capacity=8, routine_capacity=1, processor_capacity=1) as aggregator:
        source = await aggregator.add_source(7, LIVE)
        for n in range(10):
            await source.send(frame(7, n))
            await settle()
        waiting: list[object] = []

        async def wait() -> None:
            with pytest.raises(SendClosed) as caught:
                await source.send(frame(7, 10))
            waiting.append(caught.value.item)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settle()
            assert await aggregator.remove_source(7, drain=False) == 8
        assert waiting == [frame(7, 10)]
        assert aggregator.statistics().discarded == 8
        rig.gate.set()
    assert rig.report is not None
    assert (rig.report.routed, rig.report.processed, rig.report.discarded) == (10, 2, 8)
    assert rig.report.clean


async def test_a_thousand_sources_leave_nothing() -> None:
    rig = Rig()
    async with rig.running() as aggregator:
        for n in range(1000):
            source = await aggregator.add_source(n, LIVE)
            await source.send(frame(n, 0))
            await aggregator.remove_source(n)
        assert aggregator.sources() == ()
    assert len(rig.frames) == 1000


async def _full_feeds(aggregator: TelemetryAggregator, count: int) -> list[SourceHandle]:
    """Sources with one frame each: one is worked on, one lies in the lane, the others in feeds."""
    sources = [await aggregator.add_source(n, LIVE) for n in range(count)]
    for source in sources:
        await source.send(frame(source.source_id, 0))
        await settle()
    return sources


async def test_every_removal_begins_at_once_however_many_wait() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(
        ctrl_capacity=1, feed_capacity=1, routine_capacity=1, processor_capacity=1
    ) as aggregator:
        sources = await _full_feeds(aggregator, 5)
        removed: list[int] = []

        async def remove(n: int) -> None:
            assert await aggregator.remove_source(n) == 0
            removed.append(n)

        async with anyio.create_task_group() as group:
            for n in (2, 3, 4):
                group.start_soon(remove, n)
            await settle()
            assert [source.is_closed for source in sources] == [n >= 2 for n in range(5)]
            assert removed == []
            for n in (3, 4):
                with pytest.raises(SendClosed):
                    sources[n].try_send(frame(n, 1))
            rig.gate.set()
        assert sorted(removed) == [2, 3, 4]
        assert aggregator.sources() == (0, 1)
    assert len(rig.frames) == 5


@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("steps", range(6))
async def test_a_cancelled_removal_is_a_removal(steps: int, drain: bool) -> None:
    """Cancelled before its first step it has done nothing; after it, everything."""
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(
        ctrl_capacity=1, feed_capacity=1, routine_capacity=1, processor_capacity=1
    ) as aggregator:
        sources = await _full_feeds(aggregator, 4)
        scope = anyio.CancelScope()
        begun: list[bool] = []

        async def remove() -> None:
            with scope:
                begun.append(True)
                await aggregator.remove_source(3, drain=drain)

        async with anyio.create_task_group() as group:
            group.start_soon(aggregator.remove_source, 2)  # has the one place
            await settle()
            group.start_soon(remove)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            scope.cancel()
            await settle()
            assert sources[3].is_closed == bool(begun)
            rig.gate.set()
        await settle()
        assert aggregator.sources() == ((0, 1) if begun else (0, 1, 3))
    assert rig.report is not None
    assert rig.report.clean
    assert rig.report.routed == 4 == rig.report.processed + rig.report.discarded
    assert rig.report.discarded == (1 if begun and not drain else 0)
