"""Scenarios of criterion 3, run in the worker: pressure.

Each begins with `kit`, the module of the other probe. Hostile code could tamper with what is noted.
"""

from __future__ import annotations

from typing import Any

import anyio

Row = tuple[int, int, int]  # source, sequence, priority


async def pressure(kit: Any, package: Any, frames: int, takes_s: float) -> dict[str, Any]:
    """Eight sources send as fast as they can, and one an emergency while all is full."""
    work = kit.Work(takes_s)
    aggregator = package.TelemetryAggregator(process=work)
    accepted, most = 0, 0
    spent_s: list[float] = []
    urgent: dict[str, float] = {}

    async def feed(number: int) -> None:
        nonlocal accepted, most
        source = await kit.add(package, aggregator, number)
        start_s = anyio.current_time()
        for sequence in range(frames):
            await source.send(kit.frame(package, number, sequence))
            accepted += 1
            most = max(most, accepted - len(work.done))
        spent_s.append(anyio.current_time() - start_s)
        source.close()

    async with kit.running(aggregator), anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(feed, number)
        await anyio.sleep(takes_s * frames)
        source = await kit.add(package, aggregator, 99)
        start_s = anyio.current_time()
        with anyio.move_on_after(kit.PATIENCE_S / 10):
            await source.send(kit.frame(package, 99, 0, 1))
        urgent["sent_s"] = anyio.current_time() - start_s
        while (99, 0, 1) not in work.done and anyio.current_time() < start_s + kit.PATIENCE_S / 10:
            await anyio.sleep(takes_s / 4)
        urgent["processed_s"] = anyio.current_time() - start_s
    if (99, 0, 1) in work.done:
        urgent["processed_s"] = work.done_s[work.done.index((99, 0, 1))] - start_s
    return {
        "processed": len(work.done),
        "most": most,
        "spent_s": sorted(spent_s),
        "waited": sum(s > takes_s * frames for s in spent_s),
        **urgent,
    }


async def tried(kit: Any, package: Any, config: dict[str, int], most: int) -> dict[str, Any]:
    """`try_send` before a held processor until nothing more goes in, emergencies last; then once
    more when there is room again.
    """
    work = kit.Work(gated=True)
    aggregator = package.TelemetryAggregator(package.AggregatorConfig(**config), process=work)
    accepted: list[list[Row]] = [[], []]
    refused: list[tuple[str, bool]] = []

    async def fill(source: Any, priority: int) -> None:
        for sequence in range(100 * priority, 100 * priority + 2 * most):
            one = kit.frame(package, 1, sequence, priority)
            said = kit.tried(source, one)
            if said[0] == "nothing":
                accepted[priority].append(kit.row(one))
            else:
                refused.append(said)
            await kit.rest()

    async with kit.running(aggregator) as it:
        source = await kit.add(package, aggregator, 1)
        closed = await kit.add(package, aggregator, 2)
        await fill(source, 0)
        await fill(source, 1)
        foreign = kit.tried(source, kit.frame(package, 3, 0))[0]
        closed.close()
        shut = kit.tried(closed, kit.frame(package, 2, 0))
        work.gate.set()
        for _ in range(most):
            await kit.rest()
        last = kit.frame(package, 1, 99)
        again = kit.tried(source, last)[0]
        accepted[0].append(kit.row(last))
        for _ in range(most):
            await kit.rest()
    return {
        "routine": len(accepted[0]) - 1,
        "urgent": len(accepted[1]),
        "refused": refused,
        "foreign": foreign,
        "closed": shut,
        "again": again,
        "same": sorted(work.done) == sorted(accepted[0] + accepted[1]),
        "report": it.fields,
    }
