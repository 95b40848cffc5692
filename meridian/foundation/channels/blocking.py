"""Channels from other threads: the thread sleeps, and its loop does for it what it asked for.

A thread must not touch what belongs to a loop, so each call is posted there as one step. Only
who gives up and who is served can race; `Sleeper` decides that once.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from meridian.checks import checked_seconds
from meridian.foundation.channels.buffer import Buffer
from meridian.foundation.channels.errors import ChannelClosed, Empty, SendClosed, SendTimeout
from meridian.foundation.channels.payload import Parts
from meridian.foundation.channels.records import PendingSend

if TYPE_CHECKING:
    from meridian.foundation.channels.sender import Sender

__all__ = ["Deadline", "Sleeper", "recv_from_thread", "send_from_thread"]

T = TypeVar("T")
_LOOK_S = 0.2  # how long a loop may have ended before a thread that waits for it notices


class Deadline:
    """How long a thread will wait, all together."""

    def __init__(self, timeout: float | None) -> None:
        self.seconds = math.inf if timeout is None else checked_seconds("timeout", timeout)
        self._end_s = time.monotonic() + self.seconds

    @property
    def left_s(self) -> float:
        return self._end_s - time.monotonic()


class Sleeper:
    """A thread's sleep, with the promise of `Waiter`: woken, or given up, and never both."""

    __slots__ = ("_event", "_unsettled")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._unsettled = [None]  # popping is one step of the interpreter, and decides

    def settle(self) -> bool:
        """Decide how it ends; whether this call did."""
        try:
            self._unsettled.pop()
        except IndexError:
            return False
        return True

    def rouse(self) -> None:
        self._event.set()

    def wake(self) -> bool:
        if not self.settle():
            return False
        self._event.set()
        return True

    def sleep(self, until: Deadline, lives: Callable[[], bool]) -> bool:
        """Until woken: ``True``; or until the time is over or the loop is: ``False``."""
        while not self._event.wait(max(0.0, min(until.left_s, _LOOK_S))):
            if (until.left_s <= 0 or not lives()) and self.settle():
                return False
        return True


def send_from_thread(
    buffer: Buffer[T], sender: Sender[T], part: T, weight: int, parts: Parts[T], until: Deadline
) -> None:
    """Have the loop put `part` in. The rest of `parts` is what is not in where that fails."""
    call = _Call(buffer)
    rest, rest_weight = parts.rest, parts.weight
    entry = PendingSend(part, weight, call.sleeper, rest_weight=rest_weight)

    def step() -> None:
        if sender.is_closed:
            buffer.refuse(entry)
        else:
            buffer.add_pending(entry)
            buffer.admit()

    call.post(step)
    if not call.served(lambda: buffer.withdraw(entry), until):
        if until.left_s > 0:
            raise SendClosed(buffer.name, rest)  # the loop is over
        buffer.from_anywhere(lambda: buffer.late(rest, rest_weight, until.seconds))
        raise SendTimeout(buffer.name, rest, until.seconds)
    if entry.closed:
        raise SendClosed(buffer.name, rest)


def recv_from_thread(buffer: Buffer[T], until: Deadline) -> T:
    """Have the loop take the oldest item."""
    call = _Call(buffer)
    taken: list[T] = []
    removes: list[Callable[[], None]] = []

    def step() -> None:
        if not (buffer.items or buffer.over):
            removes[:] = [buffer.add_recv_waiter(lambda: call.post(step))]
        elif not call.sleeper.settle():  # gave up: another may want what lies there
            buffer.recv_waiters.call_first()
        else:
            if buffer.items:
                taken.append(buffer.take())
            call.sleeper.rouse()

    def leave() -> None:
        for remove in removes:
            remove()

    call.post(step)
    if not call.served(leave, until):
        raise ChannelClosed(buffer.name) if until.left_s > 0 else Empty(buffer.name)
    if not taken:
        raise ChannelClosed(buffer.name)
    return taken.pop()


class _Call:
    """Steps that a loop takes for a thread that sleeps until one of them has served it."""

    def __init__(self, buffer: Buffer[Any]) -> None:
        if buffer.post is None:
            raise RuntimeError(
                f"Channel {buffer.name} has not met its loop yet: make it, or first use it, there"
            )
        if buffer.loop_thread == threading.get_ident():
            raise RuntimeError(f"The loop of {buffer.name} would wait for itself: use await")
        self.sleeper = Sleeper()
        self._buffer = buffer
        self._post = buffer.post
        self._failures: list[BaseException] = []

    def post(self, step: Callable[[], None]) -> None:
        """Have the loop take `step`. What it raises is the thread's to hear, not the loop's."""

        def careful() -> None:
            try:
                self._buffer.enter()
                step()
            except BaseException as failure:
                self._failures.append(failure)
                self.sleeper.wake()

        self._post(careful)

    def served(self, withdraw: Callable[[], None], until: Deadline) -> bool:
        """Sleep until it is; or take all back, when the time is over or the loop is."""
        served = False
        try:
            served = self.sleeper.sleep(until, lambda: self._post(_nothing))
        finally:
            if not served:
                self.sleeper.settle()
                self.post(withdraw)
        if self._failures:
            raise self._failures.pop()
        return served


def _nothing() -> None:
    """Posted to learn whether the loop is still there."""
