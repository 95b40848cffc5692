"""What can go wrong between the judge and a submission, as exceptions of the judge."""

from __future__ import annotations

from grader.inside.protocol import Raised
from meridian.errors import MeridianError

__all__ = ["RemoteError", "WorkerLost", "WrongType", "remote_error"]


class WorkerLost(MeridianError, RuntimeError):
    """The worker is gone. `outcome` is ``timeout``, ``memory``, ``output`` or ``crashed``."""

    def __init__(self, outcome: str, message: str) -> None:
        self.outcome = outcome
        self.message = message
        super().__init__(message)


class RemoteError(MeridianError):
    """An exception that a call into the submission raised: its names and plain fields.

    `where` is the submission's own line it came from, as ``"page.py:41"``; `cause` the exception
    it was raised from, `exceptions` the members of an exception group.
    """

    def __init__(self, raised: Raised, call: str = "") -> None:
        self.class_name = raised.class_name
        self.mro = raised.mro
        self.message = raised.message
        self.fields = raised.fields
        self.where = raised.where
        self.call = call
        self.number = raised.number
        self.cause = None if raised.cause is None else remote_error(raised.cause, call)
        self.exceptions = tuple(remote_error(member, call) for member in raised.group)
        super().__init__(f"{call or 'The call'} raised {self.class_name}: {self.message}")

    def is_a(self, *names: str) -> bool:
        """Whether its class, or a class it inherits from, has one of these names."""
        return any(name in self.mro for name in names)


class RemoteAttributeError(RemoteError, AttributeError):
    """So that ``hasattr`` works on a `Remote`."""


class RemoteTypeError(RemoteError, TypeError):
    """So that ``list`` accepts a `Remote` that has no length."""


class WrongType(MeridianError, TypeError):
    """The submission gave something of another type than the call must give."""

    def __init__(self, expected: str, got: str) -> None:
        self.expected = expected
        self.got = got
        super().__init__(f"Expected {expected}, got {got}")


def remote_error(raised: Raised, call: str) -> RemoteError:
    """The `RemoteError` for what `call` raised."""
    for name, cls in (("AttributeError", RemoteAttributeError), ("TypeError", RemoteTypeError)):
        if name in raised.mro:
            return cls(raised, call)
    return RemoteError(raised, call)
