"""Calls made at once in the worker, and the history that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grader.errors import WorkerLost, remote_error
from grader.inside.protocol import Raised
from grader.judging.histories import History, Operation
from grader.proxy.proxy import Connection, Remote

__all__ = ["Clients", "recorded"]

Clients = Sequence[Sequence[tuple[Any, ...]]]
"""For each client its calls: ``(function, *arguments)`` or ``("name", function, *arguments)``."""


def recorded(
    connection: Connection,
    loop: Remote | None,
    clients: Clients,
    within_s: float,
    seed: int,
    how: str,
) -> History:
    """Make the calls: each client a task of `loop`, or a thread.

    Raises the `RemoteError` of a call that is not written yet, and `WorkerLost` for an answer that
    is no history.
    """
    calls = [[_named(call) for call in client] for client in clients]
    if not any(calls):
        raise ValueError("Expected at least one client with a call")
    prepared = [[(function, arguments) for _, function, arguments in client] for client in calls]
    label = "calls made at once"
    answer = connection.ask("together", loop, prepared, within_s, seed, label=label)
    found = []
    try:
        _check(answer, prepared)
    except ValueError as broken:
        connection.close()
        raise WorkerLost("crashed", f"Broken answer: {broken}") from None
    for client, (rows, named) in enumerate(zip(answer, calls, strict=True)):
        for (start, end, _, value), (name, function, arguments) in zip(rows, named, strict=False):
            error = remote_error(value, function._label) if type(value) is Raised else None
            if error is not None and error.is_a("NotImplementedError"):
                raise error
            ended = None if end < 0 else end
            answered = None if error is not None else value
            found.append(Operation(client, name, arguments, start, ended, answered, error))
    return History(sorted(found, key=lambda operation: operation.start), how)


def _named(call: tuple[Any, ...]) -> tuple[str, Remote, tuple[Any, ...]]:
    match call:
        case (str() as name, Remote() as function, *arguments):
            return name, function, tuple(arguments)
        case (Remote() as function, *arguments):
            return function._label.rpartition(".")[2], function, tuple(arguments)
    raise TypeError(f"Expected (function, *arguments) of the submission as a call, got {call!r}")


def _check(answer: Any, calls: Sequence[Sequence[Any]]) -> None:
    """Raises `ValueError` for what no clients can have seen: the worker's own code says this."""
    if type(answer) is not list or len(answer) != len(calls):
        raise ValueError("not one history for each client")
    ticks: list[int] = []
    for rows, wanted in zip(answer, calls, strict=True):
        if type(rows) is not list or len(rows) > len(wanted):
            raise ValueError("more operations than calls")
        before = -1
        for row in rows:
            if type(row) is not tuple or list(map(type, row[:3])) != [int, int, bool]:
                raise ValueError("no operation")
            if len(row) != 4 or row[2] != (type(row[3]) is Raised):
                raise ValueError("no operation")
            start, end = row[0], row[1]
            if before < -1 or start <= before or (end >= 0 and end <= start):
                raise ValueError("operations of one client that overlap")
            before = end if end >= 0 else -2
            ticks += [start] if end < 0 else [start, end]
    if len(set(ticks)) != len(ticks):
        raise ValueError("a tick that is counted twice")
