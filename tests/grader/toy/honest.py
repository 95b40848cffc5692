"""The toy capstone, solved: three tiny things that the toy suite asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Place(NamedTuple):
    page: int
    slot: int


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, amount: int) -> int:
        if amount < 0:
            raise ValueError(f"Expected a positive amount, got {amount}")
        self.value += amount
        return self.value

    def up_to(self, end: int) -> Iterator[int]:
        yield from range(self.value, end)


def add(a: int, b: int) -> int:
    return a + b


def place(page: int, slot: int) -> Place:
    return Place(page, slot)


def save(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
