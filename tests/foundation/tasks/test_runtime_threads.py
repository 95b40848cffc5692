"""The threads of a runtime: their names, their stacks, how each begins."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.tasks import (
    Runtime,
    RuntimeConfig,
    TaskExit,
    housekeeping_runtime,
    ingress_runtime,
)
from meridian.foundation.tasks.runtime_handles import (
    RuntimeNotRunning,
)
from meridian.foundation.tasks.thread_names import shown_name
from tests.foundation.tasks.runtime_rig import LONG_S, checkpointless, double, thread_name


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


def test_the_loops_lag_is_seen(rt: Runtime) -> None:
    before = rt.stats()
    assert 0 <= before.lag_p50 <= before.lag_p99 <= before.lag_max

    async def hog() -> None:
        time.sleep(0.2)
        await anyio.sleep(0.05)

    rt.block_on(hog)
    assert rt.stats().lag_max >= 0.15
