"""A producer, a bounded channel and a consumer: real ones, run to the end in virtual time."""

from __future__ import annotations

import random
from typing import NamedTuple

import anyio

from meridian.foundation.channels import (
    Full,
    Receiver,
    Sender,
    channel,
)
from meridian.testing.virtual_loop import run_virtual

__all__ = ["Item", "TankRun", "TriesRun", "run_tank", "run_tries"]


class Item(NamedTuple):
    """When it was made, was in the channel and was taken out; ``None`` for what never came."""

    made_s: float
    in_s: float | None = None
    out_s: float | None = None
    dropped: bool = False


class TankRun(NamedTuple):
    """What became of every item, and how many lay in the channel after each step."""

    items: tuple[Item, ...]
    levels: tuple[tuple[float, int], ...]
    capacity: int
    seconds: float
    waits: bool

    @property
    def tank_s(self) -> list[float]:
        """How long each item that was taken out had lain in the channel."""
        return [i.out_s - i.in_s for i in self.items if i.out_s is not None and i.in_s is not None]

    @property
    def blocked_s(self) -> float:
        """How long the producer has waited for room, in all."""
        ends = [(i.made_s, self.seconds if i.in_s is None else i.in_s) for i in self.items]
        return sum(b - a for (a, b), i in zip(ends, self.items, strict=True) if not i.dropped)

    @property
    def dropped(self) -> int:
        return sum(item.dropped for item in self.items)


def run_tank(
    produce_per_s: float,
    consume_per_s: float,
    capacity: int,
    *,
    waits: bool = True,
    seconds: float = 20.0,
    seed: int = 7,
) -> TankRun:
    """Items at random times, `produce_per_s` a second while nothing holds the producer up.

    It sends each with `send`, or without `waits` with `try_send`, and drops what is refused. The
    consumer takes ``1 / consume_per_s`` seconds for each.
    """
    items: list[Item] = []
    levels = [(0.0, 0)]

    async def program() -> None:
        ends: tuple[Sender[int], Receiver[int]] = channel(capacity)
        tx, rx = ends
        gaps = random.Random(seed)
        start_s = anyio.current_time()

        def now_s() -> float:
            return anyio.current_time() - start_s

        async def produce() -> None:
            while True:
                await anyio.sleep(gaps.expovariate(produce_per_s))
                number = len(items)
                items.append(Item(now_s()))
                try:
                    if waits:
                        await tx.send(number)
                    else:
                        tx.try_send(number)
                except Full:
                    items[number] = items[number]._replace(dropped=True)
                    continue
                items[number] = items[number]._replace(in_s=now_s())
                levels.append((now_s(), len(rx)))

        async def consume() -> None:
            while True:
                number = await rx.recv()
                items[number] = items[number]._replace(out_s=now_s())
                levels.append((now_s(), len(rx)))
                await anyio.sleep(1 / consume_per_s)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            tasks.start_soon(produce)
            await anyio.sleep(seconds)
            tasks.cancel_scope.cancel()
        tx.close()
        rx.close()

    run_virtual(program)
    # The sender that is let in and the consumer that made room go on in one moment, in this order.
    moments = [
        i if i.out_s is None or i.in_s is not None else i._replace(in_s=i.out_s) for i in items
    ]
    return TankRun(tuple(moments), tuple(levels), capacity, seconds, waits)


class TriesRun(NamedTuple):
    """Where each item is: ``taken``, ``in the channel``, ``dropped`` or ``waiting``."""

    states: tuple[str, ...]
    waits: bool
    capacity: int


def run_tries(tries: int = 12, capacity: int = 8, taken: int = 0, *, waits: bool) -> TriesRun:
    """`tries` senders at once, each with one item; then the consumer takes so many."""
    states = ["waiting"] * tries

    async def program() -> None:
        ends: tuple[Sender[int], Receiver[int]] = channel(capacity)
        tx, rx = ends

        async def send(number: int) -> None:
            await tx.send(number)
            states[number] = "in the channel"

        async with anyio.create_task_group() as tasks:
            for number in range(tries):
                if waits:
                    tasks.start_soon(send, number)
                    continue
                try:
                    tx.try_send(number)
                    states[number] = "in the channel"
                except Full:
                    states[number] = "dropped"
            await anyio.sleep(1)
            got = [rx.try_recv() for _ in range(taken) if len(rx)]
            await anyio.sleep(1)  # who was let in finds out
            for number in got:
                states[number] = "taken"
            tasks.cancel_scope.cancel()
        tx.close()
        rx.close()

    run_virtual(program)
    return TriesRun(tuple(states), waits, capacity)
