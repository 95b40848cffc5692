"""A oneshot carries one answer, and tells both sides when the other has gone."""

from __future__ import annotations

import gc
import threading
import weakref

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.channels import (
    AlreadySent,
    ChannelClosed,
    Empty,
    OneReceiver,
    ReplyDropped,
    SendClosed,
    oneshot,
)
from meridian.foundation.sync import WrongThread
from meridian.foundation.tasks import CLOSED, PENDING, Ready, SelectExhausted, select

pytestmark = pytest.mark.anyio


class Thing:
    """What a weak reference can tell of."""


async def test_the_answer_comes_whether_it_is_awaited_or_lies_there() -> None:
    tx, rx = oneshot()
    assert tx.send(5)
    assert await rx.recv() == 5

    tx, rx = oneshot()
    async with anyio.create_task_group() as group:
        group.start_soon(rx.recv)
        await anyio.wait_all_tasks_blocked()
        assert tx.send(6)
    with pytest.raises(ChannelClosed):
        await rx.recv()


async def test_only_one_answer_can_be_sent() -> None:
    tx, rx = oneshot(name="reply")
    assert tx.send(1)
    with pytest.raises(AlreadySent, match="Channel reply carries one value") as second:
        tx.send(2)
    assert second.value.item == 2
    assert rx.try_recv() == 1
    with pytest.raises(AlreadySent):
        tx.send(3)
    with pytest.raises(ChannelClosed):
        rx.try_recv()
    tx.close()


async def test_a_receiver_that_has_gone_is_told_of() -> None:
    for leave in ("close", "drop", "with"):
        tx, rx = oneshot()
        assert not tx.is_closed
        if leave == "close":
            rx.close()
            rx.close()
            with pytest.raises(ChannelClosed):
                await rx.recv()
        elif leave == "with":
            with rx:
                pass
        del rx
        assert tx.is_closed
        await tx.closed()
        assert not tx.send(1), "nobody hears it"
        with pytest.raises(AlreadySent):
            tx.send(1)


async def test_a_caller_that_timed_out_stalls_nobody() -> None:
    async def ask() -> None:
        tx, rx = oneshot()
        senders.append(tx)
        with anyio.move_on_after(0), rx:
            await rx.recv()

    senders: list = []
    await ask()
    assert senders[0].send("late") is False


@pytest.mark.parametrize("how", ["close", "with", "drop", "cycle"])
async def test_an_answer_that_will_not_come_is_told_of(how: str) -> None:
    tx, rx = oneshot()
    told = []

    async def wait() -> None:
        with pytest.raises(ReplyDropped) as error:
            await rx.recv()
        told.append(error.value.name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        if how == "close":
            tx.close()
            with pytest.raises(SendClosed):
                tx.send(1)
        elif how == "with":
            with tx:
                pass
        elif how == "cycle":
            cycle: list = [tx]
            cycle.append(cycle)
            del cycle
        del tx
        gc.collect()
    assert told
    with pytest.raises(ReplyDropped):
        rx.try_recv()
    with pytest.raises(ReplyDropped):
        await select(rx)


async def test_a_cancelled_wait_can_be_taken_up_again() -> None:
    tx, rx = oneshot()
    with anyio.move_on_after(0):
        await rx.recv()
    with pytest.raises(Empty):
        rx.try_recv()
    assert tx.send(8)
    assert await rx.recv() == 8


async def test_it_is_a_branch_of_select() -> None:
    (tx_a, a), (tx_b, b) = oneshot(), oneshot()
    assert a.try_take() is PENDING

    async def answer() -> None:
        tx_b.send("b")

    async with anyio.create_task_group() as group:
        group.start_soon(answer)
        assert await select(a, b) == (1, "b")
    tx_a.send("a")
    assert a.try_take() == Ready("a")
    assert a.try_take() is CLOSED
    with pytest.raises(SelectExhausted):
        await select(a, b)


async def test_who_answers_can_wait_for_the_asker_to_leave() -> None:
    tx, rx = oneshot()
    left = []

    async def work() -> None:
        await tx.closed()
        left.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        assert not left
        rx.close()
    assert left


async def test_no_reference_is_kept_to_the_answer() -> None:
    for received in (True, False):
        tx, rx = oneshot()
        thing = Thing()
        alive = weakref.ref(thing)
        tx.send(thing)
        del thing
        if received:
            await rx.recv()
        else:
            rx.close()
        await checkpoint()
        assert alive() is None
        assert rx is not None


async def test_another_thread_is_refused_but_may_close() -> None:
    tx, rx = oneshot(name="mine")
    with anyio.move_on_after(0):
        await rx.recv()
    refused = []

    def elsewhere() -> None:
        for use in (lambda: tx.send(1), rx.try_recv, rx.try_take):
            try:
                use()
            except WrongThread as error:
                refused.append(str(error))
        tx.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert len(refused) == 3
    assert all("Channel mine belongs to another thread" in text for text in refused)
    with pytest.raises(ReplyDropped):
        await rx.recv()


def test_without_a_loop_it_can_be_filled_and_read() -> None:
    tx, rx = oneshot()
    tx.send(1)
    assert rx.try_recv() == 1


def test_what_it_shows() -> None:
    tx, rx = oneshot(name="reply")
    assert repr(tx) == "<OneSender of <oneshot reply: 0 of 1, open>>"
    tx.send(1)
    assert repr(rx) == "<OneReceiver of <oneshot reply: 1 of 1, sent>>"
    rx.try_recv()
    assert repr(rx) == "<OneReceiver of <oneshot reply: 0 of 1, received>>"
    rx.close()
    assert repr(tx) == "<OneSender of <oneshot reply: 0 of 1, received, no receiver>>"
    assert isinstance(rx, OneReceiver)
    with pytest.raises(TypeError, match="Expected the name of a oneshot as str, got int"):
        oneshot(name=3)  # type: ignore[arg-type]
