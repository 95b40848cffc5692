"""Scenarios of criteria 1 and 2, run in the worker: order, and sources.

Each begins with `kit`, the module of the other probe. Hostile code could tamper with what is noted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

Row = tuple[int, int, int]  # source, sequence, priority


async def goes_through(kit: Any, package: Any) -> tuple[list[Row], list[Any]]:
    """One frame, with all defaults: what a subscriber gets, and the report."""
    aggregator = package.TelemetryAggregator()
    rows: list[Row] = []
    async with anyio.create_task_group() as group:
        async with kit.running(aggregator) as it:
            group.start_soon(kit.read, aggregator.subscribe(), rows, [])
            source = await kit.add(package, aggregator, 7)
            await source.send(kit.frame(package, 7, 0))
            await kit.rest()
        group.cancel_scope.cancel()
    return rows, it.fields


async def overtaking(kit: Any, package: Any, routine: int, urgent: int) -> list[Row]:
    work = kit.Work(gated=True)
    aggregator = package.TelemetryAggregator(process=work)
    async with kit.running(aggregator):
        source = await kit.add(package, aggregator, 1)
        for sequence in range(routine):
            await source.send(kit.frame(package, 1, sequence))
            await kit.rest()
        for sequence in range(routine, routine + urgent):
            await source.send(kit.frame(package, 1, sequence, 1))
            await kit.rest()
        work.gate.set()
        for _ in range(routine):
            await kit.rest()
    begun: list[Row] = work.begun
    return begun


async def history(
    kit: Any, package: Any, config: dict[str, int], steps: Sequence[tuple[str, int, int]]
) -> list[tuple[str, int, int, int]]:
    """Events in their order: ``("sends" | "accepted" | "takes", *row)``, and ``("rest", 0, 0, 0)``
    whenever every task waits.
    """
    events: list[tuple[str, int, int, int]] = []
    turns = anyio.Semaphore(0)

    async def process(one: Any) -> None:
        events.append(("takes", *kit.row(one)))
        await turns.acquire()

    async def send(source: Any, one: Any) -> None:
        events.append(("sends", *kit.row(one)))
        await source.send(one)
        events.append(("accepted", *kit.row(one)))

    aggregator = package.TelemetryAggregator(package.AggregatorConfig(**config), process=process)
    async with kit.running(aggregator):
        sources = [await kit.add(package, aggregator, number) for number in range(3)]
        async with anyio.create_task_group() as senders:
            for sequence, (what, number, count) in enumerate(steps):
                for part in range(count):
                    if what == "process":
                        turns.release()
                    else:
                        one = kit.frame(package, number, sequence * 8 + part, int(what == "urgent"))
                        senders.start_soon(send, sources[number], one)
                        await checkpoint()
                if what != "hurry":
                    await kit.rest()
                    events.append(("rest", 0, 0, 0))
            for _ in range(sum(count for _, _, count in steps)):
                turns.release()
        for _ in range(len(steps)):
            await kit.rest()
    return events


async def churn(
    kit: Any, package: Any, frames: int
) -> tuple[dict[int, int], dict[int, list[int]], list[Any]]:
    """Ten sources come while frames flow, five go: frames accepted and processed of each, and
    what the removals answered.
    """
    work = kit.Work(0.001)
    aggregator = package.TelemetryAggregator(process=work)
    accepted: dict[int, int] = {}
    answers: list[Any] = []

    async def feed(number: int) -> None:
        source = await kit.add(package, aggregator, number)
        accepted[number] = 0
        try:
            for sequence in range(frames) if number < 5 else itertools.count():
                await source.send(kit.frame(package, number, sequence, int(sequence % 10 == 9)))
                accepted[number] += 1
                await anyio.sleep(0.0005)
        except Exception as error:
            if type(error).__name__ != "SendClosed":
                raise
        source.close()

    async with kit.running(aggregator):
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(feed, number)
                await anyio.sleep(0.01)
            for number in range(5, 10):
                answers.append(await aggregator.remove_source(number, drain=True))  # noqa: PERF401
        await anyio.sleep(kit.PATIENCE_S / 10)
    processed: dict[int, list[int]] = {number: [] for number in range(10)}
    for number, sequence, _ in work.done:
        processed[number].append(sequence)
    return accepted, processed, answers


async def names(kit: Any, package: Any) -> dict[str, str]:
    """What is raised for an id that is there already, one that is not, and a wrong frame."""
    found: dict[str, str] = {}
    aggregator = package.TelemetryAggregator()

    async def note(what: str, call: Any) -> None:
        found[what] = await kit.refusal(call)

    async with kit.running(aggregator):
        source = await kit.add(package, aggregator, 1)
        await note("twice", kit.add(package, aggregator, 1))
        await note("unknown", aggregator.remove_source(2))
        await note("wrong_frame", source.send(kit.frame(package, 3, 0)))
        source.close()
        source.close()
        await kit.rest()
        await note("closed", source.send(kit.frame(package, 1, 0)))
        await note("again", kit.add(package, aggregator, 1))
        source.close()  # the old handle, as a block around it would
        await kit.rest()
        await note("still_there", kit.add(package, aggregator, 1))
    return found


def tasks() -> int:
    if (trio := sys.modules.get("trio")) is not None:
        with contextlib.suppress(RuntimeError):
            return int(trio.lowlevel.current_statistics().tasks_living)
    return len(asyncio.all_tasks())


async def cycles(kit: Any, package: Any, count: int) -> tuple[int, int, int]:
    """Tasks before and after so many sources came and went, and frames processed."""
    work = kit.Work()
    aggregator = package.TelemetryAggregator(process=work)
    async with kit.running(aggregator):
        before = tasks()
        for number in range(count):
            source = await kit.add(package, aggregator, number)
            await source.send(kit.frame(package, number, 0))
            await aggregator.remove_source(number)
        await kit.rest()
        after = tasks()
    return before, after, len(work.done)


def _held(kit: Any, package: Any) -> tuple[Any, Any]:
    """A processor that is held, and an aggregator with little room."""
    work = kit.Work(gated=True)
    config = package.AggregatorConfig(feed_capacity=8, routine_capacity=4, processor_capacity=4)
    return work, package.TelemetryAggregator(config, process=work)


async def discarded(kit: Any, package: Any) -> tuple[int, list[Any], int]:
    """Remove a source without draining while the processor is held: what that answers, the
    report, and how many frames had been accepted.
    """
    work, aggregator = _held(kit, package)
    async with kit.running(aggregator) as it:
        source = await kit.add(package, aggregator, 1)
        frames = (kit.frame(package, 1, sequence) for sequence in range(40))
        accepted = await kit.send_until_held(source, frames)
        answer = await aggregator.remove_source(1, drain=False)
        work.gate.set()
    return answer, it.fields, len(accepted)


async def drained(kit: Any, package: Any) -> dict[str, Any]:
    """Remove a source whose frames wait before a held processor, which then goes on."""
    work, aggregator = _held(kit, package)
    answers: list[Any] = []
    again: list[str] = []

    async def remove() -> None:
        answers.append(await aggregator.remove_source(1, drain=True))
        again.append(await kit.refusal(kit.add(package, aggregator, 1)))

    async with kit.running(aggregator) as it, anyio.create_task_group() as group:
        source = await kit.add(package, aggregator, 1)
        frames = (kit.frame(package, 1, sequence) for sequence in range(40))
        accepted = await kit.send_until_held(source, frames)
        group.start_soon(remove)
        await kit.rest()
        early = bool(answers)
        late = kit.tried(source, kit.frame(package, 1, 40))[0]
        work.gate.set()
        with anyio.move_on_after(kit.PATIENCE_S / 10):
            while not again:
                await anyio.sleep(1)
        group.cancel_scope.cancel()
    return {
        "accepted": len(accepted),
        "early": early,
        "late": late,
        "answers": answers,
        "again": again,
        "processed": len(work.done),
        "report": it.fields,
    }
