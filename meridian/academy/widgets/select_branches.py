"""Three branches that are always ready: who is taken, what waits on, and what is lost.

Real selects over real queues, run anew at each turn of a knob.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from meridian.academy.widgets.base import ACCENT, BAD, FAINT, MUTED, svg_document
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.svg_parts import Hatch, rect, text
from meridian.foundation.channels import Receiver, Sender, channel
from meridian.foundation.tasks import select
from meridian.testing.virtual_loop import run_virtual

__all__ = ["BRANCHES", "WAYS", "SelectLab", "Taken", "naive_select", "run_selects"]

BRANCHES = ("commands", "primary", "redundant")
WAYS = ("select, by chance", "select, biased", "asyncio.wait")
_LOST = Hatch(BAD, 5, 2)


@dataclass(frozen=True, slots=True)
class Taken:
    """Of the items that lay ready in one branch: taken, still there, and neither."""

    taken: int
    left: int
    lost: int


async def naive_select(*queues: asyncio.Queue[int]) -> tuple[int, int]:
    """The first item of any queue, as one would write it with the standard library."""
    tasks = [asyncio.create_task(queue.get()) for queue in queues]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    winner = done.pop()
    return tasks.index(winner), winner.result()


def run_selects(way: str, rounds: int) -> list[Taken]:
    """`rounds` selects over three branches with `rounds` items each; what became of the items.
    Raises `ValueError` for a way that is none of `WAYS`.
    """
    if way not in WAYS:
        raise ValueError(f"Expected a way of {', '.join(WAYS)}, got {way!r}")
    return run_virtual(_naive if way == WAYS[2] else _ours, rounds, way == WAYS[1])


async def _ours(rounds: int, biased: bool) -> list[Taken]:
    async with AsyncExitStack() as open_ends:
        ends: list[Receiver[int]] = []
        for name in BRANCHES:
            both: tuple[Sender[int], Receiver[int]] = channel(rounds, name=name)
            tx = await open_ends.enter_async_context(both[0])
            rx = await open_ends.enter_async_context(both[1])
            for item in range(rounds):
                tx.try_send(item)
            ends.append(rx)
        taken = [0] * len(ends)
        for _ in range(rounds):
            index, _item = await select(*ends, biased=biased)
            taken[index] += 1
        left = [len(rx) for rx in ends]
    return [Taken(t, k, rounds - t - k) for t, k in zip(taken, left, strict=True)]


async def _naive(rounds: int, _: bool) -> list[Taken]:
    queues: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in BRANCHES]
    for queue in queues:
        for item in range(rounds):
            queue.put_nowait(item)
    taken = [0] * len(queues)
    for _round in range(rounds):
        index, _item = await naive_select(*queues)
        taken[index] += 1
    left = [queue.qsize() for queue in queues]
    return [Taken(t, k, rounds - t - k) for t, k in zip(taken, left, strict=True)]


class SelectLab(Playground):
    """Choose how the next item is chosen, and see what becomes of all items."""

    def __init__(self, way: str = "select, by chance", rounds: int = 600) -> None:
        self.way = choice("the next item by", WAYS, way, width="20rem")
        self.rounds = slider("times", rounds, 100, 2_000, 100)
        super().__init__([self.way, self.rounds], self._select)

    def _select(self) -> Shown:
        rounds = self.rounds.value
        rows = run_selects(self.way.value, rounds)
        taken = sum(row.taken for row in rows)
        lost = sum(row.lost for row in rows)
        words = f"{self.way.value}: {taken:,} items handled, {lost:,} lost."
        return Shown(words, (_paint(rows, rounds, words),))


def _paint(rows: list[Taken], rounds: int, words: str) -> str:
    left, width = 84.0, 560.0
    scale = width / rounds
    parts = [_LOST.defs]
    for number, (name, row) in enumerate(zip(BRANCHES, rows, strict=True)):
        y = 12.0 + 44 * number
        parts.append(text(left - 8, y + 15, name, size=11, anchor="end"))
        x = left
        kinds = (
            (row.taken, ACCENT, ACCENT, "taken"),
            (row.lost, _LOST.fill, BAD, "lost"),
            (row.left, "none", FAINT, "still there"),
        )
        said = []
        for count, fill, edge, word in kinds:
            if count:
                parts.append(rect(x, y, count * scale, 20, f"fill:{fill};stroke:{edge}"))
                said.append(f"{count:,} {word}")
            x += count * scale
        parts.append(text(left, y + 33, ", ".join(said), size=10, fill=MUTED))
    return svg_document(720, 12 + 44 * len(rows), "".join(parts), title=words)
