"""How a runtime ends: in time, once, and so that whoever waits is told."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from meridian.foundation.tasks import (
    Runtime,
    RuntimeConfig,
    TaskAborted,
    TaskExit,
)
from meridian.foundation.tasks.runtime_handles import (
    RuntimeNotRunning,
    RuntimeUsed,
    WouldDeadlock,
)
from tests.foundation.tasks.runtime_rig import LONG_S, checkpointless, double, fail


def test_tasks_drain_when_the_token_is_cancelled(rt: Runtime) -> None:
    async def session(number: int) -> int:
        await rt.token.cancelled()
        await anyio.sleep(0.01 * number)
        return number

    handles = [rt.spawn(session, i) for i in range(5)]
    report = rt.shutdown(LONG_S, "upgrade")
    assert (report.reason, report.clean) == ("upgrade", True)
    assert report.drained <= 5, "who was faster than the report is not in it"
    assert [handle.result(0) for handle in handles] == list(range(5))
    assert rt.shutdown(0, "again") is report
    with pytest.raises(RuntimeNotRunning, match="shut down: make a new one") as caught:
        rt.spawn(double, 1)
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    assert rt.stats().tasks == 0


def test_what_was_accepted_just_before_the_end_is_drained_too(rt: Runtime) -> None:
    handles = [rt.spawn(double, i) for i in range(100)]
    assert rt.shutdown(LONG_S).clean
    assert [handle.result(0) for handle in handles] == [2 * i for i in range(100)]


def test_stragglers_are_aborted(rt: Runtime) -> None:
    handle = rt.spawn(anyio.sleep_forever, name="deaf")
    report = rt.shutdown(0.01)
    assert (report.aborted, report.stuck) == (("deaf",), ())
    assert handle.join(0) == TaskExit.Aborted()


def test_a_stuck_task_does_not_hold_up_the_shutdown(anyio_backend: str, short_grace: None) -> None:
    release = threading.Event()

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            while not release.is_set():
                await anyio.sleep(0.01)

    async def in_a_thread() -> None:
        await started.pool.run(release.wait, LONG_S)

    started = Runtime(RuntimeConfig(backend=anyio_backend)).start()
    try:
        stuck = started.spawn(shielded, name="shielded"), started.spawn(in_a_thread, name="thread")
        report = started.shutdown(0.05)
        assert report.stuck == ("shielded", "thread")
        assert report.elapsed_s > 0.1
        assert not any(handle.done for handle in stuck)
        assert started.shutdown() is report
    finally:
        release.set()
    for handle in stuck:
        assert handle.join(LONG_S) in (TaskExit.Aborted(), TaskExit.Ok(None))
    started._thread.join(LONG_S)
    assert not started._thread.is_alive()


def test_nor_does_one_that_holds_the_loop(anyio_backend: str, short_grace: None) -> None:
    release, held = threading.Event(), threading.Event()

    async def hog() -> None:
        held.set()
        release.wait(LONG_S)

    started = Runtime(RuntimeConfig(backend=anyio_backend)).start()
    try:
        handle = started.spawn(hog, name="hog")
        assert held.wait(LONG_S)
        report = started.shutdown(0.05)
        assert (report.drained, report.stuck, report.clean) == (0, ("hog",), False)
        assert started.shutdown() is report
    finally:
        release.set()
    assert handle.join(LONG_S) == TaskExit.Ok(None)
    started._thread.join(LONG_S)
    assert started.shutdown() is report, "what comes later changes no report"


def test_shut_down_at_once_from_many_threads_it_is_one_shutdown(rt: Runtime) -> None:
    rt.spawn(anyio.sleep, 0.05)
    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(lambda _: rt.shutdown(LONG_S), range(6)))
    assert all(report is reports[0] for report in reports)
    assert reports[0].clean


def test_a_task_may_ask_for_it(rt: Runtime) -> None:
    async def last() -> None:
        rt.token.cancel("all done")

    rt.spawn(last)
    rt._thread.join(LONG_S)
    report = rt.shutdown()
    assert (report.reason, report.clean) == ("all done", True)


def test_whoever_waits_while_it_ends_is_told(rt: Runtime) -> None:
    began = threading.Event()

    async def work() -> None:
        began.set()
        await anyio.sleep_forever()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(rt.block_on, work)
        assert began.wait(LONG_S)
        rt.shutdown(0)
        with pytest.raises(TaskAborted):
            waiting.result(LONG_S)


def test_no_join_hangs_however_it_races_with_the_end(anyio_backend: str) -> None:
    for _ in range(10):
        started = Runtime(RuntimeConfig(backend=anyio_backend, blocking_threads=2)).start()
        go = threading.Barrier(4)

        def spam(started: Runtime = started, go: threading.Barrier = go) -> list[TaskExit[int]]:
            handles = []
            go.wait(LONG_S)
            try:
                for i in range(1_000):
                    handles.append(started.spawn(double, i))
                    handles.append(started.spawn_blocking(abs, i))
            except RuntimeNotRunning:
                pass
            return [handle.join(LONG_S) for handle in handles]

        with ThreadPoolExecutor(3) as pool:
            spammers = [pool.submit(spam) for _ in range(3)]
            go.wait(LONG_S)
            report = started.shutdown(LONG_S)
            exits = [each for spammer in spammers for each in spammer.result(LONG_S)]
        assert report.clean
        assert all(isinstance(each, TaskExit.Ok | TaskExit.Aborted) for each in exits)
        assert not started._thread.is_alive()


def test_a_task_that_came_too_late_to_begin_has_ended(rt: Runtime) -> None:
    """The loop ends between the two steps of `spawn`."""
    handle = rt._expect(double, "late")
    rt.shutdown(LONG_S)
    rt._launch(handle, double, (1,))
    assert handle.join(0) == TaskExit.Aborted("the runtime is shut down")


def test_its_own_loop_may_not_wait_for_itself(rt: Runtime) -> None:
    other = rt.spawn(anyio.sleep_forever)

    async def inside() -> list[str]:
        told = []
        for call in (lambda: rt.block_on(double, 1), other.join, rt.shutdown, other.result):
            with pytest.raises(WouldDeadlock, match="would wait for itself") as caught:
                call()
            told.append(caught.value.what)
        return told

    assert rt.block_on(inside) == ["block", "join a task", "shut down", "join a task"]
    assert rt.block_on(double, 3) == 6
    other.abort()


def test_before_it_starts_and_twice(anyio_backend: str) -> None:
    idle = Runtime(RuntimeConfig(backend=anyio_backend))
    with pytest.raises(RuntimeNotRunning, match=r"is not started: start\(\) it first"):
        idle.block_on(double, 1)
    with pytest.raises(RuntimeNotRunning):
        idle.spawn_blocking(checkpointless)
    assert idle.stats().tasks == 0
    report = idle.shutdown(1, "never mind")
    assert (report.reason, report.clean, report.drained) == ("never mind", True, 0)
    assert idle.shutdown() is report
    with pytest.raises(RuntimeUsed, match="was started before"):
        idle.start()

    with Runtime(RuntimeConfig(backend=anyio_backend)) as started:
        with pytest.raises(RuntimeUsed):
            started.start()
        assert started.block_on(double, 1) == 2


def test_what_is_meant_for_the_process_ends_it_and_is_heard(anyio_backend: str) -> None:
    started = Runtime(RuntimeConfig(backend=anyio_backend)).start()
    other = started.spawn(anyio.sleep_forever)
    started.spawn(fail, SystemExit(3))
    assert isinstance(other.join(LONG_S), TaskExit.Aborted)
    started._thread.join(LONG_S)
    with pytest.raises((SystemExit, BaseExceptionGroup)):
        started.shutdown()
    with pytest.raises(RuntimeNotRunning):
        started.spawn(double, 1)


def test_an_interrupt_ends_the_wait_and_aborts_the_task(rt: Runtime) -> None:
    assert threading.current_thread() is threading.main_thread()
    steps, cleaned = [], threading.Event()

    async def work() -> None:
        main = threading.main_thread().ident
        assert main is not None
        try:
            signal.pthread_kill(main, signal.SIGINT)
            await anyio.sleep_forever()
        finally:
            steps.append("cleaned")
            cleaned.set()

    with pytest.raises(KeyboardInterrupt):
        rt.block_on(work)
    assert cleaned.wait(LONG_S)
    assert rt.block_on(double, 2) == 4


def test_the_process_ends_though_a_runtime_is_stuck(anyio_backend: str) -> None:
    program = f"""
import threading
from meridian.foundation.tasks import Runtime, RuntimeConfig
busy = threading.Barrier(3)
async def hog():
    busy.wait()
    threading.Event().wait()
first = Runtime(RuntimeConfig(backend={anyio_backend!r})).start()
first.spawn(hog)
second = Runtime(RuntimeConfig(backend={anyio_backend!r})).start()
second.spawn_blocking(lambda: (busy.wait(), threading.Event().wait()))
busy.wait()
print("bye")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG_S
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "bye\n", "")
