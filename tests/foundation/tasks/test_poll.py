"""The executor polls what was woken, once per wake, and knows who can never be woken again."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
import weakref
from collections import deque

import pytest

from meridian.foundation.tasks import (
    PENDING,
    Context,
    JoinAll,
    MiniExecutor,
    NoResult,
    Pending,
    Ready,
    Stalled,
    StalledTask,
    StepEvent,
    Waker,
    from_coroutine,
    polled,
)
from meridian.testing import VirtualClock
from tests.foundation.tasks.poll_rig import Cell, Fails, Turns, events

# -- stepping --------------------------------------------------------------------------------------


def test_a_task_is_polled_only_after_a_wake() -> None:
    executor, cell = MiniExecutor(), Cell()
    task = executor.spawn(cell, "fetch")
    assert (task.state, executor.run_queue, cell.polls) == ("queued", ("fetch",), 0)
    assert executor.step() == StepEvent(1, "fetch", "pending")
    assert (task.state, executor.run_queue) == ("pending", ())
    for _ in range(3):
        assert executor.step() is None
    assert (cell.polls, task.polls) == (1, 1)
    cell.put(7)
    assert (task.state, executor.run_queue) == ("queued", ("fetch",))
    assert executor.step() == StepEvent(2, "fetch", "ready")
    assert (task.state, task.done, task.result()) == ("done", True, 7)
    assert executor.tasks == ()
    assert events(executor) == [
        (0, "fetch", "woken"),
        (1, "fetch", "polled"),
        (1, "fetch", "pending"),
        (1, "fetch", "woken"),
        (2, "fetch", "polled"),
        (2, "fetch", "ready"),
        (2, "fetch", "dropped"),
    ]


def test_the_queue_is_first_in_first_out() -> None:
    executor = MiniExecutor()
    for name, turns in (("a", 2), ("b", 0), ("c", 1)):
        executor.spawn(Turns(turns), name)
    assert executor.run_until_idle() == []
    assert [task for _, task, kind in events(executor) if kind == "polled"] == list("abcaca")


def test_woken_twice_it_is_queued_once_and_finished_not_at_all() -> None:
    executor, cell = MiniExecutor(), Cell()
    task = executor.spawn(cell, "fetch")
    executor.step()
    waker = cell.wakers[0]
    for _ in range(3):
        waker.wake()
        waker.clone().wake()
    assert executor.run_queue == ("fetch",)
    executor.step()
    assert executor.step() is None
    cell.put(1)
    executor.run_until_idle()
    waker.wake()
    assert (executor.run_queue, task.polls) == ((), 3)


def test_woken_while_it_is_polled_it_is_polled_once_more() -> None:
    class Eager:
        polls = 0

        def poll(self, cx: Context) -> Pending:
            self.polls += 1
            if self.polls == 1:
                cx.waker.wake()
                cx.waker.wake()
            return PENDING

    executor, eager = MiniExecutor(), Eager()
    executor.spawn(eager)
    executor.run_until_idle()
    assert eager.polls == 2


def test_wakers_know_their_task() -> None:
    executor, one, other = MiniExecutor(), Cell(), Cell()
    executor.spawn(one)
    executor.spawn(one)
    executor.spawn(other)
    executor.run_until_idle()
    first, second, third = *one.wakers, *other.wakers
    assert first.will_wake(first.clone())
    assert not first.will_wake(second)
    assert not second.will_wake(third)


def test_other_threads_wake_and_each_wake_is_followed_by_a_poll() -> None:
    """A counter is raised and the task woken, from four threads: none is missed."""

    class Count:
        seen = 0

        def poll(self, cx: Context) -> Ready[int] | Pending:
            self.seen = len(raised)
            wakers.append(cx.waker)
            return Ready(self.seen) if self.seen == 4 * 500 else PENDING

    raised: list[int] = []
    wakers: deque[Waker] = deque(maxlen=1)
    executor, count = MiniExecutor(), Count()
    task = executor.spawn(count)
    executor.step()

    def raise_it() -> None:
        for n in range(500):
            raised.append(n)
            wakers[-1].wake()

    threads = [threading.Thread(target=raise_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        executor.run_until_idle()
    executor.run_until_idle()
    assert task.result() == 2000
    assert task.polls <= 2002, "no more polls than wakes"


# -- what stalls -----------------------------------------------------------------------------------


def test_a_lost_waker_is_told_from_a_long_wait() -> None:
    executor, forgetful, patient = MiniExecutor(), Cell(keep=False), Cell()
    lost = executor.spawn(forgetful, "forgetful")
    waits = executor.spawn(patient, "patient")
    assert executor.run_until_idle() == [
        StalledTask("forgetful", 1, "lost-waker"),
        StalledTask("patient", 1, "waiting"),
    ]
    assert (lost.wakeable, waits.wakeable) == (False, True)
    patient.wakers.clear()  # whoever would have answered is gone
    assert [stalled.cause for stalled in executor.run_until_idle()] == ["lost-waker"] * 2
    forgetful.put(1)
    assert executor.step() is None, "there is a value, and nobody tells"


def test_a_kept_clone_or_context_is_hope_too() -> None:
    kept = []

    class Keeps:
        def __init__(self, how: object) -> None:
            self.how = how

        def poll(self, cx: Context) -> Pending:
            kept.append({"clone": cx.waker.clone(), "context": cx}[self.how])
            return PENDING

    for how in ("clone", "context"):
        executor = MiniExecutor()
        executor.spawn(Keeps(how), "t")
        assert executor.run_until_idle() == [StalledTask("t", 1, "waiting")]
        kept.clear()
        assert executor.run_until_idle() == [StalledTask("t", 1, "lost-waker")]


def test_while_a_timer_is_armed_nothing_is_lost_yet() -> None:
    clock = VirtualClock()
    executor = MiniExecutor(clock)
    executor.spawn(Cell(keep=False), "forgetful")
    executor.spawn(executor.sleep(5), "sleeper")
    assert [(t.name, t.cause) for t in executor.run_until_idle()] == [
        ("forgetful", "waiting"),
        ("sleeper", "waiting"),
    ]
    clock.advance(5)
    assert executor.run_until_idle() == [StalledTask("forgetful", 1, "lost-waker")]


def test_block_on_raises_instead_of_hanging() -> None:
    executor = MiniExecutor()
    assert executor.block_on(Turns(3)) == "done"
    executor.spawn(Cell(), "other")
    with pytest.raises(Stalled, match=r"other \(waiting, polls: 1\), block_on-") as caught:
        executor.block_on(Cell(keep=False))
    assert [task.cause for task in caught.value.tasks] == ["waiting", "lost-waker"]
    assert [task.name for task in executor.tasks] == ["other"], "what was blocked on is dropped"
    assert copy.copy(caught.value).tasks == caught.value.tasks
    assert pickle.loads(pickle.dumps(caught.value)).tasks == caught.value.tasks


def test_block_on_waits_for_a_thread_when_told_to() -> None:
    executor, cell = MiniExecutor(), Cell()

    def answer() -> None:
        while not cell.wakers:
            time.sleep(0.0005)
        cell.put("from a thread")

    thread = threading.Thread(target=answer)
    thread.start()
    assert executor.block_on(cell, patience_s=60) == "from a thread"
    thread.join()
    start = time.monotonic()
    with pytest.raises(Stalled):
        executor.block_on(Cell(keep=False), patience_s=600)
    assert time.monotonic() - start < 300, "nobody can wake it: nothing to be patient for"


# -- errors, joins, drops --------------------------------------------------------------------------


def test_what_nobody_waits_for_goes_out_of_the_step() -> None:
    executor, error = MiniExecutor(), OSError("disk")
    task = executor.spawn(Fails(error), "broken")
    other = executor.spawn(Turns(1), "other")
    with pytest.raises(OSError, match="disk") as caught:
        executor.run_until_idle()
    assert caught.value is error
    assert (task.done, executor.trace[-1].kind) == (True, "dropped")
    with pytest.raises(OSError, match="disk"):
        task.result()
    assert executor.run_until_idle() == []
    assert other.result() == "done"
    with pytest.raises(OSError, match="disk"):
        executor.block_on(Fails(error))


def test_who_waits_for_a_task_gets_what_it_raises() -> None:
    executor, cell = MiniExecutor(), Cell()

    async def fail() -> None:
        await polled(cell)
        raise KeyError("bug")

    async def supervise() -> str:
        try:
            await polled(task)
        except KeyError as error:
            return f"handled {error}"
        return "not reached"

    task = executor.spawn(from_coroutine(fail()))
    supervisor = executor.spawn(from_coroutine(supervise()))
    executor.run_until_idle()
    cell.put(None)
    assert executor.run_until_idle() == []
    assert supervisor.result() == "handled 'bug'"


def test_several_tasks_wait_for_one() -> None:
    executor, cell = MiniExecutor(), Cell()
    task = executor.spawn(cell, "fetch")

    async def join() -> object:
        return await polled(task)

    joins = [executor.spawn(from_coroutine(join())) for _ in range(3)]
    assert len(executor.run_until_idle()) == 4
    cell.put(9)
    assert executor.run_until_idle() == []
    assert [each.result() for each in joins] == [9, 9, 9]
    assert executor.block_on(from_coroutine(join())) == 9, "also when it is over"


def test_a_task_without_a_result_says_why() -> None:
    executor = MiniExecutor()
    task = executor.spawn(Cell(), "fetch")
    with pytest.raises(NoResult, match="Task fetch has no result: it is queued"):
        task.result()
    executor.drop(task)
    with pytest.raises(NoResult, match="it is dropped") as caught:
        task.result()
    assert pickle.loads(pickle.dumps(caught.value)).state == "dropped"
    executor.drop(task)
    assert (executor.run_queue, executor.tasks) == ((), ())


def test_a_dropped_task_is_closed_and_who_waits_for_it_is_told() -> None:
    executor, steps = MiniExecutor(), []

    async def work() -> None:
        try:
            await polled(Cell())
        finally:
            steps.append("cleaned")

    async def join() -> None:
        await polled(task)

    task = executor.spawn(from_coroutine(work()), "work")
    waiting = executor.spawn(from_coroutine(join()), "join")
    unborn = executor.spawn(from_coroutine(work()), "unborn")
    executor.drop(unborn)
    executor.run_until_idle()
    executor.drop(task)
    assert steps == ["cleaned"], "and what never began has nothing to clean"
    with pytest.raises(NoResult, match="Task work has no result: it is dropped"):
        executor.run_until_idle()
    assert waiting.done


def test_a_poll_must_not_step_the_executor() -> None:
    executor = MiniExecutor()

    class Nested:
        def __init__(self, call: object) -> None:
            self.call = call

        def poll(self, _: Context) -> Ready[None]:
            self.call()
            return Ready(None)

    for call in (executor.step, executor.run_until_idle, lambda: executor.block_on(Turns(1))):
        with pytest.raises(RuntimeError, match="must not step it"):
            executor.block_on(Nested(call))
    assert executor.tasks == ()
    spawned = []
    executor.block_on(Nested(lambda: spawned.append(executor.spawn(Turns(0)))))
    executor.run_until_idle()
    assert spawned[0].done, "but it may spawn"


def test_what_is_no_future_and_no_answer() -> None:
    executor = MiniExecutor()

    async def coroutine() -> None: ...

    made = coroutine()
    for wrong in (3, None, made):
        with pytest.raises(TypeError, match=r"Expected a future.*from_coroutine"):
            executor.spawn(wrong)  # type: ignore[arg-type]
    made.close()
    for wrong in (3, coroutine):
        with pytest.raises(TypeError, match="Expected a coroutine"):
            from_coroutine(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Expected futures"):
        JoinAll(Turns(1), 3)  # type: ignore[arg-type]

    class Mute:
        def poll(self, _: Context) -> None:
            return None

    with pytest.raises(TypeError, match=r"poll\(\) of Mute answered None"):
        executor.block_on(Mute())  # type: ignore[arg-type]


def test_nothing_is_kept_of_a_task_that_is_over() -> None:
    executor = MiniExecutor()
    future = Turns(2)
    reference = weakref.ref(future)
    executor.spawn(future)
    del future
    executor.run_until_idle()
    assert reference() is None
    executor.trace.clear()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1000):
        executor.spawn(Turns(1))
    executor.run_until_idle()
    executor.trace.clear()
    gc.collect()
    assert len(gc.get_objects()) - before < 100


def test_a_task_keeps_one_waker_for_each_that_waits() -> None:
    executor = MiniExecutor()
    inner = executor.spawn(executor.sleep(100), "inner")

    async def naps() -> None:
        for _ in range(50):
            await polled(executor.sleep(1))

    both = executor.spawn(JoinAll(inner, from_coroutine(naps())), "both")  # polled at every nap
    while both.polls < 50:
        executor.step()
        assert len(inner._joiners) <= 1
    executor.run_until_idle()
    assert both.done
