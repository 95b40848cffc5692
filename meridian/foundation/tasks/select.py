"""Waiting for the first of several things, and losing nothing of the others.

``asyncio.wait(FIRST_COMPLETED)`` starts a task per branch: a loser that finishes in the same step
has taken a value that nobody reads. Here branches are asked before they are taken from: one is
chosen, one is taken, and the others have not been touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from random import Random
from typing import TypeVar

import anyio.lowlevel

from meridian.errors import MeridianError
from meridian.foundation.tasks.parking import Waiter
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready, Selectable

__all__ = ["SelectExhausted", "select"]

T = TypeVar("T")
_random = Random()
# Drawing one of all orders is four times as fast as making one.
_ORDERS = tuple(tuple(permutations(range(n))) for n in range(6))


class SelectExhausted(MeridianError, RuntimeError):
    """Every branch of a select was disabled or closed: nothing can ever come."""

    def __init__(self, branches: int) -> None:
        self.branches = branches
        super().__init__(f"All {branches} branches of the select are disabled or closed")


async def select(*branches: Selectable[T] | None, biased: bool = False) -> tuple[int, T]:
    """Wait until a branch is ready; its index and its value.

    ``None`` is a branch that is disabled this time. Of several that are ready one is chosen by
    chance, or the first with `biased`. Always a checkpoint, passed before anything is taken: a
    cancelled select has taken nothing. Raises `SelectExhausted` when no branch is left, and
    whatever asking a branch raises.
    """
    await anyio.lowlevel.checkpoint()
    while True:
        taken = _take(branches, biased)
        if isinstance(taken, tuple):
            return taken
        if taken is CLOSED:
            raise SelectExhausted(len(branches))
        waiter = Waiter()
        removes = [b.add_waiter(waiter.wake) for b in branches if b is not None]
        try:
            await waiter.wait()
        finally:
            for remove in removes:
                remove()


def _take(
    branches: tuple[Selectable[T] | None, ...], biased: bool
) -> tuple[int, T] | Pending | Closed:
    """Take from the first branch that is ready, asking in order, or in one drawn by chance."""
    n = len(branches)
    order: Sequence[int] = range(n)
    if not biased and n > 1:
        order = _random.choice(_ORDERS[n]) if n < len(_ORDERS) else _random.sample(order, n)
    open_ones = False
    for i in order:
        branch = branches[i]
        if branch is None:
            continue
        answer = branch.try_take()
        if isinstance(answer, Ready):
            return i, answer.value
        open_ones = open_ones or answer is PENDING
    return PENDING if open_ones else CLOSED
