"""Virtual time and a seeded order of tasks, for event loops that the judge steers.

Time stands still between two questions. While the judge waits for something, the clock jumps to
the next timer whenever no task can go on. A worker's threads and sockets know nothing of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import random
import selectors
import threading
from collections.abc import Callable
from typing import Any

from grader.inside.tasks import KEEPER

__all__ = ["Keeper", "SteeredLoop", "draw_trio_order_from", "keep_trio"]

_POLL_S = 0.005


class Keeper:
    """What the judge waits for, and how far the clock may move towards it.

    `want` and `idle` are called in the loop's thread, the rest in the thread of the question.
    """

    def __init__(self) -> None:
        self._goal: Callable[[], bool] | None = None
        self._until_s = math.inf
        self._news: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.sleeps: Any = None
        """An event of trio: nobody waits for anything."""
        self.held = 0
        """How many functions of the judge are awaited: no time passes meanwhile."""

    @property
    def waits(self) -> bool:
        return self._goal is not None

    def want(self, goal: Callable[[], bool], until_s: float, news: queue.SimpleQueue[bool]) -> None:
        """Let time pass until `goal`, but not beyond `until_s`; `news` is told what came of it."""
        self._goal, self._until_s, self._news = goal, until_s, news
        if self.sleeps is not None:
            self.sleeps.set()

    def drop(self, news: queue.SimpleQueue[bool]) -> None:
        """Nobody waits for that goal any more."""
        if news is self._news:
            self._goal = None

    def idle(self, now_s: float, next_s: float, *, is_listening: bool) -> float:
        """Nothing can run now, and the next timer is due at `next_s`: how far the clock jumps.

        Zero means to wait for the judge, or for a thread or, where one `is_listening`, a socket.
        """
        if self._goal is None:
            return 0.0
        if self._goal():
            self._goal = None
            self._news.put(True)
            return 0.0
        if self.held:
            return 0.0
        to_s = min(next_s, self._until_s)
        if math.isinf(to_s):
            if not is_listening:
                self._news.put(False)
            return 0.0
        return max(0.0, to_s - now_s)


class _Selector(selectors.DefaultSelector):
    """Moves the clock when the loop would sleep, instead of sleeping."""

    loop: SteeredLoop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        loop = self.loop
        next_s = math.inf if timeout is None else loop.now_s + timeout
        is_listening = len(self.get_map()) > 1  # besides the loop's own bell
        jump_s = loop.keeper.idle(loop.now_s, next_s, is_listening=is_listening)
        if not jump_s:
            return super().select(None)
        loop.now_s += jump_s
        return events


class SteeredLoop(asyncio.SelectorEventLoop):
    """asyncio's loop; tasks that are ready together run in an order drawn from a seed.

    Only steps of tasks change places: other callbacks keep the order that asyncio promises.
    """

    def __init__(self, keeper: Keeper, seed: int | None) -> None:
        self.keeper = keeper
        self.now_s = 0.0
        self._order = None if seed is None else random.Random(seed)
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def _process_events(self, events: Any) -> None:  # once in each turn, before the ready ones run
        super()._process_events(events)  # type: ignore[misc]
        ready: Any = self._ready  # type: ignore[attr-defined]
        if self._order is not None:
            _shuffle(ready, _is_step, self._order)


def _shuffle(items: Any, moves: Callable[[Any], bool], order: random.Random) -> None:
    """Give those items that may move each other's places."""
    places = [i for i, item in enumerate(items) if moves(item)]
    moved = [items[i] for i in places]
    order.shuffle(moved)
    for i, item in zip(places, moved, strict=True):
        items[i] = item


def _is_step(handle: Any) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


class _TrioOrder(threading.local):
    """Where trio draws the order of its tasks from: each thread has a generator of its own.

    Tasks that bring word from other threads do not count: when these come is no matter of a seed.
    """

    def __init__(self) -> None:
        self.random = random.Random()

    def shuffle(self, batch: list[Any]) -> None:
        _shuffle(batch, _is_the_submissions, self.random)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.random, name)


def _is_the_submissions(task: Any) -> bool:
    return task.name != KEEPER and "EntryQueue" not in task.name


def draw_trio_order_from(seed: int | None) -> None:
    """From here on, trio runs in this thread order their tasks by `seed`.

    This is the hook that trio has for hypothesis and pytest-trio; it is no public name.
    """
    import trio._core._run as run

    place: Any = run
    if not (hasattr(place, "_ALLOW_DETERMINISTIC_SCHEDULING") and hasattr(place, "_r")):
        raise RuntimeError("This trio has no hook for an order of tasks drawn from a seed")
    if not isinstance(place._r, _TrioOrder):
        place._r = _TrioOrder()
    place._ALLOW_DETERMINISTIC_SCHEDULING = True
    place._r.random.seed(seed)


async def keep_trio(keeper: Keeper, clock: Any) -> None:
    """Move `clock` whenever every task waits: runs as the task named `KEEPER`."""
    import trio.testing

    while True:
        await trio.testing.wait_all_tasks_blocked()
        now_s = clock.current_time()
        known = trio.lowlevel.current_statistics()
        sockets: Any = known.io_statistics
        listening = sockets.tasks_waiting_read + sockets.tasks_waiting_write
        next_s = now_s + known.seconds_to_next_deadline
        jump_s = keeper.idle(now_s, next_s, is_listening=listening > 1)  # besides trio's own bell
        if jump_s:
            clock.jump(jump_s)
        elif keeper.waits:  # for a thread or a socket, in real time
            await _tick()
        else:
            keeper.sleeps = trio.Event()
            await keeper.sleeps.wait()


async def _tick() -> None:
    """A short real time, which trio with a clock of its own cannot measure."""
    import trio

    event, token = trio.Event(), trio.lowlevel.current_trio_token()

    def ring() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(event.set)

    timer = threading.Timer(_POLL_S, ring)
    timer.name, timer.daemon = KEEPER, True
    timer.start()
    await event.wait()
