"""Tasks submit commands; order, acceptance and the end are exact, whoever consumes."""

from __future__ import annotations

import threading
from random import Random

import anyio
import pytest

from meridian.foundation.channels import CommandIngress, SendClosed
from meridian.foundation.sync import (
    Command,
    CommandKind,
    CommandQueue,
    QueueShutdown,
    WrongThread,
)
from meridian.foundation.tasks import BlockingPool
from meridian.testing.settling import settle

pytestmark = pytest.mark.anyio
HOUSEKEEPING, SAFE_MODE = CommandKind.HOUSEKEEPING, CommandKind.SAFE_MODE


def command(number: int, kind: CommandKind = HOUSEKEEPING) -> Command:
    return Command.make(kind, issued_at=number)


def drained(queue: CommandQueue) -> list[int]:
    numbers = []
    while (each := queue.pop(timeout=0)) is not None:
        numbers.append(each.issued_at)
    return numbers


async def submit_all(ingress: CommandIngress, commands: list[Command]) -> None:
    for each in commands:
        await ingress.submit(each)


async def test_commands_beyond_the_queue_are_accepted_up_to_the_capacity() -> None:
    queue = CommandQueue(2)
    ingress = CommandIngress(queue, capacity=3)
    async with anyio.create_task_group() as group:
        for number in range(7):
            group.start_soon(ingress.submit, command(number))
        await settle()
        assert (len(queue), len(ingress), ingress.waiting) == (2, 3, 2)
        assert "3 of 3 accepted, 2 waiting" in repr(ingress)
        taken = [queue.pop() for _ in range(2)]  # by hand: nobody tells the ingress
        assert len(taken) == 2
        with anyio.fail_after(30):
            while ingress.waiting:
                await anyio.sleep(0.01)
    assert (len(queue), len(ingress)) == (2, 3)


async def test_what_is_urgent_overtakes_all_that_wait() -> None:
    """The accepted commands too: the slot that comes free is given to the best of all."""
    queue = CommandQueue(1)
    ingress = CommandIngress(queue, capacity=2)
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(ingress.submit, command(number))
            await settle()
        group.start_soon(ingress.submit, command(99, SAFE_MODE))
        await settle()
        assert ingress.waiting == 3
        order: list[int] = []

        async def note(each: Command) -> None:
            order.append(each.issued_at)
            if len(order) == 6:
                group.start_soon(ingress.close)

        assert await ingress.dispatcher(note) == 6
    assert order == [0, 99, 1, 2, 3, 4]
    assert queue.is_shutdown


async def test_the_order_is_that_of_dispatch_for_random_priorities() -> None:
    random = Random(4)
    kinds = [CommandKind.STATUS_REQUEST, HOUSEKEEPING, CommandKind.ABORT_PASS, SAFE_MODE]
    commands = [command(n, random.choice(kinds)) for n in range(60)]
    random.shuffle(commands)
    queue = CommandQueue(1)
    ingress = CommandIngress(queue, capacity=4)
    order: list[Command] = []

    async def note(each: Command) -> None:
        order.append(each)

    async with anyio.create_task_group() as group:
        await ingress.submit(commands[0])  # it has the only slot
        for each in commands[1:]:
            group.start_soon(ingress.submit, each)
        await settle()
        assert len(ingress) + ingress.waiting == 59
        group.start_soon(ingress.dispatcher, note)
        with anyio.fail_after(30):
            while ingress.waiting:
                await anyio.sleep(0.001)
            await ingress.close()
    best_first = sorted(commands[1:], key=lambda each: (-each.priority, each.issued_at))
    assert order == [commands[0], *best_first]


async def test_a_cancelled_submit_has_submitted_nothing() -> None:
    queue = CommandQueue(1)
    ingress = CommandIngress(queue, capacity=1)
    await submit_all(ingress, [command(0), command(1)])
    scopes = [anyio.CancelScope() for _ in range(3)]
    ended: list[int] = []

    async def submit(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await ingress.submit(command(number))
            ended.append(number)

    async with anyio.create_task_group() as group:
        for number, scope in enumerate(scopes, 2):
            group.start_soon(submit, number, scope)
        await settle()
        scopes[0].cancel()
        scopes[2].cancel()
        assert queue.pop() == command(0)  # a slot comes free before the cancelled tasks run
        ingress._move()
        await settle()
    assert ended == [3]
    async with anyio.create_task_group() as group:
        group.start_soon(ingress.close)
        numbers: list[int] = []

        async def note(each: Command) -> None:
            numbers.append(each.issued_at)

        assert await ingress.dispatcher(note) == 2
    assert numbers == [1, 3]


async def test_close_hands_over_what_was_accepted_and_refuses_who_waits() -> None:
    queue = CommandQueue(1)
    ingress = CommandIngress(queue, capacity=2)
    refused: list[object] = []

    async def late() -> None:
        with pytest.raises(SendClosed) as caught:
            await ingress.submit(command(3))
        refused.append(caught.value.item)

    await submit_all(ingress, [command(0), command(1), command(2)])
    numbers: list[int] = []

    async def note(each: Command) -> None:
        numbers.append(each.issued_at)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(late)
            await settle()
            group.start_soon(ingress.close)
            group.start_soon(ingress.close)
            await settle()
            assert refused == [command(3)]
            assert not queue.is_shutdown
            await ingress.dispatcher(note)
    assert numbers == [0, 1, 2]
    assert queue.is_shutdown
    await ingress.close()
    with pytest.raises(SendClosed):
        await ingress.submit(command(4))


async def test_a_cancelled_close_can_be_called_again() -> None:
    queue = CommandQueue(1)
    ingress = CommandIngress(queue)
    await submit_all(ingress, [command(0), command(1)])
    with anyio.move_on_after(0):
        await ingress.close()
    assert not queue.is_shutdown
    async with anyio.create_task_group() as group:
        group.start_soon(ingress.close)
        await settle()
        assert queue.pop() == command(0)
    assert drained(queue) == [1]


async def test_threads_may_consume_the_queue() -> None:
    queue = CommandQueue(4)
    popped: list[int] = []

    def consume() -> None:
        while (each := queue.pop()) is not None:
            popped.append(each.issued_at)

    thread = threading.Thread(target=consume)
    thread.start()
    with anyio.fail_after(60):
        async with CommandIngress(queue, capacity=4) as ingress:
            await submit_all(ingress, [command(n) for n in range(40)])
    thread.join(30)
    assert popped == list(range(40))


async def test_several_dispatchers_share_the_work() -> None:
    queue = CommandQueue(8)
    ingress = CommandIngress(queue)
    pool = BlockingPool(3, "dispatch")
    seen: list[int] = []
    counts: list[int] = []

    async def note(each: Command) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(each.issued_at)

    async def dispatch() -> None:
        counts.append(await ingress.dispatcher(note, pool=pool))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(dispatch)
            async with ingress:
                await submit_all(ingress, [command(n) for n in range(200)])
    pool.close()
    assert sorted(seen) == list(range(200))
    assert sum(counts) == 200


async def test_a_cancelled_dispatcher_loses_no_command() -> None:
    queue = CommandQueue(8)
    ingress = CommandIngress(queue)

    async def never(each: Command) -> None:
        raise AssertionError(each)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(ingress.dispatcher, never)
            await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        await ingress.submit(command(7))
        await ingress.close()
    assert drained(queue) == [7]


async def test_a_queue_that_was_shut_down_says_so() -> None:
    queue = CommandQueue(1)
    ingress = CommandIngress(queue, capacity=1)
    outcomes: list[str] = []

    async def submit(number: int) -> None:
        try:
            await ingress.submit(command(number))
            outcomes.append("accepted")
        except QueueShutdown:
            outcomes.append("refused")

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(submit, number)
            await settle()
            assert outcomes == ["accepted", "accepted"]
            queue.shutdown()
    assert outcomes == ["accepted", "accepted", "refused"]
    with pytest.raises(QueueShutdown):
        await ingress.submit(command(9))
    with pytest.raises(QueueShutdown, match="0 of 1"):
        await ingress.close()


async def test_the_reserve_of_the_queue_is_for_what_is_urgent() -> None:
    queue = CommandQueue(2, emergency_reserve=1)
    ingress = CommandIngress(queue, capacity=1)
    await submit_all(ingress, [command(0), command(1)])
    assert (len(queue), len(ingress)) == (1, 1)
    await ingress.submit(command(2, SAFE_MODE))
    assert (len(queue), len(ingress)) == (2, 1)
    assert queue.pop() == command(2, SAFE_MODE)


async def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(TypeError, match="CommandQueue"):
        CommandIngress([])  # type: ignore[arg-type]
    for capacity in (0, -1, True, 1.0):
        with pytest.raises(ValueError, match="capacity"):
            CommandIngress(CommandQueue(1), capacity=capacity)  # type: ignore[arg-type]
    ingress = CommandIngress(CommandQueue(1))
    with pytest.raises(TypeError, match="Command"):
        await ingress.submit("SAFE_MODE")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="handler"):
        await ingress.dispatcher(None)  # type: ignore[arg-type]
    await ingress.submit(command(1))
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            anyio.run(ingress.submit, command(2))
        except WrongThread as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    assert len(errors) == 1
