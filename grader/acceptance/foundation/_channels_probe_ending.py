"""Scenarios of criterion 6, run in the worker: the end.

Each begins with `kit`, the module of the other probe. Hostile code could tamper with what is noted.
"""

from __future__ import annotations

import threading
from typing import Any

import anyio

Row = tuple[int, int, int]  # source, sequence, priority


async def shut_down(
    kit: Any, package: Any, sources: int, each: int, takes_s: float
) -> dict[str, Any]:
    """Ask while `sources` x `each` frames are accepted and the processor is held."""
    work = kit.Work(takes_s, gated=True)
    aggregator = package.TelemetryAggregator(process=work)
    rows: list[Row] = []
    ends: list[str] = []
    refused: list[tuple[str, bool]] = []
    async with anyio.create_task_group() as group:
        async with kit.running(aggregator) as it:
            group.start_soon(kit.read, aggregator.subscribe(), rows, ends)
            handles = [await kit.add(package, aggregator, number) for number in range(sources)]
            for sequence in range(each):
                for number, handle in enumerate(handles):
                    await handle.send(kit.frame(package, number, sequence, int(sequence == 7)))
            await kit.rest()
            it.asked_s = anyio.current_time()
            aggregator.request_shutdown()
            aggregator.request_shutdown()
            for number in range(2):
                late = kit.frame(package, number, each, number)
                try:
                    await handles[number].send(late)
                    refused.append(("nothing", False))
                except Exception as error:
                    refused.append((type(error).__name__, getattr(error, "item", None) == late))
            refused.append(kit.tried(handles[2], kit.frame(package, 2, each)))
            refused.append((await kit.refusal(kit.add(package, aggregator, 1000)), True))
            work.gate.set()
            with anyio.move_on_after(kit.PATIENCE_S):
                await it.stopped.wait()
        await kit.rest()
        group.cancel_scope.cancel()
    return {
        "report": it.fields,
        "took_s": it.took_s,
        "processed": len(set(work.done)),
        "same": rows == work.done,
        "ends": ends,
        "refused": refused,
    }


async def never_stops(kit: Any, package: Any, takes_s: float) -> dict[str, Any]:
    """Sources that send on and on; asked after a second."""
    work = kit.Work(takes_s)
    aggregator = package.TelemetryAggregator(process=work)
    refused: list[str] = []
    accepted = 0

    async def flood(number: int, priority: int) -> None:
        nonlocal accepted
        source = await kit.add(package, aggregator, number)
        sequence = 0
        try:
            while True:
                await source.send(kit.frame(package, number, sequence, priority))
                sequence += 1
                accepted += 1
        except Exception as error:
            refused.append(type(error).__name__)

    async with kit.running(aggregator) as it, anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(flood, number, int(number == 2))
        await anyio.sleep(1)
        with anyio.move_on_after(20):
            await it.stop()
        group.cancel_scope.cancel()
    return {
        "report": it.fields,
        "took_s": it.took_s,
        "refused": refused,
        "accepted": accepted,
        "processed": len(work.done),
    }


async def hung(kit: Any, package: Any, deadline_s: float, frames: int) -> dict[str, Any]:
    """`process` never returns from its fourth frame."""
    work = kit.Work()
    accepted = 0

    async def process(one: Any) -> None:
        if len(work.done) == 3:
            await anyio.sleep_forever()
        await work(one)

    config = package.AggregatorConfig(shutdown_deadline_s=deadline_s)
    aggregator = package.TelemetryAggregator(config, process=process)
    async with kit.running(aggregator) as it:
        handles = [await kit.add(package, aggregator, number) for number in range(4)]
        for sequence in range(frames):
            for number, handle in enumerate(handles):
                await handle.send(kit.frame(package, number, sequence, int(sequence == 5)))
                accepted += 1
            await kit.rest()
        with anyio.move_on_after(deadline_s + 30):
            await it.stop()
    return {"report": it.fields, "took_s": it.took_s, "accepted": accepted}


async def still_waiting(kit: Any, package: Any, config: dict[str, int]) -> dict[str, Any]:
    """Ask while a send of a routine frame and one of an emergency wait for room."""
    work = kit.Work(gated=True)
    aggregator = package.TelemetryAggregator(package.AggregatorConfig(**config), process=work)
    accepted: list[Row] = []
    refused: list[tuple[str, bool]] = []

    async def flood(number: int) -> None:
        source = await kit.add(package, aggregator, number)
        for sequence in range(100):  # more than there is room for
            one = kit.frame(package, number, sequence, number)
            try:
                await source.send(one)
            except Exception as error:
                refused.append((type(error).__name__, getattr(error, "item", None) == one))
                return
            accepted.append(kit.row(one))

    async with kit.running(aggregator) as it, anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(flood, number)
        await kit.rest()
        aggregator.request_shutdown()
        await kit.rest()
        work.gate.set()
        with anyio.move_on_after(kit.PATIENCE_S / 10):
            await it.stopped.wait()
        group.cancel_scope.cancel()
    return {
        "accepted": len(accepted),
        "refused": refused,
        "same": sorted(work.done) == sorted(accepted),
        "report": it.fields,
    }


async def before_it_runs(kit: Any, package: Any) -> dict[str, Any]:
    """Ask from another thread before `run` is called."""
    aggregator = package.TelemetryAggregator()
    subscriber = aggregator.subscribe()
    asker = threading.Thread(target=aggregator.request_shutdown)
    asker.start()
    asker.join()
    ends: list[str] = []
    it = kit.Run(aggregator)
    it.asked_s = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(kit.read, subscriber, [], ends)
        group.start_soon(it.run)
        with anyio.move_on_after(kit.PATIENCE_S / 10):
            await it.stopped.wait()
        await kit.rest()
        added = await kit.refusal(kit.add(package, aggregator, 1))
        group.cancel_scope.cancel()
    return {"report": it.fields, "took_s": it.took_s, "ends": ends, "added": added}
