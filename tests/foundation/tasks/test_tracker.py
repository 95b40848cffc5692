"""Tasks fail alone, are stopped alone, and none outlives its tracker."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import anyio
import pytest
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from meridian.foundation.tasks import (
    TaskAborted,
    TaskExit,
    TaskTracker,
    TrackerClosed,
    abort_on_exit,
    select,
)

pytestmark = pytest.mark.anyio


async def double(number: int) -> int:
    await checkpoint()
    return 2 * number


async def fail(error: BaseException) -> None:
    await checkpoint()
    raise error


async def test_results_come_back_by_handle() -> None:
    async with TaskTracker("t") as tracker:
        handles = [tracker.spawn(double, i) for i in range(5)]
        assert tracker.names() == tuple(f"t-{i}" for i in range(5))
        assert [await handle.result() for handle in handles] == [0, 2, 4, 6, 8]
        assert await handles[1].join() == TaskExit.Ok(2)
        assert await handles[1].join() == TaskExit.Ok(2), "twice"
        assert len(tracker) == 0
    assert {ended.name: ended.exit for ended in tracker.exits} == {
        f"t-{i}": TaskExit.Ok(2 * i) for i in range(5)
    }


async def test_a_failure_is_the_childs_own() -> None:
    bug, trouble = KeyError("bug"), OSError("disk")
    with capture_logs() as logs:
        async with TaskTracker() as tracker:
            broken = tracker.spawn(fail, bug, name="broken")
            troubled = tracker.spawn(fail, trouble, name="troubled")
            fine = tracker.spawn(double, 4)
            assert await fine.result() == 8
            assert await broken.join() == TaskExit.Panicked(bug)
            assert await troubled.join() == TaskExit.Errored(trouble)
            with pytest.raises(KeyError, match="bug"):
                await broken.result()
    assert {(log["event"], log["task"]) for log in logs} == {
        ("task_panicked", "broken"),
        ("task_errored", "troubled"),
    }


async def test_an_abort_runs_the_cleanup_and_the_others_go_on() -> None:
    steps = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            steps.append("cleaned")

    async with TaskTracker() as tracker:
        handle, other = tracker.spawn(work), tracker.spawn(work)
        await anyio.wait_all_tasks_blocked()
        handle.abort()
        handle.abort()
        assert not handle.done, "it returns at once"
        assert await handle.join() == TaskExit.Aborted()
        assert steps == ["cleaned"]
        with pytest.raises(TaskAborted, match="was aborted"):
            await handle.result()
        assert not other.done
        other.abort()


async def test_aborted_before_its_first_step_it_makes_none() -> None:
    steps = []

    async def work() -> None:
        steps.append("ran")

    async with TaskTracker() as tracker:
        handle = tracker.spawn(work)
        handle.abort()
    assert handle.exit == TaskExit.Aborted()
    assert steps == []


async def test_a_cancellation_of_its_own_is_the_childs_own_too(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("in trio nobody else can cancel what a task waits for")
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def wait_for_it() -> None:
        await gone

    async with TaskTracker() as tracker:
        broken, fine = tracker.spawn(wait_for_it), tracker.spawn(double, 4)
        assert await broken.join() == TaskExit.Aborted()
        assert await fine.result() == 8
        with pytest.raises(TaskAborted):
            await broken.result()


@pytest.mark.parametrize("whole", [False, True])
async def test_a_cleanup_that_fails_is_the_childs_own(whole: bool) -> None:
    """Both backends then raise a group, of the failure and of the cancellation."""

    async def fail_at_the_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("disk")

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(fail_at_the_end)
            group.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with TaskTracker() as tracker:
            broken, other = tracker.spawn(work), tracker.spawn(anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            if whole:
                scope.cancel()
                await anyio.sleep_forever()
            broken.abort()
            await broken.join()
            assert not other.done
            other.abort()
    assert scope.cancelled_caught == whole
    assert isinstance(broken.exit, TaskExit.Errored)
    assert [str(leaf) for leaf in broken.exit.exc.exceptions] == ["disk"]
    assert other.exit == TaskExit.Aborted()


async def test_aborted_while_it_is_being_spawned_by_an_eager_loop(anyio_backend: str) -> None:
    if anyio_backend != "asyncio" or not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("no eager tasks here")
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    steps = []

    async def work() -> None:
        next(iter(tracker.handles())).abort()
        steps.append("begun")
        await checkpoint()
        steps.append("never")

    try:
        async with TaskTracker() as tracker:
            assert await tracker.spawn(work).join() == TaskExit.Aborted()
            assert await tracker.spawn(double, 1).join() == TaskExit.Ok(2)
    finally:
        asyncio.get_running_loop().set_task_factory(None)
    assert steps == ["begun"]


async def test_an_abort_from_another_thread() -> None:
    async with TaskTracker() as tracker:
        handle = tracker.spawn(anyio.sleep_forever)
        thread = threading.Thread(target=handle.abort)
        thread.start()
        with anyio.fail_after(30):
            assert await handle.join() == TaskExit.Aborted()
        thread.join()


async def test_an_abort_that_is_ignored_is_told() -> None:
    async def stubborn() -> int:
        try:
            await anyio.sleep_forever()
        except BaseException:
            return 7

    with capture_logs() as logs:
        async with TaskTracker() as tracker:
            handle = tracker.spawn(stubborn, name="stubborn")
            await anyio.wait_all_tasks_blocked()
            handle.abort()
    assert handle.exit == TaskExit.Ok(7)
    assert [log["event"] for log in logs] == ["cancel_ignored"]


async def test_being_cancelled_in_join_does_not_touch_the_task() -> None:
    async with TaskTracker() as tracker:
        handle = tracker.spawn(anyio.sleep_forever)
        with anyio.move_on_after(0):
            await handle.join()
        await checkpoint()
        assert not handle.done
        assert len(handle._waiters) == 0
        handle.abort()


async def test_wait_needs_both_closed_and_empty() -> None:
    done = []

    async def wait(tracker: TaskTracker) -> None:
        await tracker.wait()
        done.append(True)

    async with anyio.create_task_group() as group, TaskTracker() as tracker:
        group.start_soon(wait, tracker)
        await anyio.wait_all_tasks_blocked()
        assert not done, "empty and open"
        handle = tracker.spawn(anyio.sleep_forever)
        tracker.close()
        with pytest.raises(TrackerClosed, match="is closed"):
            tracker.spawn(double, 1)
        await anyio.wait_all_tasks_blocked()
        assert not done, "closed and busy"
        tracker.reopen()
        handle.abort()
        await handle.join()
        await anyio.wait_all_tasks_blocked()
        assert not done, "open again"
        tracker.close()
        await anyio.wait_all_tasks_blocked()
        assert done


async def test_leaving_waits_and_leaving_on_an_error_aborts_first() -> None:
    async with TaskTracker() as tracker:
        handle = tracker.spawn(double, 2)
    assert handle.exit == TaskExit.Ok(4)

    tracker = TaskTracker()
    handles = []

    async def broken_block() -> None:
        async with tracker:
            handles.append(tracker.spawn(anyio.sleep_forever))
            raise ValueError("outer")

    with pytest.raises(ValueError, match="outer"):
        await broken_block()
    assert handles[0].exit == TaskExit.Aborted()
    with pytest.raises(TrackerClosed):
        tracker.spawn(double, 1)


async def test_cancelled_from_outside_all_children_end() -> None:
    handles = []
    with anyio.CancelScope() as scope:
        async with TaskTracker() as tracker:
            handles += [tracker.spawn(anyio.sleep_forever) for _ in range(3)]
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert all(isinstance(handle.exit, TaskExit.Aborted) for handle in handles)


def test_what_is_meant_for_the_process_ends_the_tracker(anyio_backend: str) -> None:
    handles = []

    async def main() -> None:
        async with TaskTracker() as tracker:
            handles.append(tracker.spawn(anyio.sleep_forever))
            tracker.spawn(fail, SystemExit(3))

    with pytest.raises((SystemExit, BaseExceptionGroup)) as caught:
        anyio.run(main, backend=anyio_backend)
    leaf = caught.value
    while isinstance(leaf, BaseExceptionGroup):
        (leaf,) = leaf.exceptions
    assert isinstance(leaf, SystemExit)
    assert isinstance(handles[0].exit, TaskExit.Aborted)


async def test_a_handle_is_a_branch_and_losing_it_stops_nothing() -> None:
    ended = []

    async def work() -> None:
        await checkpoint()
        ended.append(True)

    async with TaskTracker() as tracker:
        tracker.spawn(work)
        gc.collect()
        sleeping = tracker.spawn(anyio.sleep_forever)
        with abort_on_exit(sleeping):
            assert await select(sleeping, tracker.spawn(double, 1)) == (1, TaskExit.Ok(2))
        assert await sleeping.join() == TaskExit.Aborted()
    assert ended == [True]


async def test_nothing_is_kept_of_a_task_that_is_over() -> None:
    class Big:
        pass

    async with TaskTracker() as tracker:
        references = []
        for _ in range(3000):
            big = Big()
            references.append(weakref.ref(big))
            tracker.spawn(double, id(big))
            del big
            if len(tracker) > 100:
                await anyio.wait_all_tasks_blocked()
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert len(tracker) == 0
        assert tracker.names() == ()
        assert [reference() for reference in references] == [None] * 3000
        assert len(tracker.exits) == 1024


async def test_what_cannot_be_called_is_told_at_once_and_leaves_no_task() -> None:
    async with TaskTracker() as tracker:
        with pytest.raises(TypeError, match="async function and its arguments, got 5"):
            tracker.spawn(5)  # type: ignore[arg-type]
        coroutine = anyio.sleep(0)
        with pytest.raises(TypeError, match="async function and its arguments, got <coroutine"):
            tracker.spawn(coroutine)  # type: ignore[arg-type]
        coroutine.close()
        assert len(tracker) == 0
    assert not tracker.exits
