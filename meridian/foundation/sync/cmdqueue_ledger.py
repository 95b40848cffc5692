"""What the lock of a command queue guards: commands, counters, and who waits. It never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

from meridian.foundation.sync.cmdqueue_errors import QueueBroken, QueueShutdown
from meridian.foundation.sync.cmdqueue_producers import Producer, Producers
from meridian.foundation.sync.command import URGENT, Command, CommandKind
from meridian.foundation.sync.command_buckets import BITS, Buckets
from meridian.foundation.sync.command_metrics import Metrics
from meridian.foundation.sync.primitives import LockLike

__all__ = ["Ledger"]

_SAFE_MODE = CommandKind.SAFE_MODE.value


class Ledger(Buckets):
    """Every method is called with the queue's lock held, and leaves counters and queues consistent.

    What goes wrong inside of one is of two kinds. An `Exception` is a fault: the ledger is closed
    as broken. Anything else, an interrupt, may come between any two calls: what was not counted
    yet is undone, what was counted is finished, and the interrupt goes on. Hence the order in each
    method: first the FIFOs, then the counter, which settles it, then the waking.
    """

    __slots__ = (
        "_limit",
        "_moving",
        "_reserve",
        "broken",
        "capacity",
        "closed",
        "consumers",
        "metrics",
        "producers",
    )

    def __init__(self, capacity: int, reserve: int) -> None:
        super().__init__()
        self.capacity = capacity
        self._limit = capacity  # 0 when closed
        self._reserve = reserve
        self.metrics = Metrics()
        self.producers = Producers()
        self.consumers: deque[LockLike] = deque()  # closed gates of those asleep, oldest first
        self.closed = False
        self.broken: BaseException | None = None
        self._moving: Producer | None = None

    # In.

    def offer(self, command: Command) -> bool:
        """Take in `command`, if there is room for it; `insert` stands here again, for speed."""
        metrics = self.metrics
        pushed = metrics._pushed
        if pushed - metrics._dispatched >= self._limit:
            return False
        if self._reserve and not self.has_room(command):
            return False
        try:
            fifo = self.fifos[command.priority]
            if not fifo:
                if fifo is None:
                    fifo = self.fifos[command.priority] = deque()
                fifo.append(command)
                self.mask |= BITS[command.priority]
            elif fifo[-1].issued_at <= command.issued_at:
                fifo.append(command)
            else:
                self.insert(command)
            metrics._pushed = pushed + 1
            if self.consumers:
                self._wake_consumer()
        except BaseException as error:
            self._undo_admission(error, (command,))
        return True

    def has_room(self, command: Command) -> bool:
        limit = self._limit if command.priority >= URGENT else self.common_limit()
        return self.metrics._pushed - self.metrics._dispatched < limit

    def common_limit(self) -> int:
        """The size up to which commands below `URGENT` are admitted."""
        if not self._reserve:
            return self._limit
        return min(self._limit, self.capacity - self._reserve + self.urgent())

    def admit_many(self, commands: Sequence[Command]) -> None:
        try:
            fifos = self.fifos
            for command in commands:
                fifo = fifos[command.priority]
                if fifo and fifo[-1].issued_at <= command.issued_at:
                    fifo.append(command)
                else:
                    self.insert(command)
            self.metrics._pushed += len(commands)
            for _ in range(min(len(commands), len(self.consumers))):
                self._wake_consumer()
        except BaseException as error:
            self._undo_admission(error, commands)

    # Out.

    def take(self) -> Command:
        """Dispatch the first command, of which there is one, and give its slot away."""
        metrics = self.metrics
        dispatched = metrics._dispatched
        top = self.mask.bit_length() - 1
        fifo = self.fifos[top]
        command = fifo[0]  # type: ignore[index]
        try:
            fifo.popleft()  # type: ignore[union-attr]
            if not fifo:
                self.mask ^= BITS[top]
            if top == _SAFE_MODE:
                metrics._dispatched, metrics._safe_mode = dispatched + 1, metrics._safe_mode + 1
            else:
                metrics._dispatched = dispatched + 1
            if self.producers:
                self._give_slots()
        except BaseException as error:
            self._undo_dispatch(error, [command], dispatched)
        return command

    def take_many(self, limit: int) -> list[Command]:
        """Dispatch up to `limit`, exactly those that so many `take` would."""
        taken: list[Command] = []
        if self.producers:  # each slot is given away before the next is taken
            while self.mask and len(taken) < limit:
                taken.append(self.take())
            return taken
        metrics = self.metrics
        dispatched = metrics._dispatched
        safe_modes = 0
        try:
            while self.mask and len(taken) < limit:
                wanted = limit - len(taken)
                taken.extend(islice(self.first_fifo(), wanted))
                if taken[-1].priority == _SAFE_MODE:
                    safe_modes = len(taken)
                self.remove_from_first(wanted)
            metrics._dispatched, metrics._safe_mode = (
                dispatched + len(taken),
                metrics._safe_mode + safe_modes,
            )
        except BaseException as error:
            self._undo_dispatch(error, taken, dispatched)
        return taken

    def _give_slots(self) -> None:
        """Move waiting commands into free slots, the best first."""
        metrics = self.metrics
        while self.producers:
            producer = self.producers[-1]
            if not self.has_room(producer.command):
                return
            self._moving = producer
            self.insert(producer.command)
            metrics._pushed, producer.admitted = metrics._pushed + 1, True
            del self.producers[-1]
            producer.gate.release()
            self._moving = None
            if self.consumers:
                self._wake_consumer()

    # Waking.

    def _wake_consumer(self) -> None:
        self.consumers[0].release()
        del self.consumers[0]

    def forget(self, gate: LockLike) -> None:
        """The consumer asleep on `gate` looks for itself."""
        if gate in self.consumers:
            self.consumers.remove(gate)

    def pass_on(self, gate: LockLike) -> None:
        """The consumer asleep on `gate` leaves: if it was woken for a command, wake another."""
        self.forget(gate)
        if self.consumers and self.mask:
            self._wake_consumer()

    def _wake_all(self) -> None:
        """All consumers look again; when the ledger is closed, producers as well."""
        gates = list(self.consumers)
        if self.closed:
            gates += [producer.gate for producer in self.producers]
            if self._moving is not None:
                gates.append(self._moving.gate)
        for gate in gates:
            if gate.locked():  # not opened by a call that was interrupted
                gate.release()
        self.consumers.clear()
        if self.closed:
            self.producers.clear()

    # The end.

    def close(self) -> None:
        """Admit nothing more, and wake all who wait."""
        self.closed = True
        self._limit = 0
        try:
            self._wake_all()
        except BaseException as error:
            self._break_unless_interrupt(error)
            self._wake_all()
            raise

    def refuse(self) -> NoReturn:
        """Say why the closed ledger admits nothing."""
        if self.broken is not None:
            raise QueueBroken(repr(self.broken)) from self.broken
        raise QueueShutdown

    # When something goes wrong.

    def _break_unless_interrupt(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._break(error)
            self.refuse()

    def _break(self, error: BaseException) -> None:
        self.broken = error
        self.closed = True
        self._limit = 0
        self.mask = 0  # nothing is dispatched any more
        self._wake_all()

    def _undo_admission(self, error: BaseException, commands: Sequence[Command]) -> NoReturn:
        self._break_unless_interrupt(error)
        try:
            metrics = self.metrics
            uncounted = self.recount() - (metrics._pushed - metrics._dispatched)
            for command in reversed(commands[:uncounted]):
                self.remove(command)
            self._wake_all()
        except BaseException as second:
            self._break(second)
            raise
        raise error

    def _undo_dispatch(
        self, error: BaseException, taken: Sequence[Command], dispatched: int
    ) -> NoReturn:
        self._break_unless_interrupt(error)
        try:
            metrics = self.metrics
            held = self.recount()
            if metrics._dispatched == dispatched:
                removed = metrics._pushed - dispatched - held
                for command in reversed(taken[:removed]):
                    self.put_back(command)
            elif (producer := self._moving) is not None:
                if held > metrics._pushed - metrics._dispatched:
                    metrics._pushed, producer.admitted = metrics._pushed + 1, True
                if producer.admitted:
                    self.producers.discard(producer)
                    if producer.gate.locked():
                        producer.gate.release()
                self._moving = None
            self._give_slots()
            self._wake_all()
        except BaseException as second:
            self._break(second)
            raise
        raise error
