"""One task owns the state; whoever asks it is answered, or told why not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import (
    Actor,
    ActorDeadlock,
    ActorFailed,
    ActorHandle,
    Aggregator,
    AggregatorHandle,
    Full,
    OneSender,
    ReplyDropped,
    SendClosed,
)
from meridian.foundation.channels.actor import ActorStats
from meridian.foundation.tasks import TaskTracker

pytestmark = pytest.mark.anyio
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def settle() -> None:
    """Let every task that can run come to a stop; more rounds than any of them needs."""
    for _ in range(12):
        await checkpoint()


class Scripted(Actor[tuple[Callable[..., Any], OneSender[Any] | None]]):
    """Does what each message says, and answers with what that returns."""

    async def on_message(self, message: tuple[Callable[..., Any], OneSender[Any] | None]) -> None:
        act, reply = message
        value = await act(self)
        if reply is not None:
            reply.send(value)


async def give(handle: ActorHandle, act: Callable[..., Any]) -> object:
    return await handle.ask(lambda reply: (act, reply))


async def nothing(actor: Scripted) -> None:
    pass


async def fail(actor: Scripted) -> None:
    raise ZeroDivisionError("in the handler")


class Counter(Actor[tuple[str, OneSender[int] | None]]):
    """The state is a number; reading and writing it span an await."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.count = 0
        self.inside = 0

    async def on_message(self, message: tuple[str, OneSender[int] | None]) -> None:
        self.inside += 1
        assert self.inside == 1, "one message at a time"
        before = self.count
        await checkpoint()
        self.count = before + 1
        self.inside -= 1
        if message[1] is not None:
            message[1].send(self.count)


async def test_many_ask_and_none_is_lost() -> None:
    actor = Counter(capacity=2)
    answers: list[int] = []

    async def ask(handle: ActorHandle) -> None:
        async with handle:
            for _ in range(5):
                answers.append(await handle.ask(lambda reply: ("more", reply)))  # noqa: PERF401

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            for _ in range(10):
                group.start_soon(ask, handle.clone())
            await handle.send(("more", None))
    assert len(set(answers)) == 50
    assert actor.count == 51
    assert actor.statistics() == ActorStats(handled=51, failed=0, pending=0)


async def test_it_ends_after_the_last_handle_and_the_last_message() -> None:
    actor = Counter()
    handle = actor.open()
    other = handle.clone()
    for one in (handle, other):
        await one.send(("more", None))
    handle.close()
    handle.close()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(actor.run)
            await settle()
            assert actor.count == 2
            await other.send(("more", None))
            other.close()
    assert actor.count == 3
    for again in (handle, other):
        assert again.is_closed
        with pytest.raises(SendClosed) as refused:
            await again.send(("more", None))
        assert refused.value.item == ("more", None)
        with pytest.raises(SendClosed) as refused:
            again.try_send("x")
        assert refused.value.item == "x"
        with pytest.raises(SendClosed):
            await give(again, nothing)
    with pytest.raises(RuntimeError, match="make a new one"):
        await actor.run()
    with pytest.raises(RuntimeError, match="clone"):
        actor.open()


async def test_one_that_nobody_can_reach_ends_at_once() -> None:
    with anyio.fail_after(30):
        await Counter().run()


async def test_a_failed_handler_fails_its_ask_and_the_actor_goes_on() -> None:
    actor = Scripted(name="pointing")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            with pytest.raises(ActorFailed, match=r"pointing.* failed: ZeroDivisionError") as error:
                await give(handle, fail)
            assert isinstance(error.value.error, ZeroDivisionError)
            assert error.value.__cause__ is error.value.error
            await handle.send((fail, None))
            assert await give(handle, nothing) is None
    assert actor.statistics() == ActorStats(handled=3, failed=2, pending=0)
    assert pickle.loads(pickle.dumps(error.value)).name == error.value.name


async def test_a_handler_that_fails_after_it_answered_has_answered() -> None:
    class Hasty(Actor[OneSender[int]]):
        async def on_message(self, message: OneSender[int]) -> None:
            message.send(5)
            raise ValueError("too late")

    actor = Hasty()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            assert await handle.ask(lambda reply: reply) == 5
    assert actor.statistics().failed == 1


async def test_by_policy_it_stops_and_fails_all_who_wait() -> None:
    actor = Scripted(capacity=2, stop_on_failure=True)
    handle, outcomes = actor.open(), []

    async def ask(act: Callable[..., Any]) -> None:
        try:
            await give(handle, act)
        except (ActorFailed, SendClosed) as error:
            outcomes.append(type(error))

    async def run() -> None:
        with pytest.raises(ActorFailed) as error:
            await actor.run()
        assert isinstance(error.value.__cause__, ZeroDivisionError)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for act in (fail, nothing, nothing, nothing):  # two lie there, two wait for room
                group.start_soon(ask, act)
                await settle()
            group.start_soon(run)
        with pytest.raises(SendClosed):
            await handle.send((nothing, None))
    assert len(outcomes) == 4
    assert set(outcomes) <= {ActorFailed, SendClosed}
    assert outcomes.count(ActorFailed) >= 2
    handle.close()


async def test_an_answer_that_is_forgotten_is_told() -> None:
    class Forgetful(Actor[tuple[int, OneSender[int]]]):
        async def on_message(self, message: tuple[int, OneSender[int]]) -> None:
            pass

    actor = Forgetful()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            with pytest.raises(ReplyDropped):
                await handle.ask(lambda reply: (1, reply))


async def test_an_answer_may_come_later() -> None:
    class Patient(Actor[OneSender[int]]):
        def __init__(self) -> None:
            super().__init__()
            self.kept: list[OneSender[int]] = []

        async def on_message(self, message: OneSender[int]) -> None:
            self.kept.append(message)
            if len(self.kept) == 3:
                for number, reply in enumerate(self.kept):
                    reply.send(number)

    actor, answers = Patient(), []

    async def ask(handle: ActorHandle) -> None:
        answers.append(await handle.ask(lambda reply: reply))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(actor.run)
            async with actor.open() as handle, anyio.create_task_group() as askers:
                for _ in range(3):
                    askers.start_soon(ask, handle)
    assert sorted(answers) == [0, 1, 2]


async def test_when_it_is_cancelled_those_who_wait_are_told() -> None:
    actor, scope, told = Scripted(), anyio.CancelScope(), []

    async def run() -> None:
        with scope:
            await actor.run()

    async def ask(act: Callable[..., Any]) -> None:
        with pytest.raises(ReplyDropped):
            await give(handle, act)
        told.append(True)

    async def sleep(_: Scripted) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(run)
            await settle()
            for act in (sleep, nothing, nothing):
                group.start_soon(ask, act)
                await settle()
            scope.cancel()
    assert told == [True] * 3


async def test_who_gives_up_asking_does_not_hold_the_actor_up() -> None:
    actor, gate, sent = Scripted(), anyio.Event(), []

    class Slow(Actor[OneSender[int]]):
        async def on_message(self, message: OneSender[int]) -> None:
            await gate.wait()
            sent.append(message.send(1))

    actor = Slow()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as asker:
                    asker.start_soon(handle.ask, lambda reply: reply)
                    await settle()
                    scope.cancel()
            gate.set()
            assert await handle.ask(lambda reply: reply) == 1
    assert sent == [False, True]


# -- waiting for oneself -------------------------------------------------------------------------


async def test_asking_oneself_is_refused() -> None:
    actor = Scripted(name="self")

    async def ask_myself(_: Scripted) -> None:
        await give(handle, nothing)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            with pytest.raises(ActorFailed) as error:
                await give(handle, ask_myself)
            assert isinstance(error.value.error, ActorDeadlock)
            assert error.value.error.chain == (actor.name, actor.name)
            assert f"{actor.name} waits for {actor.name}" in str(error.value.error)
            assert await give(handle, nothing) is None, "it goes on"


async def test_so_is_asking_in_a_circle() -> None:
    first, second, third = (Scripted() for _ in range(3))
    handles = [actor.open() for actor in (first, second, third)]

    def passing_on(*rest: int) -> Callable[..., Any]:
        async def act(_: Scripted) -> object:
            return await give(handles[rest[0]], passing_on(*rest[1:])) if rest else "done"

        return act

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for actor in (first, second, third):
                group.start_soon(actor.run)
            assert await give(handles[0], passing_on(1, 2)) == "done"
            error: BaseException | None
            with pytest.raises(ActorFailed) as failed:
                await give(handles[0], passing_on(1, 2, 0))
            error = failed.value
            while isinstance(error, ActorFailed):
                error = error.error
            assert isinstance(error, ActorDeadlock)
            assert error.chain == (first.name, second.name, third.name, first.name)
            for handle in handles:
                assert await give(handle, nothing) is None
                handle.close()


async def test_sending_to_oneself_is_fine_while_there_is_room() -> None:
    actor = Scripted(capacity=2)

    async def send_myself(_: Scripted) -> None:
        for _ in range(2):
            await handle.send((nothing, None))

    async def send_too_much(_: Scripted) -> None:
        for _ in range(3):
            await handle.send((nothing, None))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, actor.open() as handle:
            group.start_soon(actor.run)
            await give(handle, send_myself)
            with pytest.raises(ActorFailed) as error:
                await give(handle, send_too_much)
            assert isinstance(error.value.error, ActorDeadlock)
            assert await give(handle, nothing) is None
    assert actor.statistics() == ActorStats(handled=7, failed=1, pending=0)


async def test_a_task_that_a_handler_has_started_may_ask_when_the_handler_is_over() -> None:
    actor, answered = Scripted(), []

    async def later() -> None:
        await over.wait()
        answered.append(await give(handle, nothing))

    async def start(_: Scripted) -> None:
        group.start_soon(later)

    over = anyio.Event()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            handle = actor.open()
            group.start_soon(actor.run)
            await give(handle, start)
            await settle()
            over.set()
            await settle()
            handle.close()
    assert answered == [None]


async def test_a_full_mailbox_hands_the_message_back() -> None:
    actor = Scripted(capacity=1)
    handle = actor.open()
    handle.try_send("a")
    with pytest.raises(Full) as full:
        handle.try_send("b")
    assert full.value.item == "b"
    handle.close()


# -- the actor of the lesson ---------------------------------------------------------------------


async def test_four_satellites_and_three_frames_each() -> None:
    async def session(satellite: int, handle: AggregatorHandle) -> None:
        async with handle:
            for sequence in range(3):
                await handle.send_frame((satellite, sequence))

    with anyio.fail_after(30):
        async with TaskTracker() as tracker, Aggregator.spawn(tracker) as handle:
            async with anyio.create_task_group() as group:
                for satellite in range(4):
                    group.start_soon(session, satellite, handle.clone())
            assert await handle.depth() == 12
            frames = await handle.drain()
            assert len(frames) == 12
            assert await handle.depth() == 0
            assert await handle.drain() == []
    for satellite in range(4):
        assert [n for who, n in frames if who == satellite] == [0, 1, 2]


async def test_the_oldest_makes_room_and_is_counted() -> None:
    with anyio.fail_after(30):
        async with TaskTracker() as tracker, Aggregator.spawn(tracker, max_buffer=5) as handle:
            for number in range(8):
                await handle.send_frame(number)
            assert await handle.depth() == 5
            assert await handle.dropped() == 3
            assert await handle.drain() == [3, 4, 5, 6, 7]
            await handle.send_frame(8)
            assert await handle.flush() == 1
            assert await handle.flush() == await handle.depth() == 0
            assert await handle.dropped() == 3, "flushed is not dropped"


async def test_what_comes_back_is_the_oldest_again() -> None:
    with anyio.fail_after(30):
        async with TaskTracker() as tracker, Aggregator.spawn(tracker, max_buffer=3) as handle:
            for number in range(2):
                await handle.send_frame(number)
            frames = await handle.drain()
            for number in (2, 3):
                await handle.send_frame(number)
            await handle.depth()
            handle._actor.put_back(frames)
            assert await handle.drain() == [1, 2, 3]
            assert await handle.dropped() == 1


@BACKENDS
@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_no_drain_loses_a_frame_whatever_is_cancelled(backend: str, seed: int) -> None:
    anyio.run(_drain_and_cancel, Random(seed), backend=backend)


async def _drain_and_cancel(random: Random) -> None:
    got: list[int] = []

    async def drain(handle: AggregatorHandle, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                got.extend(await handle.drain())

    with anyio.fail_after(60):
        async with TaskTracker() as tracker, Aggregator.spawn(tracker) as handle:
            async with anyio.create_task_group() as group:
                for number in range(30):
                    scope = anyio.CancelScope()
                    group.start_soon(drain, handle, scope)
                    await handle.send_frame(number)
                    for _ in range(random.randrange(6)):
                        await checkpoint()
                    scope.cancel()
            got += await handle.drain()
    assert sorted(got) == list(range(30))


async def test_one_that_cannot_be_started_leaves_nothing_behind() -> None:
    tracker = TaskTracker()
    async with tracker:
        tracker.close()
        with pytest.raises(RuntimeError, match="closed"):
            Aggregator.spawn(tracker)
    for size in ({"capacity": 0}, {"max_buffer": 0}, {"max_buffer": True}):
        with pytest.raises(ValueError, match=r"Expected (capacity|max_buffer) (>= 1|as an int)"):
            Aggregator.spawn(tracker, **size)


async def test_what_they_show() -> None:
    actor = Counter(name="counting.test")
    handle = actor.open()
    assert "counting.test" in repr(actor)
    assert "counting.test" in repr(handle)
    assert handle.name == actor.name
    assert handle.statistics() == actor.statistics()
    handle.close()


async def test_a_derived_actor_has_every_name_to_itself() -> None:
    """Whatever a subclass calls its state and its helpers, it breaks nothing of the base."""
    given = Counter(name="plain")
    given_names = {*vars(given), *dir(Actor)}
    private = {name for name in given_names if name.startswith("_") and not name.endswith("__")}
    own = {"_abc_impl", "_is_protocol"}  # of ABC and of Generic
    assert {name for name in private - own if not name.startswith("_Actor__")} == set()

    class Clashing(Counter):
        def __init__(self) -> None:
            super().__init__(name="clashing")
            self._handled = self._failed = self._ran = self._stops = "mine"
            self._first = self._mailbox = self._messages = None

        def _handle(self) -> None:
            raise AssertionError("not for the base to call")

        _take_first = _leave_unhandled = _deliver = _run = _open = _handle

    actor = Clashing()
    async with anyio.create_task_group() as group:
        handle = actor.open()
        group.start_soon(actor.run)
        async with handle:
            await handle.send("no number")
            assert actor.statistics().handled >= 0
    stats = actor.statistics()
    assert (stats.handled, stats.failed, stats.pending) == (1, 1, 0)
    assert (actor._handled, actor._failed, actor._mailbox) == ("mine", "mine", None)
