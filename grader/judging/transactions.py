"""Transactions as the judge saw them: what each read and wrote, and whether it committed."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from grader.judging.histories import History

__all__ = ["Read", "Transaction", "Write", "transactions_of"]


class Read(NamedTuple):
    """A transaction saw `value` under `key`."""

    key: Hashable
    value: Any


class Write(NamedTuple):
    """A transaction wrote `value` under `key`: no other write of that key has this value."""

    key: Hashable
    value: Any


class Transaction(NamedTuple):
    """Reads and writes in their order. `committed` is ``None`` where nobody knows.

    With ticks in `start` and `end` it can be asked that the order keeps to real time.
    """

    name: str
    operations: tuple[Read | Write, ...]
    committed: bool | None = True
    start: int | None = None
    end: int | None = None


def transactions_of(
    history: History, *, read: str = "get", write: str = "put", commit: str = "commit"
) -> list[Transaction]:
    """Each client's calls as one transaction: ``get(key)``, ``put(key, value)``, ``commit()``.

    It is committed when `commit` returned, unknown when that never did, else aborted.
    """
    found = []
    for calls in history.clients():
        steps: list[Read | Write] = []
        committed: bool | None = False
        for call in calls:
            if call.name == commit:
                committed = None if call.end is None else call.error is None
            elif call.end is None or call.error is not None:
                continue
            elif call.name == read:
                steps.append(Read(call.arguments[0], call.answer))
            elif call.name == write:
                steps.append(Write(call.arguments[0], call.arguments[1]))
        ends = [call.end for call in calls if call.end is not None]
        end = ends[-1] if len(ends) == len(calls) else None
        name = f"T{calls[0].client}"
        found.append(Transaction(name, tuple(steps), committed, calls[0].start, end))
    return found
