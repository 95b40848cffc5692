"""``meridian-broker`` as a process of its own: addresses, signals, exit statuses."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from meridian.foundation.tasks.broker_command import main
from meridian.orbital.framing import encode_frame, encode_frames

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0
MODULE = ("-m", "meridian.foundation.tasks.broker_command")
BLOCKED = """
import sys, time
from meridian.foundation.tasks.broker_command import main
sys.exit(main(processor=lambda frame: time.sleep(600)))
"""
SHIELDED = """
import sys, anyio
from meridian.foundation.tasks import broker_command
async def stuck(frame):
    with anyio.CancelScope(shield=True):
        await anyio.sleep(600)
broker_command._receive = stuck
sys.exit(broker_command.main())
"""


class Process:
    """A broker that listens, and what it says."""

    def __init__(self, *code: str, options: tuple[str, ...], before: Callable[[], None] | None):
        arguments = ("--host", "127.0.0.1", "--port", "0", *options)
        self.popen = subprocess.Popen(
            [sys.executable, *code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.popen.stdout is not None
        said = self.popen.stdout.readline()
        assert said.startswith("listening on 127.0.0.1:"), said + self.popen.communicate()[1]
        self.port = int(said.rsplit(":", 1)[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def took_all_of(self, station: socket.socket) -> None:
        """Until nothing that `station` sent lies in the kernel any more."""
        here = f"0100007F:{self.port:04X} 0100007F:{station.getsockname()[1]:04X} 01 "
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            lines = Path("/proc/net/tcp").read_text().splitlines()
            if any(here in line and line.split()[4].endswith(":00000000") for line in lines):
                return
            time.sleep(0.01)
        raise AssertionError("the broker does not read")

    def signal(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def end(self) -> tuple[int, str, str]:
        out, err = self.popen.communicate(timeout=PATIENCE_S)
        return self.popen.returncode, out, err

    def log(self, event: str) -> str:
        """Read the log up to a line with `event`."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            if event in line:
                return line
        raise AssertionError(f"ended without {event}")


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(
        *options: str, code: tuple[str, ...] = MODULE, before: Callable[[], None] | None = None
    ) -> Process:
        started.append(Process(*code, options=options, before=before))
        return started[-1]

    yield start
    for process in started:
        process.popen.kill()
        process.popen.communicate()


Start = Callable[..., Process]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_all_is_accounted_for(start: Start, signum: int) -> None:
    broker = start("--handlers", "2")
    with broker.connect() as station:
        station.sendall(encode_frames([b"x"] * 10) + encode_frame(b"cut in two")[:6])
        broker.log("connection_established")
        with broker.connect() as other:
            other.sendall(encode_frame(b"whole"))
        broker.log("connection_closed")  # the other's: the first was read before
        broker.signal(signum)
        broker.log("shutdown_requested")
        station.sendall(encode_frame(b"cut in two")[6:])
        assert station.recv(1) == b""
    status, out, err = broker.end()
    assert status == 0
    assert signal.Signals(signum).name in out
    assert "12 frames of 2 connections" in out
    assert "handler-1: 12 received, 0 missed" in out
    assert "handler-2: 12 received, 0 missed" in out
    assert "shutdown_complete" in err


def test_a_station_that_stalls_is_aborted_at_the_deadline(start: Start) -> None:
    broker = start("--drain-deadline", "0.2")
    with broker.connect() as station:
        station.sendall(b"\0\0\0\x09half")
        broker.log("connection_established")
        broker.took_all_of(station)
        broker.signal(signal.SIGTERM)
        status, out, err = broker.end()
    assert status == 1
    assert "1 aborted" in out
    assert "session_aborted" in err


def test_a_processor_that_blocks_does_not_keep_the_process(start: Start) -> None:
    broker = start("--drain-deadline", "0.2", code=("-c", BLOCKED))
    with broker.connect() as station:
        station.sendall(encode_frame(b"x"))
        broker.log("connection_established")
        broker.took_all_of(station)
        broker.signal(signal.SIGINT)
        status, _, err = broker.end()
    assert status == 1, err


def test_a_handler_that_refuses_to_end_does_not_keep_the_process(start: Start) -> None:
    broker = start("--drain-deadline", "0.1", "--handlers", "1", code=("-c", SHIELDED))
    with broker.connect() as station:
        station.sendall(encode_frame(b"x"))
    broker.log("connection_closed")
    broker.signal(signal.SIGTERM)
    status, out, _ = broker.end()
    assert status == 1
    assert "stuck: handler-1" in out


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    broker = start("--drain-deadline", "600")
    with broker.connect() as station:
        station.sendall(b"\0\0\0\x09half")
        broker.log("connection_established")
        broker.took_all_of(station)
        broker.signal(signal.SIGINT)
        broker.log("shutdown_requested")
        broker.signal(signal.SIGINT)
        status, _, _ = broker.end()
    assert status == 130


def test_without_descriptors_it_waits_for_some(start: Start) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    broker = start("--handlers", "1", before=few)
    stations = [broker.connect() for _ in range(40)]
    assert os.strerror(errno.EMFILE) in broker.log("accept_failed")
    for station in stations:  # each that is closed makes room for one that waits
        station.sendall(encode_frame(b"x"))
        station.close()
    for _ in stations:
        broker.log("connection_closed")
    broker.signal(signal.SIGTERM)
    status, out, _ = broker.end()
    assert status == 0
    assert "handler-1: 40 received, 0 missed" in out


def test_an_address_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--host", "127.0.0.1", "--port", str(port)]) == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--port", "-1"], ["--handlers", "-1"], ["--drain-deadline", "nan"], ["--no"]]
)
def test_options_that_make_no_sense(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2


def test_it_is_installed_under_its_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["scripts"]["meridian-broker"].split(":")
    assert getattr(import_module(module), name) is main
