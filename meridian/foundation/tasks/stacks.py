"""Threads with a stack of a given size, which Python can set for the whole process only."""

from __future__ import annotations

import os
import threading

__all__ = ["check_stack_size", "start_thread"]

_starting = threading.Lock()


def check_stack_size(stack_size: int) -> None:
    """Raise `ValueError` for a size in bytes that the system refuses; 0 is its own."""
    with _starting:
        threading.stack_size(threading.stack_size(stack_size))


def start_thread(thread: threading.Thread, stack_size: int) -> None:
    """Start `thread` with a stack of `stack_size` bytes, 0 for the system's own.

    A thread that is started elsewhere at that instant may get it too. Raises `RuntimeError` when
    the system has no more threads.
    """
    if not stack_size:
        thread.start()
        return
    with _starting:
        before = threading.stack_size(stack_size)
        try:
            thread.start()
        finally:
            threading.stack_size(before)


def _after_fork() -> None:
    global _starting
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
