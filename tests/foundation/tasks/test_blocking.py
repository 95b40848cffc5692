"""Jobs in threads: first come first served, never too many, and none lost to a cancellation."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random

import anyio
import pytest

from meridian.foundation.tasks import BlockingPool, blocking, spawn_blocking
from meridian.foundation.tasks.blocking import BlockingPoolClosed, BlockingStats

pytestmark = pytest.mark.anyio
PATIENCE_S = 60.0


@pytest.fixture
def pool() -> Iterator[BlockingPool]:
    pool = BlockingPool(1, name="test-pool")
    yield pool
    pool.close()


class Gate:
    """A job that runs until it is let go."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def __call__(self, value: object = None) -> object:
        self.entered.set()
        assert self.leave.wait(PATIENCE_S)
        return value


@contextmanager
def held(*gates: Gate) -> Iterator[None]:
    try:
        yield
    finally:
        for gate in gates:
            gate.leave.set()


async def until(condition: Callable[[], object]) -> None:
    """Threads tell nobody when they have come somewhere: ask."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await anyio.sleep(0.001)


async def test_results_come_back(pool: BlockingPool) -> None:
    assert await pool.run(divmod, 7, 2) == (3, 1)
    assert await pool.run(threading.get_ident) != threading.get_ident()
    assert await pool.run(threading.current_thread) not in (None, threading.current_thread())
    name = await pool.run(lambda: threading.current_thread().name)
    assert name == "test-pool-1", "one thread did it all"
    assert await spawn_blocking(sum, [1, 2]) == 3
    assert await spawn_blocking(lambda: threading.current_thread().name, pool=pool) == name
    assert pool.stats == BlockingStats(running=0, queued=0, peak=1, abandoned=0)


@pytest.mark.parametrize(
    "kind", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError]
)
async def test_whatever_a_job_raises_comes_back(
    pool: BlockingPool, kind: type[BaseException]
) -> None:
    error = kind("bug")

    def fail() -> None:
        raise error

    with pytest.raises(kind) as caught:
        await pool.run(fail)
    assert caught.value is error
    assert await pool.run(len, "the thread lives") == 16


async def test_stop_iteration_comes_back_as_a_coroutine_can(pool: BlockingPool) -> None:
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await pool.run(next, iter(()))
    assert isinstance(caught.value.__cause__, StopIteration)
    assert await pool.run(next, iter((4,))) == 4


async def test_context_variables_are_carried_over_and_not_back(pool: BlockingPool) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")
    variable.set("task")

    def look() -> str:
        seen = variable.get()
        variable.set("thread")
        return seen

    assert await pool.run(look) == "task"
    assert await pool.run(look) == "task"
    assert variable.get() == "task"


async def test_a_thread_is_in_no_loop(pool: BlockingPool) -> None:
    with pytest.raises(RuntimeError):
        await pool.run(asyncio.get_running_loop)
    with pytest.raises(RuntimeError):
        await pool.run(anyio.current_time)


async def test_first_come_first_served(pool: BlockingPool) -> None:
    gate, order = Gate(), []
    with held(gate):
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, gate)
            await until(gate.entered.is_set)
            for number in range(20):
                group.start_soon(pool.run, order.append, number)
                await until(lambda number=number: pool.stats.queued == number + 1)
            gate.leave.set()
    assert order == list(range(20))
    assert pool.stats == BlockingStats(0, 0, 1, 0)


async def test_never_more_than_allowed_and_all_of_them_when_needed() -> None:
    pool, gates = BlockingPool(3), [Gate() for _ in range(7)]
    with held(*gates):
        async with anyio.create_task_group() as group:
            for gate in gates:
                group.start_soon(pool.run, gate)
            await until(lambda: pool.stats.running == 3)
            assert pool.stats == BlockingStats(running=3, queued=4, peak=3, abandoned=0)
            for done in range(1, 8):
                now = [gate for gate in gates if gate.entered.is_set() and not gate.leave.is_set()]
                assert len(now) == min(3, 8 - done)
                now[0].leave.set()
                started = min(7, 3 + done)
                await until(lambda n=started: sum(g.entered.is_set() for g in gates) == n)
    await until(lambda: pool.stats.running == 0)
    assert pool.stats == BlockingStats(0, 0, peak=3, abandoned=0)
    pool.close()


async def test_idle_threads_are_used_again() -> None:
    pool, threads = BlockingPool(8), set()
    for _ in range(50):
        threads.add(await pool.run(threading.current_thread))
        await until(lambda: pool.stats.running == 0)
    assert len(threads) == 1
    pool.close()


async def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "_IDLE_S", 0.01)
    pool = BlockingPool(2)
    for _ in range(3):
        thread = await pool.run(threading.current_thread)
        await until(lambda thread=thread: not thread.is_alive())
    random = Random(1)  # jobs that come in the moment a thread ends
    for number in range(50):
        await anyio.sleep(random.uniform(0.005, 0.015))
        with anyio.fail_after(PATIENCE_S):
            assert await pool.run(abs, -number) == number


async def test_a_job_that_comes_as_its_thread_gives_up_waiting_is_done(pool: BlockingPool) -> None:
    class Late(threading.Condition):
        """Tells the thread that nothing came, though it has been told of a job just then."""

        def wait(self, timeout: float | None = None) -> bool:
            super().wait(timeout)
            return False

    pool._work = Late(pool._lock)
    with anyio.fail_after(PATIENCE_S):
        for number in range(20):
            assert await pool.run(abs, -number) == number


# -- cancellation ----------------------------------------------------------------------------------


async def test_cancelled_before_it_is_not_even_queued(pool: BlockingPool) -> None:
    ran = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.run(ran.append, 1)
    assert scope.cancelled_caught
    assert await pool.run(len, ran) == 0


@pytest.mark.parametrize("abandon", [False, True])
async def test_cancelled_in_the_queue_it_never_runs(pool: BlockingPool, abandon: bool) -> None:
    gate, ran = Gate(), []

    async def queue(scope: anyio.CancelScope) -> None:
        with scope:
            await pool.run(ran.append, "never", abandon_on_cancel=abandon)
        assert scope.cancelled_caught

    with held(gate):
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, gate)
            await until(gate.entered.is_set)
            scopes = [anyio.CancelScope() for _ in range(3)]
            for scope in scopes:
                group.start_soon(queue, scope)
            await until(lambda: pool.stats.queued == 3)
            for scope in scopes:
                scope.cancel()
            await until(lambda: pool.stats.queued == 0)
            assert pool.stats.running == 1, "they left while the thread was taken"
            gate.leave.set()
    assert await pool.run(lambda: list(ran)) == []


async def test_cancelled_while_it_runs_it_is_awaited_and_its_value_kept(pool: BlockingPool) -> None:
    gate, steps = Gate(), []

    async def work(scope: anyio.CancelScope) -> None:
        with scope:
            steps.append(await pool.run(gate, "value"))
            await anyio.lowlevel.checkpoint()
            steps.append("never")
        steps.append(scope.cancelled_caught)

    with held(gate):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(work, scope)
            await until(gate.entered.is_set)
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert (steps, pool.stats.running, pool.stats.abandoned) == ([], 1, 0)
            gate.leave.set()
    assert steps == ["value", True]


async def test_a_cancelled_scope_that_is_left_with_the_value_cancels_nothing_after_it(
    pool: BlockingPool,
) -> None:
    gate = Gate()

    async def let_go(scope: anyio.CancelScope) -> None:
        await until(gate.entered.is_set)
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.leave.set()

    with held(gate):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(let_go, scope)
                assert await pool.run(gate, 5) == 5
            for _ in range(5):
                await anyio.lowlevel.checkpoint()


async def test_abandoned_its_thread_stays_taken_until_it_ends(pool: BlockingPool) -> None:
    gate = Gate()
    with held(gate):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    await until(gate.entered.is_set)
                    scope.cancel()

                group.start_soon(cancel)
                await pool.run(gate, abandon_on_cancel=True)
        assert scope.cancelled_caught
        assert pool.stats == BlockingStats(running=1, queued=0, peak=1, abandoned=1)
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, int)
            await until(lambda: pool.stats.queued == 1)
            gate.leave.set()
    assert pool.stats == BlockingStats(0, 0, 1, 0)


async def test_a_cancellation_of_asyncio_itself_is_not_lost(
    pool: BlockingPool, anyio_backend: str
) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("asyncio cancels once, and knows no shield")
    gate, steps = Gate(), []

    async def work() -> None:
        steps.append(await pool.run(gate, "value"))
        await anyio.sleep(0)
        steps.append("never")

    with held(gate):
        task = asyncio.ensure_future(work())
        await until(gate.entered.is_set)
        for n in range(3):
            task.cancel(f"stop {n}")
            await anyio.sleep(0.001)
        assert (steps, task.done()) == ([], False)
        gate.leave.set()
        with pytest.raises(asyncio.CancelledError, match="stop 2"):
            await task
    assert steps == ["value"]


async def test_a_coroutine_closed_while_its_job_runs_leaves_it(pool: BlockingPool) -> None:
    gate = Gate()
    step = pool.run(gate).__await__()
    with held(gate):
        next(step)
        await until(gate.entered.is_set)
        step.close()
        assert pool.stats.abandoned == 1
    await until(lambda: pool.stats.running == 0)
    assert pool.stats.abandoned == 0


@pytest.mark.parametrize("abandon", [False, True])
@pytest.mark.parametrize("seed", range(2))
async def test_every_job_is_done_or_was_never_begun(seed: int, abandon: bool) -> None:
    """Random jobs and cancellations: a value came back when it was made, unless it was abandoned,
    and only then.
    """
    random, pool = Random(seed), BlockingPool(2)
    made, got = [], []
    most, lock = [0, 0], threading.Lock()

    def make(number: int, pause_s: float) -> int:
        with lock:
            most[0] += 1
            most[1] = max(most)
        time.sleep(pause_s)
        made.append(number)
        with lock:
            most[0] -= 1
        return number

    async def ask(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            pause_s = random.choice((0, 0, 0.001))
            got.append(await pool.run(make, number, pause_s, abandon_on_cancel=abandon))

    scopes = []
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            for number in range(400):
                scopes.append(anyio.CancelScope())
                group.start_soon(ask, number, scopes[-1])
                if random.random() < 0.5:
                    random.choice(scopes).cancel()
                if random.random() < 0.3:
                    await anyio.sleep(0)
                if random.random() < 0.05:
                    await anyio.sleep(0.002)
    await until(lambda: pool.stats.running == 0)
    assert len(set(got)) == len(got)
    assert set(got) <= set(made) if abandon else sorted(got) == sorted(made)
    assert 0 < len(got) < 400
    assert most[1] <= 2
    assert pool.stats._replace(peak=0) == BlockingStats(0, 0, 0, 0)
    pool.close()


# -- many loops, and the ends of things ------------------------------------------------------------


def test_one_pool_serves_many_loops(pool: BlockingPool) -> None:
    results: list[list[int]] = []

    async def ask(base: int) -> None:
        results.append([await pool.run(abs, -(base + i)) for i in range(50)])

    def loop(number: int, backend: str) -> None:
        anyio.run(ask, 1000 * number, backend=backend)

    threads = [
        threading.Thread(target=loop, args=(number, ("asyncio", "trio")[number % 2]))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(results) == [[1000 * n + i for i in range(50)] for n in range(6)]


async def test_a_closed_pool_does_what_it_took_and_takes_no_more(pool: BlockingPool) -> None:
    gate, results = Gate(), []

    async def late() -> None:
        results.append(await pool.run(str, "done"))

    with held(gate):
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, gate)
            await until(gate.entered.is_set)
            group.start_soon(late)
            await until(lambda: pool.stats.queued == 1)
            pool.close()
            pool.close()
            with pytest.raises(BlockingPoolClosed, match="test-pool is closed") as caught:
                await pool.run(int)
            assert pickle.loads(pickle.dumps(caught.value)).name == "test-pool"
            gate.leave.set()
    assert results == ["done"]


async def test_closed_its_idle_threads_end() -> None:
    pool = BlockingPool(3)
    thread = await pool.run(threading.current_thread)
    pool.close()
    await until(lambda: not thread.is_alive())


async def test_the_system_has_no_more_threads(
    pool: BlockingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(blocking, "start_thread", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await pool.run(int)
        assert pool.stats == BlockingStats(0, 0, 0, 0)
    assert await pool.run(int) == 0

    pool = BlockingPool(5)
    gate, results = Gate(), []

    async def wait_for_the_one() -> None:
        results.append(await pool.run(str, "done by the other"))

    with held(gate):
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, gate)
            await until(gate.entered.is_set)
            monkeypatch.setattr(blocking, "start_thread", refuse)
            group.start_soon(wait_for_the_one)
            await until(lambda: pool.stats.queued == 1)
            gate.leave.set()
    assert results == ["done by the other"]
    pool.close()


async def test_what_is_no_pool_and_no_job(pool: BlockingPool) -> None:
    for wrong in ("4", 4.0, True, None):
        with pytest.raises(TypeError, match="max_threads as an int"):
            BlockingPool(wrong)  # type: ignore[arg-type]
    for few in (0, -1):
        with pytest.raises(ValueError, match="max_threads >= 1"):
            BlockingPool(few)
    with pytest.raises(TypeError, match="stack_size as an int"):
        BlockingPool(stack_size=2.5)  # type: ignore[arg-type]
    for size in (-1, 5):
        with pytest.raises(ValueError, match=r"stack|size"):
            BlockingPool(stack_size=size)
    for no_job in (3, anyio.sleep):
        with pytest.raises(TypeError, match="a function that is not async"):
            await pool.run(no_job)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a BlockingPool, got 3"):
        await spawn_blocking(print, pool=3)  # type: ignore[arg-type]


async def test_threads_get_the_stack_they_were_promised() -> None:
    def deep(n: int) -> int:
        return n if n == 0 else deep(n - 1)

    before = threading.stack_size()
    pool = BlockingPool(1, stack_size=16 * 1024 * 1024)
    assert threading.stack_size() == before
    assert await pool.run(deep, 500) == 0
    assert threading.stack_size() == before, "of other threads"
    if sys.platform == "linux":
        assert await pool.run(_mapped_stack_bytes) >= 16 * 1024 * 1024 - 4096 * 4
        small = BlockingPool(1, stack_size=256 * 1024)
        assert await small.run(_mapped_stack_bytes) < 1024 * 1024
        small.close()
    pool.close()


def _mapped_stack_bytes() -> int:
    """What pthread says of this thread's stack."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_ulong
    attributes = ctypes.create_string_buffer(256)
    assert libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes) == 0
    address, size = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
    libc.pthread_attr_destroy(attributes)
    return size.value


def run_python(program: str, warnings: str = "error") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONWARNINGS": warnings},
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_abandoned_thread_does_not_hold_up_the_exit(backend: str) -> None:
    done = run_python(f"""
        import anyio, threading
        from meridian.foundation.tasks import BlockingPool

        pool = BlockingPool(1)
        for_ever = threading.Event()

        async def main():
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(lambda: pool.run(for_ever.wait, abandon_on_cancel=True))
                    while pool.stats.running == 0:
                        await anyio.sleep(0.001)
                    scope.cancel()
            print(scope.cancelled_caught, pool.stats.abandoned)

        anyio.run(main, backend={backend!r})
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 1\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    done = run_python(
        """
        import anyio, os
        from meridian.foundation.tasks import BlockingPool, spawn_blocking

        pool = BlockingPool(1)
        async def ask():
            return await pool.run(abs, -3) + await spawn_blocking(abs, -4)

        assert anyio.run(ask) == 7
        child = os.fork()
        if child == 0:
            os._exit(anyio.run(ask))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
        warnings="ignore",  # of the fork itself
    )
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


def test_the_job_and_its_result_are_not_kept(pool: BlockingPool) -> None:
    import weakref

    class Thing:
        pass

    async def main() -> weakref.ref[Thing]:
        thing = Thing()
        reference = weakref.ref(thing)
        assert await pool.run(lambda it: it, thing) is thing
        with pytest.raises(TypeError, match="unsupported operand"):
            await pool.run(lambda it: it % 0, thing)
        return reference

    reference = anyio.run(main)
    deadline = time.monotonic() + blocking._IDLE_S / 2  # before the thread ends, and lets go of all
    while reference() is not None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert reference() is None, "without the garbage collector"
