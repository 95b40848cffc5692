"""One satellite's pass over one ground station: it ends in four ways, and is recorded in each.

What must happen however a task ends belongs in ``finally`` and waits for nothing: on the way out
of a cancelled task every further await is cancelled too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import anyio
import anyio.lowlevel

from meridian.checks import checked_int, checked_seconds
from meridian.clock import SYSTEM_CLOCK
from meridian.errors import MeridianError
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.exits import TaskExit, classify

__all__ = [
    "PassOutcome",
    "PassSession",
    "PassUsed",
    "SessionState",
    "SimulatedLink",
    "manage_pass",
]


class PassOutcome(Enum):
    """How a pass ended."""

    COMPLETED = "completed"
    """The satellite's last frame was received."""
    ERRORED = "errored"
    """Receiving raised; the error stands in the state that was flushed."""
    TIMED_OUT = "timed out"
    """The pass was over before the satellite was."""
    CANCELLED = "cancelled"
    """Shutdown, or the task was cancelled."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """The record of a pass."""

    satellite_id: int
    ground_station: str
    outcome: PassOutcome
    frames: int
    """Frames received whole."""
    payload_bytes: int
    """Bytes in them."""
    elapsed_s: float
    error: Exception | None = None
    """What ended an errored pass."""


class PassUsed(MeridianError, RuntimeError):
    """A session was given to `manage_pass` again: it stands for one pass."""

    def __init__(self, satellite_id: int, ground_station: str) -> None:
        self.satellite_id = satellite_id
        self.ground_station = ground_station
        super().__init__(
            f"The session of satellite {satellite_id} at {ground_station} has had its pass: "
            "make a new one"
        )


class SimulatedLink:
    """A satellite that sends `frames` frames of `payload`, one each `interval_s`, and sets."""

    def __init__(
        self, frames: int = 100, interval_s: float = 0.05, payload: bytes = bytes(256)
    ) -> None:
        self.left = frames
        self.interval_s = interval_s
        self.payload = payload

    async def __call__(self) -> bytes | None:
        if self.left <= 0:
            return None
        await anyio.sleep(self.interval_s)
        self.left -= 1
        return self.payload


class PassSession:
    """The frames of one pass, counted; `flush` is given the account, once, at the end.

    `flush` does not wait: it hands the state to whoever writes it (a queue, a buffer).
    """

    def __init__(
        self,
        satellite_id: int,
        ground_station: str,
        flush: Callable[[SessionState], None],
        *,
        receive: Callable[[], Awaitable[bytes | None]] | None = None,
    ) -> None:
        """`receive` gives the next frame, ``None`` after the last: such as
        ``partial(read_frame, stream)``. By default a `SimulatedLink`, 100 frames in 5 s.
        """
        if not callable(flush):
            raise TypeError(f"Expected flush to be callable, got {flush!r}")
        self.satellite_id = checked_int("satellite_id", satellite_id)
        self.ground_station = ground_station
        self.frames = 0
        self.payload_bytes = 0
        self._flush = flush
        self._receive = SimulatedLink() if receive is None else receive
        self._used = False

    async def run(self) -> None:
        """Receive until the last frame."""
        while (frame := await self._receive()) is not None:
            self.frames += 1
            self.payload_bytes += len(frame)

    def __repr__(self) -> str:
        where = f"satellite {self.satellite_id} at {self.ground_station}"
        return f"<PassSession {where}: {self.frames} frames>"


async def manage_pass(
    session: PassSession, pass_duration: float, shutdown: CancellationToken
) -> PassOutcome:
    """Receive the pass, for `pass_duration` seconds at most, and until `shutdown` at the latest.

    `flush` is called once in every case, after the session has stopped. What operation has to
    expect (`exits.EXPECTED`) makes the pass `ERRORED`; a bug is flushed so too and raised, as a
    cancellation of this task is after it was flushed as `CANCELLED`; and so is whatever `flush`
    raises. Nothing is flushed of a pass that never began: when this raises `PassUsed`,
    or `TypeError` or `ValueError` for a duration that is none, or the task was cancelled before
    its first step.
    """
    pass_duration = checked_seconds("pass_duration", pass_duration)
    if session._used:
        raise PassUsed(session.satellite_id, session.ground_station)
    session._used = True
    began_s = SYSTEM_CLOCK.monotonic()
    outcome, error = PassOutcome.CANCELLED, None
    try:
        outcome = await _race(session, pass_duration, shutdown)
    except Exception as raised:
        outcome, error = PassOutcome.ERRORED, raised
        if not isinstance(classify(raised), TaskExit.Errored):
            raise
    finally:
        session._flush(
            SessionState(
                session.satellite_id,
                session.ground_station,
                outcome,
                session.frames,
                session.payload_bytes,
                SYSTEM_CLOCK.monotonic() - began_s,
                error,
            )
        )
    return outcome


async def _race(
    session: PassSession, pass_duration: float, shutdown: CancellationToken
) -> PassOutcome:
    with anyio.move_on_after(pass_duration) as window, anyio.CancelScope() as link:
        if shutdown.is_cancelled:
            link.cancel()
        remove = shutdown.add_waiter(link.cancel)
        try:
            await anyio.lowlevel.checkpoint()
            await session.run()
            return PassOutcome.COMPLETED
        finally:
            remove()
    return PassOutcome.TIMED_OUT if window.cancelled_caught else PassOutcome.CANCELLED
