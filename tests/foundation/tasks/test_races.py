"""An operation begun once, deadlines, races: no value is lost and no operation left behind."""

from __future__ import annotations

import asyncio
import contextlib
import math
import pickle
from collections.abc import Callable
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.tasks import (
    PENDING,
    CancellationToken,
    Once,
    PolledAfterCompletion,
    Ready,
    SelectExhausted,
    TaskAborted,
    deadline,
    parking,
    race,
    races,
    select,
)
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time

pytestmark = pytest.mark.anyio


class Operation:
    """Waits to be let go, and says what became of it."""

    def __init__(self) -> None:
        self.go, self.steps = anyio.Event(), []

    async def __call__(self, end: object = None) -> object:
        self.steps.append("begun")
        try:
            await self.go.wait()
        except BaseException:
            await self.clean()
            raise
        self.steps.append("ended")
        if isinstance(end, BaseException):
            raise end
        return end

    async def clean(self) -> None:
        with anyio.CancelScope(shield=True):
            await checkpoint()
        self.steps.append("cleaned")


# -- Once ------------------------------------------------------------------------------------------


async def test_it_is_begun_once_and_may_be_waited_for_many_times() -> None:
    operation, commands, log = Operation(), [CancellationToken() for _ in range(3)], []
    with anyio.fail_after(60):
        async with Once(operation, "catalog") as fetch:
            for number, command in enumerate(commands):
                command.cancel(f"command {number}")
                log.append(await select(fetch, command))
            operation.go.set()
            log.append(await select(fetch, CancellationToken()))
            with pytest.raises(PolledAfterCompletion, match="Once is complete") as caught:
                await select(fetch)
            with pytest.raises(SelectExhausted):
                await select(None if fetch.taken else fetch)
    assert log == [(1, "command 0"), (1, "command 1"), (1, "command 2"), (0, "catalog")]
    assert operation.steps == ["begun", "ended"]
    assert pickle.loads(pickle.dumps(caught.value)).what == "Once"


async def test_a_fetch_goes_on_beside_commands(virtual_time: None) -> None:
    """A fetch of 200 ms, commands at 60, 120 and 180: it is not begun again by any of them."""
    log, begun, start = [], [], anyio.current_time()

    async def fetch() -> str:
        begun.append(anyio.current_time() - start)
        await anyio.sleep(0.2)
        return "catalog"

    async with Once(fetch) as catalog:
        commands = [deadline(at_s) for at_s in (0.06, 0.12, 0.18, 0.24)]
        while commands:
            index, value = await select(commands[0], None if catalog.taken else catalog)
            log.append((round(anyio.current_time() - start, 3), value or "command"))
            if index == 0:
                commands.pop(0)
    assert log == [
        (0.06, "command"),
        (0.12, "command"),
        (0.18, "command"),
        (0.2, "catalog"),
        (0.24, "command"),
    ]
    assert begun == [0]


async def test_left_early_it_is_cancelled_and_awaited() -> None:
    operation = Operation()
    async with Once(operation) as fetch:
        assert fetch.try_take() is PENDING
        await anyio.wait_all_tasks_blocked()
    assert operation.steps == ["begun", "cleaned"]
    with pytest.raises(SelectExhausted):
        await select(fetch)
    with anyio.move_on_after(0.01) as scope:
        async with Once(Operation()):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_value_that_was_not_taken_in_the_block_still_can_be() -> None:
    async with Once(double, 4) as fetch:
        await anyio.wait_all_tasks_blocked()
    assert fetch.try_take() == Ready(8)


async def double(number: int) -> int:
    return 2 * number


async def fail(error: BaseException) -> None:
    raise error


async def fail_within(once: Once[object], scope: anyio.CancelScope | None = None) -> None:
    async with once:
        await anyio.wait_all_tasks_blocked()
        if scope is not None:
            scope.cancel()
        raise ValueError("mine")


async def test_what_it_raises_is_raised_to_who_takes() -> None:
    for error in (OSError("disk"), KeyError("bug"), ExceptionGroup("g", [OSError()])):
        async with Once(fail, error) as fetch:
            with pytest.raises(type(error)) as caught:
                await select(fetch, deadline(60))
            assert caught.value is error
            with pytest.raises(PolledAfterCompletion):
                fetch.try_take()


async def test_what_nobody_takes_is_forgotten_or_raised_if_it_is_a_bug() -> None:
    async with Once(fail, OSError("refused")):
        await anyio.wait_all_tasks_blocked()
    with pytest.raises(KeyError, match="bug"):
        async with Once(fail, KeyError("bug")):
            await anyio.wait_all_tasks_blocked()
    with pytest.raises(KeyError, match="bug") as caught:
        await fail_within(Once(fail, KeyError("bug")))
    assert isinstance(caught.value.__context__, ValueError)


async def test_a_failing_cleanup_is_a_bug_too() -> None:
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("cleanup")

    with pytest.raises(ExceptionGroup) as caught:
        async with Once(work):
            await anyio.wait_all_tasks_blocked()
    assert reprs(caught.value) == ["KeyError('cleanup')"]


async def test_the_blocks_own_error_goes_on_although_all_is_cancelled() -> None:
    steps = []
    with anyio.CancelScope() as scope:
        with pytest.raises(ValueError, match="mine"):
            await fail_within(Once(anyio.sleep_forever), scope)
        steps.append("mine")
        await checkpoint()
        pytest.fail("the cancellation is lost")
    assert steps == ["mine"]


async def test_an_operation_that_was_cancelled_by_others_is_an_end(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("in trio nobody can")
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def work() -> None:
        await gone

    async with Once(work) as fetch:
        with pytest.raises(TaskAborted, match="work"):
            await select(fetch)
        await checkpoint()
    with pytest.raises(TaskAborted):
        await race(work, anyio.sleep_forever)


async def test_it_is_entered_once_and_first() -> None:
    fetch = Once(double, 2)
    with pytest.raises(RuntimeError, match="entered first"):
        await select(fetch)
    async with fetch:
        with pytest.raises(RuntimeError, match="entered once"):
            await fetch.__aenter__()
        assert await select(fetch) == (0, 4)
    with pytest.raises(RuntimeError, match="entered once"):
        await fetch.__aenter__()
    with pytest.raises(TypeError, match="Expected an async function"):
        Once(3)  # type: ignore[arg-type]


async def test_several_tasks_wait_and_one_has_it() -> None:
    operation, got = Operation(), []

    async def take(fetch: Once[object]) -> None:
        try:
            got.append(await select(fetch))
        except PolledAfterCompletion:
            got.append("late")

    async with Once(operation, 5) as fetch, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(take, fetch)
        await anyio.wait_all_tasks_blocked()
        operation.go.set()
    assert sorted(got, key=str) == [(0, 5), "late", "late"]


async def test_a_cancelled_select_takes_nothing() -> None:
    random, ends = Random(2), set()
    for _ in range(500):
        operation, got = Operation(), []
        async with Once(operation, "value") as fetch:

            async def take(scope: anyio.CancelScope, got: list[object] = got) -> None:
                with scope:
                    got.append(await select(fetch))

            scope = anyio.CancelScope()
            async with anyio.create_task_group() as group:
                group.start_soon(take, scope)
                for act in random.sample((operation.go.set, scope.cancel), 2):
                    for _ in range(random.randrange(3)):
                        await checkpoint()
                    act()
            if not got:
                with anyio.fail_after(60):
                    assert await select(fetch) == (0, "value")
            ends.add(bool(got))
    assert ends == {True, False}


# -- race ------------------------------------------------------------------------------------------


async def test_the_first_wins_and_the_others_have_ended() -> None:
    operations = [Operation() for _ in range(3)]
    lost = []
    async with anyio.create_task_group() as group:

        async def let_go() -> None:
            await anyio.wait_all_tasks_blocked()
            operations[1].go.set()

        group.start_soon(let_go)
        fns = [lambda i=i: operations[i](i * 10) for i in range(3)]
        assert await race(*fns, on_lost=lambda *it: lost.append(it)) == (1, 10)
    assert [o.steps for o in operations] == [
        ["begun", "cleaned"],
        ["begun", "ended"],
        ["begun", "cleaned"],
    ]
    assert lost == []
    assert await race(lambda: double(3)) == (0, 6)


async def test_every_value_is_returned_or_handed_over() -> None:
    random, sizes = Random(3), set()
    for _ in range(300):
        made, kept, operations = set(), set(), [Operation() for _ in range(4)]

        async def make(index: int, made: set[int] = made, ops: list[Operation] = operations) -> int:
            with contextlib.suppress(BaseException) if index == 3 else contextlib.nullcontext():
                await ops[index].go.wait()
            made.add(index)
            return index

        async def run(scope: anyio.CancelScope, kept: set[int] = kept) -> None:
            def keep(index: int, value: int) -> None:
                assert index == value
                kept.add(value)

            with scope:
                fns = [lambda i=i: make(i) for i in range(4)]
                index, value = await race(*fns, on_lost=keep)
                keep(index, value)

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(run, scope)
            for _ in range(random.randrange(8)):
                await checkpoint()
            acts = [operation.go.set for operation in operations[:3]] + [scope.cancel]
            for act in random.sample(acts, random.randrange(1, 5)):
                act()
                if random.random() < 0.3:
                    await checkpoint()
        assert kept == made
        sizes.add(len(made))
    assert len(sizes) > 1


async def test_the_first_that_ends_may_end_by_raising() -> None:
    operation = Operation()
    with pytest.raises(OSError, match="refused"):
        await race(operation, lambda: fail(OSError("refused")))
    assert operation.steps in (["begun", "cleaned"], [])


async def test_a_loser_may_fail_as_operations_do_but_a_bug_is_raised() -> None:
    def loser(error: Exception) -> object:
        async def lose() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise error

        return lose

    async def win() -> str:
        await anyio.wait_all_tasks_blocked()
        return "won"

    assert await race(win, loser(OSError("reset"))) == (0, "won")
    lost = []
    with pytest.raises(ExceptionGroup) as caught:
        await race(win, loser(KeyError("bug")), on_lost=lambda *it: lost.append(it))
    assert reprs(caught.value) == ["KeyError('bug')"]
    assert lost == [(0, "won")]


async def grouped(end: Exception) -> None:
    """Its cleanup fails in a group: what comes out holds the failure and the cancellation."""

    async def fail_at_the_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise end

    async with anyio.create_task_group() as group:
        group.start_soon(fail_at_the_end)
        group.start_soon(anyio.sleep_forever)


async def test_a_cleanup_that_fails_in_a_group_is_like_any_other() -> None:
    async def win() -> int:
        await anyio.wait_all_tasks_blocked()
        return 1

    assert await race(win, lambda: grouped(OSError("reset"))) == (0, 1)
    with pytest.raises(ExceptionGroup) as caught:
        await race(win, lambda: grouped(KeyError("bug")))
    assert reprs(caught.value) == ["KeyError('bug')"]
    async with Once(grouped, OSError("reset")):
        await anyio.wait_all_tasks_blocked()
    with pytest.raises(ExceptionGroup):
        async with Once(grouped, KeyError("bug")):
            await anyio.wait_all_tasks_blocked()


async def test_cancelled_from_outside_a_bug_is_raised_and_the_rest_forgotten() -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await anyio.wait_all_tasks_blocked()
        scope.cancel()

    async def cancelled_race(error: Exception) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(cancel, scope)
                await race(anyio.sleep_forever, lambda: grouped(error))

    await cancelled_race(OSError("reset"))
    with pytest.raises(ExceptionGroup) as caught:
        await cancelled_race(KeyError("bug"))
    assert reprs(caught.value) == ["KeyError('bug')"]


def reprs(error: BaseException) -> list[str]:
    """Of the leaves of a group."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in reprs(each)]
    return [repr(error)]


async def test_every_lost_value_is_handed_over_though_the_handler_fails() -> None:
    lost = []

    def hand(index: int, value: int) -> None:
        lost.append(value)
        raise ValueError(index)

    async def stubborn(value: int) -> int:
        with contextlib.suppress(BaseException):
            await anyio.sleep_forever()
        return value

    async def win() -> int:
        await anyio.wait_all_tasks_blocked()
        return 0

    with pytest.raises(ValueError, match=r"1|2"):
        await race(win, lambda: stubborn(1), lambda: stubborn(2), on_lost=hand)
    assert sorted(lost) == [1, 2]


async def test_what_is_no_race() -> None:
    with pytest.raises(ValueError, match="at least one"):
        await race()
    with pytest.raises(TypeError, match="without arguments, got 3"):
        await race(anyio.sleep_forever, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on_lost to call, got 3"):
        await race(anyio.sleep_forever, on_lost=3)  # type: ignore[call-overload]


# -- deadline --------------------------------------------------------------------------------------


async def test_a_deadline_passes_and_stays() -> None:
    start = anyio.current_time()
    limit = deadline(0.02)
    assert deadline(3600).try_take() is PENDING
    with anyio.fail_after(60):
        for _ in range(3):
            assert await select(CancellationToken(), limit) == (1, None)
            assert anyio.current_time() >= start + 0.02
        assert await select(deadline(0)) == (0, None)


async def test_one_deadline_over_many_selects() -> None:
    """The total is limited, not each wait: what comes in time is taken, then it is over."""
    start, limit, taken = anyio.current_time(), deadline(0.05), 0
    with anyio.fail_after(60):
        while True:
            async with Once(anyio.sleep, 0.001) as step:
                index, _ = await select(step, limit, biased=True)
            if index == 1:
                break
            taken += 1
    assert anyio.current_time() >= start + 0.05
    assert taken <= 50


async def test_deadlines_pass_in_their_order(virtual_time: None) -> None:
    start, seen = anyio.current_time(), []

    async def wait(seconds: float) -> None:
        await select(deadline(seconds), CancellationToken())
        seen.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        for seconds in (3600, 0.5, 7, 0.001, 86_400 * 365):
            group.start_soon(wait, seconds)
    assert seen == pytest.approx([0.001, 0.5, 7, 3600, 86_400 * 365])


async def test_several_wait_for_a_deadline_and_no_timer_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers = []

    def call_at(when: float, function: Callable[[], object]) -> Callable[[], object]:
        take_back = parking.call_at(when, function)
        timers.append(when)
        return lambda: (take_back(), timers.remove(when))

    monkeypatch.setattr(races, "call_at", call_at)
    limit = deadline(0.01)
    never = deadline(math.inf)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(select, limit, never)
    assert never.try_take() is PENDING
    token, hour = CancellationToken(), deadline(3600)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(select, hour, token)
        await anyio.wait_all_tasks_blocked()
        assert len(timers) == 2, "the one that rang, and one for the three"
        token.cancel()
    assert len(timers) == 1
    assert len(hour._waiters) == 0


async def test_what_is_no_deadline() -> None:
    for wrong in (-1, math.nan):
        with pytest.raises(ValueError, match="time >= 0 s"):
            deadline(wrong)
    with pytest.raises(TypeError, match="a time in seconds"):
        deadline(None)  # type: ignore[arg-type]
