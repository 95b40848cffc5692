"""A loop in a thread of its own: what it answers, how its tasks end, and how it does."""

from __future__ import annotations

import ctypes
import math
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.tasks import (
    Runtime,
    RuntimeConfig,
    TaskAborted,
    TaskExit,
    housekeeping_runtime,
    ingress_runtime,
    runtime,
)
from meridian.foundation.tasks.runtime_handles import (
    JoinTimeout,
    RuntimeNotRunning,
    RuntimeUsed,
    WouldDeadlock,
)
from meridian.foundation.tasks.thread_names import shown_name

LONG_S = 60


@pytest.fixture
def rt(anyio_backend: str) -> Iterator[Runtime]:
    with Runtime(RuntimeConfig(backend=anyio_backend, blocking_threads=2)) as started:
        yield started
    assert not started._thread.is_alive()
    assert started._outstanding == set()


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_GRACE_S", 0.1)


async def double(number: int) -> int:
    await checkpoint()
    return 2 * number


async def fail(error: BaseException) -> None:
    await checkpoint()
    raise error


# -- what it answers -------------------------------------------------------------------------------


def test_results_and_errors_come_back(rt: Runtime) -> None:
    assert rt.block_on(double, 4) == 8
    with pytest.raises(KeyError, match="bug"):
        rt.block_on(fail, KeyError("bug"))
    with pytest.raises(SystemExit, match="3"):
        rt.block_on(fail, SystemExit(3))
    assert rt.block_on(double, 5) == 10, "none of it was the runtime's affair"


def test_many_threads_at_once(rt: Runtime) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: rt.block_on(double, i), range(200))) == [
            2 * i for i in range(200)
        ]
        handles = list(pool.map(lambda i: rt.spawn(double, i), range(200)))
    assert [handle.result(LONG_S) for handle in handles] == [2 * i for i in range(200)]
    assert len({handle.name for handle in handles}) == 200
    assert rt.stats().tasks == 0


def test_tasks_run_in_its_thread_and_no_other(rt: Runtime) -> None:
    assert rt.block_on(thread_name) == "meridian-worker"
    assert rt._thread.daemon


@pytest.mark.parametrize("outer", ["asyncio", "trio"])
def test_from_within_any_other_loop(rt: Runtime, outer: str) -> None:
    """A notebook's kernel: its loop runs in this thread, and its context says so."""

    async def inner() -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        return "done"

    async def cell() -> tuple[str, str, int]:
        spawned = rt.spawn(inner)
        return rt.block_on(inner), spawned.result(LONG_S), rt.spawn_blocking(sum, [1, 2]).result()

    assert anyio.run(cell, backend=outer) == ("done", "done", 3)


# -- handles ---------------------------------------------------------------------------------------


def test_a_handle_tells_how_the_task_ended(rt: Runtime) -> None:
    bug, trouble = KeyError("bug"), OSError("disk")
    fine, broken, troubled = rt.spawn(double, 1), rt.spawn(fail, bug), rt.spawn(fail, trouble)
    assert fine.join(LONG_S) == TaskExit.Ok(2)
    assert broken.join(LONG_S) == TaskExit.Panicked(bug)
    assert troubled.join(LONG_S) == TaskExit.Errored(trouble)
    assert troubled.join(0) == TaskExit.Errored(trouble), "twice, and at once"
    assert (fine.done, fine.exit, fine.result()) == (True, TaskExit.Ok(2), 2)
    with pytest.raises(OSError, match="disk"):
        troubled.result()


def test_a_join_has_its_time(rt: Runtime) -> None:
    handle = rt.spawn(anyio.sleep_forever, name="sleeper")
    with pytest.raises(JoinTimeout, match=r"sleeper still runs after 0\.01 s") as caught:
        handle.join(0.01)
    assert isinstance(caught.value, TimeoutError)
    assert (handle.done, handle.exit) == (False, None)
    for bad, error in ((-1, ValueError), (math.nan, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="Expected timeout"):
            handle.join(bad)  # type: ignore[arg-type]
    handle.abort()
    assert handle.join(math.inf) == TaskExit.Aborted()
    handle.abort()
    with pytest.raises(TaskAborted, match="sleeper was aborted"):
        handle.result()


def test_an_abort_runs_the_cleanup(rt: Runtime) -> None:
    steps = []
    began = threading.Event()

    async def work() -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            steps.append("cleaned")

    handle = rt.spawn(work)
    assert began.wait(LONG_S)
    handle.abort()
    assert handle.join(LONG_S) == TaskExit.Aborted()
    assert steps == ["cleaned"]


def test_aborted_before_its_first_step_it_makes_none(rt: Runtime) -> None:
    steps, hold, held = [], threading.Event(), threading.Event()

    async def hog() -> None:
        held.set()
        hold.wait(LONG_S)

    async def work() -> None:
        steps.append("ran")

    rt.spawn(hog)
    assert held.wait(LONG_S)
    handle = rt.spawn(work)
    handle.abort()
    hold.set()
    assert handle.join(LONG_S) == TaskExit.Aborted()
    assert steps == []


def test_nothing_is_kept_of_tasks_that_are_over(rt: Runtime) -> None:
    handles = [rt.spawn(double, i) for i in range(2_000)]
    assert [handle.result(LONG_S) for handle in handles] == [2 * i for i in range(2_000)]
    assert rt.block_on(double, 1) == 2
    assert rt._outstanding == set()


# -- its threads -----------------------------------------------------------------------------------


def test_blocking_calls_have_threads_of_their_own(rt: Runtime) -> None:
    release, both = threading.Event(), threading.Barrier(3)

    def block() -> str:
        both.wait(LONG_S)
        release.wait(LONG_S)
        return threading.current_thread().name

    running = [rt.spawn_blocking(block) for _ in range(2)]
    both.wait(LONG_S)
    steps: list[int] = []
    queued = [rt.spawn_blocking(steps.append, i) for i in range(3)]
    rt.block_on(checkpoint)
    while not all(handle.done for handle in queued) and rt.stats().blocking_queued < 3:
        rt.block_on(checkpoint)
    stats = rt.stats()
    assert (stats.blocking_running, stats.blocking_queued, stats.tasks) == (2, 3, 5)
    queued[1].abort()
    assert queued[1].join(LONG_S) == TaskExit.Aborted()
    release.set()
    assert {handle.result(LONG_S) for handle in running} == {
        "meridian-worker-1",
        "meridian-worker-2",
    }
    assert [queued[i].result(LONG_S) for i in (0, 2)] == [None, None]
    assert sorted(steps) == [0, 2]


def os_name() -> str:
    return Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().strip()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_names_are_visible_to_the_system(anyio_backend: str) -> None:
    async def where() -> str:
        return os_name()

    config = RuntimeConfig(name="meridian-ingress", backend=anyio_backend)
    before = os_name()
    with Runtime(config) as started:
        assert started.block_on(where) == "meridian-ingres", "15 bytes"
        assert started.spawn_blocking(os_name).result(LONG_S) == "meridian-ingr-1"
    assert os_name() == before, "this thread's name is its own"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("short", b"short"),
        ("exactly-15-byte", b"exactly-15-byte"),
        ("meridian-ingress", b"meridian-ingres"),
        ("meridian-worker-7", b"meridian-work-7"),
        ("meridian-housekeeping-31", b"meridian-hou-31"),
        (
            "n\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 8,
            b"n\xc3\xbcn\xc3\xbcn\xc3\xbcn\xc3\xbcn\xc3\xbc",
        ),
        ("-123456789012345678", b"-12345678901234"),
    ],
)
def test_a_long_name_keeps_its_number(name: str, shown: bytes) -> None:
    assert shown_name(name) == shown
    assert len(shown) <= 15
    shown.decode()


def test_each_thread_begins_with_the_hook(anyio_backend: str) -> None:
    seen: list[str] = []
    config = RuntimeConfig(
        backend=anyio_backend,
        name="hooked",
        blocking_threads=1,
        on_thread_start=lambda: seen.append(threading.current_thread().name),
    )
    with Runtime(config) as started:
        assert seen == ["hooked"]
        for _ in range(3):
            started.spawn_blocking(checkpointless).join(LONG_S)
        started.block_on(started.pool.run, checkpointless)
    assert seen == ["hooked", "hooked-1"]


def checkpointless() -> None:
    pass


def test_a_hook_that_fails_fails_what_needs_the_thread(anyio_backend: str) -> None:
    def hook() -> None:
        raise PermissionError(threading.current_thread().name)

    started = Runtime(RuntimeConfig(backend=anyio_backend, on_thread_start=hook))
    with pytest.raises(PermissionError, match="meridian-worker"):
        started.start()
    with pytest.raises(RuntimeNotRunning, match="is shut down: make a new one"):
        started.spawn(double, 1)
    with pytest.raises(PermissionError):
        started.shutdown()

    def hook_of_pool() -> None:
        if threading.current_thread().name != "meridian-worker":
            hook()

    with Runtime(RuntimeConfig(backend=anyio_backend, on_thread_start=hook_of_pool)) as started:
        for _ in range(2):
            with pytest.raises(PermissionError, match="meridian-worker-1"):
                started.spawn_blocking(checkpointless).result(LONG_S)
        assert started.block_on(double, 2) == 4


STACKS = """
import ctypes, threading
from meridian.foundation.tasks import ingress_runtime

def stack_kib():
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p
    attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
    assert libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), attributes) == 0
    libc.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    return size.value // 1024

async def here():
    return stack_kib()

with ingress_runtime() as runtime:
    print(runtime.block_on(here), runtime.spawn_blocking(stack_kib).result())
print(threading.stack_size())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "pthread_getattr_np"), reason="asks glibc")
def test_stacks_have_the_size_asked_for() -> None:
    """In a process of its own: glibc keeps the stacks of threads that ended, and may give a larger
    one."""
    done = subprocess.run([sys.executable, "-c", STACKS], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2048 2048\n0\n", "")


def test_presets(anyio_backend: str) -> None:
    with ingress_runtime(anyio_backend) as ingress, housekeeping_runtime(anyio_backend) as keeper:
        for preset, name, threads in (
            (ingress, "meridian-ingress", 4),
            (keeper, "meridian-housekeeping", 32),
        ):
            assert preset.config.backend == anyio_backend
            assert (preset.config.name, preset.pool.max_threads) == (name, threads)
            assert preset.block_on(double, 1) == 2
            assert preset.block_on(thread_name) == name


async def thread_name() -> str:
    return threading.current_thread().name


def test_the_loops_lag_is_seen(rt: Runtime) -> None:
    before = rt.stats()
    assert 0 <= before.lag_p50 <= before.lag_p99 <= before.lag_max

    async def hog() -> None:
        time.sleep(0.2)
        await anyio.sleep(0.05)

    rt.block_on(hog)
    assert rt.stats().lag_max >= 0.15


# -- how it ends -----------------------------------------------------------------------------------


def test_tasks_drain_when_the_token_is_thrown(rt: Runtime) -> None:
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


# -- what it is made of ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        ({"name": ""}, ValueError, "a name"),
        ({"name": 3}, TypeError, "name as str, got int"),
        ({"backend": "curio"}, ValueError, "asyncio or trio, got 'curio'"),
        ({"blocking_threads": 0}, ValueError, "max_threads"),
        ({"blocking_threads": True}, TypeError, "max_threads"),
        ({"thread_stack_size": 100}, ValueError, "100 bytes"),
        ({"on_thread_start": 3}, TypeError, "on_thread_start to call"),
        ({"lag_interval_s": 0}, ValueError, "interval_s"),
    ],
)
def test_a_configuration_that_cannot_be(
    bad: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        Runtime(RuntimeConfig(**bad))


def test_wrong_arguments_are_told_at_once(rt: Runtime) -> None:
    with pytest.raises(TypeError, match="async function, got 3"):
        rt.spawn(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not async"):
        rt.spawn_blocking(double, 3)
    with pytest.raises(TypeError):
        rt.block_on(lambda: 3)  # type: ignore[arg-type, return-value]
    for bad, error in ((-1, ValueError), (math.nan, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="Expected timeout"):
            rt.shutdown(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reason as str"):
        rt.shutdown(1, 3)  # type: ignore[arg-type]
    assert rt.block_on(double, 2) == 4, "and nothing has happened"
