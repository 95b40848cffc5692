"""What objects do when they are used one call at a time: models for `linearizable`.

A model is a state to begin with and a step: a pure generator of what may follow, pairs of the next
state and the answer. A step that yields nothing has to wait; one that yields `Raises` must raise.
States are compared and hashed: numbers, tuples, frozensets.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

__all__ = ["ANY", "Model", "Raises", "counter", "fifo", "mapping", "mutex", "register"]

Step = Callable[[Any, str, tuple[Any, ...]], Iterable[tuple[Hashable, Any]]]


class Raises(NamedTuple):
    """An answer that is an exception whose class, or a base of it, has this name."""

    name: str


class _Any:
    def __repr__(self) -> str:
        return "anything"


ANY = _Any()
"""An answer that does not matter, as long as the call returns."""


class Model(NamedTuple):
    """Where an object begins, and its `step`."""

    start: Hashable
    step: Step


def register(start: Hashable = None, *, read: str = "read", write: str = "write") -> Model:
    """One value: ``read()`` gives what ``write(value)`` wrote last."""

    def step(value: Any, name: str, arguments: tuple[Any, ...]) -> Iterator[tuple[Hashable, Any]]:
        if _one_of(name, read, write) == read:
            yield value, value
        else:
            yield arguments[0], ANY

    return Model(start, step)


def counter(start: int = 0, *, add: str = "add", read: str = "read") -> Model:
    """A sum: ``read()`` gives what all ``add(amount)`` added; ``add()`` adds one."""

    def step(total: Any, name: str, arguments: tuple[Any, ...]) -> Iterator[tuple[Hashable, Any]]:
        if _one_of(name, add, read) == read:
            yield total, total
        else:
            yield total + (arguments[0] if arguments else 1), ANY

    return Model(start, step)


def fifo(
    *, put: str = "put", get: str = "get", capacity: int | None = None, empty: str = ""
) -> Model:
    """A queue: first in, first out. ``get`` waits, or raises `empty` where one is named."""

    def step(items: Any, name: str, arguments: tuple[Any, ...]) -> Iterator[tuple[Hashable, Any]]:
        if _one_of(name, put, get) == put:
            if capacity is None or len(items) < capacity:
                yield (*items, arguments[0]), ANY
        elif items:
            yield items[1:], items[0]
        elif empty:
            yield items, Raises(empty)

    return Model((), step)


def mutex(*, acquire: str = "acquire", release: str = "release") -> Model:
    """A lock that one holds at a time: ``acquire`` waits until it is free."""

    def step(held: Any, name: str, _: tuple[Any, ...]) -> Iterator[tuple[Hashable, Any]]:
        if (_one_of(name, acquire, release) == release) == held:
            yield not held, ANY

    return Model(False, step)


def mapping(*, get: str = "get", put: str = "put", delete: str = "delete") -> Model:
    """Keys and values: ``get(key)`` gives ``None`` where there is none."""

    def step(items: Any, name: str, arguments: tuple[Any, ...]) -> Iterator[tuple[Hashable, Any]]:
        now, (key, *rest) = dict(items), arguments
        kind = _one_of(name, get, put, delete)
        if kind == get:
            yield items, now.get(key)
            return
        if kind == put:
            now[key] = rest[0]
        else:
            now.pop(key, None)
        yield frozenset(now.items()), ANY

    return Model(frozenset(), step)


def _one_of(name: str, *known: str) -> str:
    if name not in known:
        raise ValueError(f"Expected one of {', '.join(known)} as an operation, got {name}")
    return name
