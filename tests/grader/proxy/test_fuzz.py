"""Ten thousand messages from a worker that lies: the judge never falls, hangs, grows or believes.

The judge asks for a secret that no message can contain. Whatever comes back, raw bytes, frames of
honest workers bent a little, frames out of order, calls nobody asked for, ends in an exception the
judge knows what to make of.
"""

from __future__ import annotations

import random
import resource
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.errors import RemoteError, WorkerLost, WrongType
from grader.inside.protocol import Question, Tag, decode_heard, encode
from grader.inside.servant import Servant
from grader.judging.compare import CriterionFailed, expect
from grader.judging.judge import explain
from grader.proxy.connection import Connection
from grader.proxy.proxy import Remote

MAX_HANDLES = 50
FIRST = 1_000
PATIENCE_S = 20.0
KNOWN = (WorkerLost, RemoteError, WrongType, CriterionFailed)

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


def honest_frames() -> list[Any]:
    """Answers of a real worker to real questions, taken apart."""
    servant = Servant(__import__, "/nowhere")

    def asked(operation: str, *arguments: Any) -> Any:
        tree = unpack(encode([], list(arguments), lambda ref: ref))[0][1]
        return unpack(servant.handle(Question(FIRST, [], operation, tree)))

    values: list[Any] = [
        None,
        True,
        -1,
        2**70,
        2.5,
        "text",
        "\ud800",
        b"bytes",
        [1, [2, (3, {4})]],
        {"a": {1: frozenset({2})}},
        slice(1, 2),
        np.arange(6.0).reshape(2, 3),
        np.zeros(2, [("a", "<i4"), ("b", "?", 3)]),
        np.float32(1),
    ]
    frames = [asked("operate", "pos", 7), asked("buffer", 8), asked("module", "math")]
    frames += [asked("module", "no_such_module"), asked("next", [int(Tag.REFERENCE), 1], 3)]
    frames += [unpack(encode([FIRST], value, lambda ref: ref)) for value in values]
    raised = {"x": ValueError("no"), "y": ExceptionGroup("many", [KeyError(1)])}
    frames += [
        unpack(encode([FIRST], servant.raised(error), lambda ref: ref)) for error in raised.values()
    ]
    return frames


HONEST = honest_frames()


class Liar:
    """A transport that answers with the next message, whatever it is asked."""

    def __init__(self, numbers: list[int], callbacks: list[int]) -> None:
        self.numbers = iter(numbers)
        self.callbacks = callbacks
        self.closed = False
        self.said = 0

    def ask(self, payload: bytes, timeout_s: float) -> bytes:  # noqa: ARG002 - never late
        number = next(self.numbers, None)
        if self.closed or number is None:
            raise WorkerLost("crashed", "The worker was ended")
        self.said += 1
        heard = decode_heard(payload)
        if type(heard) is Question:
            self.asked = heard.number
            self.callbacks += [
                part[1] for part in walk(heard.arguments) if part[:1] == [int(Tag.CALLBACK)]
            ]
        return message(random.Random(number), self.asked, self.callbacks)

    def close(self) -> None:
        self.closed = True

    def output(self) -> tuple[str, str]:
        return "", ""

    def peak_memory(self) -> int:
        return 0


def walk(tree: Any) -> Iterator[list[Any]]:
    if type(tree) is list:
        yield tree
        for item in tree:
            yield from walk(item)


def message(rng: random.Random, asked: int, callbacks: list[int]) -> bytes:
    """One lie."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(60))
    tree = unpack(pack(rng.choice(HONEST)))
    tree[0] = asked if rng.random() < 0.8 else asked + rng.choice((-2, -1, 1, 2**40))
    if kind in (1, 2):  # a call, of a function that was passed or of one that was not
        number = rng.choice([*callbacks, rng.randrange(2**33)])
        arguments = [1, [[1, [tree[1]]], [2, ["k", 1] if rng.random() < 0.3 else []]]]
        tree = [tree[0], number, arguments if rng.random() < 0.8 else tree[1]]
    if kind == 3:  # another shape around it
        tree = rng.choice(
            ([tree], tree[:1], [*tree, 1, 2], {"id": tree[0]}, tree[1], [tree[1], tree[0]])
        )
    if kind in (4, 5):  # a part of it replaced
        parts = [part for part in walk(tree) if part]
        part = rng.choice(parts)
        part[rng.randrange(len(part))] = rng.choice(
            (None, True, -1, 2**63, "", b"", [], [6, 1, "X", "object", None], rng.randrange(17))
        )
        tree[0] = asked
    payload = bytearray(pack(tree))
    if kind == 6:  # bytes changed
        for _ in range(rng.randrange(1, 4)):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
    if kind == 7:  # cut, or more than there should be
        payload = payload[: rng.randrange(len(payload))] + rng.randbytes(rng.randrange(3))
    return bytes(payload)


def suite(connection: Connection, secret: int, rng: random.Random) -> None:
    """What a test of a suite does with answers, ending in what no lie can know."""
    seen: list[Any] = []
    thing = connection.ask("module", "lab", seen.append)
    if isinstance(thing, Remote):
        thing.size = len(thing)
        for item in thing:
            seen.append(item)
            if len(seen) > 100:
                break
        with thing as entered:
            expect(entered, 3)
    elif rng.random() < 0.5:
        expect(thing, {"a": [np.arange(3)]})
    expect(connection.ask("call", seen.append, lambda *a, **k: (a, k)), secret, call="secret()")


ends: Counter[str] = Counter()


def lie_to(numbers: list[int], rounds: int) -> None:
    """Run a suite against these messages, and look at what is left of the judge."""
    transport = Liar(numbers, [])
    connection = Connection(
        transport, first=FIRST, max_handles=MAX_HANDLES, timeout_s=lambda: PATIENCE_S
    )
    started_s = time.monotonic()
    rng = random.Random(numbers[0])
    passed = False
    try:
        for _ in range(rounds):
            suite(connection, secrets.randbits(200), rng)
            passed = True
    except KNOWN as error:
        outcome, _, _ = explain(error)
        assert outcome in ("failed", "error", "crashed", "memory", "output")
        ends[type(error).__name__] += 1
    ends["heard"] += transport.said
    ends["called"] += connection._calls
    assert not passed
    assert len(connection._live) <= MAX_HANDLES
    assert time.monotonic() - started_s < PATIENCE_S


@settings(max_examples=1_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8))
def lie(numbers: list[int]) -> None:
    lie_to(numbers, rounds=3)


def test_ten_thousand_lies() -> None:
    """A thousand histories drawn by hypothesis, then others until ten thousand were heard."""
    ends.clear()
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    lie()
    rng = random.Random(3)
    while ends["heard"] < 10_000:
        lie_to([rng.getrandbits(40) for _ in range(8)], rounds=3)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    assert after - before < 128 * 2**20
    # And the lies went deep: every kind of end was met often, functions were called.
    for end in ("WorkerLost", "RemoteError", "CriterionFailed", "WrongType", "called"):
        assert ends[end] >= 10, ends
