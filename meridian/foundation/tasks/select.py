"""Waiting for the first of several things, and losing nothing of the others.

``asyncio.wait(FIRST_COMPLETED)`` starts a task per branch: a loser that finishes in the same step
has taken a value that nobody reads. Here branches are asked before they are taken from: one is
chosen, one is taken, and the others have not been touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from random import Random
from typing import TypeVar

import anyio.lowlevel

from meridian.errors import MeridianError
from meridian.foundation.tasks.parking import Waiter
from meridian.foundation.tasks.readiness import PENDING, Ready, Selectable

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
    whatever asking a branch raises; `TypeError`, before any is asked, for what is no branch.
    """
    for branch in branches:
        if branch is not None and not hasattr(branch, "try_take"):
            raise TypeError(f"Expected branches, with try_take() and add_waiter(), got {branch!r}")
    await anyio.lowlevel.checkpoint()
    while True:
        pending: list[Selectable[T]] = []
        for i in _order(len(branches), biased):
            if (branch := branches[i]) is None:
                continue
            answer = branch.try_take()
            if isinstance(answer, Ready):
                return i, answer.value
            if answer is PENDING:
                pending.append(branch)
        if not pending:
            raise SelectExhausted(len(branches))
        waiter = Waiter()
        removes: list[Callable[[], object]] = []
        try:
            removes.extend(branch.add_waiter(waiter.wake) for branch in pending)
            await waiter.wait()
        finally:
            for remove in removes:
                remove()
        # Woken in vain in every turn of the loop, it would never meet a cancellation on asyncio.
        await anyio.lowlevel.checkpoint_if_cancelled()


def _order(count: int, biased: bool) -> Sequence[int]:
    """In what order to ask: as they stand, or drawn by chance."""
    if biased or count < 2:
        return range(count)
    if count < len(_ORDERS):
        return _random.choice(_ORDERS[count])
    return _random.sample(range(count), count)
