"""The one signal handler of a service: the first signal asks it to end, the second ends it.

Reference: what Kafka, nginx and Docker's command line do on a second Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from meridian.checks import checked_int
from meridian.errors import MeridianError
from meridian.foundation.tasks.cancel import CancellationToken

__all__ = ["NotMainThread", "SignalTaken", "signal_monitor"]

_UNCATCHABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})


class NotMainThread(MeridianError, RuntimeError):
    """Signals were asked for in a thread that never gets them."""

    def __init__(self, thread: str) -> None:
        self.thread = thread
        super().__init__(
            f"Python runs signal handlers in the main thread only, and this is {thread}: "
            "run signal_monitor in the main thread's loop; its token may be used in any"
        )


class SignalTaken(MeridianError, RuntimeError):
    """Another `signal_monitor` already waits for this signal."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        name = signal.Signals(signum).name
        super().__init__(f"A signal_monitor waits for {name} already: use a child of its token")


async def signal_monitor(
    token: CancellationToken,
    *,
    signals: Iterable[int] = (signal.SIGTERM, signal.SIGINT),
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Cancel `token` at the first of `signals`; end the process at the next, with ``128 + signum``.

    Start it before anything else, by ``await group.start(signal_monitor, token)``: it reports as
    started when the handlers are in place. It ends when the token is cancelled, by whomever; from
    then on any of the signals ends the process at once, without cleanup or flushing, and even
    where the loop is stuck: whoever asks twice means it. Cancelled before that, it puts the
    handlers back that it found.

    Raises `NotMainThread`; `SignalTaken` when a monitor runs already; `TypeError` or `ValueError`
    for what is no signal, for none, or for one that cannot be caught.
    """
    numbers = _checked(signals)
    if threading.current_thread() is not threading.main_thread():
        raise NotMainThread(threading.current_thread().name)
    handler = _Handler(token)
    try:
        for signum in numbers:
            handler.install(signum)
        task_status.started()
        await token.cancelled()
    finally:
        if not token.is_cancelled:
            handler.remove()


def _checked(signals: Iterable[int]) -> list[signal.Signals]:
    # ValueError for what is none, naming it.
    numbers = [signal.Signals(checked_int("a signal", signum)) for signum in signals]
    if not numbers:
        raise ValueError("Expected at least one signal, got none")
    for signum in numbers:
        if signum in _UNCATCHABLE:
            raise ValueError(f"{signum.name} cannot be caught: the kernel ends the process")
    return numbers


class _Handler:
    """What Python calls in the main thread. The token knows whether this is the first signal."""

    def __init__(self, token: CancellationToken) -> None:
        self._token = token
        self._previous: dict[int, Any] = {}

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if not self._token.cancel(f"signal {signal.Signals(signum).name}"):
            os._exit(128 + signum)

    def install(self, signum: int) -> None:
        current = signal.getsignal(signum)
        if current is self:
            return
        if isinstance(current, _Handler):
            if not current._token.is_cancelled:
                raise SignalTaken(signum)
            current = None  # of a service that has ended, armed ever since
        if current is None:  # or of code that is not Python's
            current = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
        self._previous[signum] = current
        signal.signal(signum, self)

    def remove(self) -> None:
        for signum, previous in self._previous.items():
            if signal.getsignal(signum) is self:
                signal.signal(signum, previous)
