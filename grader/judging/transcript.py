"""What a test asked of the submission, kept so that a failure can be shown again without the judge.

Objects of the submission are kept as numbers, never by reference: what a test lets go of is let go
of in the worker as well, recorded or not.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from grader.box.workers import Workshop
from grader.errors import RemoteError, WorkerLost
from grader.inside.protocol import Raised
from grader.proxy.proxy import Connection, Remote
from grader.proxy.submission import Submission

__all__ = ["Draws", "Event", "Fault", "Thing", "Transcript", "Witness", "witnessed"]

_MAX_EVENTS = 20_000
_MAX_BYTES = 32 * 2**20
_MIN_NOISE_BYTES = 32


class Thing(NamedTuple):
    """An object of the submission: which worker holds it under which number, its class, and the
    fields that came along with it."""

    worker: int
    number: int
    class_name: str
    fields: dict[str, Any] | None = None


class Fault(NamedTuple):
    """An exception, or the end of the worker, where an answer was due."""

    class_name: str
    message: str
    lost: bool = False


class Opaque(NamedTuple):
    """Something of the judge, a callback, that a replay cannot spell."""

    kind: str


class Event(NamedTuple):
    """One question and its answer, or something that the judge did to the files or the worker.

    `operation` is one of the worker's, or ``"write"``, ``"truncate"``, ``"read"``, ``"kill"``.
    Arguments and value are plain data with `Thing` and `Fault` in it.
    """

    operation: str
    arguments: tuple[Any, ...]
    value: Any
    at_ns: int


class Transcript:
    """The events of one test: what came before the first run, and the latest run.

    A test without runs is one run. A transcript that grows too large is given up, and so is the
    replay: better none than half of one.
    """

    def __init__(self) -> None:
        self._before: list[Event] = []
        self._run: list[Event] = []
        self._began = False
        self._bytes = 0
        self.asked = 0
        self.too_long = False

    @property
    def events(self) -> tuple[Event, ...]:
        return (*self._before, *self._run)

    @property
    def run(self) -> tuple[Event, ...]:
        """The events since the latest `begin`."""
        return tuple(self._run)

    def begin(self) -> None:
        """A run starts: what the one before it asked is forgotten."""
        if self._began:
            # A module is asked for once and used ever after.
            self._before += [event for event in self._run if event.operation == "module"]
            self._run = []
        else:
            self._before, self._run = self._run, []
            self._began = True

    def settle(self, run: tuple[Event, ...]) -> None:
        """Take `run` for the latest run: the smallest that failed need not be the last."""
        self._run = list(run)

    def until(self, at_ns: int) -> None:
        """Forget what was asked after `at_ns`: cleaning up is no part of a failure."""
        self._run = [event for event in self._run if event.at_ns <= at_ns]

    def add(self, operation: str, arguments: tuple[Any, ...], value: Any) -> None:
        self.asked += 1
        if self.too_long:
            return
        self._bytes += _size(arguments) + _size(value)
        if len(self._run) >= _MAX_EVENTS or self._bytes > _MAX_BYTES:
            self.too_long = True
            self._before, self._run = [], []
            return
        self._run.append(Event(operation, arguments, value, time.perf_counter_ns()))


class Witness(Submission):
    """A `Submission` that writes down what it is asked."""

    def __init__(self, workshop: Workshop, package: str) -> None:
        super().__init__(workshop, package)
        self.transcript = Transcript()
        self._workers = 0

    @property
    def seen_folder(self) -> str:
        """What the worker calls the scratch folder."""
        return self._workshop.seen_path(self._scratch)

    def write(self, name: str, data: bytes, offset: int | None = None) -> None:
        super().write(name, data, offset)
        self.transcript.add("write", (name, data, offset), None)

    def truncate(self, name: str, size: int) -> None:
        super().truncate(name, size)
        self.transcript.add("truncate", (name, size), None)

    def read(self, name: str) -> bytes:
        data = super().read(name)
        self.transcript.add("read", (name,), data)
        return data

    def kill(self) -> None:
        if self._connection is not None:
            self.transcript.add("kill", (), None)
        super().kill()

    def _live(self) -> Connection:
        fresh = self._connection is None
        connection = super()._live()
        if fresh:
            self._workers += 1
            worker = self._workers

            def asked(operation: str, arguments: tuple[Any, ...], label: str, value: Any) -> None:
                del label
                kept = tuple(_kept(worker, argument) for argument in arguments)
                self.transcript.add(operation, kept, _kept(worker, value))

            connection.on_ask = asked
        return connection


def witnessed(workshop: Workshop, package: str) -> Iterator[Witness]:
    """A `Witness` for one test, cleaned up afterwards: the body of a fixture."""
    witness = Witness(workshop, package)
    try:
        yield witness
    finally:
        witness.close()


def _kept(worker: int, value: Any) -> Any:
    """`value` without a reference into the worker."""
    if isinstance(value, Remote):
        return Thing(worker, value._number, value.class_name, value.fields)
    if isinstance(value, RemoteError):
        return Fault(value.class_name, value.message)
    if isinstance(value, WorkerLost):
        return Fault(value.outcome, value.message, lost=True)
    kind = type(value)
    if kind is Raised:
        return Fault(value.class_name, value.message)
    if kind is list:
        return [_kept(worker, item) for item in value]
    if kind is tuple:
        return tuple([_kept(worker, item) for item in value])
    if kind is dict:
        return {key: _kept(worker, item) for key, item in value.items()}
    if isinstance(value, BaseException):  # its traceback would keep objects alive
        return Fault(kind.__name__, str(value))
    if callable(value):
        return Opaque(kind.__name__)
    return value.copy() if hasattr(value, "dtype") else value


def _size(value: Any) -> int:
    """Roughly how much memory `value` keeps."""
    kind = type(value)
    if kind is Thing:
        return 16
    if kind in (bytes, str):
        return len(value)
    if kind in (list, tuple):
        return 16 + sum(map(_size, value))
    if kind is dict:
        return 16 + sum(map(_size, value)) + sum(map(_size, value.values()))
    return int(getattr(value, "nbytes", 16))


class Draws(random.Random):
    """The random numbers of one test, which remember where long runs of bytes came from.

    The same for a replayed seed, unlike any other test's. A replay says ``noise(seed, size)`` for
    such bytes instead of spelling them out.
    """

    def __init__(self, seed: str, name: str) -> None:
        super().__init__(hashlib.sha256(f"{seed}/{name}".encode()).digest())
        self.noise: dict[bytes, int] = {}

    def randbytes(self, n: int) -> bytes:
        if n < _MIN_NOISE_BYTES:
            return super().randbytes(n)
        seed = self.getrandbits(48)
        data = random.Random(seed).randbytes(n)
        if len(self.noise) * n < _MAX_BYTES:
            self.noise[data] = seed
        return data
