"""A channel whose senders are cloned, and what its consumer makes of one that nobody closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import anyio

from meridian.foundation.channels import Receiver, Sender, channel
from meridian.testing.virtual_loop import run_virtual

__all__ = ["CloneRun", "Holder", "run_clones"]


class Holder(NamedTuple):
    """Who has a sender: when it sent, and when it closed it, if ever."""

    name: str
    sent_s: tuple[float, ...]
    closed_s: float | None


class CloneRun(NamedTuple):
    """What the consumer got, when its loop ended, if it did, and until when we looked."""

    holders: tuple[Holder, ...]
    received_s: tuple[float, ...]
    ended_s: float | None
    until_s: float


def run_clones(
    closes: Sequence[bool] = (False, True, True, True), *, until_s: float = 5.0
) -> CloneRun:
    """`main` makes a channel and clones a sender for each uplink; who closes its own at the end?

    `closes` is for main first. Main sends nothing; uplink n sends two frames.
    """
    names = ["main", *(f"uplink {number}" for number in range(1, len(closes)))]
    sent: dict[str, list[float]] = {name: [] for name in names}
    closed: dict[str, float] = {}
    received: list[float] = []
    ended: list[float] = []

    async def program() -> None:
        ends: tuple[Sender[str], Receiver[str]] = channel(8, name="frames")
        first, rx = ends
        start_s = anyio.current_time()

        def now_s() -> float:
            return anyio.current_time() - start_s

        async def uplink(tx: Sender[str], name: str, number: int, close: bool) -> None:
            for _ in range(2):
                await anyio.sleep(0.4 + 0.25 * number)
                await tx.send(name)
                sent[name].append(now_s())
            await anyio.sleep(0.2)
            if close:
                tx.close()
                closed[name] = now_s()

        async def consume() -> None:
            async for _ in rx:
                received.append(now_s())  # noqa: PERF401 - told even where the loop never ends
            ended.append(now_s())

        senders = [first, *(first.clone() for _ in names[1:])]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            for number, name in enumerate(names[1:], 1):
                tasks.start_soon(uplink, senders[number], name, number, closes[number])
            if closes[0]:
                await anyio.sleep(0.2)
                first.close()
                closed["main"] = now_s()
            with anyio.move_on_after(until_s - now_s()):
                await anyio.sleep_forever()
            tasks.cancel_scope.cancel()
        for tx in senders:
            tx.close()
        rx.close()

    run_virtual(program)
    holders = tuple(Holder(name, tuple(sent[name]), closed.get(name)) for name in names)
    return CloneRun(holders, tuple(received), ended[0] if ended else None, until_s)
