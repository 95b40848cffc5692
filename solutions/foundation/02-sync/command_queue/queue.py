"""The queue between many operators and the one dispatcher."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Sequence
from itertools import count
from typing import Any, NoReturn

from .command import URGENT, Command, CommandKind
from .errors import QueueBroken, QueueFull, QueueShutdown
from .metrics import Metrics
from .primitives import THREADING, Primitives

__all__ = ["CommandQueue"]


### BEGIN SOLUTION
class _Producer:
    """A thread that waits for a slot, woken by a condition of its own."""

    def __init__(self, command: Command, woken: Any) -> None:
        self.command = command
        self.woken = woken
        self.admitted = False


### END SOLUTION
class CommandQueue:
    """Every command goes to one consumer: highest priority first, then oldest, none lost.

    - **Order.** `pop` takes the highest `priority`, of those the smallest `issued_at`, of those
      the one admitted first. Commands themselves are never compared.
    - **Admission.** A full queue makes producers wait, and they are admitted in that same order.
      The thread that pops moves the best waiting command into the slot before it lets go of the
      lock, so that the very next `pop` sees it. With `emergency_reserve=k`, commands of a priority
      below 200 fill at most `capacity - k` slots.
    - **End.** After `shutdown` nothing is admitted any more: every `push`, waiting or new, raises
      `QueueShutdown`. `pop` gives what is left, in order, and then None, as often as it is called.
    - **Failure.** When an `Exception` is raised while the lock is held, the queue is broken: every
      call, waiting or new, raises `QueueBroken`.

    Locks are taken from `primitives`, held by ``with`` alone, and while one is held nothing is
    called that is not the queue's own: no callback, no log, no comparison of commands.
    """

    def __init__(
        self, capacity: int, *, emergency_reserve: int = 0, primitives: Primitives = THREADING
    ) -> None:
        """`ValueError` unless integers with capacity >= 1 and 0 <= emergency_reserve < capacity."""
        ### BEGIN SOLUTION #1: CommandQueue() - check the numbers; a lock, an order, who waits
        for name, value, least in (
            ("capacity", capacity, 1),
            ("emergency_reserve", emergency_reserve, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
        if emergency_reserve >= capacity:
            raise ValueError(f"emergency_reserve must be < {capacity}, got {emergency_reserve}")
        self._capacity = capacity
        self._common_slots = capacity - emergency_reserve
        self._primitives = primitives
        self._metrics = Metrics()
        self._lock = primitives.Lock()
        self._filled = primitives.Condition(self._lock)
        self._idle = 0  # consumers that wait for it
        self._numbers = count()
        self._heap: list[tuple[int, int, int, Command]] = []
        self._common = 0  # commands in the heap that are not urgent
        self._producers: list[tuple[int, int, int, _Producer]] = []  # sorted, best first
        self._is_shutdown = False
        self._broken: BaseException | None = None
        ### END SOLUTION

    @property
    def metrics(self) -> Metrics:
        """The counters; always the same object."""
        ### BEGIN SOLUTION #4: metrics - the one object that the queue counts in
        return self._metrics
        ### END SOLUTION

    @property
    def capacity(self) -> int:
        ### BEGIN SOLUTION #1: capacity
        return self._capacity
        ### END SOLUTION

    @property
    def is_shutdown(self) -> bool:
        ### BEGIN SOLUTION #5: is_shutdown
        return self._is_shutdown
        ### END SOLUTION

    @property
    def waiting_producers(self) -> int:
        """Threads that wait in `push`."""
        ### BEGIN SOLUTION #6: waiting_producers - how many wait for a slot right now
        return len(self._producers)
        ### END SOLUTION

    def __len__(self) -> int:
        """Commands admitted and not dispatched."""
        ### BEGIN SOLUTION #1: len() - commands in the queue, not those that wait
        return len(self._heap)
        ### END SOLUTION

    def push(self, cmd: Command, timeout: float | None = None) -> None:
        """Admit `cmd`, waiting for a slot if need be; `QueueFull` after `timeout` seconds."""
        ### BEGIN SOLUTION #1: push() - admit, or wait until a pop admits; then wake a consumer
        with self._lock:
            try:
                if self._is_shutdown:
                    self._refuse()
                if self._has_room(cmd):
                    self._admit(cmd)
                else:
                    self._wait_for_slot(cmd, timeout)
            except (QueueShutdown, QueueFull, QueueBroken):
                raise
            except Exception as error:
                self._break(error)
        ### END SOLUTION

    def pop(self, timeout: float | None = None) -> Command | None:
        """The next command, waiting for one if need be; `TimeoutError` after `timeout` seconds.

        None when the queue is shut down and empty.
        """
        ### BEGIN SOLUTION #1: pop() - wait for a command, take the best, give its slot away
        with self._lock:
            try:
                return self._take() if self._wait_for_command(timeout) else None
            except (TimeoutError, QueueBroken):
                raise
            except Exception as error:
                self._break(error)
        ### END SOLUTION

    def push_many(self, cmds: Sequence[Command]) -> None:
        """Admit all of `cmds`, in the order of dispatch where they have to wait.

        Raises as `push` does; after `shutdown` for no commands at all as well.
        """
        ### BEGIN SOLUTION #1: push_many() - as many push(), the best first
        if not cmds:
            with self._lock:
                if self._is_shutdown:
                    self._refuse()
        for cmd in sorted(cmds, key=lambda cmd: (-cmd.priority, cmd.issued_at)):
            self.push(cmd)
        ### END SOLUTION

    def pop_many(self, limit: int) -> list[Command]:
        """Wait for a command, then take what there is, up to `limit`; [] after the end."""
        ### BEGIN SOLUTION #1: pop_many() - wait once, then take while there is something
        taken: list[Command] = []
        with self._lock:
            try:
                if self._wait_for_command(None):
                    while self._heap and len(taken) < limit:
                        taken.append(self._take())
            except QueueBroken:
                raise
            except Exception as error:
                self._break(error)
        return taken
        ### END SOLUTION

    def shutdown(self) -> None:
        """Admit nothing more, and wake everybody who waits. A second call does nothing."""
        ### BEGIN SOLUTION #5: shutdown() - mark it, wake consumers and waiting producers
        with self._lock:
            self._is_shutdown = True
            self._wake_all()
        ### END SOLUTION

    ### BEGIN SOLUTION
    # All that follows is called with the lock held.

    def _key(self, cmd: Command) -> tuple[int, int, int]:
        return (-cmd.priority, cmd.issued_at, next(self._numbers))

    def _has_room(self, cmd: Command) -> bool:
        if len(self._heap) >= self._capacity:
            return False
        return cmd.priority >= URGENT or self._common < self._common_slots

    def _admit(self, cmd: Command) -> None:
        heapq.heappush(self._heap, (*self._key(cmd), cmd))
        if cmd.priority < URGENT:
            self._common += 1
        self._metrics._count_admission()
        if self._idle:
            self._filled.notify()

    def _take(self) -> Command:
        *_, cmd = heapq.heappop(self._heap)
        if cmd.priority < URGENT:
            self._common -= 1
        self._metrics._count_dispatch(safe_mode=cmd.kind is CommandKind.SAFE_MODE)
        while self._producers and self._has_room(self._producers[0][-1].command):
            *_, producer = self._producers.pop(0)
            self._admit(producer.command)
            producer.admitted = True
            producer.woken.notify()
        return cmd

    def _wait_for_slot(self, cmd: Command, timeout: float | None) -> None:
        producer = _Producer(cmd, self._primitives.Condition(self._lock))
        entry = (*self._key(cmd), producer)
        insort(self._producers, entry)
        deadline_ns = self._deadline_ns(timeout)
        try:
            while not producer.admitted:
                if self._is_shutdown:
                    self._refuse()
                left_s = self._left_s(deadline_ns)
                if left_s == 0:
                    raise QueueFull(f"no slot of {self._capacity} within {timeout} s")
                producer.woken.wait(left_s)
        finally:
            if not producer.admitted:
                self._producers.remove(entry)

    def _wait_for_command(self, timeout: float | None) -> bool:
        """Whether there is one; False when there will be none."""
        deadline_ns = self._deadline_ns(timeout)
        while not self._heap and not self._is_shutdown:
            left_s = self._left_s(deadline_ns)
            if left_s == 0:
                raise TimeoutError(f"no command within {timeout} s")
            self._idle += 1
            try:
                self._filled.wait(left_s)
            finally:
                self._idle -= 1
        if self._broken:
            self._refuse()
        return bool(self._heap)

    def _deadline_ns(self, timeout: float | None) -> int | None:
        return None if timeout is None else self._primitives.monotonic_ns() + int(timeout * 1e9)

    def _left_s(self, deadline_ns: int | None) -> float | None:
        if deadline_ns is None:
            return None
        return max(0, deadline_ns - self._primitives.monotonic_ns()) / 1e9

    def _refuse(self) -> NoReturn:
        if self._broken:
            raise QueueBroken(repr(self._broken)) from self._broken
        raise QueueShutdown("the queue is shut down")

    def _break(self, error: Exception) -> NoReturn:
        self._broken = error
        self._is_shutdown = True
        self._wake_all()
        raise QueueBroken(repr(error)) from error

    def _wake_all(self) -> None:
        self._filled.notify_all()
        for *_, producer in self._producers:
            producer.woken.notify()

    ### END SOLUTION
