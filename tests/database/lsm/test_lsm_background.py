"""Threads: readers that never wait, writers that wait only when they must, errors that come out."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meridian.database.lsm import (
    Columns,
    EngineClosed,
    EngineFailed,
    LsmEngine,
    LsmOptions,
    WriteBatch,
    norad_key,
    norad_keys,
)
from meridian.testing import FaultyFileSystem
from tests.database.lsm.soak import SMALL
from tests.database.lsm.support import Unsynced

OPTIONS = replace(SMALL, background=True)
WAIT_S = 60.0  # for what happens at once unless it never does


class Gate(Unsynced):
    """A disk that does not finish a table before it is let."""

    __slots__ = ("opened", "reached")

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()

    def rename(self, old: object, new: object) -> None:
        if str(new).endswith(".dat"):
            self.reached.set()
            assert self.opened.wait(WAIT_S)
        super().rename(old, new)  # type: ignore[arg-type]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def until(engine: LsmEngine, condition: Callable[[], object]) -> None:
    """Wait for what the engine's threads do."""
    core = engine._core
    with core.changed:  # not all of it is told, so look again now and then
        assert any(core.changed.wait_for(condition, 0.02) for _ in range(int(WAIT_S / 0.02)))


def test_many_threads_write_and_read(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """Each writer has keys of its own, so that each can say what it must read."""
    with LsmEngine(tmp_path / "store", OPTIONS) as engine:
        done = threading.Event()

        def write(number: int) -> dict[bytes, bytes]:
            mine: dict[bytes, bytes] = {}
            for i in range(600):
                key = b"%d.%d" % (number, i * 7 % 100)
                if i % 5 == 3:
                    engine.delete(key)
                    mine.pop(key, None)
                else:
                    mine[key] = b"%d" % i * 5
                    engine.put(key, mine[key])
                if i % 50 == 0:
                    assert engine.get(key) == mine.get(key)
                    found = dict(engine.scan(b"%d." % number, b"%d/" % number))
                    assert found == mine
            return mine

        def read() -> int:
            rounds = 0
            while not done.is_set() or not rounds:
                keys = [key for key, _ in engine.scan()]
                assert keys == sorted(set(keys))
                engine.get_many(keys[:50])
                rounds += 1
            return rounds

        readers = [pool.submit(read) for _ in range(2)]
        written = [*pool.map(write, range(4))]
        done.set()
        assert all(reader.result() for reader in readers)
        wanted = {key: value for mine in written for key, value in mine.items()}
        assert dict(engine.scan()) == wanted
        engine.flush()
        engine.compact()
        stats = engine.stats()
        assert stats.flushes > 2
        assert stats.compactions + stats.moves > 0
        assert len(engine.version.level(0)) < OPTIONS.l0_trigger
    with LsmEngine(tmp_path / "store") as engine:
        assert dict(engine.scan()) == wanted
        engine.check()


def test_a_batch_is_never_seen_in_part(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with LsmEngine(tmp_path / "store", OPTIONS) as engine:
        stop = threading.Event()

        def write() -> None:
            for turn in range(300):
                batch = WriteBatch()
                for key in range(20):
                    batch.put(b"%02d" % key, b"%d" % turn)
                engine.write(batch)
            stop.set()

        writer = pool.submit(write)
        while not stop.is_set():
            found = {value for _, value in engine.scan()}
            assert len(found) <= 1
        writer.result()


def test_a_writer_too_far_ahead_waits(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    options = replace(OPTIONS, max_immutables=2, auto_compact=False)
    with LsmEngine(tmp_path / "store", options, fs=gate) as engine:
        full = [norad_key(n) for n in range(4)]
        for key in full[:2]:  # two are queued, the third finds no place
            engine.put(key, bytes(3_000))
        waiting = pool.submit(engine.put, full[2], bytes(3_000))
        assert gate.reached.wait(WAIT_S)
        until(engine, lambda: engine._core.state.active.should_flush)
        assert not waiting.done()
        assert engine.get(full[2]) == bytes(3_000)  # it is written; only its writer waits
        assert [key for key, _ in engine.scan()] == full[:3]
        gate.opened.set()
        waiting.result(WAIT_S)
        until(engine, lambda: not engine._core.state.frozen)
        stats = engine.stats()
        assert stats.stalls == 1
        assert stats.stall_s > 0


def test_writers_wait_for_level_0(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """Compaction is held up, so level 0 grows to its stop; then writers wait, reads do not."""
    held = threading.Event()

    def slow(columns: Columns) -> np.ndarray:
        assert held.wait(WAIT_S)
        return np.ones(len(columns), np.bool_)

    options = replace(OPTIONS, l0_trigger=2, l0_stop=3, compaction_filter=slow)
    with LsmEngine(tmp_path / "store", options) as engine:
        writer = pool.submit(lambda: [engine.put(norad_key(n), bytes(1_000)) for n in range(100)])
        until(engine, lambda: len(engine.version.level(0)) >= 3)
        assert not writer.done()
        assert engine.get(norad_key(0)) == bytes(1_000)
        held.set()
        writer.result(WAIT_S)
        assert engine.stats().stalls >= 1
        assert len([*engine.scan()]) == 100


def test_an_error_in_the_background_comes_out(tmp_path: Path) -> None:
    fs = FaultyFileSystem(Unsynced())
    with LsmEngine(tmp_path / "store", OPTIONS, fs=fs) as engine:
        fs.fail("write", error=OSError(errno.ENOSPC, "No space left"), times=None)
        engine.put(b"k", bytes(3_000))
        until(engine, lambda: engine._core.failure is not None)
        for call in (lambda: engine.put(b"l", b""), lambda: engine.put_many([b"l"], [b""])):
            with pytest.raises(EngineFailed, match="No space left") as error:
                call()
            assert isinstance(error.value.cause, OSError)
        assert engine.get(b"k") == bytes(3_000)
        with pytest.raises(OSError, match="No space left"):
            engine.flush()
        fs.heal()
        engine.flush()
        engine.put(b"l", b"")
        assert [*engine.scan()] == [(b"k", bytes(3_000)), (b"l", b"")]


def test_a_compaction_that_fails_is_tried_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def fails_once(columns: Columns) -> np.ndarray:
        asked.append(len(columns))
        if len(asked) == 1:
            raise RuntimeError("a mistake in the filter")
        return np.ones(len(columns), np.bool_)

    options = replace(OPTIONS, l0_trigger=2, compaction_filter=fails_once)
    with LsmEngine(tmp_path / "store", options) as engine:
        for key in (b"a", b"b"):
            engine.put(key, b"1")
            engine.flush()
        until(engine, lambda: engine._core.failure is not None)
        with pytest.raises(EngineFailed, match="RuntimeError: a mistake in the filter"):
            engine.put(b"c", b"1")
        assert len(engine.version.level(0)) == 2
        engine.flush()
        until(engine, lambda: not engine.version.level(0))
        engine.put(b"c", b"1")
        assert [key for key, _ in engine.scan()] == [b"a", b"b", b"c"]


def test_a_waiting_writer_hears_of_a_failure(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    class Full(Gate):
        __slots__ = ()

        def rename(self, old: object, new: object) -> None:
            super().rename(old, new)
            if str(new).endswith(".dat"):
                raise OSError(errno.ENOSPC, "No space left")

    gate = Full()
    options = replace(OPTIONS, max_immutables=1)
    engine = LsmEngine(tmp_path / "store", options, fs=gate)
    engine.put(b"a", bytes(3_000))
    assert gate.reached.wait(WAIT_S)
    waiting = pool.submit(engine.put, b"b", bytes(3_000))
    until(engine, lambda: engine._core.state.active.should_flush)
    gate.opened.set()
    with pytest.raises(EngineFailed):
        waiting.result(WAIT_S)
    with pytest.raises(OSError, match="No space left"):
        engine.close()


def test_closing_while_others_are_at_work(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    engine = LsmEngine(tmp_path / "store", OPTIONS)
    begun = threading.Barrier(5)
    done: list[int] = [0] * 2

    def write(number: int) -> None:
        begun.wait(WAIT_S)
        for n in range(100_000):
            engine.put(b"%d.%05d" % (number, n), bytes(50))
            done[number] = n + 1

    def read() -> None:
        begun.wait(WAIT_S)
        while True:
            engine.get(b"0.00005")
            list(engine.scan(limit=100))

    work = [pool.submit(write, 0), pool.submit(write, 1), pool.submit(read), pool.submit(read)]
    begun.wait(WAIT_S)
    until(engine, lambda: engine.stats().flushes > 3)
    engine.close()
    for each in work:
        with pytest.raises(EngineClosed):
            each.result(WAIT_S)
    with LsmEngine(tmp_path / "store") as engine:  # what was acknowledged was flushed
        for number in range(2):
            count = len([*engine.scan(b"%d." % number, b"%d/" % number)])
            assert done[number] <= count <= done[number] + 1


def test_a_throttled_compaction_can_be_closed(tmp_path: Path) -> None:
    options = replace(OPTIONS, l0_trigger=2, compaction_bytes_per_s=1)
    engine = LsmEngine(tmp_path / "store", options)
    for turn in range(3):
        engine.put_many(norad_keys(np.arange(30)), [b"%d" % turn] * 30)
        engine.flush()
    assert engine.get(norad_key(3)) == b"2"
    engine.close()  # at that rate it would take minutes
    assert not [*(tmp_path / "store").glob("*.tmp")]
    with LsmEngine(tmp_path / "store") as engine:
        assert dict(engine.scan()) == dict.fromkeys(map(norad_key, range(30)), b"2")


def test_the_throttle_spreads_the_work() -> None:
    from meridian.database.lsm.compactor import Cancelled, Throttle

    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waited.append(timeout)
            return self.is_set()

    stop = Stop()
    throttle = Throttle(1_000, stop)
    throttle.pass_on(500)
    throttle.pass_on(500)
    assert 0.3 < waited[0] <= 0.5
    assert waited[0] < waited[1] <= 1.0
    stop.set()
    with pytest.raises(Cancelled):
        throttle.pass_on(1)


def test_threads_end_with_the_engine(tmp_path: Path) -> None:
    before = threading.active_count()
    with LsmEngine(tmp_path / "store", LsmOptions(background=True)):
        names = {thread.name for thread in threading.enumerate()}
        assert {"meridian-lsm-flush", "meridian-lsm-compact"} <= names
    assert threading.active_count() == before
