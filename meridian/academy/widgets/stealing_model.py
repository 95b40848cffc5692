"""A simulation of a work-stealing scheduler, tick by tick; no thread runs.

The rules are those of Tokio's multi-thread scheduler. A task made by a running task goes to the
slot of its worker, which is polled next, and drives out whatever was there to the back of the
worker's queue; a task made elsewhere goes to the global queue. A worker takes from its slot, its
queue, the global queue and at last from another worker, half of whose queue it steals. At every
`interval`-th tick it looks into the global queue first. A tick is a poll, and all take as long.

Left out: a queue that is full (256 tasks) moves half of itself to the global queue; at most half
of the workers search at a time; a slot that is used three times in a row gives way.

Reference: Tokio, ``runtime::scheduler::multi_thread``; Blumofe and Leiserson, "Scheduling
multithreaded computations by work stealing" (1999).
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass

__all__ = ["PROGRAMS", "Shot", "StealingRun", "WorkerShot", "simulate"]

PROGRAMS = {
    "one session spawns 24 tasks": "fan-out",
    "24 tasks come from outside": "outside",
    "busy workers, and one call from outside": "call",
}
_SPAWNED, _POLLS = 24, 3
_CHATTY, _CALL_AT = 3, 1
_MOST_TICKS = 1_000
_MOST_AT_ONCE = 128  # taken from the global queue: half of what a queue holds


@dataclass(slots=True)
class _Task:
    name: str
    polls: int  # left
    spawns: int = 0  # at its first poll
    chats: bool = False  # for ever: wakes itself


class _Worker:
    def __init__(self, number: int, rng: random.Random) -> None:
        self.number = number
        self.rng = rng
        self.ticks = 0
        self.slot: _Task | None = None
        self.queue: deque[_Task] = deque()

    def spawn(self, task: _Task) -> None:
        if self.slot is not None:
            self.queue.append(self.slot)
        self.slot = task


@dataclass(frozen=True, slots=True)
class WorkerShot:
    """A worker in one tick: what it polls, from where (local, global, stolen, idle), and has."""

    running: str
    source: str
    note: str
    slot: str
    queue: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shot:
    """All queues at the end of one tick."""

    waiting: tuple[str, ...]
    """In the global queue."""
    workers: tuple[WorkerShot, ...]


@dataclass(frozen=True, slots=True)
class StealingRun:
    """A whole run: `shots` has one entry for each tick, the first one before any."""

    shots: tuple[Shot, ...]
    ticks: int
    idle: int
    """Ticks of all workers together in which one found nothing."""
    steals: int
    moved: int
    """Tasks that were stolen."""
    call_waited: int | None
    """Ticks for which the call from outside was in the global queue."""


class _Simulation:
    def __init__(self, workers: int, interval: int, steals: bool, seed: int) -> None:
        self.workers = [_Worker(n, random.Random(seed * 1_000 + n)) for n in range(workers)]
        self.interval = interval
        self.may_steal = steals
        self.waiting: deque[_Task] = deque()
        self.idle = self.steals = self.moved = 0

    def tick(self) -> Shot:
        ran = []
        for worker in self.workers:
            worker.ticks += 1
            task, source, note = self._next(worker)
            if task is None:
                self.idle += 1
                ran.append(("", source, note))
                continue
            self._poll(worker, task)
            ran.append((task.name, source, note))
        return self.shot(ran)

    def shot(self, ran: list[tuple[str, str, str]]) -> Shot:
        rows = zip(self.workers, ran, strict=True)
        return Shot(
            tuple(task.name for task in self.waiting),
            tuple(
                WorkerShot(*did, w.slot.name if w.slot else "", tuple(t.name for t in w.queue))
                for w, did in rows
            ),
        )

    @property
    def over(self) -> bool:
        return not self.waiting and not any(w.slot or w.queue for w in self.workers)

    def _next(self, worker: _Worker) -> tuple[_Task | None, str, str]:
        if worker.ticks % self.interval == 0 and self.waiting:
            return self.waiting.popleft(), "global", f"tick {worker.ticks}: global queue first"
        if worker.slot is not None:
            task, worker.slot = worker.slot, None
            return task, "local", "from its slot"
        if worker.queue:
            return worker.queue.popleft(), "local", "from its queue"
        if self.waiting:
            return self._take_share(worker)
        if self.may_steal:
            return self._steal(worker)
        return None, "idle", "nothing to do"

    def _take_share(self, worker: _Worker) -> tuple[_Task, str, str]:
        share = min(len(self.waiting) // len(self.workers) + 1, len(self.waiting), _MOST_AT_ONCE)
        task = self.waiting.popleft()
        worker.queue.extend(self.waiting.popleft() for _ in range(share - 1))
        return task, "global", f"took {share} from the global queue"

    def _steal(self, worker: _Worker) -> tuple[_Task | None, str, str]:
        start = worker.rng.randrange(len(self.workers))
        for victim in self.workers[start:] + self.workers[:start]:
            if victim is worker or not victim.queue:
                continue
            half = len(victim.queue) - len(victim.queue) // 2
            taken = [victim.queue.popleft() for _ in range(half)]
            worker.queue.extend(taken[1:])
            self.steals += 1
            self.moved += half
            return taken[0], "stolen", f"stole {half} from worker {victim.number}"
        return None, "idle", "nothing to steal" if len(self.workers) > 1 else "nothing to do"

    def _poll(self, worker: _Worker, task: _Task) -> None:
        for number in range(1, task.spawns + 1):
            worker.spawn(_Task(str(number), _POLLS))
        task.spawns = 0
        task.polls -= 1
        if task.polls or task.chats:
            worker.queue.append(task)  # it woke itself: to the back of the queue


def simulate(
    program: str, *, workers: int = 4, interval: int = 61, steals: bool = True, seed: int = 1
) -> StealingRun:
    """Run `program`, one of the values of `PROGRAMS`, until its tasks are done.

    Raises `ValueError` for another program, no workers or an interval below 1.
    """
    if program not in PROGRAMS.values():
        raise ValueError(f"Expected a program of {', '.join(PROGRAMS.values())}, got {program!r}")
    for what, value in (("workers", workers), ("interval", interval)):
        if value < 1:
            raise ValueError(f"Expected {what} >= 1, got {value}")
    simulation = _Simulation(workers, interval, steals, seed)
    if program == "fan-out":
        simulation.waiting.append(_Task("session", 1, spawns=_SPAWNED))
    elif program == "outside":
        simulation.waiting.extend(_Task(str(n), _POLLS) for n in range(1, _SPAWNED + 1))
    else:
        for worker in simulation.workers:
            # Where a worker stands in its count differs: they did not begin together.
            worker.ticks = worker.number * interval // workers
            names = (f"{'abc'[n]}{worker.number}" for n in range(_CHATTY))
            worker.queue.extend(_Task(name, 1, chats=True) for name in names)
    return _run(simulation, calls=program == "call")


def _run(simulation: _Simulation, *, calls: bool) -> StealingRun:
    shots = [simulation.shot([("", "idle", "")] * len(simulation.workers))]
    waited = None
    for tick in itertools.count(1):
        if calls and tick == _CALL_AT:
            simulation.waiting.append(_Task("call", 1))
        shots.append(shot := simulation.tick())
        if calls and waited is None and any(w.running == "call" for w in shot.workers):
            waited = tick - _CALL_AT
        over = waited is not None if calls else simulation.over
        if over or tick == _MOST_TICKS:
            break
    return StealingRun(
        tuple(shots), tick, simulation.idle, simulation.steals, simulation.moved, waited
    )
