"""One item after another, or batches, from a producer to a consumer: ours and every peer."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import numpy as np

from benchmarks.harness import Side
from meridian.foundation.channels import SpscRing, broadcast, channel

__all__ = ["BATCH", "broadcast_sides", "ring_sides", "single_sides", "batch_side", "three_streams"]

BATCH = 256
_RECORD = np.dtype([("time_ns", "<i8"), ("satellite", "<i8"), ("value", "<f8")])


def single_sides(capacity: int, backend: str, peer: str) -> Callable[[int], tuple[Side, Side]]:
    """Single items through a bounded queue; ``peer`` is ``anyio`` or ``asyncio.Queue``."""

    def make(items: int) -> tuple[Side, Side]:
        theirs = {"anyio": _anyio_stream, "asyncio.Queue": _asyncio_queue}[peer]
        name = "anyio memory stream" if peer == "anyio" else peer
        return (
            _side("channel", _ours, items, capacity, backend),
            _side(name, theirs, items, capacity, backend),
        )

    return make


def _side(
    name: str, program: Callable[..., Awaitable[Any]], items: int, capacity: int, backend: str
) -> Side:
    return Side(name, lambda _: anyio.run(program, items, capacity, backend=backend))


async def _ours(items: int, capacity: int) -> int:
    tx, rx = channel(capacity)

    async def produce() -> None:
        async with tx:
            for item in range(items):
                await tx.send(item)

    total = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        async for item in rx:
            total += item
    rx.close()
    return total


async def _anyio_stream(items: int, capacity: int) -> int:
    tx, rx = anyio.create_memory_object_stream[int](capacity)

    async def produce() -> None:
        async with tx:
            for item in range(items):
                await tx.send(item)

    total = 0
    async with rx, anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        async for item in rx:
            total += item
    return total


async def _asyncio_queue(items: int, capacity: int) -> int:
    waiting: asyncio.Queue[int | None] = asyncio.Queue(capacity)

    async def produce() -> None:
        for item in range(items):
            await waiting.put(item)
        await waiting.put(None)  # it cannot be closed before Python 3.13

    total = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        while (item := await waiting.get()) is not None:
            total += item
    return total


def batch_side(capacity: int, backend: str) -> Callable[[int], tuple[Side, Side]]:
    """Batches of 256 through our channel, against single items through it."""

    async def batches(items: int, capacity: int) -> int:
        tx, rx = channel(capacity)

        async def produce() -> None:
            async with tx:
                for start in range(0, items, BATCH):
                    await tx.send_many(range(start, min(start + BATCH, items)))

        total = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            while batch := await rx.recv_many(BATCH):
                total += sum(batch)
        rx.close()
        return total

    def make(items: int) -> tuple[Side, Side]:
        return (
            _side("channel, batches of 256", batches, items, capacity, backend),
            _side("channel, single items", _ours, items, capacity, backend),
        )

    return make


def broadcast_sides(
    capacity: int, receivers: int, batch: int
) -> Callable[[int], tuple[Side, Side]]:
    """Every receiver sees every item, nobody lags; the peer is a queue for each receiver."""

    async def ours(items: int, capacity: int) -> list[int]:
        tx = broadcast(capacity)
        totals = [0] * receivers

        async def consume(number: int, rx: Any) -> None:
            while items_now := await rx.recv_many(capacity):
                totals[number] += sum(items_now)

        async with anyio.create_task_group() as tasks:
            for number in range(receivers):
                tasks.start_soon(consume, number, tx.subscribe())
            for start in range(0, items, batch):
                tx.send_many(range(start, min(start + batch, items)))
                if start // batch % (capacity // batch) == 0:
                    await anyio.lowlevel.checkpoint()  # so that nobody lags
            tx.close()
        return totals

    async def queues(items: int, capacity: int) -> list[int]:
        waiting: list[asyncio.Queue[int | None]] = [
            asyncio.Queue(capacity) for _ in range(receivers)
        ]
        totals = [0] * receivers

        async def consume(number: int) -> None:
            while (item := await waiting[number].get()) is not None:
                totals[number] += item

        async with anyio.create_task_group() as tasks:
            for number in range(receivers):
                tasks.start_soon(consume, number)
            for item in [*range(items), None]:
                for each in waiting:
                    await each.put(item)
        return totals

    def make(items: int) -> tuple[Side, Side]:
        return (
            _side("broadcast", ours, items, capacity, "asyncio"),
            _side(f"{receivers} asyncio.Queues", queues, items, capacity, "asyncio"),
        )

    return make


def three_streams(capacity: int) -> Callable[[int], tuple[Side, Side]]:
    """The same against three memory streams of anyio."""

    async def streams(items: int, capacity: int) -> list[int]:
        ends = [anyio.create_memory_object_stream[int](capacity) for _ in range(3)]
        totals = [0, 0, 0]

        async def consume(number: int) -> None:
            async with ends[number][1] as rx:
                async for item in rx:
                    totals[number] += item

        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(consume, number)
            for item in range(items):
                for tx, _ in ends:
                    await tx.send(item)
            for tx, _ in ends:
                tx.close()
        return totals

    def make(items: int) -> tuple[Side, Side]:
        mine, _ = broadcast_sides(capacity, 3, 16)(items)
        return mine, _side("3 anyio memory streams", streams, items, capacity, "asyncio")

    return make


def ring_sides(records_a_batch: int) -> Callable[[int], tuple[Side, Side]]:
    """Records of 24 bytes between two threads, in batches; the peer hands over copies."""
    batch = np.zeros(records_a_batch, _RECORD)
    batch["satellite"] = 1

    def ours(items: int) -> int:
        ring = SpscRing(_RECORD, 64 * records_a_batch)

        def produce() -> None:
            for _ in range(items // records_a_batch):
                left = batch
                while left.size:
                    if pushed := ring.push(left[: ring.free]):
                        left = left[pushed:]
                    else:
                        time.sleep(0)  # spinning, it would keep the other from running

        thread = threading.Thread(target=produce)
        thread.start()
        out = np.empty_like(batch)
        seen = total = 0
        while seen < items:
            if count := ring.pop(out):
                seen += count
                total += int(out["satellite"][:count].sum())
            else:
                time.sleep(0)
        thread.join()
        return total

    def queued(items: int) -> int:
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def produce() -> None:
            for _ in range(items // records_a_batch):
                waiting.put(batch.copy())

        thread = threading.Thread(target=produce)
        thread.start()
        total = 0
        for _ in range(items // records_a_batch):
            total += int(waiting.get()["satellite"].sum())
        thread.join()
        return total

    def make(items: int) -> tuple[Side, Side]:
        return (
            Side("SpscRing", lambda _: ours(items)),
            Side("queue.SimpleQueue of copies", lambda _: queued(items)),
        )

    return make
