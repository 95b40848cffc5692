"""Scenarios of criterion 5, run in the worker: the statistics, and threads that read them.

Each begins with `kit`, the module of the other probe. Hostile code could tamper with what is noted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Any

from anyio import sleep
from anyio.lowlevel import checkpoint

Counts = tuple[int, int, int]  # routed, processed, emergency

AT_ONCE = 250  # reads of a thread in one lot
PACE_S = 1e-4
TURN_S = 2.0  # that one thread waits for another


def _counts(now: Any) -> Counts:
    return now.frames_routed, now.frames_processed, now.emergency_count


async def looked_at(kit: Any, package: Any, frames: int) -> tuple[list[Counts], list[Any]]:
    """Snapshots after each frame that a subscriber got, with the last; and the report."""
    seen: list[Counts] = []
    aggregator = package.TelemetryAggregator(process=kit.Work())
    async with kit.running(aggregator) as it:
        subscriber = aggregator.subscribe()
        source = await kit.add(package, aggregator, 1)
        for sequence in range(frames):
            await source.send(kit.frame(package, 1, sequence, sequence % 2))
            await subscriber.recv()
            seen.append(_counts(aggregator.stats.borrow()))
            await kit.rest()
    seen.append(_counts(aggregator.stats.borrow()))
    return seen, it.fields


def _wrong(seen: Sequence[Any]) -> str:
    """The first of these statistics that cannot be, after the one before it."""
    for before, now in pairwise(map(_counts, seen)):
        routed, processed, emergency = now
        grown = all(a <= b for a, b in zip(before, now, strict=True))
        if not (grown and emergency <= processed <= routed):
            return f"{now} after {before}"
    return ""


class Reader:
    """A thread that borrows the statistics `reads` times, and what it saw.

    Between two lots it waits until what `pace` gives has changed.
    """

    def __init__(self, stats: Any, reads: int, pace: Callable[[], object]) -> None:
        self.seen: list[Any] = []
        self.cpu_s = 0.0
        self.over = threading.Event()
        self._borrow = stats.borrow
        self._reads = reads
        self._pace = pace
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        borrow = self._borrow
        while len(self.seen) < self._reads and not self.over.is_set():
            began_s = time.thread_time()
            self.seen += [borrow() for _ in range(AT_ONCE)]
            self.cpu_s += time.thread_time() - began_s
            now = self._pace()
            while self._pace() == now and not self.over.is_set():
                time.sleep(PACE_S)
        self.over.set()


async def from_a_thread(
    kit: Any, package: Any, reads: int, patience_s: float
) -> list[tuple[int, float, int, str]]:
    """Borrow from a thread, the first half while frames flow, the second while `process` holds the
    loop: for each half how often, the processor time, how many values were seen, what was wrong.
    """
    holds = False
    readers: list[Reader] = []

    async def process(_one: Any) -> None:
        if holds and len(readers) == 1:
            readers.append(Reader(aggregator.stats, reads // 2, object))
            readers[1].over.wait(patience_s)  # the loop is held
            readers[1].over.set()

    aggregator = package.TelemetryAggregator(process=process)
    async with kit.running(aggregator):
        source = await kit.add(package, aggregator, 1)
        sequence = 0
        readers.append(Reader(aggregator.stats, reads // 2, lambda: sequence))
        until_s = time.monotonic() + patience_s
        while not readers[0].over.is_set() and time.monotonic() < until_s:
            await source.send(kit.frame(package, 1, sequence, 1))
            await checkpoint()
            sequence += 1
        readers[0].over.set()
        holds = True
        await source.send(kit.frame(package, 1, sequence))
    whole: list[Any] = []
    told: list[tuple[int, float, int, str]] = []
    for reader in readers:
        count = len(reader.seen)
        whole = whole[-1:] + reader.seen[:count]
        told.append((count, reader.cpu_s, len(set(map(_counts, whole))), _wrong(whole)))
    return told


class Turns:
    """One thread asks, another answers, and the first waits for that; at most for a while."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._answered: SimpleQueue[bool] = SimpleQueue()

    def ask(self) -> bool:
        """Whether there was an answer."""
        self._asked.put(True)
        with contextlib.suppress(Empty):
            return self._answered.get(timeout=TURN_S)
        return False

    def end(self) -> None:
        self._asked.put(False)

    def asked(self, *, wait: bool) -> bool | None:
        """Whether an answer is wanted; False at the end, ``None`` when nobody has asked."""
        with contextlib.suppress(Empty):
            return self._asked.get(block=wait)
        return None

    def answer(self) -> None:
        self._answered.put(True)


async def between_lines(kit: Any, package: Any, frames: int) -> tuple[int, str]:
    """A thread reads the statistics at every line of the package that runs in the loop: how often,
    and what was wrong. All frames are emergencies, so that the counts are equal but for one.
    """
    aggregator = package.TelemetryAggregator(process=kit.Work())
    home = sys.modules[package.TelemetryAggregator.__module__].__file__
    folder = os.path.dirname(home or "")
    turns, seen = Turns(), []

    def read() -> None:
        while turns.asked(wait=True):
            seen.append(aggregator.stats.borrow())
            turns.answer()

    def trace(frame: Any, event: str, _: Any) -> Any:
        if event == "call" and not frame.f_code.co_filename.startswith(folder):
            return None
        if event == "line" and not turns.ask():
            sys.settrace(None)  # it waits: for that there is another test
            return None
        return trace

    threading.Thread(target=read, daemon=True).start()
    before = sys.gettrace()
    try:
        async with kit.running(aggregator):
            source = await kit.add(package, aggregator, 1)
            sys.settrace(trace)
            for sequence in range(frames):
                await source.send(kit.frame(package, 1, sequence, 1))
                await kit.rest()
    finally:
        sys.settrace(before)
        turns.end()
    return len(seen), _wrong(seen)


async def within_a_read(kit: Any, package: Any, most: int) -> str:
    """A thread reads the statistics and rests after its first step, its second, and so on, while
    frames are processed: what was wrong.
    """
    aggregator = package.TelemetryAggregator(process=kit.Work())
    turns, seen = Turns(), []

    def rested(rests_at: int) -> bool:
        """Read, and rest at this step; whether there was one, and the loop went on meanwhile."""
        step, went_on = 0, False

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal step, went_on
            frame.f_trace_opcodes = True
            if event == "opcode":
                step += 1
                if step == rests_at:
                    went_on = turns.ask()
            return trace

        borrow = aggregator.stats.borrow
        sys.settrace(trace)
        try:
            seen.append(borrow())
        finally:
            sys.settrace(None)
        return went_on

    def read() -> None:
        rests_at = 1
        while rests_at < most and rested(rests_at):
            rests_at += 1
        turns.end()

    async with kit.running(aggregator):
        source = await kit.add(package, aggregator, 1)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        sequence = 0
        while (asked := turns.asked(wait=False)) is not False and thread.is_alive():
            if asked:
                for _ in range(3):
                    await source.send(kit.frame(package, 1, sequence, 1))
                    sequence += 1
                await kit.rest()
                turns.answer()
            await sleep(0.0002)
        seen.append(aggregator.stats.borrow())
    return _wrong(seen)
