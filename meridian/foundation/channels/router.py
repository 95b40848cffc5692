"""Feeds that come and go while others run: a task for each, and an actor to start and stop them.

Each task carries the frames of its feed, tagged, to one internal channel; a pump carries them on.
The control messages have a task of their own, so a downstream that stands still does not keep a
feed from being removed. For a fixed set of feeds `merge` does with less.

There is no priority here. The internal channel is one FIFO queue for all feeds, so an urgent frame
waits behind all that came before it (head-of-line blocking): up to `internal_capacity` frames, 512
by default, and what `out` holds. Frames of two urgencies need a lane for each, up to the moment
of choice: `priority_channel` for two, `TelemetryAggregator` for many sources.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

import anyio
import msgspec
from anyio.abc import TaskGroup

from meridian.errors import MeridianError
from meridian.foundation.channels.actor import Actor, ActorHandle
from meridian.foundation.channels.errors import ChannelClosed, Empty, SendClosed
from meridian.foundation.channels.mpsc import Receiver, Sender, channel
from meridian.foundation.channels.oneshot import OneSender
from meridian.foundation.channels.tagged import FrameSource, LiveUplink, TaggedFrame

__all__ = ["DuplicateSource", "Router", "RouterHandle", "RouterStats", "UnknownSource"]


class DuplicateSource(MeridianError, ValueError):
    """A source was added under an id that another still has."""

    def __init__(self, source_id: int) -> None:
        self.source_id = source_id
        super().__init__(f"Source {source_id} is there already: remove it first")


class UnknownSource(MeridianError, LookupError):
    """A source was to be removed that is not there."""

    def __init__(self, source_id: int) -> None:
        self.source_id = source_id
        super().__init__(f"Source {source_id} is not there: never added, or at its end")


class RouterStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a router has done so far. At its end ``forwarded + discarded`` is all it was given."""

    forwarded: int
    """Frames that `out` has accepted."""
    discarded: int
    """Frames of feeds removed without draining, or that `out` did not want any more."""
    feeds: int
    """Feeds there are now."""


@dataclass(slots=True, eq=False)
class _Feed:
    source_id: int
    source: FrameSource
    receiver: Receiver[bytes]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    removers: list[OneSender[int | UnknownSource]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Add:
    feed: _Feed
    reply: OneSender[MeridianError | None]


@dataclass(frozen=True, slots=True)
class _Remove:
    source_id: int
    drain: bool
    reply: OneSender[int | UnknownSource]


_Command: TypeAlias = _Add | _Remove


class _Control(Actor[_Command]):
    """The actor of a router, that its handles reach."""

    def __init__(self, router: Router, capacity: int, name: str) -> None:
        super().__init__(capacity=capacity, name=name)
        self.router = router

    def open(self) -> RouterHandle:
        return self.open_as(RouterHandle)

    async def on_message(self, message: _Command) -> None:
        match message:
            case _Add(feed, reply):
                self.router._add(feed, reply)
            case _Remove(source_id, drain, reply):
                self.router._remove(source_id, drain, reply)
            case other:
                assert_never(other)


class Router:
    """Forwards the frames of all feeds to `out`, each tagged with its source and a sequence number.

    `open` gives the first handle; `run` is the task. It ends by itself when every handle is closed
    and every feed has ended, or when nobody receives from `out` any more, and then closes `out`,
    which is its own from now on. A feed that has ended is forgotten. Frames of one feed keep their
    order; one that stands still holds up no other.
    """

    def __init__(
        self,
        out: Sender[TaggedFrame],
        *,
        internal_capacity: int = 512,
        ctrl_capacity: int = 8,
        name: str = "router",
    ) -> None:
        """Raises `ValueError` for a capacity that is no int of at least 1."""
        ends: tuple[Sender[TaggedFrame], Receiver[TaggedFrame]] = channel(
            internal_capacity, name=f"{name}.internal"
        )
        self._inlet, self._internal = ends
        self._out = out
        self._control = _Control(self, ctrl_capacity, f"{name}.control")
        self._control_scope: anyio.CancelScope | None = None
        self._unwanted = False
        self._feeds: dict[int, _Feed] = {}
        self._group: TaskGroup | None = None
        self._forwarded = self._discarded = 0

    def open(self) -> RouterHandle:
        """The first handle; more come from its `clone`. Raises `RuntimeError` the second time."""
        return self._control.open()

    async def run(self) -> RouterStats:
        """Route until the end; what was done. Raises `RuntimeError` the second time."""
        if self._group is not None:
            raise RuntimeError("This router runs or has run: make a new one")
        try:
            async with anyio.create_task_group() as self._group, self._inlet:
                with anyio.CancelScope() as self._control_scope:
                    self._group.start_soon(self._pump)
                    await self._control.run()
        finally:
            self._out.close()
        return self.statistics()

    def statistics(self) -> RouterStats:
        return RouterStats(
            forwarded=self._forwarded, discarded=self._discarded, feeds=len(self._feeds)
        )

    # -- a feed ----------------------------------------------------------------------------------

    def _add(self, feed: _Feed, reply: OneSender[MeridianError | None]) -> None:
        if feed.source_id in self._feeds:
            reply.send(DuplicateSource(feed.source_id))
            return
        if self._unwanted:
            reply.send(SendClosed(self._control.name, feed.receiver))
            return
        assert self._group is not None
        self._feeds[feed.source_id] = feed
        self._group.start_soon(self._forward, feed, self._inlet.clone())
        reply.send(None)

    def _remove(self, source_id: int, drain: bool, reply: OneSender[int | UnknownSource]) -> None:
        feed = self._feeds.get(source_id)
        if feed is None:
            reply.send(UnknownSource(source_id))
            return
        feed.removers.append(reply)
        feed.receiver.close()  # and its task ends when it is empty
        if not drain:
            feed.scope.cancel()

    async def _forward(self, feed: _Feed, inlet: Sender[TaggedFrame]) -> None:
        """Carry all frames of `feed`, one in hand at a time; those that cannot be are counted."""
        in_hand = sequence = 0
        try:
            with feed.scope, suppress(SendClosed):
                async for payload in feed.receiver:
                    in_hand = 1
                    await inlet.send(TaggedFrame(feed.source, sequence, payload))
                    in_hand = 0
                    sequence += 1
        finally:
            discarded = in_hand + _empty(feed.receiver)
            self._discarded += discarded
            del self._feeds[feed.source_id]
            inlet.close()
            for reply in feed.removers:
                reply.send(discarded)

    # -- the way out -----------------------------------------------------------------------------

    async def _pump(self) -> None:
        in_hand = 0
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_when_unwanted, group.cancel_scope)
            try:
                async for frame in self._internal:
                    in_hand = 1
                    await self._out.send(frame)
                    in_hand = 0
                    self._forwarded += 1
            except SendClosed:
                self._stop()
            finally:
                self._discarded += in_hand + _empty(self._internal)
                group.cancel_scope.cancel()

    async def _stop_when_unwanted(self, pumping: anyio.CancelScope) -> None:
        await self._out.closed()
        self._stop()
        pumping.cancel()

    def _stop(self) -> None:
        self._unwanted = True
        assert self._control_scope is not None
        self._control_scope.cancel()
        for feed in self._feeds.values():
            feed.scope.cancel()


def _empty(receiver: Receiver[bytes] | Receiver[TaggedFrame]) -> int:
    """Close `receiver` and throw away what is in it; how many items that was."""
    receiver.close()
    count = 0
    with suppress(Empty, ChannelClosed):
        while True:
            receiver.try_recv()
            count += 1
    return count


class RouterHandle(ActorHandle[_Command]):
    """What feeds are added and removed by. Close each, or use it with ``async with``."""

    _actor: _Control

    async def add_feed(
        self, source_id: int, feed: Receiver[bytes], *, source: FrameSource | None = None
    ) -> None:
        """Forward what `feed` receives, from now on the router's own, until its senders close.

        Its frames are tagged with `source`, by default ``LiveUplink(source_id)``, and numbered
        from 0. Raises `DuplicateSource`; `SendClosed`, with the feed, when the router has ended;
        `TypeError` for an id that is no int or a feed that is no `Receiver`. Then the feed is
        still the caller's. Cancelled, it may have been added, as `feeds` tells.
        """
        _check_id(source_id)
        if not isinstance(feed, Receiver):
            raise TypeError(f"Expected the feed as a Receiver, got {type(feed).__name__}")
        entry = _Feed(source_id, source or LiveUplink(source_id), feed)
        try:
            refusal: MeridianError | None = await self.ask(lambda reply: _Add(entry, reply))
        except SendClosed as closed:
            raise SendClosed(closed.name, feed) from None
        if refusal is not None:
            raise refusal

    async def remove_feed(self, source_id: int, *, drain: bool = True) -> int:
        """Let nothing more into a feed, and wait until it is over; how many frames were discarded.

        With `drain` that is none: all that it had accepted goes on. Without, what has not left
        the feed is thrown away. Being cancelled here does not stop the removal. Raises
        `UnknownSource`; `SendClosed` when the router has ended.
        """
        _check_id(source_id)
        outcome: int | UnknownSource = await self.ask(
            lambda reply: _Remove(source_id, drain, reply)
        )
        if isinstance(outcome, UnknownSource):
            raise outcome
        return outcome

    def feeds(self) -> tuple[int, ...]:
        """The sources there are now, oldest first."""
        return tuple(self._actor.router._feeds)


def _check_id(source_id: object) -> None:
    if type(source_id) is not int:
        raise TypeError(f"Expected source_id as int, got {type(source_id).__name__}")
