"""One test per criterion, to check yourself: `uv run pytest test_criteria.py -k criterion_1`.

They are a part of what the grader looks at, with small numbers; it holds the stations in a process
of its own, adds random data and both event loops. Each message says what was done and what must
come of it. Work from criterion 1 upwards: the later ones stand on the earlier ones.
"""

from __future__ import annotations

import ast
import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from anyio.abc import SocketStream, TaskStatus

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import ingestion_broker as ib  # noqa: E402

both_loops = pytest.mark.parametrize("loop", ["asyncio", "trio"])


class Recorder:
    """A handler that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[ib.Frame] = []

    async def __call__(self, frame: ib.Frame) -> None:
        self.frames.append(frame)

    def payloads(self) -> list[bytes]:
        return [frame.payload for frame in self.frames]

    async def holds(self, count: int) -> None:
        await until(lambda: len(self.frames) == count, f"{count} frames at every handler")


class Serving:
    """A broker at work: its address, the counts of its handlers, at last its report."""

    def __init__(self, broker: ib.Broker, handlers: tuple[Any, ...]) -> None:
        self.broker = broker
        self.counts = [broker.subscribe(handler) for handler in handlers]
        self.report: ib.ShutdownReport | None = None

    async def run(self, *, task_status: TaskStatus[tuple[str, int]]) -> None:
        self.report = await self.broker.serve(task_status=task_status)


@asynccontextmanager
async def serving(*handlers: Any, **config: Any) -> AsyncIterator[tuple[Serving, Any]]:
    """A broker with these handlers, and a function that connects a station to it."""
    serving = Serving(ib.Broker(ib.BrokerConfig(host="127.0.0.1", port=0, **config)), handlers)
    streams: list[SocketStream] = []
    async with anyio.create_task_group() as group:
        address = await group.start(serving.run)

        async def connect() -> SocketStream:
            streams.append(await anyio.connect_tcp(*address))
            return streams[-1]

        try:
            with anyio.fail_after(20):
                yield serving, connect
                serving.broker.request_shutdown("the test is over")
                while serving.report is None:
                    await anyio.sleep(0.005)
        except BaseException:
            group.cancel_scope.cancel()
            raise
        finally:
            with anyio.CancelScope(shield=True):
                for stream in streams:
                    await stream.aclose()


async def until(condition: Callable[[], object], what: str) -> None:
    """`condition` must hold within 5 s."""
    with anyio.move_on_after(5):
        while not condition():
            await anyio.sleep(0.005)
    assert condition(), f"not within 5 s: {what}"


def run(test: Callable[[], Awaitable[None]], loop: str = "asyncio") -> None:
    with structlog.testing.capture_logs():
        anyio.run(test, backend=loop)


def test_criterion_1_any_split() -> None:
    payloads = [b"", b"one", bytes(300), b"meridian"]
    wire = b"".join(map(ib.encode_frame, payloads))
    for step in (1, 2, 3, 7, 1_000):
        decoder = ib.FrameDecoder()
        chunks = [wire[i : i + step] for i in range(0, len(wire), step)]
        found = list(itertools.chain.from_iterable(map(decoder.feed, chunks)))
        assert found == payloads, f"fed {step} bytes at a time"
        assert decoder.at_boundary
    assert decoder.feed(b"\0\0") == []
    assert (decoder.pending, decoder.at_boundary) == (2, False), "two bytes of a header are held"


def test_criterion_1_read_frame() -> None:
    class Stream:
        def __init__(self, data: bytes) -> None:
            self.data = data

        async def receive(self, max_bytes: int) -> bytes:
            if not self.data:
                raise anyio.EndOfStream
            taken, self.data = self.data[: min(max_bytes, 3)], self.data[min(max_bytes, 3) :]
            return taken

    async def test() -> None:
        stream = Stream(ib.encode_frame(b"mine") + b"NEXT")
        assert await ib.read_frame(stream) == b"mine"
        assert stream.data == b"NEXT", "read_frame takes no byte of the next frame"
        assert await ib.read_frame(Stream(b"")) is None, "an end between frames is no error"
        with pytest.raises(ib.TruncatedFrame):
            await ib.read_frame(Stream(b"\0\0\0\x05ab"))
        with pytest.raises(ib.FrameTooLarge):
            await ib.read_frame(Stream(b"\0\0\0\x05abcde"), max_payload=4)

    run(test)


@both_loops
def test_criterion_1_a_station_that_stalls(loop: str) -> None:
    async def test() -> None:
        recorders = [Recorder() for _ in range(3)]
        async with serving(*recorders) as (_, connect):
            stalled, other = await connect(), await connect()
            await stalled.send(b"\0\0")
            for i in range(20):
                await other.send(ib.encode_frame(b"%d" % i))
            for recorder in recorders:
                await recorder.holds(20)
                assert recorder.payloads() == [b"%d" % i for i in range(20)]
            await stalled.aclose()

    run(test, loop)


def test_criterion_2_every_handler_sees_every_frame() -> None:
    async def test() -> None:
        recorders = [Recorder() for _ in range(3)]
        sent = [b"", bytes(65_536), b"x"]
        async with serving(*recorders) as (serving_, connect):
            station = await connect()
            host, port = station.extra(anyio.abc.SocketAttribute.local_address)[:2]
            for payload in sent:
                await station.send(ib.encode_frame(payload))
            for recorder in recorders:
                await recorder.holds(3)
                assert recorder.payloads() == sent
                assert {f.station_id for f in recorder.frames} == {f"gs-1@{host}:{port}"}
            assert [c.received for c in serving_.counts] == [3, 3, 3]
            assert serving_.broker.stats.bytes == 65_537

    run(test)


def test_criterion_3_a_slow_handler_lags_alone() -> None:
    async def test() -> None:
        gate, fast = anyio.Event(), Recorder()

        async def slow(_: ib.Frame) -> None:
            await gate.wait()

        async with serving(slow, fast, broadcast_capacity=64) as (serving_, connect):
            station = await connect()
            for _ in range(10):
                await station.send(ib.encode_frame(b"frame") * 100)
            await until(lambda: len(fast.frames) == 1_000, "1,000 frames at the fast handler")
            gate.set()
            lag = serving_.counts[0]
            await until(lambda: lag.received + lag.missed == 1_000, "received + missed == 1,000")
            assert lag.missed > 0, "the slow handler must miss frames: nobody waits for it"
            assert serving_.counts[1].missed == 0

    run(test)


@both_loops
@pytest.mark.parametrize("cut", [2, 9], ids=["in the header", "in the payload"])
def test_criterion_4_shutdown_comes_between_frames(loop: str, cut: int) -> None:
    async def test() -> None:
        recorder = Recorder()
        frame = ib.encode_frame(b"in two parts")
        async with serving(recorder) as (serving_, connect):
            station = await connect()
            await station.send(ib.encode_frame(b"whole") + frame[:cut])
            await until(lambda: recorder.frames, "the first frame")
            await anyio.sleep(0.05)
            serving_.broker.request_shutdown()
            await anyio.sleep(0.1)
            with pytest.raises(OSError):  # noqa: PT011  # refused from now on
                await connect()
            await station.send(frame[cut:] + ib.encode_frame(b"too late"))
            with pytest.raises(anyio.EndOfStream):
                await station.receive()
        assert recorder.payloads() == [b"whole", b"in two parts"]
        assert serving_.report is not None
        assert serving_.report.clean

    run(test, loop)


@both_loops
def test_criterion_5_stations_that_stall_are_aborted(loop: str) -> None:
    async def test() -> None:
        async with serving(drain_deadline_s=0.3, abort_grace_s=0.3) as (serving_, connect):
            for _ in range(3):
                await (await connect()).send(ib.encode_frame(b"whole") + b"\0\0\0\x09half")
            await until(lambda: serving_.broker.stats.frames == 3, "3 frames")
            start = anyio.current_time()
            serving_.broker.request_shutdown()
            await until(lambda: serving_.report, "serve() has returned")
            took = anyio.current_time() - start
        assert serving_.report is not None
        assert 0.25 < took < 1.2, f"one deadline of 0.3 s for all three: it took {took:.2f} s"
        assert not serving_.report.clean
        names = sorted(name.partition("@")[0] for name in serving_.report.aborted)
        assert names == ["gs-1", "gs-2", "gs-3"]

    run(test, loop)


def test_criterion_5_a_blocked_processor() -> None:
    code = (
        "import sys, time, ingestion_broker as ib\n"
        "sys.exit(ib.main(['--host', '127.0.0.1', '--port', '0', '--drain-deadline', '0.3'],"
        " processor=lambda frame: print('held', flush=True) or time.sleep(600)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            port = next(int(x.rpartition(":")[2]) for x in process.stdout if "listening" in x)

            async def send() -> None:
                async with await anyio.connect_tcp("127.0.0.1", port) as station:
                    await station.send(ib.encode_frame(b"x"))
                    assert process.stdout is not None
                    await anyio.to_thread.run_sync(
                        lambda: next(line for line in process.stdout or () if "held" in line)
                    )
                    process.send_signal(signal.SIGINT)
                    await anyio.to_thread.run_sync(lambda: process.wait(10))

            anyio.run(send)
            assert process.returncode == 1, "something was aborted: exit status 1"
        finally:
            process.kill()


def test_criterion_6_failures_stay_where_they_are() -> None:
    async def test() -> None:
        recorder = Recorder()

        async def broken(_: ib.Frame) -> None:
            raise KeyError("bug")

        async with serving(broken, recorder) as (serving_, connect):
            good, bad, cut = await connect(), await connect(), await connect()
            await good.send(ib.encode_frame(b"1"))
            await bad.send(b"\xff" * 50)
            await cut.send(b"\0\0\0\x09half")
            await cut.aclose()
            stats = serving_.broker.stats
            await until(lambda: stats.active == 1, "two of three connections have ended")
            await good.send(ib.encode_frame(b"2"))
            await until(lambda: recorder.payloads() == [b"1", b"2"], "the frames of the good one")
            await until(lambda: stats.handler_errors == 2, "both calls of the broken handler")
            assert (stats.rejected_frames, stats.truncated) == (1, 1)

    run(test)
    for path in (HERE / "ingestion_broker").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            bare = isinstance(node, ast.ExceptHandler) and node.type is None
            assert not bare, f"{path.name}:{getattr(node, 'lineno', 0)}: a bare except"


def test_criterion_7_a_processor_in_threads() -> None:
    async def test() -> None:
        lock, inside, most, threads, recorder = threading.Lock(), [0], [0], set(), Recorder()

        def processor(frame: ib.Frame) -> ib.Frame | None:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                threads.add(threading.get_ident())
            time.sleep(0.01)
            with lock:
                inside[0] -= 1
            return None if frame.payload == b"reject" else frame

        async with serving(recorder, processor=processor) as (serving_, connect):
            sent = [b"%d" % i for i in range(8)]
            for _ in range(6):
                wire = b"".join(map(ib.encode_frame, [*sent, b"reject"]))
                await (await connect()).send(wire)
            await until(lambda: len(recorder.frames) == 48, "48 frames through the processor")
            await until(lambda: serving_.broker.stats.rejected_frames == 6, "6 rejected frames")
        assert most[0] == 4, "calls at once, at most"
        assert threading.get_ident() not in threads, "not in the thread of the loop"
        for station in {frame.station_id for frame in recorder.frames}:
            got = [frame.payload for frame in recorder.frames if frame.station_id == station]
            assert got == sent, "the frames of one connection, in their order"

    run(test)


@pytest.mark.parametrize("length", [65_537, 2**32 - 1])
def test_criterion_8_a_length_above_the_limit(length: int) -> None:
    async def test() -> None:
        recorder = Recorder()
        async with serving(recorder) as (serving_, connect):
            bad = await connect()
            await bad.send(ib.encode_frame(b"before") + length.to_bytes(4, "big") + b"behind")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await bad.receive()
            assert recorder.payloads() == [b"before"]
            assert serving_.broker.stats.rejected_frames == 1

    run(test)


def test_criterion_9_nobody_listens() -> None:
    async def test() -> None:
        recorder = Recorder()
        async with serving(recorder) as (serving_, connect):
            station, stats = await connect(), serving_.broker.stats

            def counted(frames: int) -> bool:
                return stats.frames == frames

            await station.send(ib.encode_frame(b"heard"))
            await until(lambda: len(recorder.frames) == 1, "a frame at the handler")
            with pytest.raises(KeyError, match="handler-1"):
                serving_.broker.unsubscribe("handler-2")
            with pytest.raises(RuntimeError):
                await anyio.to_thread.run_sync(serving_.broker.unsubscribe, "handler-1")
            serving_.broker.unsubscribe("handler-1")
            for count in (2, 3):
                await station.send(ib.encode_frame(b"not heard"))
                await until(functools.partial(counted, count), "frames are counted")
            assert stats.active == 1, "nobody listening is no reason to hang up"
            assert len(recorder.frames) == 1

    run(test)


def test_criterion_10_connections_come_and_go() -> None:
    async def test() -> None:
        recorder = Recorder()
        async with serving(recorder) as (serving_, connect):
            before = len(os.listdir("/proc/self/fd"))
            for i in range(100):
                async with await connect() as station:
                    await station.send(ib.encode_frame(b"%d" % i))
            await until(lambda: len(recorder.frames) == 100, "100 frames")
            await until(lambda: serving_.broker.stats.active == 0, "no connection is left")
            assert len(os.listdir("/proc/self/fd")) <= before, "every socket is closed"

    run(test)


def test_criterion_11_frames_a_second() -> None:
    """`meridian bench` runs the race; this only looks for frames that are lost in a burst."""

    async def test() -> None:
        counted = [0]

        async def count(_: ib.Frame) -> None:
            counted[0] += 1

        async with serving(count, count, count) as (serving_, connect):
            stations = [await connect() for _ in range(8)]
            start = time.perf_counter()
            async with anyio.create_task_group() as group:
                for station in stations:
                    group.start_soon(station.send, ib.encode_frame(bytes(256)) * 1_000)
            await until(lambda: counted[0] == 24_000, "8,000 frames at each of 3 handlers")
            rate = 8_000 / (time.perf_counter() - start)
            missed = [count.missed for count in serving_.counts]
            assert missed == [0, 0, 0], "handlers that never wait miss nothing"
        print(f"{rate:,.0f} frames a second; the mission asks for 100,000")

    run(test)
