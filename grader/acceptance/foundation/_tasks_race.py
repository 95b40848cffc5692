"""Criterion 11: frames a second, from 48 sockets to three handlers."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from grader.acceptance.foundation._tasks import PROBE, SERVING, Station, encode_frames
from grader.judging.compare import require
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission
from grader.races.contest import Contest
from grader.races.race import Race, timed

STATIONS = 48
BATCH = 200  # frames of each station in a round
ROUNDS = 20
PAYLOAD_BYTES = 256
WAIT_S = 8.0
TIMES_THE_PEER = 2.0
PEER = "asyncio streams"


class Side:
    """A broker of one side with its stations; a round is over when every handler has all frames."""

    def __init__(self, side: Submission, broker: Remote, stats: bool, seed: int) -> None:
        self._side = side
        self._probe = side.probe(PROBE)
        self._handlers = [self._probe.Counting() for _ in range(3)]
        self._loop = side.loop("asyncio")
        self._seen = [self._loop.call(broker.subscribe, handler) for handler in self._handlers]
        _, port = self._loop.serve(broker.serve).ready
        self._stations = [Station(side.dial(port)) for _ in range(STATIONS)]
        self._rng = random.Random(seed)
        self._sent = 0
        self._keeps_stats = stats

    def __call__(self) -> float:
        data = [encode_frames([self._rng.randbytes(PAYLOAD_BYTES)] * BATCH) for _ in self._stations]
        self._sent += STATIONS * BATCH
        sender = threading.Thread(target=self._send, args=(data,))
        done: list[Any] = []

        def run() -> None:
            sender.start()
            done.append(self._probe.wait_counts(self._handlers, self._sent, WAIT_S))

        seconds = timed(run)
        sender.join()
        if done != [True]:
            counts = [handler.seen for handler in self._handlers]
            missed = [stats.missed for stats in self._seen] if self._keeps_stats else []
            require(
                False,
                f"{STATIONS} stations sent {self._sent} frames at once; after {WAIT_S:g} s the "
                f"three handlers, which never wait, have seen {counts} and missed {missed}",
            )
        return seconds

    def _send(self, data: list[bytes]) -> None:
        """A station at a time, as much as the kernel takes: the broker reads meanwhile."""
        for station, chunk in zip(self._stations, data, strict=True):
            station.send(chunk)

    def close(self) -> None:
        for station in self._stations:
            station.close()
        self._loop.close()


def _served(side: Submission, seed: int) -> Side:
    return Side(side, side.Broker(side.BrokerConfig(host="127.0.0.1", port=0)), True, seed)


def _plain(peer: Submission, seed: int) -> Side:
    return Side(peer, peer.Broker(), False, seed)


@pytest.mark.criterion("11", points=3, after=SERVING)
def test_half_the_throughput(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Frames a second to three handlers, 48 stations: at least 0.5 times the model answer's.

    Where there is no model answer, at least as many as with asyncio's streams.
    """
    _contest(submission, reference, peer, rng, race).half()


@pytest.mark.criterion("11", points=3, after=SERVING)
def test_throughput(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Frames a second to three handlers, 48 stations: at least 2 times those of asyncio's streams.

    Or at least 0.9 times the model answer's. The mission asks for 100,000 frames a second.
    """
    _contest(submission, reference, peer, rng, race).beside_the_peer()


def _contest(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> Contest:
    seed = rng.getrandbits(32)
    return Contest(
        race=race,
        name="Frames to three handlers",
        what="Frames a second to three handlers",
        target=TIMES_THE_PEER,
        submission=submission,
        reference=reference,
        peer=peer,
        peer_name=PEER,
        side=lambda racer: _served(racer, seed),
        peer_side=lambda racer: _plain(racer, seed),
        unit="frame",
        per=STATIONS * BATCH,
        rounds=ROUNDS,
    )


__all__ = ["test_half_the_throughput", "test_throughput"]
