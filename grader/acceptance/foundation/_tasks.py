"""What several tests of the tasks suite need: a broker that serves, stations, patience."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from grader.judging.compare import CriterionFailed, expect, require, show
from grader.proxy.loops import Loop, Task
from grader.proxy.proxy import Remote, exactly
from grader.proxy.submission import Submission
from meridian.orbital.framing import encode_frame, encode_frames

__all__ = [
    "DECODER",
    "PROBE",
    "SERVING",
    "Served",
    "Station",
    "encode_frame",
    "encode_frames",
    "paced",
    "served",
    "wait_for",
]

PROBE = Path(__file__).with_name("_tasks_probe.py")

# What other tests stand on: when one of these fails, they would only say the same again.
DECODER = "test_any_split"
SERVING = "test_a_stalled_header"

PATIENCE_S = 5.0  # for what a broker does in milliseconds
PACE_S = 2.0  # over which stations spread what they send: a burst may rightly lag


def wait_for(condition: Callable[[], object], what: str, within_s: float | None = None) -> None:
    """Ask until `condition` holds."""
    within_s = PATIENCE_S if within_s is None else within_s
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise CriterionFailed(f"{what}: not within {within_s:g} s")
        time.sleep(0.005)


class Station:
    """One connection to the broker. What goes wrong with it fails the criterion."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        connected.settimeout(PATIENCE_S)
        host, port = connected.getsockname()[:2]
        self.address = f"{host}:{port}"

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise CriterionFailed(
                f"A station cannot send for {PATIENCE_S:g} s: its connection is not read"
            ) from None
        except OSError as error:
            raise CriterionFailed(
                f"A station that sends was hung up on: {error.strerror}"
            ) from None

    def expect_end(self, when: str) -> None:
        """The broker must close the connection, properly."""
        try:
            data = self._socket.recv(1)
        except TimeoutError:
            raise CriterionFailed(
                f"{when}: the connection is still open after {PATIENCE_S:g} s"
            ) from None
        except OSError as error:
            raise CriterionFailed(
                f"{when}: the station reads {error.strerror!r}, and not the end of the stream"
            ) from None
        require(data == b"", f"{when}: the broker sent {show(data)} to the station")

    def expect_gone(self, when: str) -> None:
        """The broker must end the connection, in any way."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(PATIENCE_S)
            try:
                while self._socket.recv(4096):
                    pass
            except TimeoutError:
                raise CriterionFailed(
                    f"{when}: the connection is still open after {PATIENCE_S:g} s"
                ) from None

    def expect_open(self, when: str) -> None:
        self._socket.settimeout(0.05)
        try:
            ended = self._socket.recv(1) == b""
        except TimeoutError:
            ended = False
        except OSError:
            ended = True
        self._socket.settimeout(PATIENCE_S)
        require(not ended, f"{when}: the broker closed the connection")

    def close(self) -> None:
        self._socket.close()


class Served:
    """A broker of the submission that serves on loopback."""

    def __init__(self, submission: Submission, loop: Loop, broker: Remote, task: Task) -> None:
        self._submission = submission
        self.loop = loop
        self.broker = broker
        self.task = task
        self.handlers: list[Remote] = []
        self._stations: list[Station] = []
        ready = task.ready
        require(
            type(ready) is tuple and len(ready) == 2 and type(ready[1]) is int,
            f"task_status.started(...): expected (host, port), got {show(ready)}",
        )
        self.port = ready[1]

    def station(self) -> Station:
        made = Station(self._submission.dial(self.port, within_s=PATIENCE_S))
        self._stations.append(made)
        return made

    def expect_refusal(self) -> None:
        """New connections must be refused, from very soon on."""
        deadline_s = time.monotonic() + PATIENCE_S / 2
        while time.monotonic() < deadline_s:
            try:
                self._submission.dial(self.port, within_s=0).close()
            except (CriterionFailed, OSError):
                return
            time.sleep(0.01)
        raise CriterionFailed("After request_shutdown() new connections are still accepted")

    def stat(self, name: str) -> int:
        """A counter of ``broker.stats``."""
        return exactly(int, getattr(self.broker.stats, name), f"stats.{name}")

    def wait_stat(self, name: str, want: int, when: str) -> None:
        """Until a counter is `want`."""
        with contextlib.suppress(CriterionFailed):
            wait_for(lambda: self.stat(name) == want, name)
        expect(self.stat(name), want, f"broker.stats.{name} {when}")

    def report(self, within_s: float | None = None) -> Remote:
        """What `serve` returns, when it does."""
        found = self.task.result(PATIENCE_S if within_s is None else within_s)
        require(isinstance(found, Remote), f"serve(): expected a report, got {show(found)}")
        assert isinstance(found, Remote)
        return found

    def close(self) -> None:
        for station in self._stations:
            station.close()


@contextlib.contextmanager
def served(
    submission: Submission, backend: str, handlers: Sequence[Any] = (), **config: Any
) -> Iterator[Served]:
    """Serve with these handlers; made and subscribed in the thread of the loop."""
    with submission.loop(backend) as loop:
        made = submission.BrokerConfig(host="127.0.0.1", port=0, **config)
        broker = loop.call(submission.Broker, made)
        stats = [
            loop.call(broker.subscribe, handler, name=f"handler-{number}")
            for number, handler in enumerate(handlers, 1)
        ]
        it = Served(submission, loop, broker, loop.serve(broker.serve))
        it.handlers = stats
        try:
            yield it
            broker.request_shutdown("end of the test")
        finally:
            it.close()


def paced(stations: Sequence[Station], rounds: int, frame: Callable[[int, int], bytes]) -> None:
    """Station s sends ``frame(s, i)`` in round i, the rounds spread over `PACE_S`."""
    start_s = time.monotonic()
    for i in range(rounds):
        for s, station in enumerate(stations):
            station.send(encode_frame(frame(s, i)))
        time.sleep(max(0.0, start_s + PACE_S * (i + 1) / rounds - time.monotonic()))
