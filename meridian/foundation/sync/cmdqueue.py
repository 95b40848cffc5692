"""The queue between many operators and the one dispatcher: highest priority first, then oldest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from meridian.checks import checked_int
from meridian.foundation.sync.cmdqueue_demo import DemoReport, Sample, run_demo
from meridian.foundation.sync.cmdqueue_errors import (
    BadCapacity,
    PopTimeout,
    QueueBroken,
    QueueFull,
    QueueShutdown,
)
from meridian.foundation.sync.cmdqueue_ledger import Ledger
from meridian.foundation.sync.cmdqueue_producers import Producer
from meridian.foundation.sync.command import BadCommand, Command, CommandKind, dispatch_key
from meridian.foundation.sync.command_metrics import Metrics, MetricsSnapshot
from meridian.foundation.sync.limits import FOREVER, limit_s
from meridian.foundation.sync.primitives import THREADING, PrimitivesLike

__all__ = [
    "BadCapacity",
    "BadCommand",
    "Command",
    "CommandKind",
    "CommandQueue",
    "DemoReport",
    "Metrics",
    "MetricsSnapshot",
    "PopTimeout",
    "QueueBroken",
    "QueueFull",
    "QueueShutdown",
    "Sample",
    "run_demo",
]

T = TypeVar("T")


class CommandQueue:
    """Hand each command to one consumer, in priority order, and lose none.

    The order of dispatch is: highest `priority`, then smallest `issued_at`, then admission. A full
    queue makes producers wait, and these are admitted in that same order, not in that of their
    arrival: otherwise SAFE_MODE would stand behind the housekeeping of others. The thread that
    frees a slot itself puts the best waiting command in it, before it lets go of the lock, so that
    the very next `pop` sees it whichever thread the system runs first.

    Every waiting thread sleeps on a lock of its own and is woken alone, when its wait is over. A
    woken producer need not take the queue's lock; a woken consumer looks again.

    Threads may share it; a process that forks while a thread is inside must not use its copy.
    An exception inside of an operation breaks the queue: every caller gets `QueueBroken`, rather
    than waiting for ever or reading a half-made state. `KeyboardInterrupt` and other exceptions
    that are no `Exception` do not: what they interrupt is undone, or finished if it was counted
    already, and then they go on their way. A `pop` they interrupt after it was counted has
    dispatched its command to nobody.
    """

    def __init__(
        self, capacity: int, *, emergency_reserve: int = 0, primitives: PrimitivesLike = THREADING
    ) -> None:
        """An empty queue.

        Args:
            capacity: most commands it holds at once, >= 1.
            emergency_reserve: slots that only commands of priority 200 and above may fill,
                0 <= it < capacity.
            primitives: where its locks and its clock come from.

        Raises `BadCapacity`, a `ValueError`, for anything else.
        """
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise BadCapacity("capacity", "an integer >= 1", capacity)
        reserve = emergency_reserve
        if isinstance(reserve, bool) or not isinstance(reserve, int) or not 0 <= reserve < capacity:
            raise BadCapacity("emergency_reserve", f"an integer in 0..{capacity - 1}", reserve)
        self._primitives = primitives
        self._lock = primitives.Lock()
        self._ledger = Ledger(capacity, reserve)

    # What it tells.

    @property
    def metrics(self) -> Metrics:
        """Counters that are read without the lock."""
        return self._ledger.metrics

    @property
    def capacity(self) -> int:
        return self._ledger.capacity

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown` was called, or the queue is broken."""
        return self._ledger.closed

    @property
    def waiting_producers(self) -> int:
        """Threads asleep in `push`, each with a command that is not admitted."""
        return len(self._ledger.producers)

    def has_room(self, cmd: Command) -> bool:
        """Whether `push` would admit `cmd` at once now; another producer may be quicker."""
        with self._lock:
            return self._ledger.has_room(cmd)

    def __len__(self) -> int:
        """Commands admitted and not dispatched. Takes no lock."""
        return self._ledger.metrics.waiting

    def __repr__(self) -> str:
        ledger = self._ledger
        state = "broken" if ledger.broken else "shut down" if ledger.closed else "open"
        return f"<CommandQueue {len(self)} of {ledger.capacity}, {state}>"

    # Producers.

    def push(self, cmd: Command, timeout: float | None = None) -> None:
        """Admit `cmd`, waiting for a slot if need be, at most `timeout` seconds.

        Raises:
            QueueFull: no slot within `timeout`; 0 does not wait.
            QueueShutdown: the queue is shut down, or was while this waited.
            QueueBroken: see the class.
            TypeError, ValueError: `cmd` is no command, or `timeout` is no time.
        """
        if cmd.__class__ is not Command:
            raise TypeError(f"Expected `Command`, got `{type(cmd).__name__}`")
        limit = FOREVER if timeout is None else limit_s(timeout)
        with self._lock:
            if self._ledger.offer(cmd):
                return
        self._push_waiting(cmd, limit)

    def push_many(self, cmds: Sequence[Command]) -> None:
        """Admit all of `cmds`, at once where they fit, else as slots come free.

        Those that do not fit are offered in the order of dispatch, so that no SAFE_MODE waits
        behind the rest of its own batch. Raises `QueueShutdown`, whose `admitted` says how many
        got in, `QueueBroken`, and `TypeError` before anything is admitted.
        """
        batch = list(cmds)
        for cmd in batch:
            if cmd.__class__ is not Command:
                raise TypeError(f"Expected `Command`, got `{type(cmd).__name__}`")
        ledger = self._ledger
        with self._lock:
            if ledger.closed and not batch:
                if ledger.broken is None:
                    raise QueueShutdown(0, 0)
                ledger.refuse()
            if not ledger.closed and len(batch) <= ledger.common_limit() - len(self):
                ledger.admit_many(batch)
                return
        for admitted, cmd in enumerate(sorted(batch, key=dispatch_key)):
            try:
                self.push(cmd)
            except QueueShutdown:
                raise QueueShutdown(admitted, len(batch)) from None

    def _push_waiting(self, cmd: Command, limit: float) -> None:
        ledger = self._ledger
        producer = Producer(cmd, self._primitives.Lock())
        producer.gate.acquire()
        try:
            with self._lock:
                if ledger.closed:
                    ledger.refuse()
                if ledger.offer(cmd):
                    return
                if limit:
                    ledger.producers.add(producer)
            if limit and not producer.gate.acquire(True, limit):
                with self._lock:
                    ledger.producers.discard(producer)
        except BaseException:
            with self._lock:
                ledger.producers.discard(producer)
            raise
        if producer.admitted and ledger.broken is None:
            return
        if ledger.closed:
            ledger.refuse()
        raise QueueFull(ledger.capacity, limit)

    # Consumers.

    def pop(self, timeout: float | None = None) -> Command | None:
        """Dispatch the first command, waiting for one if need be, at most `timeout` seconds.

        Returns None when the queue is shut down and empty, as often as it is called.

        Raises:
            PopTimeout: no command within `timeout`, a `TimeoutError`; 0 does not wait.
            QueueBroken: see the class.
            TypeError, ValueError: `timeout` is no time.
        """
        limit = FOREVER if timeout is None else limit_s(timeout)
        ledger = self._ledger
        with self._lock:
            if ledger.mask:
                return ledger.take()
        return self._pop_waiting(ledger.take, limit)

    def pop_many(self, limit: int) -> list[Command]:
        """Wait for a command, then dispatch as many as there are, up to `limit` (>= 1).

        Returns an empty list when the queue is shut down and empty. Raises `QueueBroken`, and
        `TypeError` or `ValueError` for a limit that is none.
        """
        limit = checked_int("limit", limit, least=1)
        with self._lock:
            if self._ledger.mask:
                return self._ledger.take_many(limit)
        return self._pop_waiting(partial(self._ledger.take_many, limit), FOREVER) or []

    def _pop_waiting(self, take: Callable[[], T], limit: float) -> T | None:
        ledger = self._ledger
        gate = self._primitives.Lock()
        now_ns = self._primitives.monotonic_ns
        deadline_ns = None if limit == FOREVER else now_ns() + int(limit * 1e9)
        in_time = True
        try:
            while True:
                left_s = FOREVER if deadline_ns is None else max(0, deadline_ns - now_ns()) / 1e9
                with self._lock:
                    if not in_time:
                        ledger.forget(gate)
                    if ledger.mask:
                        return take()
                    if ledger.broken is not None:
                        ledger.refuse()
                    if ledger.closed:
                        return None
                    if not in_time:
                        raise PopTimeout(limit)
                    gate.acquire(False)  # open from the last waking; closed while it is listed
                    ledger.consumers.append(gate)
                in_time = gate.acquire(True, left_s)
        except BaseException:
            with self._lock:
                ledger.pass_on(gate)
            raise

    # The end.

    def shutdown(self) -> None:
        """Admit nothing more. Waiting producers get `QueueShutdown`; consumers drain the rest.

        Calling it again, from any thread, does nothing.
        """
        with self._lock:
            self._ledger.close()
