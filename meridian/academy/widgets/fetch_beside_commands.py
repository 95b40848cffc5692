"""A fetch beside a loop of commands: begun once, or again and again; in virtual time."""

from __future__ import annotations

import contextlib

import anyio
import ipywidgets

from meridian.academy.timeline import Lane, Mark, Step, Timeline
from meridian.academy.widgets.playground import Playground, Shown
from meridian.academy.widgets.timeline_svg import paint_timeline
from meridian.foundation.channels import Receiver, Sender, channel
from meridian.foundation.tasks import Once, Selectable, SelectExhausted, select
from meridian.testing.virtual_loop import run_virtual

__all__ = ["FetchBesideCommands", "beside_commands"]

COMMANDS = (("REPOINT", 0.060), ("STATUS", 0.120), ("RESET", 0.180), ("SAFE_MODE", 0.240))
FETCH_S = 0.2
_BLIP_S = 2e-6  # a step that takes no time still has a place in the picture


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
