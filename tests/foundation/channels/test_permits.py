"""A permit is room that is kept: it counts, it never waits, and it comes back."""

from __future__ import annotations

import gc

import anyio
import pytest

from meridian.foundation.channels import ChannelClosed, Full, Permit, SendClosed, channel

pytestmark = pytest.mark.anyio


async def test_permits_and_items_together_never_exceed_the_capacity() -> None:
    tx, rx = channel(3, name="credit")
    async with tx, rx:
        permits = [await tx.reserve() for _ in range(2)]
        tx.try_send(1)
        with pytest.raises(Full, match="Channel credit is full: 3 of 3 used"):
            tx.try_send(2)
        with anyio.move_on_after(0) as scope:
            await tx.reserve()
        assert scope.cancelled_caught
        permits.pop().send(3)
        assert len(rx) == 2
        permits.pop().close()
        tx.try_send(4)
        assert await rx.recv_many() == [1, 3, 4]
        assert rx.statistics().max_used == 3


async def test_a_permit_counts_in_the_middle_of_a_run_of_sends() -> None:
    tx, rx = channel(4)
    async with tx, rx:
        for i in range(4):
            await tx.send(i)
        assert len(await rx.recv_many()) == 4
        await tx.send(4)
        permit = await tx.reserve()
        await tx.send(5)
        await tx.send(6)
        with pytest.raises(Full):
            tx.try_send(7)
        permit.send(8)
        assert await rx.recv_many() == [4, 5, 6, 8]


@pytest.mark.parametrize("how", ["close", "with", "drop", "cycle"])
async def test_a_permit_that_is_not_used_gives_its_place_to_who_waits(how: str) -> None:
    tx, rx = channel(1)
    async with tx, rx, anyio.create_task_group() as group:
        permit = await tx.reserve()
        group.start_soon(tx.send, 5)
        await anyio.wait_all_tasks_blocked()
        assert len(rx) == 0
        if how == "close":
            permit.close()
            permit.close()
        elif how == "with":
            with permit:
                pass
        elif how == "cycle":
            cycle: list[object] = [permit]
            cycle.append(cycle)
            del cycle
        del permit
        gc.collect()
        assert await rx.recv() == 5


async def test_a_dropped_permit_is_free_at_once_where_nobody_waits() -> None:
    tx, rx = channel(1)
    async with tx, rx:
        permit = await tx.reserve()
        del permit
        tx.try_send(1)


async def test_a_permit_is_used_once() -> None:
    tx, rx = channel(2)
    async with tx, rx:
        permit = await tx.reserve()
        permit.send(1)
        with pytest.raises(RuntimeError, match="was used: reserve another"):
            permit.send(2)
        permit.close()
        assert repr(permit).startswith("<permit used of channel")
        assert await rx.recv_many() == [1]
        tx.try_send(3)
        tx.try_send(4)


async def test_a_receiver_that_goes_refuses_permits_at_once() -> None:
    tx, rx = channel(2)
    permit = await tx.reserve()
    other = await tx.reserve()
    refused: list[object] = []

    async def reserve() -> None:
        with pytest.raises(SendClosed):
            await tx.reserve()
        refused.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(reserve)
        await anyio.wait_all_tasks_blocked()
        rx.close()
    assert refused
    with pytest.raises(SendClosed) as error:
        permit.send("late")
    assert error.value.item == "late"
    other.close()
    with pytest.raises(ChannelClosed):
        await rx.recv()
    tx.close()


async def test_the_channel_lives_as_long_as_a_permit() -> None:
    for use in (True, False):
        tx, rx = channel(2)
        permit: Permit[int] = await tx.reserve()
        tx.close()
        assert not rx.is_closed
        ends: list[object] = []

        async def recv(rx=rx, ends=ends) -> None:  # type: ignore[no-untyped-def]
            try:
                ends.append(await rx.recv())
            except ChannelClosed:
                ends.append("end")

        async with anyio.create_task_group() as group:
            group.start_soon(recv)
            group.start_soon(recv)
            await anyio.wait_all_tasks_blocked()
            assert not ends
            if use:
                permit.send(7)
            else:
                permit.close()
        assert sorted(map(str, ends)) == (["7", "end"] if use else ["end", "end"])
        rx.close()


async def test_who_waits_for_a_permit_waits_in_line_with_those_who_send() -> None:
    tx, rx = channel(1)
    order: list[str] = []

    async def reserve() -> None:
        permit = await tx.reserve()
        order.append("permit")
        permit.send(2)

    async with tx, rx, anyio.create_task_group() as group:
        await tx.send(0)
        for step in (lambda: tx.send(1), reserve, lambda: tx.send(3)):
            group.start_soon(step)
            await anyio.wait_all_tasks_blocked()
        assert [await rx.recv() for _ in range(4)] == [0, 1, 2, 3]
    assert order == ["permit"]


async def test_a_cancelled_reservation_keeps_nothing() -> None:
    tx, rx = channel(1)
    async with tx, rx, anyio.create_task_group() as group:
        await tx.send(0)
        group.start_soon(tx.reserve)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert await rx.recv() == 0
    assert rx._buffer.reserved == rx.waiting_senders == 0


async def test_a_permit_may_be_for_more_than_one() -> None:
    tx, rx = channel(5, weigh=len)
    async with tx, rx:
        permit = await tx.reserve(4)
        with pytest.raises(ValueError, match=r"weight 5 does not fit into a permit for 4"):
            permit.send("12345")
        permit.send("123")
        tx.try_send("45")
        assert await rx.recv_many() == ["123", "45"]
        for weight in (0, 6, True, 1.5):
            error = ValueError if type(weight) is int else TypeError
            with pytest.raises(error, match="Expected weight"):
                await tx.reserve(weight)  # type: ignore[arg-type]
