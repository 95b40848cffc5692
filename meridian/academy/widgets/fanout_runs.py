"""Small programs on a real broadcast and a real watch in virtual time, written down as they go."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import anyio
import structlog.testing

from meridian.foundation.channels.broadcast import BroadcastReceiver, BroadcastSender, broadcast
from meridian.foundation.channels.errors import ChannelClosed, Lagged
from meridian.foundation.channels.ring import Ring
from meridian.foundation.channels.watch import WatchReceiver, watch
from meridian.foundation.tasks.parking import current_budget
from meridian.testing.virtual_loop import run_virtual

__all__ = ["PERIOD_S", "LagRun", "Look", "Reader", "RingShot", "run_lag", "run_ring"]

PERIOD_S = 1.0
"""Between two sends."""
_EARLY_S = 0.001  # a reader is ready just before a send, never in the same instant


class Reader(NamedTuple):
    """One subscriber: where it stands, its account, and what it does."""

    name: str
    work_s: float
    place: int
    """The position it reads next, or the oldest held where the ring has overtaken it."""
    received: int
    missed: int
    pending: int
    untold: int
    """Missed items it has not been told of yet."""
    lagged: int
    """What the `Lagged` of this very step says; 0 in every other."""
    doing: str


class RingShot(NamedTuple):
    """A broadcast after one step. Position p holds batch ``p + 1``."""

    at_s: float
    head: int
    tail: int
    slots: tuple[int | None, ...]
    readers: tuple[Reader, ...]
    said: str

    @property
    def capacity(self) -> int:
        return len(self.slots)


def run_ring(slow_s: float, *, capacity: int = 6, batches: int = 18) -> list[RingShot]:
    """A batch each second to three sessions, one of which takes `slow_s` for each."""
    film = _Film(capacity, {"A": 0.2, "B": 0.9, "C": slow_s})
    with structlog.testing.capture_logs():  # lagging is told in the picture
        run_virtual(film.play, batches)
    return film.shots


class _Film:
    def __init__(self, capacity: int, work_s: dict[str, float]) -> None:
        self.ring: Ring[int] = Ring(capacity, None)
        self.sender = BroadcastSender(self.ring, freezes=False, clock=None)
        self.shots: list[RingShot] = []
        self.work_s = work_s
        self.readers: dict[str, BroadcastReceiver[int]] = {}
        self.doing = dict.fromkeys(work_s, "waits")
        self.told = dict.fromkeys(work_s, 0)

    async def play(self, batches: int) -> None:
        await current_budget().turn()  # whatever ran in this thread before: every run is the same
        self.readers = {name: self.sender.subscribe(name) for name in self.work_s}
        self.take("Three sessions have subscribed; nothing has been sent.")
        async with anyio.create_task_group() as sessions:
            for name in self.readers:
                sessions.start_soon(self.session, name)
            for number in range(1, batches + 1):
                await anyio.sleep(PERIOD_S)
                self.send(number)
            await anyio.sleep(PERIOD_S)
            self.sender.close()
            self.take("The sender closes. What is held can still be read.")

    def send(self, number: int) -> None:
        ring = self.ring
        slot = ring.head % ring.capacity
        victims = [name for name in self.readers if self.place(name) == ring.head - ring.capacity]
        said = f"Batch {number} is sent into slot {slot}"
        if victims:
            said += f", over batch {number - ring.capacity}, which {' and '.join(victims)} had not"
            said += " read. The sender does not wait, and is not told"
        self.sender.send(number)
        self.take(said + ".")

    async def session(self, name: str) -> None:
        updates = self.readers[name]
        while True:
            try:
                number = await updates.recv()
            except Lagged as gap:
                self.told[name] += gap.missed
                batches = "batch is" if gap.missed == 1 else "batches are"
                said = f"{name} asks and gets Lagged({gap.missed}): {gap.missed} {batches} gone."
                self.take(f"{said} It reads on at the oldest held.", {name: gap.missed})
                continue
            except ChannelClosed:
                self.doing[name] = "ended"
                self.take(f"{name} has read all there was: ChannelClosed.")
                return
            self.doing[name] = f"works on batch {number}"
            said = f"{name} reads batch {number}"
            if self.ring.tail == number:
                said += "; it was the last to, so the slot lets it go"
            self.take(said + ".")
            await anyio.sleep(self.work_s[name] - _EARLY_S)
            self.doing[name] = "waits"

    def place(self, name: str) -> int:
        return self.ring.head - self.readers[name].pending

    def take(self, said: str, lagged: dict[str, int] | None = None) -> None:
        ring, lagged = self.ring, lagged or {}
        readers = tuple(
            Reader(
                name,
                self.work_s[name],
                self.place(name),
                updates.received,
                updates.missed,
                updates.pending,
                updates.missed - self.told[name],
                lagged.get(name, 0),
                self.doing[name],
            )
            for name, updates in self.readers.items()
        )
        slots = (*ring.slots, *[None] * (ring.capacity - len(ring.slots)))
        self.shots.append(
            RingShot(anyio.current_time(), ring.head, ring.tail, slots, readers, said)
        )


class Look(NamedTuple):
    """Number `number` was read `at_s`; before it, `missed` were reported lost."""

    at_s: float
    number: int
    missed: int = 0


class LagRun(NamedTuple):
    """One publisher, number n at second n, and what two equally slow readers made of it."""

    numbers: int
    work_s: float
    capacity: int
    by_broadcast: tuple[Look, ...]
    by_watch: tuple[Look, ...]

    @property
    def missed(self) -> int:
        return sum(look.missed for look in self.by_broadcast)

    @property
    def skipped(self) -> int:
        return self.numbers - len(self.by_watch)


def run_lag(work_s: float, *, capacity: int = 8, numbers: int = 40) -> LagRun:
    """Send 1, 2, 3 ... through a broadcast and a watch; a reader of each takes `work_s` a piece."""
    events: list[Look] = []
    values: list[Look] = []

    async def play() -> None:
        await current_budget().turn()
        start_s = anyio.current_time()

        def now() -> float:
            return anyio.current_time() - start_s

        sender: BroadcastSender[int] = broadcast(capacity)
        setter, getter = watch(0)
        async with sender.subscribe("reader") as subscriber, anyio.create_task_group() as readers:
            readers.start_soon(_read_events, subscriber, work_s, events, now)
            readers.start_soon(_read_values, getter, work_s, values, now)
            for number in range(1, numbers + 1):
                await anyio.sleep(PERIOD_S)
                sender.send(number)
                setter.send(number)
            sender.close()
            setter.close()

    with structlog.testing.capture_logs():
        run_virtual(play)
    return LagRun(numbers, work_s, capacity, tuple(events), tuple(values))


async def _read_events(
    subscriber: BroadcastReceiver[int], work_s: float, looks: list[Look], now: Callable[[], float]
) -> None:
    missed = 0
    while True:
        try:
            number = await subscriber.recv()
        except Lagged as gap:
            missed = gap.missed
            continue
        except ChannelClosed:
            return
        looks.append(Look(now(), number, missed))
        missed = 0
        await anyio.sleep(work_s - _EARLY_S)


async def _read_values(
    getter: WatchReceiver[int], work_s: float, looks: list[Look], now: Callable[[], float]
) -> None:
    while True:
        try:
            await getter.changed()
        except ChannelClosed:
            return
        looks.append(Look(now(), getter.borrow_and_update()))
        await anyio.sleep(work_s - _EARLY_S)
