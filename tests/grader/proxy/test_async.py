"""Async code of the submission: run to its end, or driven step by step from an ordinary test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grader.errors import RemoteError
from grader.judging.compare import CriterionFailed
from grader.proxy.callbacks import Throw
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]

ASYNCIO = """
import asyncio

sleep, event, forever = asyncio.sleep, asyncio.Event, lambda: asyncio.sleep(3600)
def backend(): return "asyncio"
"""
TRIO = """
import trio

sleep, event, forever = trio.sleep, trio.Event, trio.sleep_forever
def backend():
    trio.lowlevel.current_task()
    return "trio"
"""
SOURCE = """
class Lost(ConnectionError):
    pass

log = []
def logged(): return list(log)
async def double(n, *, plus=0):
    await sleep(0)
    return 2 * n + plus
async def fail(n):
    await sleep(0)
    raise Lost(f"station {n}")
async def which(): return backend()
def plain(): return backend()
def nothing(): return 3
async def hang():
    try:
        await forever()
    finally:
        log.append("cancelled")
class Gate:
    def __init__(self): self.event = event()
    async def wait(self): await self.event.wait(); return "open"
    def open(self): self.event.set()
async def serve(port, *, task_status):
    await sleep(0)
    task_status.started(("127.0.0.1", port))
    await forever()
async def serve_badly(*, task_status): raise Lost("no port")
async def serve_not(*, task_status): pass
class Session:
    def __init__(self, swallow=()): self.swallow, self.left = swallow, "inside"
    async def __aenter__(self):
        await sleep(0)
        return self
    async def __aexit__(self, kind, error, trace):
        await sleep(0)
        self.left = kind.__name__ if kind else None
        return kind is not None and issubclass(kind, self.swallow)
class Refused:
    async def __aenter__(self): raise Lost("refused")
    async def __aexit__(self, *_): log.append("never")
async def count(n):
    try:
        for i in range(n):
            await sleep(0)
            log.append(i)
            yield i
        if n == 3: raise Lost("after three")
    finally:
        log.append("closed")
async def feed(handler, n):
    found = []
    for i in range(n):
        found.append(await handler(i))
    return found
async def beside(handler):
    done = event()
    ticks = 0
    result = []
    async def call():
        result.append(await handler())
        done.set()
    async def tick():
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            await sleep(0.001)
    await both(call, tick)
    return ticks, result[0]
async def caught(handler):
    try:
        await handler()
    except Exception as error:
        return type(error).__name__, str(error)
async def impatient(gate, handler):
    await gate.wait()
    return await within(0.05, handler)
async def relay(source, target):
    while True:
        item = await source.get()
        if item is None: return "end"
        await target(item)
"""
ASYNCIO_TOOLS = """
async def both(one, two): await asyncio.gather(one(), two())
async def within(seconds, function):
    try:
        return await asyncio.wait_for(function(), seconds)
    except TimeoutError:
        return "late"
Queue = asyncio.Queue
"""
TRIO_TOOLS = """
async def both(one, two):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        nursery.start_soon(two)
async def within(seconds, function):
    with trio.move_on_after(seconds):
        return await function()
    return "late"
class Queue:
    def __init__(self): self.send, self.receive = trio.open_memory_channel(100)
    async def get(self): return await self.receive.receive()
    def put_nowait(self, item): self.send.send_nowait(item)
"""


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(lab_of: Lab, backend: str) -> Submission:
    if backend == "asyncio":
        return lab_of(ASYNCIO + SOURCE + ASYNCIO_TOOLS)
    return lab_of(TRIO + SOURCE + TRIO_TOOLS, libraries=True)


def test_a_coroutine_function_is_run_to_its_end(lab: Submission, backend: str) -> None:
    assert lab.run(lab.double, 4, plus=1, backend=backend) == 9
    assert lab.run(lab.which, backend=backend) == backend
    with pytest.raises(RemoteError, match="fail raised Lost: station 2") as caught:
        lab.run(lab.fail, 2, backend=backend)
    assert caught.value.where.startswith("lab/__init__.py:")
    with pytest.raises(RemoteError, match="Expected an async function; it returned int"):
        lab.run(lab.nothing, backend=backend)


def test_an_unknown_backend_is_named(lab: Submission) -> None:
    for call in (lambda: lab.run(lab.which, backend="curio"), lambda: lab.loop("curio")):
        with pytest.raises(ValueError, match="asyncio or trio, got 'curio'"):
            call()


def test_a_task_goes_on_between_questions(lab: Submission, backend: str) -> None:
    with lab.loop(backend) as loop:
        gate = loop.call(lab.Gate)
        task = loop.start(gate.wait)
        loop.settle()
        assert task.done() is False
        with pytest.raises(CriterionFailed, match=r"wait is not done after 0\.01 s"):
            task.result(timeout_s=0.01)
        loop.call(gate.open)
        assert task.result() == "open"
        assert (task.done(), task.cancelled()) == (True, False)
        assert loop.call(lab.double, 5) == 10
        assert loop.call(lab.plain) == backend  # a plain function, inside the loop


def test_a_task_tells_how_it_ended(lab: Submission, backend: str) -> None:
    with lab.loop(backend) as loop:
        failing = loop.start(lab.fail, 7)
        for _ in range(2):
            with pytest.raises(RemoteError, match="fail raised Lost: station 7"):
                failing.result()
        hanging = loop.start(lab.hang)
        loop.settle()
        hanging.cancel()
        with pytest.raises(RemoteError, match="CancelledError"):
            hanging.result()
        assert hanging.cancelled() is True
        assert lab.logged() == ["cancelled"]
        hanging.cancel()
        at_once = loop.start(lab.hang)
        at_once.cancel()
        with pytest.raises(RemoteError, match="CancelledError"):
            at_once.result()


def test_a_server_says_when_it_serves(lab: Submission, backend: str) -> None:
    with lab.loop(backend) as loop:
        task = loop.serve(lab.serve, 7777)
        assert task.ready == ("127.0.0.1", 7777)
        assert task.done() is False
        with pytest.raises(RemoteError, match="Lost: no port"):
            loop.serve(lab.serve_badly)
        with pytest.raises(RemoteError, match=r"without calling task_status\.started"):
            loop.serve(lab.serve_not)


def test_closing_a_loop_cancels_its_tasks(lab: Submission, backend: str) -> None:
    loop = lab.loop(backend)
    loop.start(lab.hang)
    loop.settle()
    loop.close()
    loop.close()
    assert lab.logged() == ["cancelled"]
    lab.loop(backend).start(lab.hang)
    lab.kill()


def test_an_async_context_manager_is_a_with_block(lab: Submission, backend: str) -> None:
    with lab.loop(backend) as loop:
        session = lab.Session()
        with loop.entered(session) as entered:
            assert entered.left == "inside"
        assert session.left is None
        with pytest.raises(KeyError), loop.entered(session):
            raise KeyError("mine")
        assert session.left == "KeyError"
        with pytest.raises(RemoteError, match="Lost"), loop.entered(session):
            loop.call(lab.fail, 1)
        assert session.left == "Lost"  # its own exception, not a copy
        with pytest.raises(CriterionFailed), loop.entered(session):
            raise CriterionFailed("words of the suite")
        assert session.left == "RuntimeError"
        with pytest.raises(RemoteError, match="Lost: refused"), loop.entered(lab.Refused()):
            pytest.fail("the block was entered")
        assert lab.logged() == []


def test_swallowing_is_asked_for(lab: Submission, backend: str) -> None:
    with lab.loop(backend) as loop:
        session = lab.Session(ValueError)
        with lab.swallows(loop.entered(session), "ValueError"):
            raise ValueError
        failed = pytest.raises(CriterionFailed, match="must swallow KeyError")
        with failed, lab.swallows(loop.entered(session), "KeyError"):
            raise KeyError
        with pytest.raises(ValueError), loop.entered(session):  # noqa: PT011
            raise ValueError  # nothing is swallowed unless that is asked for


def test_an_async_iterator_gives_one_item_for_each_question(lab: Submission, backend: str) -> None:
    with lab.loop(backend) as loop:
        assert list(loop.iterate(lab.count(2))) == [0, 1]
        assert lab.logged() == [0, 1, "closed"]
        stream = loop.iterate(lab.count(9))
        assert next(stream) == 0
        loop.settle()
        assert lab.logged()[3:] == [0]  # nothing is read ahead
        stream.close()
        stream.close()
        assert lab.logged()[3:] == [0, "closed"]
        with pytest.raises(RemoteError, match="after three"):
            list(loop.iterate(lab.count(3)))
        assert list(loop.iterate(lab.count(0))) == []


def test_an_awaited_callback_does_not_stop_the_loop(lab: Submission, backend: str) -> None:
    handler = lab.callback(lambda n: n * n, awaited=True)
    assert lab.run(lab.feed, handler, 5, backend=backend) == [0, 1, 4, 9, 16]

    def slow() -> int:
        for _ in range(20):
            assert lab.logged() == []  # twenty questions, while the loop ticks
        return 7

    ticks, result = lab.run(lab.beside, lab.callback(slow, awaited=True), backend=backend)
    assert result == 7
    assert ticks > 1


def test_an_awaited_callback_raises_and_can_be_given_up(lab: Submission, backend: str) -> None:
    def fail() -> None:
        raise LookupError("gs-3")

    def throw() -> None:
        raise Throw(lab.Lost("gs-4"))

    for function, told in ((fail, ("LookupError", "gs-3")), (throw, ("Lost", "gs-4"))):
        handler = lab.callback(function, awaited=True)
        assert lab.run(lab.caught, handler, backend=backend) == told


def test_what_is_cancelled_while_it_calls_goes_on(lab: Submission, backend: str) -> None:
    """The judge answers late: the submission has given up, and nothing is out of step."""
    with lab.loop(backend) as loop:
        results: list[Any] = []

        def slow() -> int:
            while not task.done():  # questions inside the call, until its caller has gone
                loop.settle()
            results.append(task.result())
            return 7

        gate = loop.call(lab.Gate)
        task = loop.start(lab.impatient, gate, lab.callback(slow, awaited=True))
        loop.call(gate.open)
        lab.attend(task.done, within_s=20)  # on a slow machine before the call was even made
        assert task.result() == "late"
        assert results in ([], ["late"])
        assert loop.call(lab.double, 1) == 2


def test_a_channel_is_driven_step_by_step(lab: Submission, backend: str) -> None:
    """What a suite for queues, brokers and channels looks like."""
    received: list[Any] = []
    target = lab.callback(received.append, awaited=True)
    with lab.loop(backend) as loop:
        queue = loop.call(lab.Queue)
        relay = loop.start(lab.relay, queue, target)
        for item in ("a", "b"):
            loop.call(queue.put_nowait, item)
        lab.attend(lambda: len(received) == 2, within_s=20, what="Two items")
        assert received == ["a", "b"]
        assert relay.done() is False
        loop.call(queue.put_nowait, None)
        assert relay.result() == "end"


ANYIO = """
import anyio

async def pipeline(handler, *, task_status):
    send, receive = anyio.create_memory_object_stream(2)
    async def forward():
        async with receive:
            async for item in receive:
                await handler(item)
    async with anyio.create_task_group() as group:
        group.start_soon(forward)
        task_status.started(send)
        with anyio.CancelScope() as scope:
            await anyio.sleep_forever()
async def fan_out(n):
    found = []
    async def one(i):
        await anyio.lowlevel.checkpoint()
        found.append(i)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for i in range(n): group.start_soon(one, i)
    return sorted(found)
group = anyio.create_task_group
async def boom(): raise ValueError("boom")
"""


def test_code_written_for_anyio_runs_on_both(lab_of: Lab, backend: str) -> None:
    lab = lab_of(ANYIO, libraries=True)
    assert lab.run(lab.fan_out, 5, backend=backend) == [0, 1, 2, 3, 4]
    seen: list[Any] = []
    with lab.loop(backend) as loop:
        handler = lab.callback(seen.append, awaited=True)
        pipeline = loop.serve(lab.pipeline, handler)
        for item in range(5):
            loop.call(pipeline.ready.send, item)
        lab.attend(lambda: len(seen) == 5, within_s=20)
        assert seen == list(range(5))
        pipeline.cancel()
        with pytest.raises(RemoteError, match="CancelledError"):
            pipeline.result()
        # A task group is a block of the test: entered and left in one task, as it must be.
        group = loop.call(lab.group)
        with pytest.raises(RemoteError, match="ExceptionGroup") as caught, loop.entered(group):
            loop.call(group.start_soon, lab.boom)
        assert caught.value.exceptions[0].message == "boom"
