"""Scoped threads, parts of an array, and values of one thread."""

from __future__ import annotations

import array
import copy
import math
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.sync.chunks import par_chunks
from meridian.foundation.sync.confined import ThreadConfined
from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.sync.threads import Scope, ScopeClosed, scope
from meridian.foundation.tasks import JoinTimeout


def fail(error: BaseException) -> None:
    raise error


def scoped(*bodies: Callable[[], object], end: BaseException | None = None) -> None:
    """Spawn them all, then leave the block, by `end` if given."""
    with scope() as s:
        for body in bodies:
            s.spawn(body)
        if end is not None:
            raise end


def fails(error: BaseException) -> Callable[[], None]:
    return lambda: fail(error)


def in_thread(body: Callable[[], object]) -> list[object]:
    """What it returned or raised, in a thread of its own."""
    outcome: list[object] = []

    def guarded() -> None:
        try:
            outcome.append(body())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return outcome


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


# scope


def test_results_come_back_and_threads_have_ended() -> None:
    before = threading.active_count()
    with scope() as s:
        calls = [s.spawn(divmod, 10 * i, 7) for i in range(5)]
        assert calls[3].join() == divmod(30, 7)
        keyword = s.spawn(dict, a=1)
    assert threading.active_count() == before
    assert [call.join() for call in calls] == [divmod(10 * i, 7) for i in range(5)]
    assert keyword.join() == {"a": 1}
    assert all(call.is_done for call in calls)


def test_leaving_waits_for_all() -> None:
    gate, ended = threading.Event(), []

    def work() -> None:
        gate.wait()
        ended.append(1)

    with scope() as s:
        for _ in range(8):
            s.spawn(work)
        gate.set()
    assert ended == [1] * 8


def test_one_failure_is_raised_as_it_is() -> None:
    error = KeyError("one")
    ended: list[int] = []
    with pytest.raises(KeyError) as caught:
        scoped(fails(error), lambda: ended.append(1))
    assert caught.value is error
    assert ended == [1], "the others are joined"


def test_several_failures_come_in_a_group() -> None:
    errors = [KeyError("a"), ValueError("b"), OSError("c")]
    with pytest.raises(ExceptionGroup) as caught:
        scoped(*map(fails, errors))
    assert list(caught.value.exceptions) == errors


def test_a_failure_that_was_joined_is_not_raised_again() -> None:
    with scope() as s:
        call = s.spawn(fail, KeyError("known"))
        with pytest.raises(KeyError):
            call.join()
        with pytest.raises(KeyError):
            call.join()
    with pytest.raises(KeyError):
        call.join()


def test_a_failure_of_the_block_comes_alone_or_first() -> None:
    mine, its = ValueError("block"), KeyError("thread")
    with pytest.raises(ValueError, match="block") as caught:
        scoped(dict, end=mine)
    assert caught.value is mine
    with pytest.raises(ExceptionGroup) as group:
        scoped(fails(its), end=mine)
    assert group.value.exceptions == (mine, its)
    with pytest.raises(KeyError) as only, scope() as s:
        s.spawn(fail, its).join()
    assert only.value is its


def test_what_ends_the_process_is_not_hidden_in_a_group() -> None:
    gate, ended = threading.Event(), []

    def work() -> None:
        gate.wait()
        ended.append(1)

    for end in (KeyboardInterrupt(), SystemExit(3)):
        gate.clear()
        threading.Timer(0.01, gate.set).start()
        with pytest.raises(type(end)) as caught:
            scoped(work, fails(KeyError("lost")), end=end)
        assert caught.value is end
        assert "KeyError('lost')" in caught.value.__notes__[0]
    assert ended == [1, 1]
    with pytest.raises(SystemExit), scope() as s:
        s.spawn(fail, SystemExit(1))
    with pytest.raises(BaseExceptionGroup):
        scoped(fails(SystemExit(1)), fails(KeyError()))


def test_ctrl_c_while_joining_still_joins() -> None:
    code = """
import signal, sys, threading
from meridian.foundation.sync import scope

main = threading.main_thread().ident
interrupts = []

def handler(*_):
    interrupts.append(1)
    raise KeyboardInterrupt

def leaves():
    frame = sys._current_frames()[main]
    while frame is not None and frame.f_code is not type(s).__exit__.__code__:
        frame = frame.f_back
    return frame is not None

def work():
    pause = threading.Event()
    while len(interrupts) < 3:
        # Again and again: a signal that comes just before the main thread sleeps does not wake it.
        if leaves():
            signal.pthread_kill(main, signal.SIGINT)
        pause.wait(0.01)
    print("work is done", flush=True)

signal.signal(signal.SIGINT, handler)
try:
    with scope() as s:
        s.spawn(work)
except KeyboardInterrupt:
    print("threads left:", threading.active_count() - 1, flush=True)
"""
    ended = python(code)
    assert ended.stdout == "work is done\nthreads left: 0\n", ended.stderr


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_threads_than_allowed(most: int) -> None:
    running, peak, seen = 0, 0, []
    latch = threading.Lock()

    def work(number: int) -> int:
        nonlocal running, peak
        with latch:
            running += 1
            peak = max(peak, running)
            seen.append(number)
        len(str(np.arange(500).sum()))
        with latch:
            running -= 1
        return number

    with scope(most) as s:
        calls = [s.spawn(work, number) for number in range(40)]
        with pytest.raises(KeyError):
            s.spawn(fail, KeyError("in line")).join()
    assert peak <= most
    assert [call.join() for call in calls] == list(range(40))
    if most == 1:
        assert seen == list(range(40)), "in the order they came"


@pytest.mark.parametrize("most", [None, 1, 2])
def test_threads_of_a_scope_spawn_and_join_in_it(most: int | None) -> None:
    with scope(most) as s:

        def fib(n: int) -> int:
            if n < 2:
                return n
            left, right = s.spawn(fib, n - 1), s.spawn(fib, n - 2)
            return left.join() + right.join()

        call = s.spawn(fib, 6)
    assert call.join() == 8


def test_a_scope_is_for_its_block() -> None:
    s = scope()
    with pytest.raises(ScopeClosed, match="not open yet"):
        s.spawn(len, "")
    with s, pytest.raises(ScopeClosed), s:
        pass
    with pytest.raises(ScopeClosed, match="left"):
        s.spawn(len, "")
    with pytest.raises(ScopeClosed), s:
        pass
    with scope():
        pass
    assert isinstance(s, Scope)


def test_a_join_has_a_timeout_and_refuses_itself() -> None:
    gate = threading.Event()
    handles: list[Any] = []

    def join_self() -> None:
        gate.wait()
        handles[0].join()

    with scope() as s:
        handles.append(s.spawn(join_self))
        with pytest.raises(JoinTimeout, match="join_self") as caught:
            handles[0].join(0.01)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(JoinTimeout):
            handles[0].join(0)
        for timeout in (-1, math.nan, True, "1"):
            with pytest.raises((TypeError, ValueError)):
                handles[0].join(timeout)
        gate.set()
        with pytest.raises(RuntimeError, match="itself"):
            handles[0].join()


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "2"])
def test_bad_limits(most: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        scope(most)


def test_what_cannot_be_called_is_refused_before_anything_starts() -> None:
    with scope() as s, pytest.raises(TypeError, match="Expected a function"):
        s.spawn(3)  # type: ignore[arg-type]


def test_a_system_out_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with scope(1) as s:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                s.spawn(len, "a")
        assert s.spawn(len, "ab").join() == 2, "its place is free again"


# par_chunks


@given(
    size=st.integers(1, 60),
    workers=st.none() | st.integers(1, 9),
    overlap=st.integers(0, 8),
)
def test_every_element_once_and_the_overlap(size: int, workers: int | None, overlap: int) -> None:
    whole = np.arange(size)
    parts = par_chunks(lambda view: view, whole, workers, overlap)
    assert all(np.shares_memory(part, whole) for part in parts)
    assert len(parts) <= (workers or size)
    starts = [int(part[0]) for part in parts]
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    for part, end in zip(parts, [*starts[1:], size], strict=True):
        assert part.tolist() == list(range(part[0], min(end + overlap, size)))
    lengths = np.diff([*starts, size])
    assert lengths.max() - lengths.min() <= 1, "fair shares"


@given(
    st.lists(st.integers(0, 9), max_size=40), st.integers(1, 8), st.integers(1, 4), st.booleans()
)
def test_runs_of_neighbours_are_counted_once_whatever_the_workers(
    numbers: list[int], workers: int, width: int, as_bytes: bool
) -> None:
    def count(view: Any) -> int:
        return sum(sum(view[i : i + width]) < 9 for i in range(len(view) - width + 1))

    data: Any = bytes(numbers) if as_bytes else np.array(numbers, dtype=np.int64)
    assert sum(par_chunks(count, data, workers, width - 1)) == count(data)


def test_parts_are_the_array_itself() -> None:
    table = np.zeros((10, 3))

    def mark(view: np.ndarray[Any, Any]) -> None:
        view += 1

    par_chunks(mark, table, 4)
    assert (table == 1).all()
    for buffer in (bytearray(10), array.array("i", range(10)), memoryview(bytearray(10))):
        views = par_chunks(lambda view: view, buffer, 3)  # type: ignore[call-overload]
        assert [len(view) for view in views] == [3, 3, 4]
        for view in views:
            view.release()


def test_they_run_at_the_same_time_in_their_own_threads() -> None:
    together = threading.Barrier(3)

    def meet(view: np.ndarray[Any, Any]) -> int:
        together.wait(60)
        return threading.get_ident()

    assert len(set(par_chunks(meet, np.arange(3), 3))) == 3


def test_failures_of_parts() -> None:
    def refuse(view: np.ndarray[Any, Any]) -> None:
        if view[0] >= 2:
            raise ValueError(int(view[0]))

    with pytest.raises(ValueError, match="3"):
        par_chunks(refuse, np.arange(4)[[0, 3]], 2)
    with pytest.raises(ExceptionGroup) as caught:
        par_chunks(refuse, np.arange(4), 4)
    assert sorted(error.args[0] for error in caught.value.exceptions) == [2, 3]


@pytest.mark.parametrize("empty", [np.empty(0), np.empty((0, 3)), b"", memoryview(b"")])
def test_nothing_gives_nothing(empty: Any) -> None:
    assert par_chunks(fail, empty, 4, 2) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([1, 2],), TypeError),
        (("text",), TypeError),
        ((np.array(3),), TypeError),
        ((3,), TypeError),
        ((np.arange(3), 0), ValueError),
        ((np.arange(3), -1), ValueError),
        ((np.arange(3), True), TypeError),
        ((np.arange(3), 1.0), TypeError),
        ((np.arange(3), 1, -1), ValueError),
        ((np.arange(3), 1, False), TypeError),
    ],
)
def test_bad_parts(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        par_chunks(len, *arguments)
    assert par_chunks(len, np.arange(3), np.int64(2)) == [1, 2]  # type: ignore[call-overload]


def test_neither_needs_numpy() -> None:
    ended = python(
        "import sys\n"
        "from meridian.foundation.sync import Mutex, par_chunks\n"
        "print(par_chunks(sum, bytes(range(10)), 2), 'numpy' in sys.modules)\n"
    )
    assert ended.stdout == "[10, 35] False\n", ended.stderr


# ThreadConfined


def test_a_value_of_one_thread() -> None:
    confined = ThreadConfined([1])
    confined.value.append(2)
    assert confined.value == [1, 2]
    confined.value = [3]
    (error,) = in_thread(lambda: confined.value)
    assert isinstance(error, WrongThread)
    assert isinstance(error, RuntimeError)
    assert "list" in str(error)
    (error,) = in_thread(lambda: setattr(confined, "value", 4))
    assert isinstance(error, WrongThread)
    assert confined.value == [3]
    assert "usable here" in repr(confined)
    assert "in another thread" in str(in_thread(lambda: repr(confined))[0])


def test_a_new_thread_with_an_old_number_is_another() -> None:
    (confined,) = in_thread(lambda: ThreadConfined(1))
    for _ in range(3):
        (error,) = in_thread(lambda: confined.value)  # type: ignore[attr-defined]
        assert isinstance(error, WrongThread)


def test_it_is_not_copied_past_the_check() -> None:
    confined = ThreadConfined([1])
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copying(confined)
