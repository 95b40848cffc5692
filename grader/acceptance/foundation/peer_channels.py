"""What criterion 9 races against: what one writes first, with asyncio's queues and nothing else.

A bounded `asyncio.PriorityQueue` for all sources, one task that takes from it, and a bounded queue
for each subscriber, whose being full makes all wait. It keeps no counts, has one lane, so a full
one holds up emergencies, and ends with sentinels. Runs in its own, trusted worker. Standard
library only.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

Item = tuple[int, int, Any]  # minus the priority, arrival, frame


class Race:
    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._frames: list[list[tuple[int, bytes]]] = []

    def deal(self, sources: int, each: int, payload: bytes) -> None:
        self._frames = [[(int(n % 50 == 49), payload) for n in range(each)] for _ in range(sources)]

    def run(self) -> list[int]:
        """Frames that each subscriber has read."""
        return asyncio.run(self._run())

    async def _run(self) -> list[int]:
        numbers = itertools.count()
        lane: asyncio.PriorityQueue[Item] = asyncio.PriorityQueue(self._capacity)
        outs: list[asyncio.Queue[Any]] = [asyncio.Queue(128) for _ in range(2)]
        counts = [0, 0]

        async def feed(frames: list[tuple[int, bytes]]) -> None:
            for frame in frames:
                await lane.put((-frame[0], next(numbers), frame))

        async def process() -> None:
            while True:
                frame = (await lane.get())[2]
                for out in outs:
                    await out.put(frame)
                if frame is None:
                    return

        async def count(number: int) -> None:
            while await outs[number].get() is not None:
                counts[number] += 1

        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(count(number))
            group.create_task(process())
            async with asyncio.TaskGroup() as sources:
                for frames in self._frames:
                    sources.create_task(feed(frames))
            await lane.put((1, next(numbers), None))
        return counts
