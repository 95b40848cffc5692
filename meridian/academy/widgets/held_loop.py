"""A heartbeat beside a validator that holds the loop, in real time."""

from __future__ import annotations

import time

import anyio

from meridian.academy.timeline import mark, record
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.timeline_svg import paint_timeline

__all__ = ["HeldLoop", "beat_beside_validator"]


async def beat_beside_validator(size: int, beats: int = 12, every_s: float = 0.01) -> None:
    async def heartbeat() -> None:
        begun_s = time.perf_counter()
        for number in range(1, beats + 1):
            await anyio.sleep(max(0.0, begun_s + number * every_s - time.perf_counter()))
            mark("")

    async def validate() -> None:
        await anyio.sleep(3.5 * every_s)
        frame = bytes(size)
        mark(f"{size:,} bytes")
        sum(frame[i] == frame[j] for i in range(size) for j in range(i))  # every byte with each

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heartbeat, name="heartbeat")
        tasks.start_soon(validate, name="validator")


class HeldLoop(Playground):
    """A heartbeat every 10 ms beside a validator that compares every byte with every other."""

    def __init__(self, size: int = 600) -> None:
        self.size = slider("frame, bytes", size, 0, 1_500, 50)
        super().__init__([self.size], self._beat)

    def _beat(self) -> Shown:
        timeline = record(beat_beside_validator, self.size.value).only("heartbeat", "validator")
        beats = [each.at_s for each in timeline.lane("heartbeat").marks if each.kind == "note"]
        longest_ms = max(b - a for a, b in zip([0.0, *beats], beats, strict=False)) * 1e3
        held_ms = max(step.end_s - step.start_s for step in timeline.lane("validator").steps) * 1e3
        words = f"the validator held the loop for {held_ms:.1f} ms without an await"
        words += f"; the longest time between two beats was {longest_ms:.1f} ms"
        return Shown(words, (paint_timeline(timeline),))
