"""Waiting until nobody has anything to do: what a test stands on before it looks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import anyio.lowlevel

__all__ = ["settle"]


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.settling = 0


_of_thread = _OfThread()


async def settle() -> None:
    """Let every other task of this loop run until it waits for something.

    A thread that works for a task does not count: its task waits. On asyncio
    `anyio.wait_all_tasks_blocked` looks again every 0.1 s, which is slow, and which in virtual
    time moves the clock; this takes no time. Several tasks may settle at once.
    """
    try:
        ready: Any = getattr(asyncio.get_running_loop(), "_ready", None)
    except RuntimeError:
        ready = None
    if ready is None:  # trio, which knows by itself; or a loop that hides who is ready
        await anyio.wait_all_tasks_blocked()
        return
    _of_thread.settling += 1
    try:
        quiet = 0
        while quiet < 2:  # between the two the loop has asked its sockets and its timers
            await anyio.lowlevel.checkpoint()
            quiet = quiet + 1 if len(ready) < _of_thread.settling else 0
    finally:
        _of_thread.settling -= 1
