"""What became of every item, in items and in weight: sent, rejected, timed out, or withdrawn.

An item is a tuple of numbers that nothing else has, and weighs as many: so each number of an item
that was split is followed on its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import Full, Receiver, SendClosed, Sender, SendTimeout, channel
from meridian.testing.settling import settle
from meridian.testing.virtual_loop import run_virtual

Units = tuple[int, ...]
pytestmark = pytest.mark.anyio


def split(item: Units, count: int) -> tuple[Units, Units]:
    return item[:count], item[count:]


class Account:
    """A channel, and a book in which every call is entered with its outcome."""

    def __init__(self, capacity: int, *, weighed: bool) -> None:
        options = {"weigh": len, "split": split} if weighed else {}
        ends: tuple[Sender[Units], Receiver[Units]] = channel(capacity, **options)  # type: ignore[arg-type]
        self.tx, self.rx = ends
        self.capacity = capacity
        self.weighed = weighed
        self.offered: list[Units] = []
        self.refused: list[Units] = []
        self.late: list[Units] = []
        self.received: list[Units] = []
        self.done: list[Units] = []  # of which all is in
        self.withdrawn: list[Units] = []  # cancelled, perhaps in the middle
        self.number = 0

    def weight(self, items: list[Units]) -> int:
        return sum(map(len, items)) if self.weighed else len(items)

    def next(self, size: int) -> Units:
        if not self.weighed:
            size = 1
        item = tuple(range(self.number, self.number + size))
        self.number += size
        return item

    def try_send(self, size: int) -> None:
        item = self.next(min(size, self.capacity))
        self.offered.append(item)
        try:
            self.tx.try_send(item)
            self.done.append(item)
        except (Full, SendClosed) as error:
            self.refused.append(self.rest(item, error.item))

    async def send(self, tx: Sender[Units], how: str, size: int, scope: anyio.CancelScope) -> None:
        item = self.next(size)
        self.offered.append(item)
        outcome = self.withdrawn
        with scope:
            try:
                match how:
                    case "timeout":
                        await tx.send_timeout(item, 1.0)
                    case "many":
                        assert await tx.send_many([item]) == 1
                    case _:
                        await tx.send(item)
                outcome = self.done
            except SendClosed as error:
                outcome, item = self.refused, self.rest(item, error.item)
            except SendTimeout as error:
                outcome, item = self.late, self.rest(item, error.item)
        outcome.append(item)

    def rest(self, item: Units, told: object) -> Units:
        """What an error says is not in: the whole item, or the end of it."""
        assert isinstance(told, tuple)
        assert told
        assert item[-len(told) :] == told
        return told

    async def reserve_and_send(self, tx: Sender[Units], scope: anyio.CancelScope) -> None:
        with scope:
            try:
                permit = await tx.reserve()
            except SendClosed:
                return
            with permit:
                await checkpoint()
                item = self.next(1)
                self.offered.append(item)
                outcome = self.done
                try:
                    permit.send(item)
                except SendClosed as error:
                    outcome, item = self.refused, self.rest(item, error.item)
                outcome.append(item)

    def check(self, *, moving: bool) -> None:
        stats = self.rx.statistics()
        assert stats.received == self.weight(self.received)
        assert stats.sent - stats.received == self.rx._buffer.used
        if moving:  # those who were refused may not have heard of it
            assert stats.rejected >= self.weight(self.refused)
            return
        assert stats.rejected == self.weight(self.refused)
        assert stats.timed_out == self.weight(self.late)
        there = list(self.rx._buffer.items)
        units = [unit for item in self.received + there for unit in item]
        assert len(units) == len(set(units)), "nothing is in twice"
        lost = {unit for item in self.refused + self.late for unit in item}
        assert lost.isdisjoint(units), "what is handed back is not in"
        assert {unit for item in self.done for unit in item} <= set(units)
        outside = [unit for item in self.withdrawn for unit in item if unit not in set(units)]
        gone = self.weight(self.refused) + self.weight(self.late) + len(outside)
        assert stats.sent + gone == self.weight(self.offered)


SENDS = ("send", "timeout", "many")
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*SENDS, *SENDS, "permit", "try", "recv", "recv", "drain", "step"])
        | st.sampled_from(["cancel", "cancel", "tick", "clone", "drop clone", "end"]),
        st.integers(1, 9),
    ),
    min_size=10,
    max_size=60,
)


@pytest.mark.parametrize("weighed", [True, False])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40)
@given(capacity=st.integers(1, 4), steps=STEPS)
def test_every_unit_is_accounted_for(
    backend: str, weighed: bool, capacity: int, steps: list[tuple[str, int]]
) -> None:
    run_virtual(_play, capacity, weighed, steps, backend=backend)


async def _play(capacity: int, weighed: bool, steps: list[tuple[str, int]]) -> None:
    account = Account(capacity, weighed=weighed)
    clones: list[Sender[Units]] = []
    scopes: list[anyio.CancelScope] = []
    async with account.tx, account.rx, anyio.create_task_group() as group:
        for what, n in steps:
            tx = clones[-1] if clones else account.tx
            match what:
                case "send" | "timeout" | "many":
                    scopes.append(anyio.CancelScope())
                    group.start_soon(account.send, tx, what, n, scopes[-1])
                case "permit":
                    scopes.append(anyio.CancelScope())
                    group.start_soon(account.reserve_and_send, tx, scopes[-1])
                case "try":
                    account.try_send(n)
                case "recv" if len(account.rx):
                    account.received.append(account.rx.try_recv())
                case "drain":
                    while len(account.rx):
                        account.received += await account.rx.recv_many(n)
                case "step":
                    for _ in range(n):
                        await checkpoint()
                case "cancel" if scopes:
                    scopes[n % len(scopes)].cancel()
                case "tick":
                    await anyio.sleep(0.3)
                case "clone" if not tx.is_closed:
                    clones.append(tx.clone())
                case "drop clone" if clones:
                    clones.pop().close()
                case "end" if n == 9:
                    account.rx.close()
            account.check(moving=True)
        await settle()
        account.rx.close()
        await settle()
        for clone in clones:
            clone.close()
    account.check(moving=False)


# -- the cases by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["send", "send_timeout", "send_many"])
async def test_the_whole_rest_of_a_split_item_is_rejected(how: str) -> None:
    tx, rx = channel(4, weigh=len, split=split)
    refused: list[object] = []

    async def send() -> None:
        item = tuple(range(10))
        calls = {
            "send": lambda: tx.send(item),
            "send_timeout": lambda: tx.send_timeout(item, 60),
            "send_many": lambda: tx.send_many([item]),
        }
        with pytest.raises(SendClosed) as caught:
            await calls[how]()
        refused.append(caught.value.item)

    async with tx, rx, anyio.create_task_group() as group:
        group.start_soon(send)
        await settle()
        rx.close()
    assert refused == [(4, 5, 6, 7, 8, 9)]
    stats = rx.statistics()
    assert (stats.sent, stats.rejected) == (4, 6)


@pytest.mark.parametrize(
    ("give_up", "error"), [("close", SendClosed), ("late", SendTimeout), ("before", SendClosed)]
)
async def test_so_it_is_from_a_thread(
    give_up: str, error: type[Exception], anyio_backend_name: str
) -> None:
    tx, rx = channel(4, weigh=len, split=split)
    caught: list[BaseException] = []

    def send() -> None:
        try:
            tx.blocking_send(tuple(range(10)), 0.05 if give_up == "late" else None)
        except error as failure:
            caught.append(failure)

    if give_up == "before":
        rx.close()
    thread = threading.Thread(target=send)
    thread.start()
    with anyio.fail_after(60):
        await _until(lambda: bool(caught) or (give_up == "close" and rx.waiting_senders == 1))
        rx.close()
        await _until(lambda: not thread.is_alive())
    await settle()
    put = 0 if give_up == "before" else 4
    [failure] = caught
    assert failure.item == tuple(range(put, 10))  # type: ignore[attr-defined]
    stats = rx.statistics()
    if give_up == "late":
        with anyio.fail_after(60):
            await _until(lambda: rx.statistics().timed_out > 0)
        stats = rx.statistics()
        assert (stats.sent, stats.rejected, stats.timed_out) == (put, 0, 10 - put)
    else:
        assert (stats.sent, stats.rejected, stats.timed_out) == (put, 10 - put, 0)
    tx.close()


async def _until(so: Callable[[], bool]) -> None:
    while not so():
        await anyio.sleep(0.001)
