"""Calls made at once by tasks and by threads of a submission, and the histories they leave."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from grader.errors import RemoteError, WorkerLost
from grader.judging.compare import CriterionFailed
from grader.judging.histories import History
from grader.judging.linearizability import linearizable
from grader.judging.models import counter, fifo, mapping, mutex
from grader.judging.serializability import serializable
from grader.judging.transactions import transactions_of
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]

SOURCE = """
import anyio

class Counter:
    def __init__(self, locked):
        self.n, self.lock = 0, anyio.Lock() if locked else None
    async def add(self, amount):
        if self.lock is None:
            return await self._add(amount)
        async with self.lock:
            await self._add(amount)
    async def _add(self, amount):
        n = self.n
        await anyio.sleep(0.01)
        self.n = n + amount
    async def read(self):
        return self.n

class Queue:
    def __init__(self, swaps): self.items, self.swaps, self.more = [], swaps, anyio.Event()
    async def put(self, item):
        await anyio.sleep(0.001)
        self.items.append(item)
        if self.swaps and len(self.items) > 2:
            self.items[-1], self.items[-2] = self.items[-2], self.items[-1]
        self.more.set()
    async def get(self):
        while not self.items:
            self.more = anyio.Event()
            await self.more.wait()
        return self.items.pop(0)

class Cache:
    def __init__(self, stale): self.store, self.seen, self.stale = {}, {}, stale
    async def put(self, key, value):
        if not self.stale:
            self.seen.pop(key, None)
        await anyio.sleep(0.01)
        self.store[key] = value
        if not self.stale:
            self.seen.pop(key, None)
    async def get(self, key):
        if key not in self.seen:
            self.seen[key] = self.store.get(key)
        return self.seen[key]

class Lock:
    def __init__(self, leaks): self.held, self.leaks, self.free = False, leaks, None
    async def acquire(self):
        while self.held:
            self.free = self.free or anyio.Event()
            await self.free.wait()
        if self.leaks:
            await anyio.sleep(0)
        self.held = True
    async def release(self):
        self.held = False
        if self.free:
            self.free.set()
            self.free = None

class Store:
    def __init__(self, checks): self.data, self.checks = {"a": 1, "b": 1}, checks
    def begin(self): return Txn(self)
class Conflict(Exception): pass
class Txn:
    def __init__(self, store): self.store, self.reads, self.writes = store, dict(store.data), {}
    async def get(self, key):
        await anyio.sleep(0)
        return self.reads[key]
    async def put(self, key, value):
        await anyio.sleep(0)
        self.writes[key] = value
    async def commit(self):
        if self.store.checks and self.reads != self.store.data:
            raise Conflict("read something old")
        self.store.data.update(self.writes)
"""


def counting(lab: Any, *, right: bool) -> tuple[list[Any], Callable[[History], None]]:
    made = lab.Counter(right)
    return [
        [(made.add, 1), (made.add, 2)],
        [(made.add, 4), (made.read,)],
    ], lambda history: linearizable(history, counter())


def queueing(lab: Any, *, right: bool) -> tuple[list[Any], Callable[[History], None]]:
    made = lab.Queue(not right)
    wait = ("wait", lab.module().anyio.sleep, 1)
    clients = [[(made.put, n) for n in (1, 2, 3, 4)], [wait, *[(made.get,)] * 4]]
    return clients, lambda history: linearizable(history.without("wait"), fifo())


def caching(lab: Any, *, right: bool) -> tuple[list[Any], Callable[[History], None]]:
    made = lab.Cache(not right)
    clients = [[(made.put, "a", 1), (made.get, "a"), (made.put, "a", 2), (made.get, "a")]]
    clients.append([(made.put, "b", 3), (made.get, "b")])
    return clients, lambda history: linearizable(
        history, mapping(), by=lambda op: str(op.arguments[0])
    )


def locking(lab: Any, *, right: bool) -> tuple[list[Any], Callable[[History], None]]:
    made = lab.Lock(not right)
    work = ("work", lab.module().anyio.sleep, 1)
    clients = [[(made.acquire,), work, (made.release,)] for _ in range(3)]
    return clients, lambda history: linearizable(history.without("work"), mutex())


def skewing(lab: Any, *, right: bool) -> tuple[list[Any], Callable[[History], None]]:
    store = lab.Store(right)
    clients = []
    for key, value in (("a", -1), ("b", -2)):
        txn = store.begin()
        clients.append([(txn.get, "a"), (txn.get, "b"), (txn.put, key, value), (txn.commit,)])
    return clients, lambda history: serializable(
        transactions_of(history), initial={"a": 1, "b": 1}, how=history.how
    )


TOYS = [counting, queueing, caching, locking, skewing]


def judged(lab: Submission, toy: Any, backend: str, *, right: bool, seeds: int = 3) -> None:
    for seed in range(seeds):
        clients, check = toy(lab, right=right)
        with lab.loop(backend, clock="virtual", seed=seed) as loop:
            check(loop.together(clients))


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_that_do_it_right_and_wrong_are_told_apart(lab_of: Lab, backend: str) -> None:
    lab = lab_of(SOURCE, libraries=True)
    for toy in TOYS:
        judged(lab, toy, backend, right=True)
        with pytest.raises(CriterionFailed) as caught:
            judged(lab, toy, backend, right=False, seeds=10)
        assert re.fullmatch(rf"{backend}, schedule seed \d", caught.value.counterexample), toy


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_repeats_a_history(lab_of: Lab, backend: str) -> None:
    lab = lab_of(SOURCE, libraries=True)

    def history(seed: int) -> str:
        made = lab.Counter(False)
        clients = [[(made.add, n), (made.read,)] for n in range(5)]
        with lab.loop(backend, clock="virtual", seed=seed) as loop:
            return str(loop.together(clients))

    first = [history(seed) for seed in range(6)]
    assert [history(seed) for seed in range(6)] == first
    assert len(set(first)) == 6, "each seed another order"


TIMES = """
import anyio

seen = []
async def tick(name, every_s, count):
    for _ in range(count):
        await anyio.sleep(every_s)
        seen.append((name, round(anyio.current_time() - start, 6)))
async def began():
    global start
    start = anyio.current_time()
    return start
async def within(limit_s, takes_s):
    with anyio.move_on_after(limit_s):
        await anyio.sleep(takes_s)
        return True
    return False
async def serve(*, task_status):
    await anyio.sleep(60)
    task_status.started("up")
    await anyio.sleep(3600)
    return "down"
async def numbers():
    for n in range(3):
        await anyio.sleep(3600)
        yield n
async def asks(handler):
    with anyio.move_on_after(1):
        return await handler()
async def in_a_thread(): return await anyio.to_thread.run_sync(lambda: 5)
async def never(): await anyio.Event().wait()
class Session:
    async def __aenter__(self):
        await anyio.sleep(86400)
        return "in"
    async def __aexit__(self, *_):
        await anyio.sleep(86400)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_virtual_time_passes_only_while_the_judge_waits(lab_of: Lab, backend: str) -> None:
    lab = lab_of(TIMES, libraries=True)
    with lab.loop(backend, clock="virtual", seed=1) as loop:
        start = loop.call(lab.began)
        assert loop.time() == start
        hourly = loop.start(lab.tick, "hourly", 3600, 24)
        daily = loop.start(lab.tick, "daily", 86400, 1)
        assert (loop.time(), list(lab.seen)) == (start, [])
        loop.advance(2 * 3600)
        assert list(lab.seen) == [("hourly", 3600.0), ("hourly", 7200.0)]
        assert loop.time() == pytest.approx(start + 7200)
        assert not hourly.done()
        loop.settle()
        assert len(list(lab.seen)) == 2
        assert (hourly.result(), daily.result()) == (None, None)
        assert loop.time() == pytest.approx(start + 86400)
        assert set(list(lab.seen)[-2:]) == {("hourly", 86400.0), ("daily", 86400.0)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_way_of_waiting_moves_virtual_time(lab_of: Lab, backend: str) -> None:
    lab = lab_of(TIMES, libraries=True)
    began_s = time.monotonic()
    with lab.loop(backend, clock="virtual") as loop:
        start = loop.time()
        assert loop.call(lab.within, 3600, 3599) is True
        assert loop.call(lab.within, 3600, 3601) is False
        server = loop.serve(lab.serve)
        assert (server.ready, server.done()) == ("up", False)
        assert server.result() == "down"
        assert list(loop.iterate(lab.numbers())) == [0, 1, 2]
        with loop.entered(lab.Session()) as value:
            assert value == "in"
        days = 3599 + 3600 + 3660 + 3 * 3600 + 2 * 86400
        assert loop.time() - start == pytest.approx(days)
        handler = lab.callback(lambda: "the judge takes its time", awaited=True)
        assert loop.call(lab.asks, handler) == "the judge takes its time"
        assert loop.call(lab.in_a_thread) == 5
        never = loop.start(lab.never)
        never.cancel()
        assert never.cancelled()
        with pytest.raises(ValueError, match="clock real or virtual"):
            lab.loop(backend, clock="wall")
        with pytest.raises(ValueError, match="no seed"):
            lab.loop(backend, seed=1)
    with lab.loop(backend) as loop:
        with pytest.raises(RemoteError, match="real time"):
            loop.advance(1)
        assert loop.time() >= 0
    assert time.monotonic() - began_s < 20, "two days"


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_can_never_come_is_told_at_once(lab_of: Lab, backend: str) -> None:
    lab = lab_of(TIMES, libraries=True)
    handler = lab.callback(lambda: 7, awaited=True)
    began_s = time.monotonic()
    with lab.loop(backend, clock="virtual") as loop:
        assert loop.call(lab.asks, handler) == 7
        never = loop.start(lab.never)
        with pytest.raises(RemoteError, match="Deadlock: Every task waits"):
            never.result()
        with pytest.raises(RemoteError, match="Deadlock: Every task waits"):
            loop.call(lab.never)
        assert loop.call(lab.within, 3600, 3599) is True
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("clock", ["virtual", "real"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_operations_that_never_return_are_told(lab_of: Lab, backend: str, clock: str) -> None:
    lab = lab_of(SOURCE, libraries=True)
    made = lab.Queue(False)
    began_s = time.monotonic()
    with lab.loop(backend, clock=clock) as loop:
        history = loop.together(
            [[(made.get,), (made.get,)], [(made.put, 7)]],
            within_s=15 if clock == "virtual" else 0.5,
        )
    assert time.monotonic() - began_s < 10, "nobody waits for what can never come"
    assert [str(op) for op in history.unfinished()] == ["get() never returned"]
    assert [str(op) for op in history.clients()[1]] == ["put(7) gave None"]
    linearizable(history, fifo())


THREADS = """
import threading

class Counter:
    def __init__(self, locked): self.n, self.lock = 0, threading.Lock() if locked else None
    def add(self, amount):
        if self.lock is None:
            return self._add(amount)
        with self.lock:
            self._add(amount)
    def _add(self, amount):
        n = self.n
        self.n = n + amount
    def read(self): return self.n
    def fail(self): raise LookupError("nothing")
    def hang(self): threading.Event().wait()
    def stub(self): raise NotImplementedError("counter: stub()")
"""


def test_threads_that_do_it_right_and_wrong_are_told_apart(lab_of: Lab) -> None:
    lab = lab_of(THREADS)

    def judge(*, locked: bool) -> None:
        for seed in range(30 if not locked else 3):
            made = lab.Counter(locked)
            clients = [[(made.add, 10**n), (made.read,)] * 3 for n in range(4)]
            linearizable(lab.together(clients, seed=seed), counter())

    judge(locked=True)
    with pytest.raises(CriterionFailed, match="No order of") as caught:
        judge(locked=False)
    assert re.fullmatch(r"threads, seed \d+", caught.value.counterexample)


def test_what_threads_raise_and_what_never_returns_is_told(lab_of: Lab) -> None:
    lab = lab_of(THREADS)
    made = lab.Counter(True)
    clients = [[(made.fail,), (made.read,)], [("hangs", made.hang), (made.read,)]]
    history = lab.together(clients, within_s=0.3)
    assert sorted(map(str, history)) == [
        *("fail() raised LookupError", "hangs() never returned", "read() gave 0")
    ]
    with pytest.raises(RemoteError, match=r"stub\(\)"):
        lab.together([[(made.stub,)]])
    with pytest.raises(TypeError, match="as a call"):
        lab.together([[(len, "x")]])
    with pytest.raises(ValueError, match="at least one client"):
        lab.together([[]])


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [],
        [[(0, 1, False, 7), (2, 3, False, 7)]],
        [[(1, 0, False, 7)]],
        [[(1, 1, False, 7)]],
        [[(0, True, False, 7)]],
        [[(0, 1, True, 7)]],
        [[(0, 1, False)]],
        [["0123"]],
    ],
)
@pytest.mark.parametrize("where", ["in process"])
def test_a_history_that_cannot_be_ends_the_worker(
    lab_of: Lab, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(THREADS)
    made = lab.Counter(True)
    read = made.read
    connection = lab._live()
    ask = connection.ask
    monkeypatch.setattr(
        connection,
        "ask",
        lambda name, *rest, label: rows if name == "together" else ask(name, *rest, label=label),
    )
    with pytest.raises(WorkerLost, match="Broken answer: "):
        lab.together([[(read,)]])
    assert not connection.alive
