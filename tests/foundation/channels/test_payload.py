"""What weighs more takes more room; what is sent is given away."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import anyio
import numpy as np
import pytest

from meridian.foundation.channels import (
    Full,
    SendClosed,
    SendTimeout,
    channel,
    rows,
    split_rows,
)

pytestmark = pytest.mark.anyio


async def test_capacity_and_counters_are_in_weight() -> None:
    tx, rx = channel(10, weigh=len, name="text")
    async with tx, rx:
        tx.try_send("123456")
        with pytest.raises(Full, match="Channel text is full: 6 of 10 used"):
            tx.try_send("12345")
        tx.try_send("1234")
        assert len(rx) == 2, "items are counted in items"
        assert rx.try_recv() == "123456"
        stats = rx.statistics()
        assert (stats.sent, stats.received, stats.rejected, stats.max_used) == (10, 6, 5, 10)
        assert await rx.recv_many(1) == ["1234"]
        assert rx.statistics().received == 10


async def test_a_heavy_item_waits_and_light_ones_do_not_overtake_it() -> None:
    tx, rx = channel(10, weigh=len)
    async with tx, rx, anyio.create_task_group() as group:
        tx.try_send("1" * 8)
        group.start_soon(tx.send, "2" * 5)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Full):
            tx.try_send("3")
        group.start_soon(tx.send, "4")
        await anyio.wait_all_tasks_blocked()
        assert [len(await rx.recv()) for _ in range(3)] == [8, 5, 1]


async def test_when_a_heavy_item_is_given_up_the_light_ones_behind_it_move_in() -> None:
    tx, rx = channel(10, weigh=len)
    async with tx, rx, anyio.create_task_group() as group:
        tx.try_send("1" * 8)
        scope = anyio.CancelScope()

        async def send_heavy() -> None:
            with scope:
                await tx.send("2" * 5)

        for send in (send_heavy, lambda: tx.send("3"), lambda: tx.send("4")):
            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
        assert rx.waiting_senders == 3
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert rx.waiting_senders == 0
        assert await rx.recv_many() == ["1" * 8, "3", "4"]


async def test_what_weighs_nothing_still_takes_a_place() -> None:
    tx, rx = channel(3, weigh=len)
    async with tx, rx:
        for _ in range(3):
            tx.try_send("")
        with pytest.raises(Full):
            tx.try_send("")
        assert await rx.recv_many() == [""] * 3


async def test_rows_are_counted_never_batches() -> None:
    tx, rx = channel(100, weigh=rows, split=split_rows)
    table = np.arange(1024)
    got: list[np.ndarray] = []

    async def send() -> None:
        async with tx:
            await tx.send(table[:60])
            await tx.send(table[60:])
            await tx.send_many([table[:5], table[5:7]])

    async with rx, anyio.create_task_group() as group:
        group.start_soon(send)
        async for batch in rx:
            assert rx._buffer.used <= 100
            got.append(batch)
    assert max(map(len, got)) == 100
    assert np.array_equal(np.concatenate(got), np.concatenate([table, table[:7]]))
    assert rx.statistics().sent == 1031


async def test_a_very_heavy_item_is_no_recursion() -> None:
    tx, rx = channel(1, weigh=len, split=lambda text, n: (text[:n], text[n:]))
    text = "".join(Random(1).choices("abc", k=5000))

    async def send() -> None:
        async with tx:
            await tx.send(text)

    async with rx, anyio.create_task_group() as group:
        group.start_soon(send)
        assert "".join([part async for part in rx]) == text


async def test_what_is_not_in_is_given_back_whole() -> None:
    tx, rx = channel(4, weigh=len, split=lambda text, n: (text[:n], text[n:]))
    with pytest.raises(SendTimeout) as late:
        await tx.send_timeout("123456789", 0)
    assert late.value.item == "56789"
    assert rx.statistics().timed_out == 5
    assert await rx.recv() == "1234"

    async def refused() -> None:
        with pytest.raises(SendClosed) as error:
            await tx.send("abcdefghij")
        back.append(error.value.item)

    back: list[object] = []
    async with anyio.create_task_group() as group:
        group.start_soon(refused)
        await anyio.wait_all_tasks_blocked()
        rx.close()
    assert back == ["efghij"]
    tx.close()


async def test_what_never_fits_is_refused() -> None:
    tx, rx = channel(4, weigh=len, name="small")
    async with tx, rx:
        with pytest.raises(ValueError, match="weight 5 never fits into channel small of 4"):
            tx.try_send("12345")
        with pytest.raises(ValueError, match="weight 5 never fits into channel small of 4"):
            await tx.send("12345")
    bad = {
        "cuts too little": lambda text, _: (text, ""),
        "makes no progress": lambda text, n: (text[:n], text),
    }
    for why, split in bad.items():
        tx, rx = channel(4, weigh=len, split=split)
        async with tx, rx:
            with pytest.raises(ValueError, match="Expected split to cut a weight of 5 into"):
                await tx.send("12345")
            assert len(rx) == 0, why


@pytest.mark.parametrize(
    ("weight", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("1", TypeError)]
)
async def test_a_weigher_that_weighs_wrong_is_told(weight: object, error: type[Exception]) -> None:
    tx, rx = channel(4, weigh=lambda _: weight)  # type: ignore[arg-type,return-value]
    async with tx, rx:
        with pytest.raises(error, match="Expected a weight from weigh"):
            await tx.send(0)
        with pytest.raises(error, match="Expected a weight from weigh"):
            tx.try_send(0)
        assert len(rx) == 0


async def test_a_weight_may_be_numpys() -> None:
    tx, rx = channel(4, weigh=lambda _: np.int64(2))
    async with tx, rx:
        tx.try_send("a")
        assert rx._buffer.used == 2


async def test_an_array_that_was_sent_is_given_away() -> None:
    tx, rx = channel(10)
    async with tx, rx:
        await tx.send(1)
        arrays = [np.zeros(3) for _ in range(5)]
        await tx.send(arrays[0])
        tx.try_send(arrays[1])
        await tx.send_many([2, arrays[2], "three"])
        (await tx.reserve()).send(arrays[3])
        await tx.send_timeout(arrays[4], 1)
        for array in arrays:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        assert sum(isinstance(item, np.ndarray) for item in await rx.recv_many()) == 5

        class Own(np.ndarray):
            pass

        own = np.zeros(2).view(Own)
        await tx.send(own)
        assert not own.flags.writeable


async def test_an_array_that_was_not_sent_is_still_the_senders() -> None:
    tx, rx = channel(1)
    async with tx, rx:
        await tx.send(0)
        array = np.zeros(3)
        with pytest.raises(Full):
            tx.try_send(array)
        with pytest.raises(SendTimeout):
            await tx.send_timeout(array, 0)
        array[0] = 1


async def test_an_array_that_waits_is_frozen_as_it_goes_in() -> None:
    tx, rx = channel(1)
    array = np.zeros(3)
    async with tx, rx, anyio.create_task_group() as group:
        await tx.send(0)
        group.start_soon(tx.send, array)
        await anyio.wait_all_tasks_blocked()
        assert array.flags.writeable
        await rx.recv()
        assert not array.flags.writeable


async def test_freezing_can_be_left_out() -> None:
    tx, rx = channel(4, freeze=False)
    async with tx, rx:
        array = np.zeros(3)
        await tx.send(array)
        await tx.send(array)
        array[0] = 1


def test_no_numpy_is_loaded_for_it() -> None:
    script = """
import sys, anyio
from meridian.foundation.channels import channel
async def main():
    tx, rx = channel(8)
    async with tx, rx:
        for i in range(5):
            await tx.send(i)
        assert "numpy" not in sys.modules
        import numpy
        array = numpy.zeros(2)
        await tx.send(array)
        assert not array.flags.writeable
anyio.run(main)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


def test_many_types_are_remembered_within_bounds() -> None:
    tx, rx = channel(1000)
    for i in range(300):
        tx.try_send(type(f"Kind{i}", (), {})())
    assert len(rx._buffer.plain) <= 65
    tx.close()
    rx.close()
