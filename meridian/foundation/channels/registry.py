"""Which channels there are, by name: where an operator looks for the one that fills up.

Nothing here keeps a channel alive. What is read may be a step old, and may be read in any thread.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Container
from typing import Any, Protocol

import msgspec

__all__ = ["Registered", "Unbounded", "audit_unbounded", "channel_registry", "enlist"]


class Registered(Protocol):
    """What can be found by name."""

    @property
    def name(self) -> str: ...

    def statistics(self) -> Any: ...


class Unbounded(msgspec.Struct, frozen=True, kw_only=True):
    """A channel without a capacity, and what its maker says keeps it small."""

    name: str
    bound: str
    where: str
    """File and line that made it."""
    used: int
    max_used: int


class _Auditable(Registered, Protocol):
    def audit(self) -> Unbounded: ...


_lock = threading.RLock()  # a collection while it is held may end in `enlist` again
_channels: weakref.WeakValueDictionary[str, Registered] = weakref.WeakValueDictionary()
_unbounded: weakref.WeakValueDictionary[str, _Auditable] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def enlist(thing: Registered, name: str | None, kind: str = "channel") -> str:
    """List `thing` as long as it lives; its name, which is ``kind-N`` for ``None``.

    Of two that live at a time under one name the later is listed as ``name#2``. Raises `TypeError`
    for a name that is no text, `ValueError` for an empty one.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"Expected the name of a channel as str, got {type(name).__name__}")
    if name is not None and not name:
        raise ValueError("Expected the name of a channel, got an empty one")
    name = name or f"{kind}-{next(_numbers)}"
    with _lock:
        _channels[_free(name, _channels)] = thing
    return name


def _free(name: str, taken: Container[str]) -> str:
    if name not in taken:
        return name
    return next(free for i in itertools.count(2) if (free := f"{name}#{i}") not in taken)


def enlist_unbounded(thing: _Auditable) -> None:
    with _lock:
        _unbounded[_free(thing.name, _unbounded)] = thing


def channel_registry() -> dict[str, Registered]:
    """All channels that live now, by name, each with its `statistics`."""
    with _lock:
        return dict(_channels.items())


def audit_unbounded() -> tuple[Unbounded, ...]:
    """All unbounded channels that live now, for a build to refuse those it does not know."""
    with _lock:
        return tuple(thing.audit() for thing in _unbounded.values())
