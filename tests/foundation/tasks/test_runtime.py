"""A loop in a thread of its own: what it answers, and what it refuses."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from meridian.foundation.tasks import (
    Runtime,
    RuntimeConfig,
    TaskAborted,
    TaskExit,
)
from meridian.foundation.tasks.runtime_handles import (
    JoinTimeout,
)
from tests.foundation.tasks.runtime_rig import LONG_S, double, fail, thread_name

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
    with pytest.raises(TypeError, match="a RuntimeConfig, got 3"):
        Runtime(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async function, got 3"):
        rt.block_on(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not async, got 3"):
        rt.spawn_blocking(3)  # type: ignore[arg-type]
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
