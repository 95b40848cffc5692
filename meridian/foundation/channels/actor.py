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
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Generic, TypeVar

import msgspec

from meridian.errors import MeridianError
from meridian.foundation.channels.errors import ChannelClosed, Empty, Full, ReplyDropped, SendClosed
from meridian.foundation.channels.mpsc import Receiver, Sender, channel
from meridian.foundation.channels.oneshot import OneReceiver, OneSender, oneshot

__all__ = ["Actor", "ActorDeadlock", "ActorFailed", "ActorHandle", "ActorStats"]

M = TypeVar("M")
T = TypeVar("T")


class ActorFailed(MeridianError, RuntimeError):
    """A handler raised: `error` is what, and also the cause of this one."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error
        super().__init__(f"Actor {name} failed: {type(error).__name__}: {error}")


class ActorDeadlock(MeridianError, RuntimeError):
    """An actor was asked for what it could only do after the asker had its answer."""

    def __init__(self, chain: tuple[str, ...]) -> None:
        self.chain = chain
        super().__init__(f"{' waits for '.join(chain)}: answer first, and ask from another task")


class ActorStats(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor has done so far."""

    handled: int
    failed: int
    """Messages whose handler raised."""
    pending: int


class _Turn:
    """One message being handled."""

    __slots__ = ("actor", "over")

    def __init__(self, actor: Actor[Any]) -> None:
        self.actor = actor
        self.over = False


_turns: ContextVar[tuple[_Turn, ...]] = ContextVar("turns", default=())
"""The handlers that wait for what is done here, the first asker first."""


class _Letter(Generic[M]):
    """A message on its way, and what became of it."""

    __slots__ = ("error", "message", "reply", "turns")

    def __init__(self, message: M, turns: tuple[_Turn, ...], reply: OneSender[Any] | None) -> None:
        self.message: M | None = message
        self.turns = turns
        self.reply = reply
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.error = error
        if self.reply is not None:
            self.reply.close()  # harmless where it has answered

    def let_go(self) -> None:
        """Whoever still holds the letter holds back no answer: one that is forgotten is told."""
        self.message = self.reply = None


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
        ends: tuple[Sender[_Letter[M]], Receiver[_Letter[M]]] = channel(
            capacity, name=name or type(self).__name__
        )
        self._first: Sender[_Letter[M]] | None = ends[0]
        self._mailbox = ends[1]
        self._stops = stop_on_failure
        self._ran = False
        self._handled = self._failed = 0

    @property
    def name(self) -> str:
        return self._mailbox.name

    @abstractmethod
    async def on_message(self, message: M) -> None:
        """Handle one; a reply in it may be answered now, or kept and answered later."""

    def open(self) -> ActorHandle[M]:
        """The first handle; more come from its `clone`. Raises `RuntimeError` the second time."""
        return ActorHandle(self, self._take_first())

    def _take_first(self) -> Sender[_Letter[M]]:
        first, self._first = self._first, None
        if first is None:
            raise RuntimeError(f"Actor {self.name} was opened before: clone() the handle")
        return first

    async def run(self) -> None:
        """Handle messages until the end. Raises `ActorFailed`; `RuntimeError` the second time."""
        if self._ran:
            raise RuntimeError(f"Actor {self.name} runs or has run: make a new one")
        self._ran = True
        if self._first is not None:  # nobody has a handle, or ever will
            self._take_first().close()
        failure: ActorFailed | None = None
        try:
            async for letter in self._mailbox:
                failure = await self._handle(letter)
                if failure is not None:
                    raise failure from failure.error
        finally:
            self._mailbox.close()
            self._leave_unhandled(failure)

    async def _handle(self, letter: _Letter[M]) -> ActorFailed | None:
        """Why the actor has to stop, if so."""
        turn = _Turn(self)
        token = _turns.set((*letter.turns, turn))
        try:
            await self.on_message(letter.message)  # type: ignore[arg-type]  # not let go yet
        except Exception as error:
            self._failed += 1
            letter.fail(error)
            return ActorFailed(self.name, error) if self._stops else None
        finally:
            self._handled += 1
            turn.over = True
            _turns.reset(token)
            letter.let_go()
        return None

    def _leave_unhandled(self, failure: ActorFailed | None) -> None:
        with suppress(Empty, ChannelClosed):
            while True:
                letter = self._mailbox.try_recv()
                if failure is not None:
                    letter.fail(failure.error)
                letter.let_go()

    def statistics(self) -> ActorStats:
        pending = len(self._mailbox)
        return ActorStats(handled=self._handled, failed=self._failed, pending=pending)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.statistics()}>"


class ActorHandle(Generic[M]):
    """What an actor is reached by. Close each, or use it with ``async with``; `clone` for more."""

    def __init__(self, actor: Actor[M], sender: Sender[_Letter[M]]) -> None:
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
        await self._post(_Letter(message, (), None))

    def try_send(self, message: M) -> None:
        """Put `message` in now. Raises `Full` or `SendClosed`, with the message."""
        try:
            self._sender.try_send(_Letter(message, (), None))
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
        turns = tuple(turn for turn in _turns.get() if not turn.over)
        self._check_chain(turns)
        ends: tuple[OneSender[T], OneReceiver[T]] = oneshot()
        reply, answer = ends
        letter = _Letter(make_message(reply), turns, reply)
        del reply, ends  # or an answer that is forgotten would not be told
        with answer:
            await self._post(letter)
            try:
                return await answer.recv()
            except ReplyDropped:
                if letter.error is not None:
                    raise ActorFailed(self.name, letter.error) from letter.error
                raise
            except BaseException:
                with suppress(Empty, ReplyDropped):
                    came = answer.try_recv()
                    if undelivered is not None:
                        undelivered(came)
                raise

    def _check_chain(self, turns: tuple[_Turn, ...]) -> None:
        actors = [turn.actor for turn in turns]
        if self._actor in actors:
            chain = [*actors[actors.index(self._actor) :], self._actor]
            raise ActorDeadlock(tuple(actor.name for actor in chain))

    async def _post(self, letter: _Letter[M]) -> None:
        turns = tuple(turn for turn in _turns.get() if not turn.over)
        try:
            if any(turn.actor is self._actor for turn in turns):
                try:
                    self._sender.try_send(letter)
                except Full:
                    self._check_chain(turns)
            else:
                await self._sender.send(letter)
        except SendClosed as closed:
            raise SendClosed(closed.name, letter.message) from None

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


H = TypeVar("H", bound=ActorHandle[Any])
