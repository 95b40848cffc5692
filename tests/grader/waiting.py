"""Waiting for what happens soon, on however slow a machine; nothing here decides a test by time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

LONG_S = 120.0


def until(holds: Callable[[], object]) -> bool:
    """Whether `holds` comes true at all; it is asked again and again."""
    deadline = time.monotonic() + LONG_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether there is such a process, a zombie aside."""
    try:
        return " Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False
