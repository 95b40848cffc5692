"""The thread primitives your queue is built from, as one argument. Given: nothing to write here.

`THREADING` is the real bundle. The grader passes others: one whose every operation lets another
thread go first, and tries all the orders there are; one that raises. A queue that takes a lock
from anywhere else cannot be checked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["THREADING", "Primitives"]


@dataclass(frozen=True, slots=True)
class Primitives:
    """What makes locks, conditions and threads, and reads the clock."""

    Lock: Callable[[], Any]
    Condition: Callable[[Any], Any]  # of a lock; all operations as in `threading`
    Thread: Callable[..., Any]
    monotonic_ns: Callable[[], int]


THREADING = Primitives(threading.Lock, threading.Condition, threading.Thread, time.monotonic_ns)
