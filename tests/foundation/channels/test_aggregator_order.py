"""Emergencies overtake, sources share, and a slow processor slows the sources down."""

from __future__ import annotations

from collections import Counter
from random import Random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import (
    AggregatorConfig,
    AggregatorReport,
    Frame,
    Full,
    SourceHandle,
    TelemetryAggregator,
)
from meridian.testing.settling import settle
from meridian.testing.virtual_loop import run_virtual
from tests.foundation.channels.aggregator_rig import (
    BOUND_OF_LANES,
    EMERGENCY,
    LIVE,
    ROUTINE,
    Rig,
    frame,
    read_all,
    send_all,
)

pytestmark = pytest.mark.anyio


async def test_emergencies_overtake_the_backlog() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running() as aggregator:
        source = await aggregator.add_source(1, LIVE)
        await source.send(frame(1, 0))
        await settle()
        for n in range(1, 20):
            await source.send(frame(1, n))
        for n in (100, 101):
            await source.send(frame(1, n, urgent=True))
        rig.gate.set()
    assert [each.sequence for each in rig.frames] == [0, 100, 101, *range(1, 20)]


_STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "urgent", "many", "process", "wait"]), st.integers(0, 2)),
    min_size=30,
    max_size=150,
)
_SMALL = st.builds(
    AggregatorConfig,
    feed_capacity=st.integers(1, 4),
    emergency_capacity=st.integers(1, 4),
    routine_capacity=st.integers(1, 6),
    processor_capacity=st.integers(1, 4),
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60)
@given(config=_SMALL, steps=_STEPS)
def test_histories(backend: str, config: AggregatorConfig, steps: list[tuple[str, int]]) -> None:
    """Against the definition: order, bound and accounts at every moment of a random history."""
    run_virtual(_history, config, steps, backend=backend)


async def _history(config: AggregatorConfig, steps: list[tuple[str, int]]) -> None:
    accepted: list[Frame] = []
    begun: list[Frame] = []
    turns, let_go = anyio.create_memory_object_stream[None](1000)
    numbers = Counter[int]()
    bound = 3 * config.feed_capacity + (
        config.routine_capacity + config.emergency_capacity + config.processor_capacity
    )

    async def process(item: Frame) -> None:
        begun.append(item)
        urgent = [each for each in accepted if each.priority is EMERGENCY and each not in begun]
        assert not urgent or item.priority is EMERGENCY
        assert aggregator.statistics().waiting <= bound
        await let_go.receive()

    aggregator = TelemetryAggregator(config, process=process)
    shown: list[Frame] = []
    subscriber = aggregator.subscribe()

    async def send(source: SourceHandle, item: Frame) -> None:
        await source.send(item)
        accepted.append(item)

    reports: list[AggregatorReport] = []

    async def run() -> None:
        reports.append(await aggregator.run())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(read_all, subscriber, shown)
        sources = [await aggregator.add_source(n, LIVE) for n in range(3)]
        async with anyio.create_task_group() as senders:
            for what, n in steps:
                if what == "process":
                    turns.send_nowait(None)
                elif what == "wait":
                    await settle()
                else:
                    for _ in range(5 if what == "many" else 1):
                        numbers[n] += 1
                        item = frame(n, numbers[n], urgent=what == "urgent")
                        senders.start_soon(send, sources[n], item)
                        await anyio.lowlevel.checkpoint()
            await settle()
            for _ in range(600):
                turns.send_nowait(None)
        aggregator.request_shutdown()
    stats = aggregator.stats.borrow()
    assert reports[0].clean
    assert begun == shown
    assert sorted(begun, key=repr) == sorted(accepted, key=repr)
    assert stats.frames_routed == stats.frames_processed == len(accepted) == reports[0].processed
    order = {id(item): n for n, item in enumerate(accepted)}
    routine = [item for item in begun if item.priority is ROUTINE]
    urgent = [item for item in begun if item.priority is EMERGENCY]
    for line in (urgent, *([item for item in routine if item.source_id == n] for n in range(3))):
        places = [order[id(item)] for item in line]
        assert places == sorted(places)
    turns.close()
    let_go.close()


@pytest.mark.usefixtures("virtual_time")
async def test_a_slow_processor_slows_the_sources_down_and_no_emergency() -> None:
    rig = Rig(takes_s=0.01)
    most = 0
    async with rig.running() as aggregator:

        def look() -> None:
            nonlocal most
            most = max(most, aggregator.statistics().waiting)

        rig.watch = look
        took_s: list[float] = []

        async def feed(n: int) -> None:
            start_s = anyio.current_time()
            await send_all(await aggregator.add_source(n, LIVE), [frame(n, k) for k in range(200)])
            took_s.append(anyio.current_time() - start_s)

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(feed, n)
            await anyio.sleep(3)
            urgent = await aggregator.add_source(99, LIVE)
            start_s = anyio.current_time()
            await urgent.send(frame(99, 0, urgent=True))
            assert anyio.current_time() - start_s <= 0.02
            await anyio.sleep(0.0201)
            assert frame(99, 0, urgent=True) in rig.frames
    assert rig.report is not None
    assert rig.report.processed == 1601
    assert 300 < most <= 8 * 32 + BOUND_OF_LANES
    assert sum(seconds > 5 for seconds in took_s) >= 6, "they had to wait for the processor"


async def test_no_room_is_told_with_the_frame() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(
        feed_capacity=2, routine_capacity=3, processor_capacity=1, emergency_capacity=2
    ) as aggregator:
        source = await aggregator.add_source(1, LIVE)
        await source.send(frame(1, 0))
        await settle()
        for n in range(1, 6):
            source.try_send(frame(1, n))
        with pytest.raises(Full) as caught:
            source.try_send(frame(1, 6))
        assert caught.value.item == frame(1, 6)
        for n in (10, 11):
            source.try_send(frame(1, n, urgent=True))
        with pytest.raises(Full):
            source.try_send(frame(1, 12, urgent=True))
        rig.gate.set()
    assert [each.sequence for each in rig.frames] == [0, 10, 11, 1, 2, 3, 4, 5]


async def test_a_cancelled_send_was_not_accepted() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    accepted: list[Frame] = []
    random = Random(5)
    async with rig.running(
        feed_capacity=1, routine_capacity=1, processor_capacity=1, emergency_capacity=1
    ) as aggregator:
        source = await aggregator.add_source(1, LIVE)

        async def send(item: Frame, scope: anyio.CancelScope) -> None:
            with scope:
                await source.send(item)
                accepted.append(item)

        scopes = [anyio.CancelScope() for _ in range(200)]
        async with anyio.create_task_group() as group:
            for n, scope in enumerate(scopes):
                group.start_soon(send, frame(1, n, urgent=n % 5 == 0), scope)
                if n % 7 == 0:
                    random.choice(scopes[: n + 1]).cancel()
                if n == 100:
                    await settle()
            await settle()
            for scope in random.sample(scopes, 60):
                scope.cancel()
            rig.gate.set()
    assert Counter(map(repr, rig.frames)) == Counter(map(repr, accepted))
    assert 100 < len(accepted) < 200


async def test_no_source_waits_for_another_that_floods() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(routine_capacity=16, processor_capacity=8) as aggregator:
        flood = await aggregator.add_source(0, LIVE)
        quiet = await aggregator.add_source(1, LIVE)
        async with anyio.create_task_group() as group:
            group.start_soon(send_all, flood, [frame(0, n) for n in range(2000)])
            await settle()
            await quiet.send(frame(1, 0))
            rig.gate.set()
    place = rig.frames.index(frame(1, 0))
    assert place <= 1 + 8 + 16 + 2 * 16


@pytest.mark.usefixtures("virtual_time")
async def test_a_run_of_emergencies_can_be_bounded() -> None:
    for most, expected in ((None, [40, 41, 42, 43, 44]), (3, [3, 7, 11, 15, 19])):
        rig = Rig()
        rig.gate = anyio.Event()
        config = AggregatorConfig(max_high_run=most)
        async with rig.running(TelemetryAggregator(config, process=rig.process)) as aggregator:
            source = await aggregator.add_source(1, LIVE)
            for n in range(5):
                await source.send(frame(1, n))
            for n in range(40):
                await source.send(frame(1, n, urgent=True))
            await settle()
            rig.gate.set()
        places = [n for n, each in enumerate(rig.frames) if each.priority is ROUTINE]
        assert places == expected
