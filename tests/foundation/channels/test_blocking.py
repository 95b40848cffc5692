"""Threads send and receive by asking the loop, and never hang when it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest

from meridian.foundation.channels import (
    ChannelClosed,
    Empty,
    Receiver,
    SendClosed,
    Sender,
    SendTimeout,
    channel,
)
from meridian.foundation.channels.blocking import Deadline, Sleeper

pytestmark = pytest.mark.anyio

in_thread = anyio.to_thread.run_sync


async def test_a_thread_sends_and_the_loop_receives() -> None:
    tx, rx = channel(2)

    def produce() -> None:
        for i in range(300):
            tx.blocking_send(i)
        tx.close()

    async with rx, anyio.create_task_group() as group:
        group.start_soon(in_thread, produce)
        assert [item async for item in rx] == list(range(300))
    assert rx.statistics().max_used <= 2


async def test_the_loop_sends_and_a_thread_receives() -> None:
    tx, rx = channel(2)
    got: list[int] = []

    def consume() -> None:
        try:
            while True:
                got.append(rx.blocking_recv())
        except ChannelClosed:
            rx.close()

    async with tx, anyio.create_task_group() as group:
        group.start_soon(in_thread, consume)
        for i in range(300):
            await tx.send(i)
        tx.close()
    assert got == list(range(300))


async def test_many_threads_and_tasks_lose_nothing() -> None:
    tx, rx = channel(3)
    got: list[tuple[int, int]] = []
    lock = threading.Lock()

    def produce(who: int, mine: Sender[tuple[int, int]]) -> None:
        for i in range(60):
            mine.blocking_send((who, i))
        mine.close()

    def consume() -> None:
        while True:
            try:
                item = rx.blocking_recv()
            except ChannelClosed:
                return
            with lock:
                got.append(item)

    async with rx, anyio.create_task_group() as group, tx:
        for who in range(4):
            group.start_soon(in_thread, produce, who, tx.clone())
        for _ in range(3):
            group.start_soon(in_thread, consume)
        for i in range(60):
            await tx.send((9, i))
    assert sorted(got) == sorted((who, i) for who in (0, 1, 2, 3, 9) for i in range(60))


async def test_a_thread_waits_no_longer_than_it_said() -> None:
    tx, rx = channel(1, name="slow")
    async with tx, rx:
        with pytest.raises(Empty):
            await in_thread(lambda: rx.blocking_recv(timeout=0.01))
        with pytest.raises(Empty):
            await in_thread(lambda: rx.blocking_recv(0))
        await in_thread(lambda: tx.blocking_send(0, timeout=30))
        with pytest.raises(SendTimeout, match=r"Channel slow had no room for 0\.01 s") as late:
            await in_thread(lambda: tx.blocking_send(1, 0.01))
        assert late.value.item == 1
        await anyio.wait_all_tasks_blocked()
        assert rx.waiting_senders == 0, "it has withdrawn"
        assert len(rx._buffer.recv_waiters) == 0
        assert rx.statistics().timed_out == 1
        assert await rx.recv() == 0
        tx.try_send(2)
        assert await rx.recv() == 2, "who gave up holds up nobody"
        for wrong, error in ((-1, ValueError), (float("nan"), ValueError), (True, TypeError)):
            with pytest.raises(error, match="Expected timeout"):
                await in_thread(lambda wrong=wrong: tx.blocking_send(1, wrong))
            with pytest.raises(error, match="Expected timeout"):
                await in_thread(lambda wrong=wrong: rx.blocking_recv(wrong))


async def test_a_thread_in_line_keeps_its_place() -> None:
    tx, rx = channel(1)
    async with tx, rx, anyio.create_task_group() as group:
        await tx.send(0)
        group.start_soon(in_thread, tx.blocking_send, 1)
        while rx.waiting_senders < 1:
            await anyio.sleep(0.001)
        group.start_soon(tx.send, 2)
        await anyio.wait_all_tasks_blocked()
        assert [await rx.recv() for _ in range(3)] == [0, 1, 2]


async def test_a_thread_that_waits_is_told_of_the_end() -> None:
    tx, rx = channel(1)
    ends: list[str] = []

    def send() -> None:
        try:
            tx.blocking_send(1)
        except SendClosed as error:
            ends.append(f"send {error.item}")

    await tx.send(0)
    async with anyio.create_task_group() as group:
        group.start_soon(in_thread, send)
        while rx.waiting_senders < 1:
            await anyio.sleep(0.001)
        rx.close()
    assert ends == ["send 1"]
    assert rx.statistics().rejected == 1
    with pytest.raises(SendClosed):
        await in_thread(tx.blocking_send, 2)
    assert await in_thread(rx.blocking_recv) == 0
    with pytest.raises(ChannelClosed):
        await in_thread(rx.blocking_recv)
    tx.close()


async def test_the_loops_own_thread_would_wait_for_itself() -> None:
    tx, rx = channel(1, name="own")
    async with tx, rx:
        with pytest.raises(RuntimeError, match="The loop of own would wait for itself: use await"):
            tx.blocking_send(1)
        with pytest.raises(RuntimeError, match="would wait for itself"):
            rx.blocking_recv()
        assert len(rx) == 0


def test_a_channel_without_a_loop_serves_no_thread() -> None:
    tx, rx = channel(1, name="early")
    with pytest.raises(RuntimeError, match="Channel early has not met its loop yet"):
        tx.blocking_send(1)
    with pytest.raises(RuntimeError, match="has not met its loop yet"):
        rx.blocking_recv()
    tx.close()
    rx.close()


async def test_heavy_items_are_split_for_threads_too() -> None:
    tx, rx = channel(3, weigh=len, split=lambda text, n: (text[:n], text[n:]))
    async with rx, anyio.create_task_group() as group:

        def send() -> None:
            tx.blocking_send("abcdefgh")
            tx.close()

        group.start_soon(in_thread, send)
        assert [part async for part in rx] == ["abc", "def", "gh"]
    tx, rx = channel(3, weigh=len)
    async with tx, rx:
        with pytest.raises(ValueError, match="never fits"):
            await in_thread(tx.blocking_send, "abcd")


@pytest.mark.parametrize("wait", ["send", "recv", "late send", "late recv"])
def test_a_thread_notices_that_the_loop_has_ended(anyio_backend: str, wait: str) -> None:
    ends: list[object] = []
    threads: list[threading.Thread] = []
    ended = threading.Event()

    def use(tx: Sender[int], rx: Receiver[int]) -> None:
        if wait.startswith("late"):
            ended.wait(60)
        try:
            ends.append(tx.blocking_send(7) if "send" in wait else rx.blocking_recv())
        except (SendClosed, ChannelClosed) as error:
            ends.append(error)

    async def main() -> tuple[Sender[int], Receiver[int]]:
        tx, rx = channel(1)
        if wait == "send":
            await tx.send(0)
        threads.append(threading.Thread(target=use, args=(tx, rx)))
        threads[0].start()
        while not (wait.startswith("late") or rx.waiting_senders or len(rx._buffer.recv_waiters)):
            await anyio.sleep(0.001)
        return tx, rx

    tx, rx = anyio.run(main, backend=anyio_backend)
    ended.set()
    threads[0].join(60)
    assert not threads[0].is_alive()
    [end] = ends
    assert isinstance(end, SendClosed if "send" in wait else ChannelClosed)
    tx.close()
    rx.close()


async def test_what_goes_wrong_in_the_loop_is_the_threads_to_hear() -> None:
    calls = []

    def weigh(item: int) -> int:
        calls.append(threading.get_ident())
        return item

    tx, rx = channel(4, weigh=weigh)
    async with tx, rx:
        with pytest.raises(ValueError, match="Expected a weight from weigh >= 0"):
            await in_thread(tx.blocking_send, -1)
        await in_thread(tx.blocking_send, 2)
        assert len(rx) == 1


async def test_who_gives_up_and_who_is_served_is_decided_once() -> None:
    def race(first: Callable[[], bool], second: Callable[[], bool]) -> None:
        results: list[bool] = []
        barrier = threading.Barrier(2)

        def run(call: Callable[[], bool]) -> None:
            barrier.wait()
            results.append(call())

        threads = [threading.Thread(target=run, args=(call,)) for call in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False, True]

    for _ in range(100):
        sleeper = Sleeper()
        race(sleeper.wake, sleeper.settle)
    assert not Sleeper().sleep(Deadline(0), lambda: True)
    start_s = time.monotonic()
    assert not Sleeper().sleep(Deadline(None), lambda: False)
    assert time.monotonic() - start_s < 30


async def test_timeouts_race_with_room_and_nothing_is_lost_or_doubled() -> None:
    tx, rx = channel(1)
    sent: list[int] = []
    given_up: list[object] = []
    got: list[int] = []

    def send() -> None:
        for i in range(200):
            try:
                tx.blocking_send(i, timeout=0.0005 * (i % 3))
            except SendTimeout as error:
                given_up.append(error.item)
            else:
                sent.append(i)
        tx.close()

    async with rx, anyio.create_task_group() as group:
        group.start_soon(in_thread, send)
        async for item in rx:
            got.append(item)
            await anyio.sleep(0.0003)
    assert got == sent
    assert sorted([*sent, *given_up]) == list(range(200))  # type: ignore[type-var]
    assert rx.statistics().timed_out == len(given_up)
