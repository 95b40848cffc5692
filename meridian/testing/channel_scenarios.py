"""One channel driven through one schedule, and what must hold at every moment of it."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Hashable

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from meridian.testing.channel_adapter import ChannelAdapter, Item
from meridian.testing.channel_schedules import Action

__all__ = ["Problem", "Scenario", "check_texts"]

QUIET = 12  # turns of the loop without any event, after which nothing will happen by itself


class Problem(AssertionError):
    """What a channel did wrong in one schedule."""


class Scenario:
    """One channel, driven through one schedule. Raises `Problem` from `run`."""

    def __init__(self, adapter: ChannelAdapter) -> None:
        self.adapter = adapter
        self.sending: dict[int, anyio.CancelScope] = {}
        self.receiving: dict[int, anyio.CancelScope] = {}
        self.numbers: Counter[int] = Counter()
        self.items: dict[str, weakref.ref[Item]] = {}
        self.accepted: list[str] = []
        self.received: list[str] = []
        self.latest: dict[Hashable, int] = {}
        self.over = False
        self.events = 0
        self.problem: Problem | None = None

    async def run(self, actions: list[Action]) -> None:
        async with anyio.create_task_group() as group:
            try:
                for action in actions:
                    await self._act(group, action)
                    self._check_account()
                await self._drain(group)
            except Problem as problem:
                self.problem = problem
            group.cancel_scope.cancel()
        if self.problem is None:
            self._check_items()
        if self.problem is not None:
            raise self.problem

    # -- one line of the schedule ----------------------------------------------------------------

    async def _act(self, group: TaskGroup, action: Action) -> None:
        what, which = action
        match what:
            case "step":
                for _ in range(which):
                    await checkpoint()
            case "send" if which not in self.sending and self._may_send():
                scope = self.sending[which] = anyio.CancelScope()
                group.start_soon(self._send, which, scope)
            case "recv" if which not in self.receiving:
                scope = self.receiving[which] = anyio.CancelScope()
                group.start_soon(self._recv, which, scope)
            case "cancel send" if which in self.sending:
                self.sending[which].cancel()
            case "cancel recv" if which in self.receiving:
                self.receiving[which].cancel()
            case "try send" if which not in self.sending and self._may_send():
                self._try_send(which)
            case "try recv":
                self._try_recv()
            case "close":
                self._close(self.adapter.close)
            case "close receiver":
                self._close(self.adapter.close_receiver)

    def _may_send(self) -> bool:
        most = self.adapter.most_items
        return most is None or self.numbers.total() < most

    def _next_item(self, producer: int) -> Item:
        item = Item(producer, self.numbers[producer])
        self.numbers[producer] += 1
        self.items[repr(item)] = weakref.ref(item)
        return item

    async def _send(self, producer: int, scope: anyio.CancelScope) -> None:
        item = self._next_item(producer)
        try:
            with scope:
                await self.adapter.send(item)
                self.accepted.append(repr(item))
        except self.adapter.refused:
            pass
        except Exception as error:
            self._fail(f"send raised {error!r}")
        finally:
            del self.sending[producer]
            self.events += 1

    def _try_send(self, producer: int) -> None:
        item = self._next_item(producer)
        try:
            self.adapter.try_send(item)
            self.accepted.append(repr(item))
        except self.adapter.refused:
            pass
        except Exception as error:
            raise Problem(f"try_send raised {error!r}") from error

    async def _recv(self, consumer: int, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                self._got(await self.adapter.recv(), consumer)
        except self.adapter.ended:
            self.over = True
        except Problem as problem:
            self.problem = self.problem or problem
        except Exception as error:
            self._fail(f"recv raised {error!r}")
        finally:
            del self.receiving[consumer]
            self.events += 1

    def _try_recv(self) -> None:
        try:
            self._got(self.adapter.try_recv(), -1)
        except self.adapter.ended:
            self.over = True
        except self.adapter.empty:
            pass
        except Problem:
            raise
        except Exception as error:
            raise Problem(f"try_recv raised {error!r}") from error

    def _got(self, item: object, consumer: int) -> None:
        if not isinstance(item, Item):
            raise Problem(f"recv returned {item!r}, which nobody sent")
        name = repr(item)
        if name in self.received:
            raise Problem(f"item {name} was received twice")
        self.received.append(name)
        place = consumer, item.producer, self.adapter.stream(item)
        if item.number < self.latest.get(place, -1):
            raise Problem(f"item {name} came after {item.producer}.{self.latest[place]}")
        self.latest[place] = item.number

    def _close(self, close: Callable[[], None]) -> None:
        try:
            close()
        except Exception as error:
            raise Problem(f"{close.__name__} raised {error!r}") from error

    def _fail(self, what: str) -> None:
        self.problem = self.problem or Problem(what)

    # -- what must hold --------------------------------------------------------------------------

    def _check_account(self) -> None:
        """At any moment: no more lies there than may."""
        if self.problem is not None:
            raise self.problem
        capacity = self.adapter.capacity
        if capacity is None:
            return
        if (pending := self.adapter.pending()) > capacity:
            raise Problem(f"{pending} items lie in a channel with a capacity of {capacity}")
        out = len(self.received) + self.adapter.lost() + len(self.receiving)
        if len(self.accepted) - out > capacity:
            raise Problem(
                f"{len(self.accepted)} items were accepted, {len(self.received)} received: "
                f"too many to lie in a channel with a capacity of {capacity}"
            )

    async def _settle(self) -> None:
        """Let everybody run until nothing happens any more."""
        quiet, seen = 0, self.events
        while quiet < QUIET:
            await checkpoint()
            quiet = quiet + 1 if seen == self.events else 0
            seen = self.events
        self._check_account()
        pending = self.adapter.pending()
        if self.receiving and pending:
            raise Problem(f"a receiver waits and is not woken, though {pending} items are pending")
        if self.sending and self.adapter.has_room():
            raise Problem("a sender waits and is not woken, though there is room")
        if not self.receiving:
            there = len(self.accepted) - len(self.received) - self.adapter.lost()
            if there != pending:
                raise Problem(
                    f"{len(self.accepted)} items were accepted, {len(self.received)} received, "
                    f"{self.adapter.lost()} reported as lost: {there} are to be there, "
                    f"{pending} are"
                )

    async def _drain(self, group: TaskGroup) -> None:
        """Receive everything, and come to the end."""
        await self._settle()
        while self.sending or self.adapter.pending():
            seen = self.events
            await self._act(group, Action("recv"))
            await self._settle()
            if seen == self.events:
                raise Problem("a receiver waits, and a sender: nobody is woken")
        for _ in range(2):
            self._close(self.adapter.close)
        await self._settle()
        if self.receiving:
            raise Problem("a receiver still waits after the last sender was closed")
        self.over = False
        await self._act(group, Action("recv"))
        await self._settle()
        if not self.over:
            raise Problem("a channel that is closed and drained does not say so to its receiver")
        if self.adapter.can("close_receiver"):
            for _ in range(2):
                self._close(self.adapter.close_receiver)

    def _check_items(self) -> None:
        """At the end: every item is where it belongs, and the channel holds on to none."""
        accepted, received = set(self.accepted), set(self.received)
        if stray := sorted(received - accepted):
            self._fail(f"item {stray[0]} was received, though its send was refused or cancelled")
        missing = sorted(accepted - received)
        if len(missing) != self.adapter.lost():
            lost = self.adapter.lost()
            self._fail(f"items {', '.join(missing)} are gone, and {lost} reported as lost")
        last = {self.accepted[-1]} if self.adapter.keeps_last and self.accepted else set()
        if self._kept(last):
            gc.collect()  # a cycle is no fault
        if kept := self._kept(last):
            self._fail(f"a reference is kept to item {kept[0]}, which is out")

    def _kept(self, exempt: set[str]) -> list[str]:
        return [
            name for name, ref in self.items.items() if ref() is not None and name not in exempt
        ]


async def check_texts(adapter: ChannelAdapter, other: ChannelAdapter) -> None:
    """The repr of each end is one line, and shows name, length, capacity and state."""
    opened = [repr(end) for end in other.ends()]
    fresh = [repr(end) for end in adapter.ends()]
    shown = [str(part) for part in (adapter.name(), adapter.capacity) if part is not None]
    for text in fresh:
        if "\n" in text:
            raise Problem(f"a repr has several lines: {text!r}")
        if missing := [part for part in shown if part not in text]:
            raise Problem(f"a repr does not show {missing[0]}: {text}")
    with anyio.move_on_after(1):
        await adapter.send(Item(0, 0))
    for before, after in zip(fresh, map(repr, adapter.ends()), strict=True):
        if before == after:
            raise Problem(f"a repr does not show how many items lie there: {before}")
    adapter.close()
    other.close()
    for before, after in zip(opened, map(repr, other.ends()), strict=True):
        if before == after:
            raise Problem(f"a repr does not show that the channel is closed: {after}")
