"""One drain, one deadline, and a report in which every task stands once."""

from __future__ import annotations

import math
import pickle

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.tasks import (
    CancellationToken,
    ShutdownCoordinator,
    ShutdownReport,
    TaskTracker,
    TrackerClosed,
)
from meridian.testing.settling import settle
from meridian.testing.virtual_loop import run_virtual
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

SECOND = pytest.approx


async def drains(token: CancellationToken, seconds: float) -> None:
    await token.cancelled()
    await anyio.sleep(seconds)


async def ends_late_when_aborted(seconds: float) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)


async def test_all_in_time_is_clean() -> None:
    token = CancellationToken()
    async with TaskTracker() as tracker:
        for i in range(12):
            tracker.spawn(drains, token, i / 4)
        coordinator = ShutdownCoordinator(tracker, token)
        assert coordinator.report is None
        report = await coordinator.shutdown("upgrade")
    assert (report.reason, report.drained, report.aborted, report.stuck) == ("upgrade", 12, (), ())
    assert report.clean
    assert report.elapsed_s == SECOND(2.75), "as long as the slowest, not the deadline"
    assert coordinator.report is report


async def test_stragglers_are_aborted_and_the_stuck_are_named() -> None:
    token, release = CancellationToken(), anyio.Event()

    async def stuck() -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    async with TaskTracker() as tracker:
        tracker.spawn(drains, token, 3, name="good")
        tracker.spawn(anyio.sleep_forever, name="deaf")
        tracker.spawn(stuck, name="stuck")
        tracker.spawn(ends_late_when_aborted, 0.9, name="slow")
        tracker.spawn(ends_late_when_aborted, 1.1, name="too slow")
        await settle()
        report = await ShutdownCoordinator(tracker, token).shutdown("signal SIGTERM")
        assert tracker.names() == ("stuck", "too slow")
        release.set()
    assert report.drained == 1
    assert report.aborted == ("deaf", "slow")
    assert report.stuck == ("stuck", "too slow")
    assert not report.clean
    assert report.elapsed_s == SECOND(11)
    assert str(report) == (
        "Shutdown (signal SIGTERM): 1 drained, 2 aborted, stuck: stuck, too slow, after 11.000 s"
    )


async def test_one_that_swallows_its_cancellation_again_and_again_is_stuck() -> None:
    token, attempts = CancellationToken(), 0

    async def stubborn() -> None:
        nonlocal attempts
        while not released:
            try:
                await anyio.sleep_forever()
            except BaseException:
                attempts += 1
                with anyio.CancelScope(shield=True):  # as a slow cleanup would
                    await anyio.sleep(0.1)

    released = False
    async with TaskTracker() as tracker:
        tracker.spawn(stubborn, name="stubborn")
        await settle()
        coordinator = ShutdownCoordinator(tracker, token, drain_deadline_s=2, abort_grace_s=0.5)
        report = await coordinator.shutdown()
        released = True
    assert report.stuck == ("stubborn",)
    assert report.elapsed_s == SECOND(2.5)
    assert attempts > 1


async def test_the_order_of_things() -> None:
    token = CancellationToken()
    seen = []

    async def session() -> None:
        await token.cancelled()
        try:
            tracker.spawn(anyio.sleep, 1)
        except TrackerClosed:
            seen.append("closed before the token was cancelled")
        try:
            await anyio.sleep_forever()
        finally:
            seen.append(f"aborted at {anyio.current_time() - began:.1f} s")

    async with TaskTracker() as tracker:
        tracker.spawn(session)
        await settle()
        began = anyio.current_time()
        await ShutdownCoordinator(tracker, token, drain_deadline_s=5).shutdown()
    assert seen == ["closed before the token was cancelled", "aborted at 5.0 s"]


async def test_the_deadline_is_one_for_all() -> None:
    """Twelve that each end 1 s after the other would wait 78 s, were it one for each."""
    token = CancellationToken()
    async with TaskTracker() as tracker:
        for i in range(12):
            tracker.spawn(drains, token, 1 + i, name=f"s{i}")
        report = await ShutdownCoordinator(
            tracker, token, drain_deadline_s=5.5, abort_grace_s=0.25
        ).shutdown()
    assert report.drained == 5
    assert report.aborted == tuple(f"s{i}" for i in range(5, 12))
    assert report.elapsed_s == SECOND(5.5)


async def test_twice_and_at_once_is_one_drain() -> None:
    token = CancellationToken()
    reports = []

    async def ask(after_s: float, reason: str) -> None:
        await anyio.sleep(after_s)
        reports.append(await coordinator.shutdown(reason))

    async with TaskTracker() as tracker:
        tracker.spawn(drains, token, 4)
        coordinator = ShutdownCoordinator(tracker, token)
        async with anyio.create_task_group() as group:
            group.start_soon(ask, 0.5, "second")
            group.start_soon(ask, 0, "first")
            group.start_soon(ask, 9, "late")
    assert len(reports) == 3
    assert all(report is reports[0] for report in reports)
    assert reports[0].reason == "first"
    assert reports[0].elapsed_s == SECOND(4)


async def test_who_threw_the_token_gives_the_reason() -> None:
    token = CancellationToken()
    token.cancel("signal SIGINT")
    async with TaskTracker() as tracker:
        tracker.spawn(drains, token, 0)
        report = await ShutdownCoordinator(tracker, token).shutdown("later")
    assert report.reason == "signal SIGINT"
    assert report.clean


@pytest.mark.parametrize("cancelled_after_s", [0, 2, 5.5])
async def test_a_cancelled_caller_leaves_the_rest_to_the_next(cancelled_after_s: float) -> None:
    token = CancellationToken()
    async with TaskTracker() as tracker:
        tracker.spawn(drains, token, 3, name="good")
        tracker.spawn(ends_late_when_aborted, 0.75, name="slow")
        await settle()
        coordinator = ShutdownCoordinator(tracker, token, drain_deadline_s=5)
        with anyio.move_on_after(cancelled_after_s) as scope:
            await coordinator.shutdown()
        assert scope.cancelled_caught
        assert token.is_cancelled
        assert coordinator.report is None
        report = await coordinator.shutdown()
    assert (report.drained, report.aborted, report.stuck) == (1, ("slow",), ())
    assert report.elapsed_s == SECOND(5.75), "towards the same deadlines"


async def test_nothing_to_drain_and_no_time_to_do_it() -> None:
    token = CancellationToken()
    async with TaskTracker() as tracker:
        report = await ShutdownCoordinator(tracker, token).shutdown()
    assert (report.drained, report.clean, report.elapsed_s) == (0, True, SECOND(0))

    async with TaskTracker() as tracker:
        tracker.spawn(anyio.sleep_forever, name="a")
        report = await ShutdownCoordinator(
            tracker, CancellationToken(), drain_deadline_s=0, abort_grace_s=math.inf
        ).shutdown()
    assert (report.aborted, report.elapsed_s) == (("a",), SECOND(0))


async def test_the_stuck_loop_does_not_take_the_grace() -> None:
    """The loop itself was held beyond both deadlines: whoever obeys is not called stuck."""
    token = CancellationToken()

    async def hog() -> None:
        await token.cancelled()
        running.jump(100)

    async with TaskTracker() as tracker:
        running = _Jumper()
        tracker.spawn(hog, name="hog")
        tracker.spawn(ends_late_when_aborted, 0.5, name="obeys")
        await settle()
        report = await ShutdownCoordinator(tracker, token).shutdown()
    assert report.aborted == ("obeys",)
    assert report.elapsed_s == SECOND(100, abs=1)


class _Jumper:
    """Moves the loop's virtual time as a task that computes for so long does."""

    def jump(self, seconds: float) -> None:
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio

            trio.lowlevel.current_clock().jump(seconds)  # type: ignore[attr-defined]
        else:
            loop._now_s += seconds  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bad", "error"),
    [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)],
)
async def test_times_that_are_none(bad: object, error: type[Exception]) -> None:
    async with TaskTracker() as tracker:
        for name in ("drain_deadline_s", "abort_grace_s"):
            with pytest.raises(error, match=f"Expected {name}"):
                ShutdownCoordinator(tracker, CancellationToken(), **{name: bad})  # type: ignore[arg-type]


async def test_a_reason_that_is_none_changes_nothing() -> None:
    token = CancellationToken()
    async with TaskTracker() as tracker:
        with pytest.raises(TypeError, match="reason as str, got int"):
            await ShutdownCoordinator(tracker, token).shutdown(3)  # type: ignore[arg-type]
        assert not token.is_cancelled
        await tracker.spawn(anyio.sleep, 1).join()


def test_a_report_travels(virtual_time: None) -> None:
    report = ShutdownReport("r", 1, ("a",), (), 0.5)
    assert pickle.loads(pickle.dumps(report)) == report
    with pytest.raises(AttributeError):
        report.drained = 2  # type: ignore[misc]


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 3)), max_size=8),
    st.sampled_from(["asyncio", "trio"]),
)
def test_any_tasks_against_a_model(tasks: list[tuple[float, float]], backend: str) -> None:
    """Each task drains after one time, or takes another once it is aborted."""
    deadline_s, grace_s = 10.0, 1.0

    async def session(token: CancellationToken, drain_s: float, cleanup_s: float) -> None:
        try:
            await drains(token, drain_s)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(cleanup_s)
            raise

    async def main() -> ShutdownReport:
        token = CancellationToken()
        async with TaskTracker() as tracker:
            for i, (drain_s, cleanup_s) in enumerate(tasks):
                tracker.spawn(session, token, drain_s, cleanup_s, name=str(i))
            await settle()
            return await ShutdownCoordinator(
                tracker, token, drain_deadline_s=deadline_s, abort_grace_s=grace_s
            ).shutdown()

    report = run_virtual(main, backend=backend)
    margin = 1e-6
    sure = [(d, c) for d, c in tasks if abs(d - deadline_s) > margin and abs(c - grace_s) > margin]
    names = [str(i) for i, (d, _) in enumerate(tasks) if d > deadline_s + margin]
    assert report.drained + len(report.aborted) + len(report.stuck) == len(tasks)
    if len(sure) == len(tasks):
        assert report.drained == sum(d < deadline_s for d, _ in tasks)
        assert report.aborted == tuple(n for n in names if tasks[int(n)][1] < grace_s)
        assert report.stuck == tuple(n for n in names if tasks[int(n)][1] > grace_s)
        late = [c for d, c in tasks if d > deadline_s]
        longest = max((d for d, _ in tasks), default=0.0)
        expected = deadline_s + min(max(late), grace_s) if late else longest
        assert report.elapsed_s == pytest.approx(expected, abs=1e-3)
