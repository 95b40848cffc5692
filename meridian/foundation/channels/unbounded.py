"""Channels without a capacity: for messages of which there can only ever be a few."""

from __future__ import annotations

import sys
from typing import TypeVar

from meridian.foundation.channels.buffer import Buffer
from meridian.foundation.channels.receiver import Receiver
from meridian.foundation.channels.registry import Unbounded, enlist_unbounded
from meridian.foundation.channels.sender import Sender

__all__ = ["unbounded_channel"]

T = TypeVar("T")


def unbounded_channel(*, name: str, bound: str) -> tuple[Sender[T], Receiver[T]]:
    """A channel whose senders never wait, for control messages only.

    `bound` says in words what keeps it small ("one message a source"). Where nothing does, memory
    is the bound: use `channel`. `audit_unbounded` lists it, with `bound` and the line that called
    this. Raises `TypeError` or `ValueError` where either is no text, or blank.
    """
    for what, text in (("name", name), ("bound", bound)):
        if not isinstance(text, str):
            raise TypeError(f"Expected the {what} as str, got {type(text).__name__}")
        if not text.strip():
            raise ValueError(f"Expected a {what} for the unbounded channel, got {text!r}")
    caller = sys._getframe(1)
    where = f"{caller.f_code.co_filename}:{caller.f_lineno}"
    buffer: _Unbounded[T] = _Unbounded(name, bound, where)
    return Sender(buffer), Receiver(buffer)


class _Unbounded(Buffer[T]):
    __slots__ = ("bound", "where")

    def __init__(self, name: str, bound: str, where: str) -> None:
        super().__init__(sys.maxsize, name)
        self.bound = bound
        self.where = where
        enlist_unbounded(self)

    def audit(self) -> Unbounded:
        return Unbounded(
            name=self.name,
            bound=self.bound,
            where=self.where,
            used=self.used,
            max_used=self.max_used,
        )

    def describe(self) -> str:
        return super().describe().replace(f"of {sys.maxsize}", "of no bound")
