"""Feeds of two urgencies before one processor, run on real channels in virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from meridian.foundation.channels import (
    LiveUplink,
    PriorityReceiver,
    PrioritySender,
    Router,
    SendClosed,
    TaggedFrame,
    channel,
    priority_channel,
)
from meridian.foundation.tasks import select
from meridian.testing.virtual_loop import run_virtual

__all__ = ["DESIGNS", "Action", "FeedRow", "Latencies", "Shares", "latencies", "replay", "shares"]

PROCESS_S = 0.010  # what the processor takes for a frame: 100 a second
DESIGNS = ("one shared channel", "two channels, select by chance", "two lanes, urgent first")

Take = Callable[[], Awaitable[Any]]


class Latencies(NamedTuple):
    """Milliseconds from sending to the end of processing, of each frame."""

    urgent_ms: list[float]
    routine_ms: list[float]


def latencies(design: str, *, seconds: float = 8.0, seed: int = 3) -> Latencies:
    """Routine frames at 105 % of what the processor can do, and 5 urgent ones a second among them.

    `design` is one of `DESIGNS`. Each design gets the same frames at the same times.
    """
    if design not in DESIGNS:
        raise ValueError(f"Expected a design of {DESIGNS}, got {design!r}")
    found = Latencies([], [])

    async def program() -> None:
        send, take, ends = _wired(design)

        async def feed(rate: float, *, high: bool) -> None:
            rng = random.Random(seed + high)
            due_s = anyio.current_time()
            end_s = due_s + seconds
            while (due_s := due_s + rng.expovariate(rate)) < end_s:
                await anyio.sleep(max(0.0, due_s - anyio.current_time()))
                await send((high, anyio.current_time()), high)

        async def process() -> None:
            while True:
                high, sent_s = await take()
                await anyio.sleep(PROCESS_S)
                row = found.urgent_ms if high else found.routine_ms
                row.append((anyio.current_time() - sent_s) * 1e3)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process)
            async with anyio.create_task_group() as feeds:
                feeds.start_soon(lambda: feed(105.0, high=False))
                feeds.start_soon(lambda: feed(5.0, high=True))
            tasks.cancel_scope.cancel()
        for end in ends:
            end.close()

    run_virtual(program)
    return found


def _wired(design: str) -> tuple[Callable[[Any, bool], Awaitable[None]], Take, list[Any]]:
    """How to send a frame of an urgency, how the processor takes the next, what to close."""
    if design == DESIGNS[0]:
        tx, rx = _ends(64)

        async def send_one(item: Any, _: bool) -> None:
            await tx.send(item)

        return send_one, rx.recv, [tx, rx]
    if design == DESIGNS[1]:
        urgent, routine = _ends(64), _ends(64)

        async def send_either(item: Any, high: bool) -> None:
            await (urgent if high else routine)[0].send(item)

        async def by_chance() -> Any:
            return (await select(urgent[1], routine[1]))[1]

        return send_either, by_chance, [*urgent, *routine]
    lanes: tuple[PrioritySender[Any], PriorityReceiver[Any]] = priority_channel(64, 64)

    async def send_lane(item: Any, high: bool) -> None:
        await lanes[0].send(item, high=high)

    return send_lane, lanes[1].recv, [*lanes]


def _ends(capacity: int) -> Any:
    return channel(capacity)


class Shares(NamedTuple):
    """Of a processor that is never idle, what each urgency got of it, in frames a second."""

    urgent: float
    routine: float


def shares(load_percent: int, max_high_run: int | None = None, *, seconds: float = 3.0) -> Shares:
    """Urgent frames at `load_percent` of what the processor can do, routine ones without end."""
    counts = [0, 0]

    async def program() -> None:
        lanes: tuple[PrioritySender[int], PriorityReceiver[int]] = priority_channel(
            64, 64, max_high_run=max_high_run
        )
        tx, rx = lanes

        async def urgent() -> None:
            while load_percent:
                await anyio.sleep(PROCESS_S * 100 / load_percent)
                await tx.send(1, high=True)

        async def routine() -> None:
            while True:
                await tx.send(0, high=False)

        async def process() -> None:
            while True:
                counts[await rx.recv()] += 1
                await anyio.sleep(PROCESS_S)

        async with anyio.create_task_group() as tasks:
            for task in (urgent, routine, process):
                tasks.start_soon(task)
            await anyio.sleep(seconds)
            tasks.cancel_scope.cancel()
        tx.close()
        rx.close()

    run_virtual(program)
    return Shares(counts[1] / seconds, counts[0] / seconds)


# -- a router, as a script -------------------------------------------------------------------------


class Action(NamedTuple):
    """``add``, ``drain`` or ``drop`` a feed, or let a second ``pass``."""

    what: str
    source_id: int = 0


class FeedRow(NamedTuple):
    """A feed that is or was there: what came out of it, and how it ended."""

    source_id: int
    forwarded: int
    state: str


def replay(actions: list[Action], *, out_rate: float = 30.0) -> list[FeedRow]:
    """Do all `actions` from the start, on a real router; every feed then in its present state.

    A feed sends 20 frames a second, and `out` takes `out_rate` in all. Refusals are told in the
    state of a row with the id that was refused.
    """
    rows: dict[int, FeedRow] = {}
    forwarded: dict[int, int] = {}
    refused: list[FeedRow] = []

    async def program() -> None:
        out_tx, out_rx = _ends(8)
        router = Router(out_tx, internal_capacity=8)
        handle = router.open()

        async def downstream() -> None:
            async for frame in out_rx:
                assert isinstance(frame, TaggedFrame)
                assert isinstance(frame.source, LiveUplink)
                forwarded[frame.source.satellite_id] += 1
                await anyio.sleep(1 / out_rate)

        async def feed(tx: Any) -> None:
            async with tx:
                while not tx.is_closed:
                    await anyio.sleep(0.05)
                    with anyio.move_on_after(0.05):
                        await tx.send(b"frame")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.run)
            tasks.start_soon(downstream)
            for what, source_id in actions:
                try:
                    if what == "add":
                        tx, rx = _ends(8)
                        try:
                            await handle.add_feed(source_id, rx)
                        except BaseException:
                            tx.close()
                            rx.close()
                            raise
                        forwarded.setdefault(source_id, 0)
                        rows[source_id] = FeedRow(source_id, 0, "live")
                        tasks.start_soon(_until_unwanted, feed, tx)
                    elif what == "pass":
                        await anyio.sleep(1)
                    else:
                        lost = await handle.remove_feed(source_id, drain=what == "drain")
                        ended = "drained, nothing lost" if what == "drain" else f"{lost} discarded"
                        rows[source_id] = FeedRow(source_id, 0, f"removed: {ended}")
                except (ValueError, LookupError) as error:
                    refused.append(FeedRow(source_id, 0, f"refused: {error}"))
            tasks.cancel_scope.cancel()
        handle.close()
        out_tx.close()
        out_rx.close()

    run_virtual(program)
    counted = [row._replace(forwarded=forwarded[row.source_id]) for row in rows.values()]
    return counted + refused[-1:]


async def _until_unwanted(feed: Callable[[Any], Awaitable[None]], tx: Any) -> None:
    try:
        await feed(tx)
    except SendClosed:
        return
