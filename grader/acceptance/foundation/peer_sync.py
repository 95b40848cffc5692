"""What criterion 9 races against: `queue.PriorityQueue` of the standard library.

A tuple for each command, with a number that settles ties, as its documentation advises. It keeps
no counters and admits whoever comes first. Runs in its own, trusted worker. Standard library only.
"""

from __future__ import annotations

import itertools
import queue
from enum import Enum
from typing import NamedTuple


class CommandKind(Enum):
    SAFE_MODE = 255
    STATUS_REQUEST = 50


class Command(NamedTuple):
    kind: CommandKind
    priority: int
    issued_at: int

    @classmethod
    def make(cls, kind: CommandKind, *, priority: int, issued_at: int) -> Command:
        return cls(kind, priority, issued_at)


class CommandQueue:
    """Highest priority first, then oldest, then first come."""

    def __init__(self, capacity: int) -> None:
        self._queue: queue.PriorityQueue[tuple[int, int, int, Command]] = queue.PriorityQueue(
            capacity
        )
        self._numbers = itertools.count()

    def push(self, cmd: Command) -> None:
        self._queue.put((-cmd.priority, cmd.issued_at, next(self._numbers), cmd))

    def pop(self) -> Command:
        return self._queue.get()[3]
