"""A message on its way to an actor, and who waits for whom: asking in a circle would never end."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from meridian.errors import MeridianError
from meridian.foundation.channels.oneshot import OneSender

if TYPE_CHECKING:
    from meridian.foundation.channels.actor import Actor

__all__ = [
    "Activation",
    "ActorDeadlock",
    "CallChain",
    "Envelope",
    "call_chain",
    "callers",
    "check_chain",
]

M = TypeVar("M")


class ActorDeadlock(MeridianError, RuntimeError):
    """An actor was asked for what it could only do after the asker had its answer."""

    def __init__(self, chain: tuple[str, ...]) -> None:
        self.chain = chain
        super().__init__(f"{' waits for '.join(chain)}: answer first, and ask from another task")


class Activation:
    """One message being handled by `actor`."""

    __slots__ = ("actor", "over")

    def __init__(self, actor: Actor[Any]) -> None:
        self.actor = actor
        self.over = False


CallChain: TypeAlias = tuple[Activation, ...]

call_chain: ContextVar[CallChain] = ContextVar("call_chain", default=())
"""The handlers that wait for what is done here, the first asker first."""


def callers() -> CallChain:
    """The call chain of this task, without those that have ended."""
    return tuple(each for each in call_chain.get() if not each.over)


def check_chain(chain: CallChain, actor: Actor[Any]) -> None:
    """Raises `ActorDeadlock` where `actor` is asked by what it waits for itself."""
    actors = [each.actor for each in chain]
    if actor in actors:
        circle = [*actors[actors.index(actor) :], actor]
        raise ActorDeadlock(tuple(each.name for each in circle))


class Envelope(Generic[M]):
    """A message on its way, and what became of it."""

    __slots__ = ("chain", "error", "message", "reply")

    def __init__(self, message: M, chain: CallChain, reply: OneSender[Any] | None) -> None:
        self.message: M | None = message
        self.chain = chain
        self.reply = reply
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.error = error
        if self.reply is not None:
            self.reply.close()  # harmless where it has answered

    def let_go(self) -> None:
        """Whoever still holds the envelope holds back no answer: one that is forgotten is told."""
        self.message = self.reply = None
