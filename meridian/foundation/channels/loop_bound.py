"""Which thread and which loop a channel belongs to, and how others may reach it there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable

from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.tasks.parking import Budget, current_budget, loop_here

__all__ = ["LoopBound"]

_here = threading.get_ident


class LoopBound:
    """Belongs to the thread that first uses it, and to the loop there that first waits on it.

    `thread` is 0 before, and -1 for ever in a process that was forked: no loop runs on in one.
    """

    __slots__ = ("__weakref__", "budget", "loop", "loop_thread", "name", "post", "thread")

    def __init__(self) -> None:
        self.name = ""
        self.thread = 0
        self.budget: Budget = current_budget()
        self.loop: object = None
        self.loop_thread = 0  # the thread of the loop
        self.post: Callable[[Callable[[], object]], bool] | None = None
        self._meet_loop()
        _all.add(self)

    def enter(self) -> None:
        """Belong to this thread, and to its loop if one runs. Raises `WrongThread`."""
        if self.thread != _here():
            if self.thread:
                raise self.misused()
            self.thread = _here()
            self.budget = current_budget()
            self.loop = None
            self.settle()
        if self.loop is None:
            self._meet_loop()

    async def begin(self) -> None:
        """What every operation that may wait does first: be in the right place, and take turns."""
        self.enter()
        if self.budget.spend():
            await self.budget.turn()

    def enter_loop(self) -> None:
        """Belong to the loop that runs here, before anything waits in it."""
        self.enter()
        if self.loop is not _loop():
            raise self.misused()

    def misused(self) -> WrongThread:
        return WrongThread(f"Channel {self.name}", "in others use blocking_send and blocking_recv")

    def _meet_loop(self) -> None:
        self.loop = _loop()
        if self.loop is not None:
            self.post = loop_here()
            self.loop_thread = _here()

    def from_anywhere(self, step: Callable[[], object]) -> None:
        """Take a step that needs no answer: in the loop, where this is another thread."""
        if self.post is None or self.loop_thread == _here():
            step()
        elif self.thread >= 0:
            self.post(step)

    def abandoned(self, step: Callable[[], object]) -> None:
        """Take the last step of an end that was collected, in any thread, within any other step.

        Those who wait are called by the loop itself, which may be in the middle of something.
        """
        elsewhere = self.loop_thread != _here()
        if self.post is not None and self.thread >= 0 and (elsewhere or self.is_awaited):
            self.post(step)
        else:
            step()

    def settle(self) -> None:
        """It has a thread now, or none any more."""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits in the loop for what may happen here."""
        return True


def _loop() -> object:
    """The loop that runs in this thread, or ``None``."""
    loop = asyncio._get_running_loop()
    if loop is None and (trio := sys.modules.get("trio")) is not None:
        with contextlib.suppress(RuntimeError):
            return trio.lowlevel.current_trio_token()
    return loop


_all: weakref.WeakSet[LoopBound] = weakref.WeakSet()


def _forked() -> None:
    """In a child process no loop runs on: whoever uses a channel of the parent's hears of it."""
    for channel in _all:
        channel.thread = -1
        channel.settle()


os.register_at_fork(after_in_child=_forked)
