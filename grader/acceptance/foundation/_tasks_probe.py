"""What runs in the worker, beside the broker: handlers and watches whose calls would be too many.

Hostile code could tamper with what is counted here: the tests say where they rely on it.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from typing import Any

import anyio
import anyio.lowlevel
import structlog


class Recorder:
    """A handler that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []

    async def __call__(self, frame: Any) -> None:
        self.frames.append((frame.station_id, frame.payload))

    def count(self) -> int:
        return len(self.frames)

    def taken(self) -> dict[str, list[bytes]]:
        """Payloads by station."""
        stations: dict[str, list[bytes]] = {}
        for station_id, payload in list(self.frames):
            stations.setdefault(station_id, []).append(payload)
        return stations


class Counting:
    """A handler that only counts, for a race."""

    def __init__(self) -> None:
        self.seen = 0

    async def __call__(self, _: object) -> None:
        self.seen += 1


class Slow(Recorder):
    """Takes its time for every frame, until it is let go."""

    def __init__(self, each_s: float) -> None:
        super().__init__()
        self.each_s = each_s

    async def __call__(self, frame: Any) -> None:
        if self.each_s:
            await anyio.sleep(self.each_s)
        await super().__call__(frame)

    def let_go(self) -> None:
        self.each_s = 0


class Failing:
    """A handler that raises on every frame."""

    async def __call__(self, _: object) -> None:
        raise RuntimeError("no handler")


class Logs:
    """What is logged with structlog from now on."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.processors: list[Any] = structlog.get_config()["processors"]
        self.before = list(self.processors)
        self.processors[:] = [self]

    def __call__(self, _logger: object, _method: str, line: Any) -> Any:
        self.lines.append(line)
        raise structlog.DropEvent

    def values(self, event: str, field: str) -> list[Any]:
        return [line.get(field) for line in list(self.lines) if line.get("event") == event]

    def close(self) -> None:
        self.processors[:] = self.before


class Sleepy:
    """A processor that blocks its thread, and notes which one that is."""

    def __init__(self, each_s: float) -> None:
        self.each_s = each_s
        self.threads: set[int] = set()

    def __call__(self, frame: Any) -> Any:
        self.threads.add(threading.get_ident())
        time.sleep(self.each_s)
        return frame


class Lag:
    """How late a loop wakes a task that sleeps for a while, again and again."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.late_s: list[float] = []
        self.thread = 0

    async def watch(self) -> None:
        self.thread = threading.get_ident()
        while True:
            due_s = time.monotonic() + self.every_s
            await anyio.sleep(self.every_s)
            self.late_s.append(time.monotonic() - due_s)

    def forget(self) -> None:
        self.late_s = []

    def quantile(self, share: float) -> float:
        late = sorted(self.late_s)
        return late[int(share * (len(late) - 1))] if late else float("inf")


class Chunks:
    """A stream that gives chunks, never more of one than is asked for, and then ends."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = list(chunks)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self.chunks:
            raise anyio.EndOfStream
        chunk = self.chunks.pop(0)
        if chunk[max_bytes:]:
            self.chunks.insert(0, chunk[max_bytes:])
        return chunk[:max_bytes]

    def left(self) -> bytes:
        return b"".join(self.chunks)


def decode(decoder: Any, chunks: list[bytes]) -> list[tuple[list[bytes], int, bool]]:
    """What a decoder gives for each chunk, and what it holds in between."""
    return [(decoder.feed(chunk), decoder.pending, decoder.at_boundary) for chunk in chunks]


def feed_slowly(decoder: Any, data: bytes, step: int) -> tuple[float, list[bytes]]:
    """The processor time that feeding `data` in small steps takes, and the payloads."""
    start_s = time.process_time()
    payloads: list[bytes] = []
    for at in range(0, len(data), step):
        payloads += decoder.feed(data[at : at + step])
    return time.process_time() - start_s, payloads


def trace_memory() -> None:
    tracemalloc.start()


def traced_peak() -> int:
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


_KEPT = ("TaskHandle", "Task", "SocketStream", "FrameDecoder", "CancelScope")


def kept() -> int:
    """Objects that belong to a connection, of all that live in this process."""
    gc.collect()
    found = Counter(type(thing).__name__ for thing in gc.get_objects())
    return sum(found[name] for name in _KEPT)


def wait_counts(handlers: list[Counting], count: int, seconds: float) -> bool:
    """Whether all handlers have seen `count` frames within that time; looks without asking."""
    deadline_s = time.monotonic() + seconds
    while any(handler.seen < count for handler in handlers):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.0005)
    return True


_CHILD = """
import sys, threading, time
import {package} as package
def held(frame):
    print("held", flush=True)
    time.sleep(600)
arguments = ["--host", "127.0.0.1", "--port", "0", *sys.argv[1:]]
sys.exit(package.main(arguments, processor=held))
"""


class Child:
    """The broker's own command as a process, with a processor that never returns."""

    def __init__(self, package: str, arguments: list[str]) -> None:
        paths = [path for path in sys.path if path]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD.format(package=package), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def said(self, beginning: str) -> str:
        """The first line that begins so."""
        return next((line for line in list(self.lines) if line.startswith(beginning)), "")

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def status(self) -> int | None:
        return self.process.poll()

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
