"""What runs in the worker: every schedule of a few threads, by `meridian.testing.explore`; stress.

Each begins with `kit`, made by the other probe. Hostile code could tamper with what is counted.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

STALL_S = 2.0

# -- schedules -----------------------------------------------------------------------------------


def _start(bundle: Any, *bodies: Callable[[], object]) -> None:
    threads = [
        bundle.Thread(target=body, name=f"{body.__name__}-{number}")
        for number, body in enumerate(bodies)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _one_slot(kit: Any, bundle: Any) -> Callable[[], object]:
    """Two producers and a consumer share one slot."""
    queue = kit.package.CommandQueue(1, primitives=bundle)
    popped: list[int] = []

    def first() -> None:
        queue.push(kit.command(50, 1))

    def second() -> None:
        queue.push(kit.command(60, 2))

    def consumer() -> None:
        popped.extend(queue.pop().issued_at for _ in range(2))

    _start(bundle, first, second, consumer)

    def check() -> None:
        assert sorted(popped) == [1, 2], f"commands 1 and 2 were pushed, {popped} came out"
        metrics = queue.metrics.snapshot()
        counted = (metrics.commands_pushed, metrics.commands_dispatched)
        assert counted == (2, 2), f"2 pushed, 2 dispatched; the metrics say {counted}"

    return check


def _shutdown(kit: Any, bundle: Any) -> Callable[[], object]:
    """Shutdown against a push that waits, one that comes, and a pop."""
    queue = kit.package.CommandQueue(1, primitives=bundle)
    queue.push(kit.command(50, 0))
    popped: list[int] = []
    refused: list[int] = []

    def push(issued_at: int) -> None:
        try:
            queue.push(kit.command(50, issued_at))
        except kit.package.QueueShutdown:
            refused.append(issued_at)

    def producer() -> None:
        push(1)

    def other() -> None:
        push(2)

    def consumer() -> None:
        while (one := queue.pop()) is not None:
            popped.append(one.issued_at)

    def end() -> None:
        queue.shutdown()

    _start(bundle, producer, other, consumer, end)

    def check() -> None:
        seen = sorted(popped + refused)
        assert len(set(seen)) == len(seen), f"popped {popped}, refused {refused}: one is in twice"
        assert len(seen) + len(queue) == 3, f"popped {popped}, refused {refused}: one is lost"
        pushed = queue.metrics.commands_pushed
        assert pushed == 3 - len(refused), f"{pushed} counted as pushed, {len(refused)} refused"

    return check


def _two_consumers(kit: Any, bundle: Any) -> Callable[[], object]:
    """Two consumers, two producers, one slot: nobody sleeps beside a command."""
    queue = kit.package.CommandQueue(1, primitives=bundle)
    popped: list[int] = []

    def consumer() -> None:
        popped.append(queue.pop().issued_at)

    def first() -> None:
        queue.push(kit.command(50, 1))

    def second() -> None:
        queue.push(kit.command(50, 2))

    _start(bundle, consumer, consumer, first, second)
    return lambda: sorted(popped) == [1, 2]


def _snapshot(kit: Any, bundle: Any) -> Callable[[], object]:
    """A snapshot while two SAFE_MODE are dispatched."""
    queue = kit.package.CommandQueue(2, primitives=bundle)
    queue.push(kit.command(255, 0))
    seen: list[tuple[int, int, int]] = []

    def worker() -> None:
        queue.push(kit.command(255, 1))
        queue.pop()
        queue.pop()

    def dashboard() -> None:
        at = queue.metrics.snapshot()
        seen.append((at.safe_mode_count, at.commands_dispatched, at.commands_pushed))

    _start(bundle, worker, dashboard)

    def check() -> None:
        counted = seen[0]
        assert list(counted) == sorted(counted), (
            f"a snapshot said {counted[0]} SAFE_MODE, {counted[1]} dispatched, {counted[2]} pushed"
        )

    return check


SCENARIOS = {
    "one slot": _one_slot,
    "shutdown": _shutdown,
    "two consumers": _two_consumers,
    "snapshot": _snapshot,
}


def explored(
    kit: Any, name: str, schedules: int, seed: int, preempt_in: Sequence[str] = ()
) -> tuple[int, str, str, str]:
    """How many schedules were run, and kind, message and trace of the first failure, if any."""
    from meridian.testing.interleave import NotDeterministic, ScenarioStuck, explore

    scenario = SCENARIOS[name]
    folder = os.path.dirname(kit.package.__file__ or "")
    try:
        report = explore(
            lambda bundle: scenario(kit, bundle),
            max_schedules=schedules,
            seed=seed,
            max_steps=20_000 if preempt_in else 3_000,
            preempt_in=[os.path.join(folder, file) for file in preempt_in],
            stall_s=1.5,
        )
    except (NotDeterministic, ScenarioStuck) as error:
        return 0, "stuck", str(error), ""
    if not report.failures:
        return report.schedules, "", "", ""
    failure = report.failures[0]
    return report.schedules, failure.kind, failure.message, str(failure.trace)


def stress(kit: Any, producers: int, each: int, consumers: int) -> tuple[int, int, int]:
    """Threads that change places all the time: commands popped, lost, and popped twice."""
    queue = kit.package.CommandQueue(16)
    popped: list[list[int]] = [[] for _ in range(consumers)]

    def produce(number: int) -> None:
        for i in range(each):
            queue.push(kit.command((50, 100, 255)[i % 3], number * each + i))

    def consume(into: list[int]) -> None:
        while (one := queue.pop()) is not None:
            into.append(one.issued_at)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        takers = [kit.call(consume, into) for into in popped]
        makers = [kit.call(produce, number) for number in range(producers)]
        _while_it_moves(makers, popped)
        queue.shutdown()
        kit.join(takers)
    finally:
        sys.setswitchinterval(interval)
    seen = [issued_at for into in popped for issued_at in into]
    different = set(seen)
    return len(seen), producers * each - len(different), len(seen) - len(different)


def _while_it_moves(makers: Sequence[Any], popped: Sequence[Sequence[int]]) -> None:
    """Wait for all `makers`, as long as something comes out every other second."""
    seen, since = -1, time.perf_counter()
    while any(maker.outcome == "waits" for maker in makers):
        time.sleep(0.005)
        count = sum(map(len, popped))
        if count > seen:
            seen, since = count, time.perf_counter()
        elif time.perf_counter() > since + STALL_S:
            return
