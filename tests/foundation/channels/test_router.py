"""Feeds come and go; every frame that was accepted is forwarded, or counted as discarded."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import (
    ArchivedReplay,
    DuplicateSource,
    LiveUplink,
    Receiver,
    Router,
    RouterHandle,
    SendClosed,
    Sender,
    TaggedFrame,
    UnknownSource,
    broadcast,
    channel,
)
from meridian.foundation.channels.router import RouterStats

pytestmark = pytest.mark.anyio
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def settle() -> None:
    """Let every task that can run come to a stop; more rounds than any of them needs."""
    for _ in range(20):
        await checkpoint()


async def send_all(sender: Sender[bytes], payloads: list[bytes]) -> None:
    async with sender:
        await sender.send_many(payloads)


async def test_it_ends_by_itself_when_control_and_feeds_have_ended() -> None:
    """Without a timeout: its own sender to the internal channel does not keep it waiting."""
    out, merged = channel(256)
    router, frames = Router(out), []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            async with router.open() as handle:
                for satellite in (25544, 48274):
                    sender, feed = channel(32)
                    await handle.add_feed(satellite, feed)
                    group.start_soon(send_all, sender, [bytes([i] * 16) for i in range(3)])
            frames = [frame async for frame in merged]
    for satellite in (25544, 48274):
        assert [frame for frame in frames if frame.source == LiveUplink(satellite)] == [
            TaggedFrame(LiveUplink(satellite), i, bytes([i] * 16)) for i in range(3)
        ]
    assert router.statistics() == RouterStats(forwarded=6, discarded=0, feeds=0)


async def test_feeds_outlive_the_control() -> None:
    out, merged = channel(4)
    router = Router(out)
    sender, feed = channel(4)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            handle = router.open()
            await handle.add_feed(1, feed, source=ArchivedReplay("ARTEMIS-IV"))
            handle.close()
            await settle()
            assert router.statistics().feeds == 1
            await sender.send(b"late")
            assert await merged.recv() == TaggedFrame(ArchivedReplay("ARTEMIS-IV"), 0, b"late")
            sender.close()
            assert await merged.recv_many() == []


async def test_an_id_is_taken_until_its_feed_has_ended() -> None:
    out, merged = channel(4)
    router = Router(out)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, router.open() as handle:
            group.start_soon(router.run)
            (sender, feed), (other, unused) = channel(4), channel(4)
            await handle.add_feed(7, feed)
            with pytest.raises(DuplicateSource, match="7") as refused:
                await handle.add_feed(7, unused)
            assert refused.value.source_id == 7
            await other.send(b"still the caller's")
            assert unused.try_recv() == b"still the caller's"
            with pytest.raises(UnknownSource, match="8"):
                await handle.remove_feed(8)
            assert handle.feeds() == (7,)
            await sender.send(b"x")
            sender.close()
            await settle()
            assert handle.feeds() == (), "ended feeds are forgotten"
            with pytest.raises(UnknownSource):
                await handle.remove_feed(7)
            await handle.add_feed(7, unused)
            await other.send(b"y")
            other.close()
            assert (await merged.recv()).payload == b"x"
            assert await merged.recv() == TaggedFrame(LiveUplink(7), 0, b"y"), "numbered anew"


async def stuck(
    group: anyio.abc.TaskGroup, frames: int
) -> tuple[Router, RouterHandle, Sender[bytes], Receiver[TaggedFrame]]:
    """A router whose downstream stands still, full from end to end."""
    out, merged = channel(1)
    router = Router(out, internal_capacity=1)
    handle = router.open()
    group.start_soon(router.run)
    sender, feed = channel(4)
    await handle.add_feed(1, feed)
    for number in range(frames):
        await sender.send(bytes([number]))
        await settle()
    return router, handle, sender, merged


async def test_a_feed_removed_with_draining_loses_nothing() -> None:
    removed = []

    async def remove() -> None:
        removed.append(await handle.remove_feed(1))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            router, handle, sender, merged = await stuck(group, 8)
            group.start_soon(remove)
            await settle()
            assert not removed
            with pytest.raises(SendClosed):
                await sender.send(b"no more")
            sender.close()
            assert handle.feeds() == (1,)
            with pytest.raises(DuplicateSource):
                await handle.add_feed(1, channel(1)[1])
            got = [await merged.recv() for _ in range(8)]
            await settle()
            assert removed == [0]
            handle.close()
            assert await merged.recv_many() == []
    assert [frame.payload[0] for frame in got] == list(range(8))
    assert router.statistics() == RouterStats(forwarded=8, discarded=0, feeds=0)


async def test_without_draining_it_is_over_at_once_and_says_how_many_it_cost() -> None:
    """Eight frames: one in `out`, one with the pump, one in between, one in hand, four waiting."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            router, handle, sender, merged = await stuck(group, 8)
            assert await handle.remove_feed(1, drain=False) == 5
            sender.close()
            assert handle.feeds() == ()
            handle.close()
            got = [frame async for frame in merged]
    assert [frame.payload[0] for frame in got] == [0, 1, 2]
    assert router.statistics() == RouterStats(forwarded=3, discarded=5, feeds=0)


async def test_who_drains_may_lose_patience() -> None:
    removed = []

    async def remove() -> None:
        removed.append(await handle.remove_feed(1))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            _, handle, sender, merged = await stuck(group, 8)
            group.start_soon(remove)
            await settle()
            assert await handle.remove_feed(1, drain=False) == 5
            await settle()
            assert removed == [5]
            sender.close()
            handle.close()
            assert len([frame async for frame in merged]) == 3


async def test_removing_goes_on_when_the_remover_gives_up() -> None:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            _, handle, sender, merged = await stuck(group, 6)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as other:
                    other.start_soon(handle.remove_feed, 1)
                    await settle()
                    scope.cancel()
            sender.close()
            handle.close()
            assert len([frame async for frame in merged]) == 6


async def test_a_silent_feed_holds_up_nobody() -> None:
    out, merged = channel(4)
    router = Router(out)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            async with router.open() as handle:
                silent = [channel(1) for _ in range(47)]
                for number, (_, feed) in enumerate(silent):
                    await handle.add_feed(number, feed)
                sender, feed = channel(32)
                await handle.add_feed(47, feed)
                group.start_soon(send_all, sender, [b"x"] * 100)
                for sequence in range(100):
                    assert (await merged.recv()).sequence == sequence
                await settle()
                assert len(handle.feeds()) == 47
            for sender, _ in silent:
                sender.close()
            assert await merged.recv_many() == []


async def test_a_thousand_feeds_that_came_and_went_leave_nothing() -> None:
    out, merged = channel(4)
    router, got = Router(out), []

    async def read() -> None:
        got.extend([frame async for frame in merged])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            group.start_soon(read)
            async with router.open() as handle:
                for number in range(1000):
                    sender, feed = channel(2)
                    await handle.add_feed(number, feed)
                    await sender.send(b"x")
                    if number % 2:
                        assert await handle.remove_feed(number) == 0
                        sender.close()
                    else:
                        sender.close()
                        while handle.feeds():
                            await checkpoint()
    assert Counter(frame.source.satellite_id for frame in got) == Counter(range(1000))
    assert router.statistics() == RouterStats(forwarded=1000, discarded=0, feeds=0)


async def test_when_nobody_wants_its_frames_it_ends_and_tells_the_feeds() -> None:
    out, merged = channel(1)
    router = Router(out, internal_capacity=1)
    handle = router.open()
    (sender, feed), (idle, quiet), (_, unused) = channel(4), channel(4), channel(4)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            await handle.add_feed(1, feed)
            await handle.add_feed(2, quiet)
            for _ in range(8):
                await sender.send(b"x")
                await settle()
            merged.close()
        for one in (sender, idle):
            with pytest.raises(SendClosed):
                await one.send(b"y")
            one.close()
        with pytest.raises(SendClosed) as refused:
            await handle.add_feed(3, unused)
        assert refused.value.item is unused
    assert len(await merged.recv_many()) == 1
    assert router.statistics() == RouterStats(forwarded=1, discarded=7, feeds=0)
    handle.close()
    with pytest.raises(RuntimeError, match="make a new one"):
        await router.run()
    with pytest.raises(RuntimeError, match="clone"):
        router.open()


async def test_it_ends_even_if_nobody_listened_from_the_start() -> None:
    out, merged = channel(1)
    merged.close()
    with anyio.fail_after(30):
        assert await Router(out).run() == RouterStats(forwarded=0, discarded=0, feeds=0)
        out, merged = channel(1)
        router = Router(out)
        async with router.open():
            merged.close()
            await router.run()


@BACKENDS
@settings(max_examples=40)
@given(st.integers(0, 2**32), st.booleans())
def test_accepted_is_forwarded_or_discarded(backend: str, seed: int, cut: bool) -> None:
    anyio.run(_come_and_go, Random(seed), cut, backend=backend)


async def _come_and_go(random: Random, cut: bool) -> None:
    """Feeds added and removed at random; in the end, perhaps, everything is cancelled."""
    out, merged = channel(random.randint(1, 3))
    router = Router(out, internal_capacity=random.randint(1, 3), ctrl_capacity=1)
    accepted: list[tuple[int, int]] = []
    got: list[tuple[int, int]] = []
    discarded: dict[int, int] = {}
    scope, reading = anyio.CancelScope(), anyio.CancelScope()

    async def run() -> None:
        with scope:
            await router.run()

    async def read() -> None:
        with reading:
            async for frame in merged:
                got.append((frame.source.satellite_id, frame.sequence))
                if random.random() < 0.5:
                    await checkpoint()

    async def write(source: int, sender: Sender[bytes]) -> None:
        async with sender:
            with suppress(SendClosed):
                for number in range(random.randint(0, 12)):
                    await sender.send(b"x")
                    accepted.append((source, number))
                    if random.random() < 0.3:
                        await checkpoint()

    async def remove(handle: RouterHandle, source: int) -> None:
        with suppress(UnknownSource, SendClosed):
            discarded[source] = await handle.remove_feed(source, drain=random.random() < 0.5)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(read)
            async with router.open() as handle, anyio.create_task_group() as users:
                for source in range(8):
                    sender, feed = channel(random.randint(1, 3))
                    await handle.add_feed(source, feed)
                    users.start_soon(write, source, sender)
                    for _ in range(random.randrange(6)):
                        await checkpoint()
                    if random.random() < 0.5:
                        users.start_soon(remove, handle, random.randrange(source + 1))
            if cut:
                (scope if random.random() < 0.5 else reading).cancel()
                merged.close()
        got += [(frame.source.satellite_id, frame.sequence) for frame in await merged.recv_many()]
    stats = router.statistics()
    assert stats.feeds == 0
    assert stats.forwarded == len(got)
    assert stats.forwarded + stats.discarded == len(accepted)
    assert set(got) <= set(accepted)
    for source in range(8):
        numbers = [number for which, number in got if which == source]
        assert numbers == list(range(len(numbers))), "in order, and only the end is missing"
    if not cut:
        assert stats.discarded == sum(discarded.values())


async def test_what_is_no_feed_is_refused() -> None:
    out, _ = channel(1)
    router = Router(out)
    async with router.open() as handle, broadcast(1) as events, events.subscribe() as subscriber:
        with pytest.raises(TypeError, match="Receiver, got BroadcastReceiver"):
            await handle.add_feed(1, subscriber)
        for bad in (True, "1", None, 1.0):
            with pytest.raises(TypeError, match="source_id as int"):
                await handle.add_feed(bad, channel(1)[1])
            with pytest.raises(TypeError, match="source_id as int"):
                await handle.remove_feed(bad)
        for options in ({"internal_capacity": 0}, {"ctrl_capacity": True}):
            with pytest.raises(ValueError, match=r"Expected capacity (>= 1|as an int)"):
                Router(out, **options)
    out.close()
