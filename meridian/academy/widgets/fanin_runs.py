"""Frames of two urgencies before one processor, run on real channels in virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from meridian.foundation.channels import (
    PriorityReceiver,
    PrioritySender,
    Receiver,
    Sender,
    channel,
    priority_channel,
)
from meridian.foundation.tasks import select
from meridian.testing.virtual_loop import run_virtual

__all__ = ["DESIGNS", "PROCESS_S", "Latencies", "Shares", "ends", "latencies", "shares"]

PROCESS_S = 0.010  # what the processor takes for a frame: 100 a second
_RATES = {False: 105.0, True: 5.0}  # frames a second of the routine feed and of the urgent one
DESIGNS = ("one shared channel", "two channels, select by chance", "two lanes, urgent first")

Take = Callable[[], Awaitable[Any]]


class Latencies(NamedTuple):
    """Milliseconds from when a frame was due to the end of its processing, of each frame."""

    urgent_ms: list[float]
    routine_ms: list[float]


def latencies(design: str, *, seconds: float = 8.0, seed: int = 3) -> Latencies:
    """Routine frames at 105 % of what the processor can do, and 5 urgent ones a second among them.

    `design` is one of `DESIGNS`. Frames are due at the same times in each, for `seconds`, and all
    are processed. The clock of a frame starts when it is *due*: one that its feed could only send
    later, because a full channel held it up, has waited all the same. To count from the sending
    would leave out the wait of just the frames that waited longest (coordinated omission).
    """
    if design not in DESIGNS:
        raise ValueError(f"Expected a design of {DESIGNS}, got {design!r}")
    found = Latencies([], [])
    feeds = {high: _due_s(rate, seconds, seed + high) for high, rate in _RATES.items()}

    async def program() -> None:
        send, take, used = _wired(design)
        start_s = anyio.current_time()

        async def feed(high: bool) -> None:
            for due_s in feeds[high]:
                await anyio.sleep(max(0.0, start_s + due_s - anyio.current_time()))
                await send((high, start_s + due_s), high)

        async def process() -> None:
            for _ in range(sum(map(len, feeds.values()))):
                high, due_s = await take()
                await anyio.sleep(PROCESS_S)
                row = found.urgent_ms if high else found.routine_ms
                row.append((anyio.current_time() - due_s) * 1e3)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process)
            for high in feeds:
                tasks.start_soon(feed, high)
        for end in used:
            end.close()

    run_virtual(program)
    return found


def _due_s(rate: float, seconds: float, seed: int) -> list[float]:
    """Random moments before `seconds`, `rate` of them in a second on average."""
    rng, due_s, moments = random.Random(seed), 0.0, []
    while (due_s := due_s + rng.expovariate(rate)) < seconds:
        moments.append(due_s)
    return moments


def _wired(design: str) -> tuple[Callable[[Any, bool], Awaitable[None]], Take, list[Any]]:
    """How to send a frame of an urgency, how the processor takes the next, what to close."""
    if design == DESIGNS[0]:
        tx, rx = ends(64)

        async def send_one(item: Any, _: bool) -> None:
            await tx.send(item)

        return send_one, rx.recv, [tx, rx]
    if design == DESIGNS[1]:
        urgent, routine = ends(64), ends(64)

        async def send_either(item: Any, high: bool) -> None:
            await (urgent if high else routine)[0].send(item)

        async def by_chance() -> Any:
            return (await select(urgent[1], routine[1]))[1]

        return send_either, by_chance, [*urgent, *routine]
    lanes: tuple[PrioritySender[Any], PriorityReceiver[Any]] = priority_channel(64, 64)

    async def send_lane(item: Any, high: bool) -> None:
        await lanes[0].send(item, high=high)

    return send_lane, lanes[1].recv, [*lanes]


def ends(capacity: int) -> tuple[Sender[Any], Receiver[Any]]:
    """A channel of frames of any kind."""
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
