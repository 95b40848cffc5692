"""What runs in the worker: a queue whose operations fail, the demo, and the work of a race.

Hostile code could tamper with what is counted here: the tests say where they rely on it.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

Row = tuple[int, int]  # priority, issued_at

PATIENCE_S = 4.0


def command(package: Any, priority: int, issued_at: int) -> Any:
    """SAFE_MODE for 255, else a request for status with that priority."""
    kinds = package.CommandKind
    kind = kinds.SAFE_MODE if priority == 255 else kinds.STATUS_REQUEST
    return package.Command.make(kind, priority=priority, issued_at=issued_at)


def commands(package: Any, rows: Sequence[Row]) -> list[Any]:
    return [command(package, *row) for row in rows]


def thread(function: Callable[..., object], *arguments: Any) -> threading.Thread:
    """A daemon, so that one that never returns keeps nothing from ending."""
    made = threading.Thread(target=function, args=arguments, daemon=True)
    made.start()
    return made


def outcome(function: Callable[..., Any], *arguments: Any) -> str:
    """ "returned", or the class of what was raised."""
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__
    return "returned"


def _real(package: Any, **parts: Any) -> Any:
    """The package's bundle, with these parts in place of the real ones."""
    given = {
        "Lock": threading.Lock,
        "Condition": threading.Condition,
        "Thread": threading.Thread,
        "monotonic_ns": time.monotonic_ns,
    }
    return package.Primitives(**(given | parts))


# -- failure -------------------------------------------------------------------------------------


class Strike:
    """An error that is raised once, by whoever gets there first after it was armed."""

    def __init__(self) -> None:
        self.armed = False

    def __call__(self) -> None:
        if self.armed:
            self.armed = False
            raise OSError("struck while the lock was held")


def failed_order(package: Any) -> list[str]:
    """Two commands that cannot be compared, while they wait for a slot; what everybody gets."""
    strike = Strike()

    class Bomb(int):
        def __lt__(self, other: int) -> bool:
            strike()
            return int(self) < other

        def __le__(self, other: int) -> bool:
            strike()
            return int(self) <= other

        def __gt__(self, other: int) -> bool:
            strike()
            return int(self) > other

        def __ge__(self, other: int) -> bool:
            strike()
            return int(self) >= other

        def __eq__(self, other: object) -> bool:
            strike()
            return int(self) == other

        __hash__ = int.__hash__

    queue = package.CommandQueue(1, primitives=_real(package))
    queue.push(command(package, 100, 1))
    calls = [Call(queue.push, command(package, 50, Bomb(number))) for number in (2, 3)]
    wait_until(lambda: queue.waiting_producers == 2)
    strike.armed = True
    calls.append(Call(queue.push, command(package, 50, Bomb(1))))
    wait_until(lambda: queue.waiting_producers == 3 or not strike.armed)
    if strike.armed:
        calls.append(Call(queue.pop))
    return _outcomes(package, queue, strike, calls)


def failed_waking(package: Any) -> list[str]:
    """A wake-up that fails, while two consumers wait; what everybody gets."""
    strike = Strike()

    class Condition(threading.Condition):
        def notify(self, n: int = 1) -> None:
            strike()
            super().notify(n)

    class Lock:
        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.acquire, self.locked = self._lock.acquire, self._lock.locked
            self.__exit = self._lock.__exit__

        def release(self) -> None:
            strike()
            self._lock.release()

        def __enter__(self) -> bool:
            return self._lock.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.__exit(*error)

    queue = package.CommandQueue(2, primitives=_real(package, Lock=Lock, Condition=Condition))
    calls = [Call(queue.pop) for _ in range(2)]
    time.sleep(0.1)
    strike.armed = True
    calls.append(Call(queue.push, command(package, 50, 1)))
    return _outcomes(package, queue, strike, calls)


class Call:
    """A call in a thread of its own."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.outcome = "waits"
        self._thread = thread(self._run, function, *arguments)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.outcome = outcome(function, *arguments)

    def ended(self, deadline: float) -> str:
        self._thread.join(max(0.0, deadline - time.perf_counter()))
        return self.outcome


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds, or after a while."""
    deadline = time.perf_counter() + PATIENCE_S / 4
    while not condition() and time.perf_counter() < deadline:
        time.sleep(0.001)


def _outcomes(package: Any, queue: Any, strike: Strike, calls: Sequence[Call]) -> list[str]:
    """What became of `calls`, and of a push and a pop that come later; empty if nothing struck."""
    wait_until(lambda: not strike.armed)
    if strike.armed:
        strike.armed = False
        queue.shutdown()
        return []
    deadline = time.perf_counter() + PATIENCE_S / 2
    later = [Call(queue.push, command(package, 50, 9)), Call(queue.pop)]
    return [call.ended(deadline) for call in (*calls, *later)]


# -- the demo ------------------------------------------------------------------------------------


def demo(package: Any) -> dict[str, Any]:
    """`run_demo()` as plain data."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report = package.run_demo()
    place = {id(one): number for number, one in enumerate(report.arrived, 1)}
    return {
        "dispatched": [
            (one.priority, one.kind.name, place.get(id(one), 0)) for one in report.dispatched
        ],
        "samples": [(at.at_s, *_counts(at.snapshot)) for at in report.samples],
        "final": _counts(report.final),
        "printed": printed.getvalue(),
    }


def _counts(snapshot: Any) -> tuple[int, int, int]:
    return (
        snapshot.commands_pushed,
        snapshot.commands_dispatched,
        snapshot.safe_mode_count,
    )


# -- the race ------------------------------------------------------------------------------------


class Work:
    """Commands made outside the clock, pushed and popped inside it."""

    def __init__(self, package: Any) -> None:
        self._package = package
        self._made: list[Any] = []
        self._popped: list[Any] = []

    def deal(self, rows: Sequence[Row]) -> None:
        self._made = commands(self._package, rows)
        self._popped = []

    def alone(self) -> int:
        """One thread: all in, all out."""
        queue = self._package.CommandQueue(len(self._made))
        push, pop = queue.push, queue.pop
        for one in self._made:
            push(one)
        self._popped = [pop() for _ in self._made]
        return len(self._popped)

    def together(self) -> int:
        """Three producers, one consumer, no bound that is reached."""
        queue = self._package.CommandQueue(len(self._made))

        def produce(part: Sequence[Any]) -> None:
            for one in part:
                queue.push(one)

        def consume() -> None:
            for _ in self._made:
                self._popped.append(queue.pop())

        threads = [thread(produce, self._made[part::3]) for part in range(3)] + [thread(consume)]
        for one in threads:
            one.join(PATIENCE_S)
        return len(self._popped)

    def order(self) -> list[int]:
        number = {id(one): n for n, one in enumerate(self._made)}
        return [number.get(id(one), -1) for one in self._popped]
