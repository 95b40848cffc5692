"""What the aggregator accepts is processed in order of urgency, shown, and accounted for."""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import (
    AggregatorConfig,
    AggregatorReport,
    AggregatorUsed,
    BroadcastReceiver,
    ChannelClosed,
    DuplicateSource,
    FeedKind,
    Frame,
    FramePriority,
    Full,
    Lagged,
    PipelineStats,
    ProcessFailed,
    SendClosed,
    ShuttingDown,
    SourceHandle,
    TelemetryAggregator,
    UnknownSource,
)
from meridian.foundation.channels.aggregator_demo import main
from meridian.foundation.sync import WrongThread
from meridian.testing.settling import settle
from meridian.testing.virtual_loop import run_virtual

pytestmark = pytest.mark.anyio
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


# -- 1: emergencies first --------------------------------------------------------------------------


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


# -- 2: sources come and go ------------------------------------------------------------------------


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


async def test_removals_take_turns() -> None:
    rig = Rig()
    rig.gate = anyio.Event()
    async with rig.running(
        ctrl_capacity=1, feed_capacity=1, routine_capacity=1, processor_capacity=1
    ) as aggregator:
        sources = [await aggregator.add_source(n, LIVE) for n in range(4)]
        for source in sources:
            await source.send(frame(source.source_id, 0))
            await settle()
        async with anyio.create_task_group() as group:
            for n in (2, 3):
                group.start_soon(aggregator.remove_source, n)
            await settle()
            assert sorted(source.is_closed for source in sources) == [False, False, False, True]
            rig.gate.set()
    assert len(rig.frames) == 4


# -- 3: backpressure -------------------------------------------------------------------------------


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


# -- 4 and 7: subscribers --------------------------------------------------------------------------


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


# -- 5: statistics ---------------------------------------------------------------------------------


async def test_statistics_are_true_at_every_moment_in_any_thread() -> None:
    rig = Rig()
    seen: list[PipelineStats] = []
    over = threading.Event()
    async with rig.running() as aggregator:
        stats = aggregator.stats

        def look() -> None:
            while not over.is_set():
                seen.append(stats.borrow())
                time.sleep(0)

        thread = threading.Thread(target=look)
        thread.start()
        subscriber = aggregator.subscribe()
        source = await aggregator.add_source(1, LIVE)
        for n in range(300):
            await source.send(frame(1, n, urgent=n % 3 == 0))
            assert stats.borrow().frames_routed == n + 1
            await subscriber.recv()
            assert stats.borrow().frames_processed == n + 1, "counted before it is shown"
    over.set()
    thread.join(30)
    assert aggregator.stats.borrow() == PipelineStats(300, 300, 100)
    for a, b in pairwise(seen):
        assert a.frames_routed <= b.frames_routed
        assert a.frames_processed <= b.frames_processed
        assert b.emergency_count <= b.frames_processed <= b.frames_routed
    with pytest.raises(ChannelClosed):
        await aggregator.stats.wait_for(lambda each: each.frames_routed > 300)


# -- 6: shutdown -----------------------------------------------------------------------------------


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


# -- failures and misuse ---------------------------------------------------------------------------


def failing_at(*numbers: int) -> Callable[[Frame], object]:
    async def process(item: Frame) -> None:
        await anyio.lowlevel.checkpoint()
        if item.sequence in numbers:
            raise ValueError(item.sequence)

    return process


async def _run_with(aggregator: TelemetryAggregator, count: int) -> AggregatorReport:
    source = await aggregator.add_source(1, LIVE)
    await send_all(source, [frame(1, n) for n in range(count)])
    aggregator.request_shutdown()
    return await aggregator.run()


async def test_a_frame_that_fails_is_counted_and_not_shown() -> None:
    aggregator = TelemetryAggregator(process=failing_at(3, 5))  # type: ignore[arg-type]
    subscriber = aggregator.subscribe()
    report = await _run_with(aggregator, 10)
    assert (report.routed, report.processed, report.failed) == (10, 8, 2)
    assert report.clean
    assert [each.sequence for each in await subscriber.recv_many()] == [0, 1, 2, 4, 6, 7, 8, 9]


async def test_a_failure_may_end_the_run() -> None:
    aggregator = TelemetryAggregator(
        process=failing_at(3),  # type: ignore[arg-type]
        on_error="stop",
    )
    with pytest.raises(ProcessFailed, match="frame 3 of source 1") as caught:
        await _run_with(aggregator, 10)
    assert isinstance(caught.value.__cause__, ValueError)
    report = caught.value.report
    assert (report.processed, report.failed, report.discarded) == (3, 1, 6)
    assert not report.clean
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.frame, copy.report, str(copy)) == (frame(1, 3), report, str(caught.value))


async def test_a_failure_may_go_to_a_dead_letter_office() -> None:
    letters: list[tuple[int, str]] = []

    async def office(item: Frame, error: Exception) -> None:
        await anyio.lowlevel.checkpoint()
        letters.append((item.sequence, repr(error)))
        if item.sequence == 7:
            raise OSError("the office is closed")

    process = failing_at(2, 4, 7)
    aggregator = TelemetryAggregator(process=process, on_error=office)  # type: ignore[arg-type]
    with pytest.raises(ProcessFailed) as caught:
        await _run_with(aggregator, 10)
    assert letters == [(2, "ValueError(2)"), (4, "ValueError(4)"), (7, "ValueError(7)")]
    assert isinstance(caught.value.__cause__, OSError)
    assert (caught.value.report.processed, caught.value.report.discarded) == (5, 2)


async def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(TypeError):
        TelemetryAggregator(process=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error"):
        TelemetryAggregator(on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        TelemetryAggregator(on_error=None)  # type: ignore[arg-type]
    for name in ("ctrl", "feed", "emergency", "routine", "processor", "broadcast"):
        for value, error in (
            (0, ValueError),
            (-1, ValueError),
            (True, TypeError),
            (1.0, TypeError),
        ):
            with pytest.raises(error, match=name):
                AggregatorConfig(**{f"{name}_capacity": value})  # type: ignore[arg-type]
    for seconds in (-1, float("inf")):
        with pytest.raises(ValueError, match="deadline"):
            AggregatorConfig(shutdown_deadline_s=seconds)
    with pytest.raises(TypeError, match="deadline"):
        AggregatorConfig(shutdown_deadline_s="5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_high_run"):
        AggregatorConfig(max_high_run=0)
    async with Rig().running() as aggregator:
        for bad in ("1", True, 1.0):
            with pytest.raises(TypeError, match="source_id"):
                await aggregator.add_source(bad, LIVE)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="source_id"):
                await aggregator.remove_source(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="kind"):
            await aggregator.add_source(1, "live_uplink")  # type: ignore[arg-type]
        with pytest.raises(UnknownSource):
            await aggregator.remove_source(5)
        source = await aggregator.add_source(1, LIVE)
        with pytest.raises(ValueError, match="source 1"):
            await source.send(frame(2, 0))
        with pytest.raises(TypeError, match="Frame"):
            await source.send(b"frame")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="priority"):
            await source.send(Frame(1, LIVE, 1, 0, b""))  # type: ignore[arg-type]
        source.close()
        source.close()
        with pytest.raises(SendClosed):
            source.try_send(frame(1, 0))
    assert aggregator.statistics().routed == 0


async def test_another_thread_is_told_so() -> None:
    async with Rig().running() as aggregator:
        source = await aggregator.add_source(1, LIVE)
        errors: list[BaseException] = []

        def elsewhere() -> None:
            for call in (
                lambda: source.try_send(frame(1, 0)),
                lambda: anyio.run(source.send, frame(1, 0)),
                lambda: anyio.run(aggregator.add_source, 2, LIVE),
                source.close,
            ):
                try:
                    call()
                except WrongThread as error:
                    errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(30)
        assert len(errors) == 4
        await source.send(frame(1, 0))
    assert aggregator.statistics().processed == 1


# -- 8: the demo -----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_demo_shows_emergencies_overtaking(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--backend", backend]) == 0
    lines = capsys.readouterr().out.splitlines()
    frames = [line for line in lines if line.startswith(("ROUTINE", "EMERGENCY"))]
    assert len(frames) == 45
    urgent = [n for n, line in enumerate(frames) if line.startswith("EMERGENCY")]
    assert len(urgent) == 8
    assert urgent[-1] < 20, "they were sent behind 32 routine frames"
    assert sum(line.startswith("PipelineStats(") for line in lines) >= 4
    assert "processed=45, emergency=8" in lines[-1]
