"""One satellite's pass, ended in five ways: `manage_pass` itself, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from meridian.academy.timeline import Lane, Mark, Step, Timeline
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.timeline_svg import paint_timeline
from meridian.foundation.tasks import (
    CancellationToken,
    PassOutcome,
    PassSession,
    SessionState,
    SimulatedLink,
    TaskTracker,
    manage_pass,
)
from meridian.testing.virtual_loop import run_virtual

__all__ = ["ENDS", "PassLab", "PassRun", "run_pass"]

ENDS = (
    "the satellite's last frame",
    "the pass is over",
    "shutdown",
    "the link fails",
    "the task is aborted",
)
_WINDOW_S = 30.0
_BLIP_S = 1e-4


@dataclass(slots=True)
class PassRun:
    """What became of one pass; times in seconds since it began."""

    outcome: PassOutcome | None = None
    """What `manage_pass` returned; ``None`` when it was aborted."""
    flushed: list[tuple[float, SessionState]] = field(default_factory=list)
    frames_s: list[float] = field(default_factory=list)
    ended_s: float = 0.0


def run_pass(end: str, at_s: float = 1.0) -> PassRun:
    """100 frames, one each 50 ms, in a window of 30 s; `end` of `ENDS` comes at `at_s`, the last
    frame when it is sent. Raises `ValueError` for another end.
    """
    if end not in ENDS:
        raise ValueError(f"Expected an end of {', '.join(ENDS)}, got {end!r}")
    run = PassRun()

    async def program() -> None:
        began_s = anyio.current_time()

        def now() -> float:
            return anyio.current_time() - began_s

        link = SimulatedLink(frames=100, interval_s=0.05)

        async def receive() -> bytes | None:
            frame = await link()
            if end == "the link fails" and now() >= at_s:
                raise ConnectionResetError("the antenna lost the carrier")
            if frame is not None:
                run.frames_s.append(now())
            return frame

        def flush(state: SessionState) -> None:
            run.flushed.append((now(), state))

        async def manage() -> None:
            try:
                window_s = at_s if end == "the pass is over" else _WINDOW_S
                run.outcome = await manage_pass(session, window_s, shutdown)
            finally:
                run.ended_s = now()

        session = PassSession(25544, "gs-svalbard", flush, receive=receive)
        shutdown = CancellationToken()
        async with TaskTracker("passes") as passes:
            task = passes.spawn(manage, name="manage_pass")
            await anyio.sleep(at_s)
            if end == "shutdown":
                shutdown.cancel("upgrade")
            elif end == "the task is aborted":
                task.abort()

    run_virtual(program)
    return run


def timeline_of(run: PassRun, end: str, at_s: float) -> Timeline:
    """The frames, the call of `manage_pass` and the calls of flush, a lane each."""
    frames = Lane(
        "frames", 0.0, run.ended_s, [Step(at, at + _BLIP_S) for at in run.frames_s or [0.0]]
    )
    manage = Lane("manage_pass", 0.0, run.ended_s, [Step(0.0, _BLIP_S)])
    if end != ENDS[0] and run.ended_s >= at_s - 1e-9:
        manage.marks.append(Mark(at_s, end))
    manage.marks.append(Mark(run.ended_s, "", "ended" if run.outcome else "cancelled"))
    flush = Lane("flush", 0.0, run.ended_s)
    for number, (at, state) in enumerate(run.flushed, 1):
        flush.marks.append(Mark(at, f"call {number}: {state.outcome.name}, {state.frames} frames"))
    return Timeline([frames, manage, flush])


class PassLab(Playground):
    """Choose how the pass ends and when; flush is called once, whatever is chosen."""

    def __init__(self, end: str = "shutdown", at_s: float = 1.0) -> None:
        self.end = choice("what ends the pass:", ENDS, end, width="24rem")
        self.at = slider("when, s", at_s, 0.0, 6.0, 0.25)
        super().__init__([self.end, self.at], self._pass)

    def _pass(self) -> Shown:
        run = run_pass(self.end.value, self.at.value)
        calls = len(run.flushed)
        outcome = "the cancellation went on" if run.outcome is None else f"it gave {run.outcome}"
        _, state = run.flushed[0]
        error = f" ({state.error!r})" if state.error else ""
        words = (
            f"manage_pass ended after {run.ended_s:g} s: {outcome}{error}. "
            f"Calls of flush: {calls}, with {state.frames} frames."
        )
        timeline = timeline_of(run, self.end.value, self.at.value)
        return Shown(words, (paint_timeline(timeline, unit="s", until_s=6.0),))
