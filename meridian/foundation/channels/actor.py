"""A task that owns its state, and is reached by messages only.

One message is handled at a time, so the state needs no lock. That holds within the actor alone:
at every ``await`` in a handler *other* actors run, and may ask this one, which then is the next to
be answered. The model is Hewitt's actor as Tokio's users write it: a mailbox, a loop, and a
oneshot in each message that wants an answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

import msgspec

from meridian.errors import MeridianError
from meridian.foundation.channels.actor_calls import (
    Activation,
    ActorDeadlock,
    Envelope,
    call_chain,
    callers,
    check_chain,
)
from meridian.foundation.channels.errors import ChannelClosed, Empty, Full, ReplyDropped, SendClosed
from meridian.foundation.channels.mpsc import Receiver, Sender, channel
from meridian.foundation.channels.oneshot import OneReceiver, OneSender, oneshot

__all__ = ["Actor", "ActorDeadlock", "ActorFailed", "ActorHandle", "ActorStats"]

M = TypeVar("M")
T = TypeVar("T")
H = TypeVar("H", bound="ActorHandle[Any]")


class ActorFailed(MeridianError, RuntimeError):
    """A handler raised: `error` is what, and also the cause of this one."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error
        super().__init__(f"Actor {name} failed: {type(error).__name__}: {error}")


class ActorStats(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor has done so far."""

    handled: int
    failed: int
    """Messages whose handler raised."""
    pending: int


class _Mailbox(Generic[M]):
    """All that an actor is besides its state: derived classes have every name to themselves."""

    __slots__ = ("failed", "first", "handled", "messages", "ran", "stops")

    def __init__(self, capacity: int, name: str, stops: bool) -> None:
        ends: tuple[Sender[Envelope[M]], Receiver[Envelope[M]]] = channel(capacity, name=name)
        self.first: Sender[Envelope[M]] | None = ends[0]
        self.messages = ends[1]
        self.stops = stops
        self.ran = False
        self.handled = self.failed = 0

    def open(self) -> Sender[Envelope[M]]:
        first, self.first = self.first, None
        if first is None:
            raise RuntimeError(f"Actor {self.messages.name} was opened before: clone() the handle")
        return first

    async def run(self, actor: Actor[M]) -> None:
        if self.ran:
            raise RuntimeError(f"Actor {self.messages.name} runs or has run: make a new one")
        self.ran = True
        if self.first is not None:  # nobody has a handle, or ever will
            self.open().close()
        failure: ActorFailed | None = None
        try:
            async for envelope in self.messages:
                failure = await self.deliver(actor, envelope)
                if failure is not None:
                    raise failure from failure.error
        finally:
            self.messages.close()
            self.leave_unhandled(failure)

    async def deliver(self, actor: Actor[M], envelope: Envelope[M]) -> ActorFailed | None:
        """Why the actor has to stop, if so."""
        activation = Activation(actor)
        token = call_chain.set((*envelope.chain, activation))
        try:
            await actor.on_message(envelope.message)  # type: ignore[arg-type]  # not let go yet
        except Exception as error:
            self.failed += 1
            envelope.fail(error)
            return ActorFailed(self.messages.name, error) if self.stops else None
        finally:
            self.handled += 1
            activation.over = True
            call_chain.reset(token)
            envelope.let_go()
        return None

    def leave_unhandled(self, failure: ActorFailed | None) -> None:
        with suppress(Empty, ChannelClosed):
            while True:
                envelope = self.messages.try_recv()
                if failure is not None:
                    envelope.fail(failure.error)
                envelope.let_go()


class Actor(ABC, Generic[M]):
    """Derive, keep all state in ``self``, and handle one message at a time in `on_message`.

    `open` gives the first handle; `run` is the task. It ends when every handle is closed and the
    mailbox is empty. A handler that raises fails the ask that it was handling, with `ActorFailed`;
    what was only sent has nobody to tell, and is counted. The actor goes on with the next message,
    or, with `stop_on_failure`, raises `ActorFailed` itself, and so does every ask in the mailbox.
    """

    def __init__(
        self, *, capacity: int = 32, name: str | None = None, stop_on_failure: bool = False
    ) -> None:
        self.__mailbox: _Mailbox[M] = _Mailbox(
            capacity, name or type(self).__name__, stop_on_failure
        )

    @property
    def name(self) -> str:
        return self.__mailbox.messages.name

    @abstractmethod
    async def on_message(self, message: M) -> None:
        """Handle one; a reply in it may be answered now, or kept and answered later."""

    def open(self) -> ActorHandle[M]:
        """The first handle; more come from its `clone`. Raises `RuntimeError` the second time."""
        return self.open_as(ActorHandle)

    def open_as(self, handle_type: type[H]) -> H:
        """`open`, for an actor whose handles are of a class of its own, derived from `ActorHandle`.

        A derived class calls it in its `open`.
        """
        return handle_type(self, self.__mailbox.open())

    async def run(self) -> None:
        """Handle messages until the end. Raises `ActorFailed`; `RuntimeError` the second time."""
        await self.__mailbox.run(self)

    def statistics(self) -> ActorStats:
        mailbox = self.__mailbox
        return ActorStats(
            handled=mailbox.handled, failed=mailbox.failed, pending=len(mailbox.messages)
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.statistics()}>"


class ActorHandle(Generic[M]):
    """What an actor is reached by. Close each, or use it with ``async with``; `clone` for more."""

    def __init__(self, actor: Actor[M], sender: Sender[Envelope[M]]) -> None:
        self._actor = actor
        self._sender = sender

    @property
    def name(self) -> str:
        return self._actor.name

    async def send(self, message: M) -> None:
        """Put `message` into the mailbox, when there is room. Cancelled, it is not in.

        Raises `SendClosed`, with the message, when the actor has ended; `ActorDeadlock` where the
        mailbox is full and the actor waits for the very task that sends.
        """
        await self._post(Envelope(message, (), None))

    def try_send(self, message: M) -> None:
        """Put `message` in now. Raises `Full` or `SendClosed`, with the message."""
        try:
            self._sender.try_send(Envelope(message, (), None))
        except Full as full:
            raise Full(full.name, message, full.used, full.capacity) from None
        except SendClosed as closed:
            raise SendClosed(closed.name, message) from None

    async def ask(
        self,
        make_message: Callable[[OneSender[T]], M],
        *,
        undelivered: Callable[[T], object] | None = None,
    ) -> T:
        """Send ``make_message(reply)``, and wait for what is sent to the `reply`.

        A cancellation may come in the same step as the answer: `undelivered` is then called with
        it, for an answer that must not be lost.

        Raises `ActorFailed` when the handler raised; `ReplyDropped` when nobody will answer;
        `SendClosed`, with the message, when the actor has ended; `ActorDeadlock` in a handler of
        the actor itself, or of one that it waits for.
        """
        chain = callers()
        check_chain(chain, self._actor)
        ends: tuple[OneSender[T], OneReceiver[T]] = oneshot()
        reply, answer = ends
        envelope = Envelope(make_message(reply), chain, reply)
        del reply, ends  # or an answer that is forgotten would not be told
        with answer:
            await self._post(envelope)
            try:
                return await answer.recv()
            except ReplyDropped:
                if envelope.error is not None:
                    raise ActorFailed(self.name, envelope.error) from envelope.error
                raise
            except BaseException:
                with suppress(Empty, ReplyDropped):
                    came = answer.try_recv()
                    if undelivered is not None:
                        undelivered(came)
                raise

    async def _post(self, envelope: Envelope[M]) -> None:
        chain = callers()
        try:
            if any(each.actor is self._actor for each in chain):
                try:
                    self._sender.try_send(envelope)
                except Full:
                    check_chain(chain, self._actor)
            else:
                await self._sender.send(envelope)
        except SendClosed as closed:
            raise SendClosed(closed.name, envelope.message) from None

    def clone(self: H) -> H:
        """One handle more; the actor ends after the last is closed. Raises `SendClosed`."""
        return type(self)(self._actor, self._sender.clone())

    def close(self) -> None:
        """Send no more from here. Closing twice is harmless."""
        self._sender.close()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent from here any more."""
        return self._sender.is_closed

    def statistics(self) -> ActorStats:
        return self._actor.statistics()

    async def __aenter__(self: H) -> H:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._actor!r}>"
