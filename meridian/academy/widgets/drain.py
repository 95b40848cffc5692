"""Twelve sessions and a shutdown: who drains, who is aborted, who is stuck; in virtual time.

The tracker, the token and the coordinator are the library's own. Beside it stands the design that
gives every task a deadline in turn, to see what it adds up to.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import anyio.lowlevel
import ipywidgets

from meridian.academy.widgets.drain_svg import Bar, paint_drain
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.foundation.tasks import (
    CancellationToken,
    ShutdownCoordinator,
    TaskHandle,
    TaskTracker,
)
from meridian.testing.virtual_loop import run_virtual

__all__ = ["GRACE_S", "STATIONS", "DrainLab", "DrainRun", "drain"]

# How long a frame takes at each station, in seconds: some links are slow.
_FRAME_S = (0.7, 1.3, 2.2, 3.1, 4.3, 5.2, 6.1, 0.9, 1.7, 2.6, 3.7, 1.1)
STATIONS = tuple(f"gs-{number}" for number in range(1, len(_FRAME_S) + 1))
_SHUTDOWN_AT_S = 20.0
GRACE_S = 1.0


async def station_session(token: CancellationToken, frame_s: float) -> None:
    """Look at the token between frames only: a frame that has begun is received whole."""
    while not token.is_cancelled:
        await anyio.sleep(frame_s)


async def stalled_session() -> None:
    """The peer sent half a frame, and then nothing."""
    await anyio.sleep_forever()


async def shielded_session(peer: anyio.Event) -> None:
    """The same, but it waits behind a shield that has no deadline."""
    with anyio.CancelScope(shield=True):
        await peer.wait()
    await anyio.lowlevel.checkpoint()  # only here does it notice


async def one_after_the_other(
    token: CancellationToken, tasks: tuple[TaskHandle[None], ...], deadline_s: float
) -> None:
    """Each task has the deadline to itself, from when its turn comes."""
    token.cancel("upgrade")
    for task in tasks:
        with anyio.move_on_after(deadline_s):
            await task.join()
        task.abort()


@dataclass(frozen=True, slots=True)
class DrainRun:
    """How one shutdown went; times in seconds since it was requested."""

    bars: tuple[Bar, ...]
    """A bar for each session, in the order of `STATIONS`."""
    took_s: float
    """When the caller of shutdown had its answer."""

    def count(self, fate: str) -> int:
        return sum(bar.fate == fate for bar in self.bars)


def drain(
    deadline_s: float, *, stalled: int = 1, shielded: bool = False, in_turn: bool = False
) -> DrainRun:
    """Shut 12 sessions down, the last `stalled` of which wait for peers that are silent;
    `shielded`: one of these cannot be aborted. `in_turn`: a deadline for each task.
    """
    if not 0 <= stalled <= len(STATIONS):
        raise ValueError(f"Expected stalled from 0 to {len(STATIONS)}, got {stalled}")
    ends_s: dict[str, float] = {}
    fates: dict[str, str] = {}
    took_s = 0.0

    async def program() -> None:
        nonlocal took_s
        token, peer = CancellationToken(), anyio.Event()

        async def timed(name: str, number: int) -> None:
            try:
                if number < len(STATIONS) - stalled:
                    await station_session(token, _FRAME_S[number])
                elif shielded and number == len(STATIONS) - 1:
                    await shielded_session(peer)
                else:
                    await stalled_session()
            finally:
                ends_s[name] = anyio.current_time() - began_s

        async with TaskTracker("sessions") as sessions:
            tasks = tuple(
                sessions.spawn(timed, name, number, name=name)
                for number, name in enumerate(STATIONS)
            )
            await anyio.sleep(_SHUTDOWN_AT_S)
            began_s = anyio.current_time()
            if in_turn:
                await one_after_the_other(token, tasks, deadline_s)
                with anyio.move_on_after(GRACE_S):
                    for task in tasks:
                        await task.join()
                fates.update(
                    {t.name: "aborted" if t.aborted else "drained" for t in tasks if t.done}
                )
            else:
                report = await ShutdownCoordinator(
                    sessions, token, drain_deadline_s=deadline_s, abort_grace_s=GRACE_S
                ).shutdown("upgrade")
                fates.update(dict.fromkeys(report.aborted, "aborted"))
                fates.update(dict.fromkeys(report.stuck, "stuck"))
            took_s = anyio.current_time() - began_s
            stuck = [task.name for task in tasks if not task.done]
            fates.update(dict.fromkeys(stuck, "stuck"))
            peer.set()
        for name in stuck:
            ends_s[name] = took_s

    run_virtual(program)
    bars = tuple(Bar(name, ends_s[name], fates.get(name, "drained")) for name in STATIONS)
    return DrainRun(bars, took_s)


class DrainLab(Playground):
    """Turn the deadline; let peers stall; shield one; give every task a deadline of its own."""

    def __init__(
        self,
        deadline_s: float = 3.0,
        stalled: int = 1,
        *,
        shielded: bool = False,
        in_turn: bool = False,
    ) -> None:
        self.deadline = slider("drain deadline, s", deadline_s, 0.0, 10.0, 0.5)
        self.stalled = slider("stalled peers", stalled, 0, 6, 1)
        self.shielded = ipywidgets.Checkbox(
            shielded, description="one stalled session shields itself", indent=False
        )
        self.in_turn = ipywidgets.Checkbox(
            in_turn, description="a deadline for each task in turn", indent=False
        )
        controls = [self.deadline, self.stalled, self.shielded, self.in_turn]
        super().__init__(controls, self._drain)

    def _drain(self) -> Shown:
        deadline_s = self.deadline.value
        run = drain(
            deadline_s,
            stalled=self.stalled.value,
            shielded=self.shielded.value,
            in_turn=self.in_turn.value,
        )
        counts = ", ".join(f"{run.count(fate)} {fate}" for fate in ("drained", "aborted", "stuck"))
        words = f"{counts}; shutdown answered after {run.took_s:g} s."
        if run.took_s > deadline_s + GRACE_S:
            words += f" Promised were {deadline_s + GRACE_S:g} s."
        svg = paint_drain(
            run.bars,
            deadline_s=deadline_s,
            limit_s=deadline_s + GRACE_S,
            took_s=run.took_s,
            summary=words,
        )
        return Shown(words, (svg,))
