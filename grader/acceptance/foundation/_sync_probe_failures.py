"""What runs in the worker: a queue whose operations fail, and commands that watch who asks.

Each begins with `kit`, made by the other probe. Hostile code could tamper with what is counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

# -- failures ------------------------------------------------------------------------------------


class Strike:
    """An error that is raised once, by whoever gets there first after it was armed."""

    def __init__(self) -> None:
        self.armed = False

    def __call__(self) -> None:
        if self.armed:
            self.armed = False
            raise OSError("struck while the lock was held")


def failed_order(kit: Any) -> list[str]:
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

    queue = kit.package.CommandQueue(1, primitives=kit.primitives())
    queue.push(kit.command(100, 1))
    calls = [kit.call(queue.push, kit.command(50, Bomb(number))) for number in (2, 3)]
    kit.wait_until(lambda: queue.waiting_producers == 2, 1.0)
    strike.armed = True
    calls.append(kit.call(queue.push, kit.command(50, Bomb(1))))
    kit.wait_until(lambda: queue.waiting_producers == 3 or not strike.armed, 1.0)
    if strike.armed:
        calls.append(kit.call(queue.pop))
    return _outcomes(kit, queue, strike, calls)


def failed_waking(kit: Any) -> list[str]:
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

    queue = kit.package.CommandQueue(2, primitives=kit.primitives(Lock=Lock, Condition=Condition))
    calls = [kit.call(queue.pop) for _ in range(2)]
    time.sleep(0.1)
    strike.armed = True
    calls.append(kit.call(queue.push, kit.command(50, 1)))
    return _outcomes(kit, queue, strike, calls)


def _outcomes(kit: Any, queue: Any, strike: Strike, calls: Sequence[Any]) -> list[str]:
    """What became of `calls`, and of a push and a pop that come later; empty if nothing struck."""
    kit.wait_until(lambda: not strike.armed, 1.0)
    if strike.armed:
        strike.armed = False
        queue.shutdown()
        return []
    deadline = time.perf_counter() + kit.patience_s / 2
    later = [kit.call(queue.push, kit.command(50, 9)), kit.call(queue.pop)]
    return [call.ended(deadline) for call in (*calls, *later)]


# -- who asks ------------------------------------------------------------------------------------


def compared_while_held(kit: Any) -> list[str]:
    """The comparisons of commands that were made while a lock was held, each once.

    They are pushed, wait, are popped, and one gives up. Their times differ: ties are judged by the
    order of dispatch.
    """
    locks: list[_Owned] = []
    seen: set[str] = set()
    base = kit.package.Command

    def lock() -> _Owned:
        locks.append(_Owned())
        return locks[-1]

    def watched(name: str) -> Any:
        def method(self: Any, other: object) -> Any:
            if any(one.owner == threading.get_ident() for one in locks):
                seen.add(name)
            return getattr(base, name)(self, other)

        return method

    operators = ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__")
    members = {name: watched(name) for name in operators}
    watching = type("Command", (base,), members | {"__slots__": (), "__hash__": base.__hash__})
    like = kit.command(50, 1)
    made = [watching(like.kind, like.priority, number) for number in range(12)]
    queue = kit.package.CommandQueue(4, primitives=kit.primitives(Lock=lock))
    for one in made[:4]:
        try:
            queue.push(one)
        except TypeError:
            return []  # it takes commands of the package alone
    calls = [kit.call(queue.push, one) for one in made[4:8]]
    kit.wait_until(lambda: queue.waiting_producers == 4, 1.0)
    calls.append(kit.call(queue.push, made[8], 0.01))
    kit.join(calls[-1:])
    for _ in range(3):
        calls.append(kit.call(queue.pop, 1.0))
        kit.join(calls[-1:])
    calls.append(kit.call(queue.pop_many, 12))
    kit.join(calls)
    calls = [kit.call(queue.push_many, made[9:]), kit.call(queue.pop_many, 3)]
    kit.join(calls)
    queue.shutdown()
    return sorted(seen)


class _Owned:
    """A lock that knows which thread holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.owner: int | None = None
        self.locked = self._lock.locked

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        taken = self._lock.acquire(blocking, timeout)
        if taken:
            self.owner = threading.get_ident()
        return taken

    def release(self) -> None:
        self.owner = None
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()
