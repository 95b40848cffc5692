"""Three small programs with a knob each, run anew at every turn of it and drawn as timelines.

Fetches one after the other or joined, in the time of a real executor; a validator that holds the
loop, in real time; an operation begun once or again and again, in virtual time.
"""

from __future__ import annotations

import contextlib
import time

import anyio
import ipywidgets

from meridian.academy.timeline import Lane, Mark, Step, Timeline, mark, record
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.timeline_svg import paint_timeline
from meridian.foundation.channels import Receiver, Sender, channel
from meridian.foundation.tasks import (
    JoinAll,
    MiniExecutor,
    Once,
    Selectable,
    SelectExhausted,
    from_coroutine,
    polled,
    select,
)
from meridian.testing.virtual_loop import run_virtual

__all__ = [
    "FetchBesideCommands",
    "HeldLoop",
    "StationFetches",
    "beat_beside_validator",
    "beside_commands",
    "fetches",
]

COMMANDS = (("REPOINT", 0.060), ("STATUS", 0.120), ("RESET", 0.180), ("SAFE_MODE", 0.240))
FETCH_S = 0.2
_BLIP_S = 2e-6  # a step that takes no time still has a place in the picture


# -- one after the other, or joined ----------------------------------------------------------------


def fetches(latencies_s: dict[str, float], *, joined: bool) -> Timeline:
    """A fetch for each station, awaited in turn or joined in one task, from begin to end."""
    executor = MiniExecutor()
    lanes: list[Lane] = []

    async def fetch(station: str, latency_s: float) -> None:
        begun = executor.now()
        await polled(executor.sleep(latency_s))
        ended = executor.now()
        steps = [Step(begun, begun + _BLIP_S), Step(ended - _BLIP_S, ended)]
        lanes.append(Lane(station, begun, ended, steps, [Mark(ended, "", "ended")]))

    async def in_turn() -> None:
        for station, latency_s in latencies_s.items():
            await fetch(station, latency_s)

    async def at_once() -> None:
        each = [from_coroutine(fetch(*item)) for item in latencies_s.items()]
        await polled(JoinAll(*each))

    executor.block_on(from_coroutine(at_once() if joined else in_turn()))
    return Timeline(lanes).only(*latencies_s)


class StationFetches(Playground):
    """Two stations with a latency each: awaited in turn it is the sum, joined the longer one."""

    def __init__(self, atacama_ms: int = 180, svalbard_ms: int = 120) -> None:
        self.atacama = slider("gs-atacama, ms", atacama_ms, 10, 300, 10)
        self.svalbard = slider("gs-svalbard, ms", svalbard_ms, 10, 300, 10)
        self.joined = ipywidgets.Checkbox(False, description="joined", indent=False)
        controls = [self.atacama, self.svalbard, self.joined]
        super().__init__(controls, self._fetch)

    def _fetch(self) -> Shown:
        latencies_s = {
            "gs-atacama": self.atacama.value / 1e3,
            "gs-svalbard": self.svalbard.value / 1e3,
        }
        timeline = fetches(latencies_s, joined=self.joined.value)
        took_ms = timeline.duration_s * 1e3
        how = "joined: as long as the slower" if self.joined.value else "in turn: the sum of both"
        svg = paint_timeline(timeline, until_s=sum(latencies_s.values()))
        return Shown(f"{took_ms:.0f} ms, {how}", (svg,))


# -- holding the loop ------------------------------------------------------------------------------


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


# -- begun once, or again --------------------------------------------------------------------------


def beside_commands(*, again: bool) -> Timeline:
    """A fetch of 200 ms beside a loop of commands; with `again` each turn begins a new one."""
    commands = Lane("commands", 0.0)
    attempts: list[Lane] = []

    async def program() -> None:
        zero_s = anyio.current_time()

        def now() -> float:
            return anyio.current_time() - zero_s

        async def fetch() -> int:
            lane = Lane(f"fetch {len(attempts) + 1}", now(), steps=[_blip(now())])
            attempts.append(lane)
            try:
                await anyio.sleep(FETCH_S)
            except BaseException:
                lane.marks.append(Mark(now(), "", "cancelled"))
                raise
            finally:
                lane.end_s = now()
            lane.marks.append(Mark(now(), "", "ended"))
            return 64

        async def operator(tx: Sender[str]) -> None:
            async with tx:
                for name, at_s in COMMANDS:
                    await anyio.sleep(at_s - now())
                    await tx.send(name)

        async def turn(begun: Once[int], rx: Receiver[str]) -> None:
            branches: tuple[Selectable[object] | None, ...] = (rx, None if begun.taken else begun)
            index, value = await select(*branches)
            if index == 0:
                commands.steps.append(_blip(now()))
                commands.marks.append(Mark(now(), str(value)))
                commands.end_s = now()

        ends: tuple[Sender[str], Receiver[str]] = channel(8)
        async with ends[1] as rx, anyio.create_task_group() as tasks:
            tasks.start_soon(operator, ends[0])
            taken = False
            while again and not taken:
                async with Once(fetch) as begun:
                    await turn(begun, rx)
                    taken = begun.taken
            if not again:
                async with Once(fetch) as begun:
                    while not (rx.is_closed and begun.taken):
                        with contextlib.suppress(SelectExhausted):  # the commands ended meanwhile
                            await turn(begun, rx)

    run_virtual(program)
    return Timeline([commands, *attempts])


def _blip(at_s: float) -> Step:
    return Step(at_s, at_s + _BLIP_S)


class FetchBesideCommands(Playground):
    """A catalog fetch of 200 ms beside commands: begun once, or begun again in every turn."""

    def __init__(self, *, again: bool = False) -> None:
        self.again = ipywidgets.Checkbox(
            again, description="begin the fetch anew in every turn of the loop", indent=False
        )
        super().__init__([self.again], self._show)

    def _show(self) -> Shown:
        timeline = beside_commands(again=self.again.value)
        attempts = timeline.lanes[1:]
        lost = sum(lane.marks[-1].kind == "cancelled" for lane in attempts)
        ended_ms = (attempts[-1].end_s or 0.0) * 1e3
        words = f"the catalog is there after {ended_ms:.0f} ms"
        if lost:
            words += f"; {lost} attempts before it were thrown away, each by a command"
        return Shown(words, (paint_timeline(timeline, until_s=0.46),))
