"""`check_channel` lets a correct channel pass, and catches each of the classic mistakes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.testing import ChannelAdapter, Item, check_channel

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class OfAnyio(ChannelAdapter):
    """A channel that others have written: it has to pass."""

    capacity = 2
    refused = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.WouldBlock)
    ended = (anyio.EndOfStream,)
    empty = (anyio.WouldBlock,)

    def __init__(self) -> None:
        self.tx, self.rx = anyio.create_memory_object_stream[Item](self.capacity)

    async def send(self, item: Item) -> None:
        await self.tx.send(item)

    async def recv(self) -> Item:
        return await self.rx.receive()

    def try_send(self, item: Item) -> None:
        self.tx.send_nowait(item)

    def try_recv(self) -> Item:
        return self.rx.receive_nowait()

    def close(self) -> None:
        self.tx.close()

    def pending(self) -> int:
        return self.tx.statistics().current_buffer_used


class Plain(ChannelAdapter):
    """A small channel that is right, for the wrong ones to be made from.

    Everybody who waits is called for everything, and looks again: slow, and simple.
    """

    capacity = 2
    refused = (BrokenPipeError, BlockingIOError)
    ended = (EOFError,)
    empty = (BlockingIOError,)

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.news = anyio.Event()
        self.closed = False

    def call(self) -> None:
        self.news.set()
        self.news = anyio.Event()

    async def send(self, item: Item) -> None:
        await checkpoint()
        while not self.closed and len(self.items) >= self.capacity:
            await self.news.wait()
        self.try_send(item)

    def try_send(self, item: Item) -> None:
        if self.closed:
            raise BrokenPipeError
        if len(self.items) >= self.capacity:
            raise BlockingIOError
        self.put(item)

    def put(self, item: Item) -> None:
        self.items.append(item)
        self.call()

    async def recv(self) -> Item:
        await checkpoint()
        while not self.items and not self.closed:
            await self.news.wait()
        return self.try_recv()

    def try_recv(self) -> Item:
        if self.items:
            return self.take()
        raise EOFError if self.closed else BlockingIOError

    def take(self) -> Item:
        item = self.items.popleft()
        self.call()
        return item

    def close(self) -> None:
        self.closed = True
        self.call()

    def close_receiver(self) -> None:
        self.close()

    def pending(self) -> int:
        return len(self.items)

    def ends(self) -> tuple[object, ...]:
        return (self,)

    def name(self) -> str:
        return "plain"

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<plain: {len(self.items)} of {self.capacity}, {state}>"


class LosesWhatACancelledReceiverTook(Plain):
    async def recv(self) -> Item:
        item = await super().recv()
        await checkpoint()
        return item


class InsertsBeforeItWaits(Plain):
    async def send(self, item: Item) -> None:
        await super().send(item)
        await checkpoint()


class Duplicates(Plain):
    def take(self) -> Item:
        item = super().take()
        if item.number == 3:
            self.items.appendleft(item)
        return item


class Reorders(Plain):
    def put(self, item: Item) -> None:
        self.items.appendleft(item)
        self.call()


class ForgetsToWakeReceivers(Plain):
    def put(self, item: Item) -> None:
        self.items.append(item)
        if len(self.items) > 1:
            self.call()


class ForgetsToWakeSenders(Plain):
    def take(self) -> Item:
        return self.items.popleft()


class ForgetsToWakeAtTheEnd(Plain):
    def close(self) -> None:
        self.closed = True


class KeepsReferences(Plain):
    def take(self) -> Item:
        self.last = super().take()
        return self.last


class OverFills(Plain):
    async def send(self, item: Item) -> None:
        await checkpoint()
        if not self.closed and len(self.items) >= self.capacity:
            await self.news.wait()  # and does not look again
        if self.closed:
            raise BrokenPipeError
        self.put(item)


class DropsSilently(Plain):
    def try_send(self, item: Item) -> None:
        if len(self.items) < self.capacity or self.closed:
            super().try_send(item)


class DropsTheRestAtTheEnd(Plain):
    def close(self) -> None:
        self.items.clear()
        super().close()


class ClosesOnlyOnce(Plain):
    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        super().close()


class DeafAfterTheEnd(Plain):
    def try_recv(self) -> Item:
        if self.items:
            return self.take()
        return None  # type: ignore[return-value]


class HasADullRepr(Plain):
    def __repr__(self) -> str:
        return f"<plain of {self.capacity}>"


class HidesItsEnd(Plain):
    def __repr__(self) -> str:
        return f"<plain: {len(self.items)} of {self.capacity}>"


BROKEN: list[tuple[Callable[[], ChannelAdapter], str]] = [
    (LosesWhatACancelledReceiverTook, r"0 are to be there|are gone|are to be there"),
    (InsertsBeforeItWaits, "refused or cancelled|are to be there"),
    (Duplicates, "received twice|are to be there"),
    (Reorders, "came after"),
    (ForgetsToWakeReceivers, "a receiver waits and is not woken"),
    (ForgetsToWakeSenders, "a sender waits and is not woken"),
    (ForgetsToWakeAtTheEnd, "still waits|is not woken"),
    (KeepsReferences, "a reference is kept"),
    (OverFills, "items lie in a channel with a capacity of 2"),
    (DropsSilently, "are to be there|accepted, .* too many"),
    (DropsTheRestAtTheEnd, "are to be there|are gone"),
    (ClosesOnlyOnce, "close raised"),
    (DeafAfterTheEnd, "returned None"),
    (HasADullRepr, "does not show how many"),
    (HidesItsEnd, "does not show that the channel is closed"),
]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("factory", [Plain, OfAnyio])
def test_a_correct_channel_passes(factory: Callable[[], ChannelAdapter], backend: str) -> None:
    check_channel(factory, backends=backend, rounds=400)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("factory", "told"), BROKEN, ids=[kind.__name__ for kind, _ in BROKEN])
def test_a_broken_channel_is_caught(
    factory: Callable[[], ChannelAdapter], told: str, backend: str
) -> None:
    with pytest.raises(AssertionError, match=told) as failure:
        check_channel(factory, backends=backend, rounds=400)
    report = str(failure.value)
    assert report.startswith(f"On {backend}: ")
    if "Again:" in report:
        assert report.count("\n  ") <= 9, "it is made small"


def test_the_report_names_the_smallest_schedule_and_how_to_see_it_again() -> None:
    with pytest.raises(AssertionError) as failure:
        check_channel(ForgetsToWakeReceivers, backends="asyncio")
    *_, again = str(failure.value).splitlines()
    seed = int(again.removeprefix("Again: rounds=1, seed="))
    assert str(failure.value) == (
        "On asyncio: a receiver waits and is not woken, though 1 items are pending\n"
        "  1. recv 0\n"
        "  2. send 1\n"
        f"Again: rounds=1, seed={seed}"
    )
    with pytest.raises(AssertionError) as second:
        check_channel(ForgetsToWakeReceivers, backends="asyncio", rounds=1, seed=seed)
    assert str(second.value) == str(failure.value)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_it_can_be_called_where_a_loop_runs() -> None:
    check_channel(Plain, rounds=3)
    with pytest.raises(AssertionError, match="On asyncio"):
        check_channel(Reorders)


def test_a_channel_that_says_what_it_loses_passes() -> None:
    class KeepsTheNewest(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.dropped = 0

        async def send(self, item: Item) -> None:
            await checkpoint()
            self.try_send(item)

        def try_send(self, item: Item) -> None:
            if self.closed:
                raise BrokenPipeError
            if len(self.items) == self.capacity:
                self.items.popleft()
                self.dropped += 1
            self.put(item)

        def lost(self) -> int:
            return self.dropped

    class SaysNothing(KeepsTheNewest):
        def lost(self) -> int:
            return 0

    check_channel(KeepsTheNewest, rounds=100)
    with pytest.raises(AssertionError, match="accepted"):
        check_channel(SaysNothing)


def test_a_lane_has_an_order_of_its_own() -> None:
    class EvenFirst(Plain):
        def put(self, item: Item) -> None:
            self.items.append(item)
            self.items = deque(sorted(self.items, key=lambda item: item.number % 2))
            self.call()

    class WithLanes(EvenFirst):
        def stream(self, item: Item) -> int:
            return item.number % 2

    check_channel(WithLanes, rounds=100)
    with pytest.raises(AssertionError, match="came after"):
        check_channel(EvenFirst)


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(TypeError, match="Expected factory to return a ChannelAdapter, got 3"):
        check_channel(lambda: 3, rounds=1)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="Expected rounds >= 1, got 0"):
        check_channel(Plain, rounds=0)
    with pytest.raises(TypeError, match="Expected rounds"):
        check_channel(Plain, rounds=True)
    with pytest.raises(TypeError, match="Expected ChannelAdapter to have send, recv, close"):
        check_channel(ChannelAdapter, rounds=30)
