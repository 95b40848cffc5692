"""The queue between many operators and the one dispatcher."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Sequence
from itertools import count
from typing import Any, NoReturn

from .command import URGENT, Command, CommandKind
from .errors import QueueBroken, QueueFull, QueueShutdown
from .metrics import Metrics
from .primitives import THREADING, Primitives

__all__ = ["CommandQueue"]


class CommandQueue:
    """Every command goes to one consumer: highest priority first, then oldest, none lost.

    - **Order.** `pop` takes the highest `priority`, of those the smallest `issued_at`, of those
      the one admitted first. Commands themselves are never compared.
    - **Admission.** A full queue makes producers wait, and they are admitted in that same order.
      The thread that pops moves the best waiting command into the slot before it lets go of the
      lock, so that the very next `pop` sees it. With `emergency_reserve=k`, commands of a priority
      below 200 fill at most `capacity - k` slots.
    - **End.** After `shutdown` nothing is admitted any more: every `push`, waiting or new, raises
      `QueueShutdown`. `pop` gives what is left, in order, and then None, as often as it is called.
    - **Failure.** When an `Exception` is raised while the lock is held, the queue is broken: every
      call, waiting or new, raises `QueueBroken`.

    Locks are taken from `primitives`, held by ``with`` alone, and while one is held nothing is
    called that is not the queue's own: no callback, no log, no comparison of commands.
    """

    def __init__(
        self, capacity: int, *, emergency_reserve: int = 0, primitives: Primitives = THREADING
    ) -> None:
        """`ValueError` unless integers with capacity >= 1 and 0 <= emergency_reserve < capacity."""
        raise NotImplementedError(
            "foundation/02-sync #1: CommandQueue() - check the numbers; a lock, an order, who waits"
        )

    @property
    def metrics(self) -> Metrics:
        """The counters; always the same object."""
        raise NotImplementedError(
            "foundation/02-sync #4: metrics - the one object that the queue counts in"
        )

    @property
    def capacity(self) -> int:
        raise NotImplementedError("foundation/02-sync #1: capacity")

    @property
    def is_shutdown(self) -> bool:
        raise NotImplementedError("foundation/02-sync #5: is_shutdown")

    @property
    def waiting_producers(self) -> int:
        """Threads that wait in `push`."""
        raise NotImplementedError(
            "foundation/02-sync #6: waiting_producers - how many wait for a slot right now"
        )

    def __len__(self) -> int:
        """Commands admitted and not dispatched."""
        raise NotImplementedError(
            "foundation/02-sync #1: len() - commands in the queue, not those that wait"
        )

    def push(self, cmd: Command, timeout: float | None = None) -> None:
        """Admit `cmd`, waiting for a slot if need be; `QueueFull` after `timeout` seconds."""
        raise NotImplementedError(
            "foundation/02-sync #1: push() - admit, or wait until a pop admits; then wake a consumer"
        )

    def pop(self, timeout: float | None = None) -> Command | None:
        """The next command, waiting for one if need be; `TimeoutError` after `timeout` seconds.

        None when the queue is shut down and empty.
        """
        raise NotImplementedError(
            "foundation/02-sync #1: pop() - wait for a command, take the best, give its slot away"
        )

    def push_many(self, cmds: Sequence[Command]) -> None:
        """Admit all of `cmds`, in the order of dispatch where they have to wait.

        Raises as `push` does; after `shutdown` for no commands at all as well.
        """
        raise NotImplementedError(
            "foundation/02-sync #1: push_many() - as many push(), the best first"
        )

    def pop_many(self, limit: int) -> list[Command]:
        """Wait for a command, then take what there is, up to `limit`; [] after the end."""
        raise NotImplementedError(
            "foundation/02-sync #1: pop_many() - wait once, then take while there is something"
        )

    def shutdown(self) -> None:
        """Admit nothing more, and wake everybody who waits. A second call does nothing."""
        raise NotImplementedError(
            "foundation/02-sync #5: shutdown() - mark it, wake consumers and waiting producers"
        )
