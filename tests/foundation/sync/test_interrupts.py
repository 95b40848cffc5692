"""Signals whose handlers raise, wherever they strike: no lock stays locked in nobody's hands."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from meridian.foundation.sync import Condvar, Mutex, Primitives

ROUNDS = 200

PROGRAM = """
import contextlib, signal, sys, threading, time, traceback, warnings
from meridian.foundation.sync import (  # not all, which would load numba
    Command, CommandKind, CommandQueue, Condvar, Mutex, PoisonError, PopTimeout, QueueFull, RwLock,
    enable_lockdep, scope,
)

warnings.simplefilter("ignore")  # a guard that is struck at the very end of its block is dropped
sys.setswitchinterval(1e-4)
class Interrupt(BaseException): pass
def strike(*_): raise Interrupt

def ours(frame):
    return frame is not None and frame.f_globals.get("__name__", "").startswith("meridian")

def sweep(work, sound):
    "Strike wherever Python looks for signals: at each start of a function, after each call."
    global passed
    spared = struck = -1
    while spared == struck:
        spared, struck = spared + 1, -1
        def strike(frame, event, _):
            nonlocal struck
            if ours(frame) if event in ("call", "c_return") else (
                event == "return" and ours(frame.f_back) and not ours(frame)
            ):
                struck += 1
                if struck == spared:
                    sys.setprofile(None)
                    raise Interrupt
        try:
            sys.setprofile(strike)
            work()
        except Interrupt as error:
            passed = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
        finally:
            sys.setprofile(None)
        sound()
    assert spared > 3

def suffer(work, sound):
    sweep(work, sound)
    signal.signal(signal.SIGALRM, strike)
    struck = 0
    while struck < ROUNDS:
        try:
            signal.setitimer(signal.ITIMER_REAL, 20e-6 + struck % 97 * 1e-6)
            for _ in range(500):
                work()
            signal.setitimer(signal.ITIMER_REAL, 0)  # came late, or struck a finaliser: anew
        except Interrupt:
            struck += 1
        sound()

@contextlib.contextmanager
def beside(work):
    ends = []
    def loop():
        while not ends:
            work()
            time.sleep(20e-6)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield
    ends.append(1)
    thread.join(30)
    assert not thread.is_alive(), "hangs"
"""

MUTEX = """
mutex = Mutex(0{how})
def work():
    with mutex.lock({limit}) as guard:
        guard.value += 1
def sound():
    assert not mutex.statistics().locked and not mutex.statistics().waiting
    mutex.clear_poison()
suffer(work, sound)
"""

BY_HAND = """
mutex = Mutex(0, rank=2)
lower = Mutex(0, rank=1)
def work():
    guard = mutex.try_lock()
    guard.release()
def sound():
    assert not mutex.statistics().locked
    mutex.clear_poison()
    lower.lock().release()  # LockOrderViolation, if this thread were thought to hold the mutex
suffer(work, sound)
"""

CONTENDED = """
mutex = Mutex(0)
def work():
    try:
        with mutex.lock() as guard:
            guard.value += 1
    except PoisonError:
        mutex.clear_poison()
def patient():
    try:
        with mutex.lock(30): pass
    except PoisonError:
        mutex.clear_poison()
with beside(patient):
    suffer(work, lambda: None)
assert not mutex.statistics().locked
"""

CONDVAR = """
mutex = Mutex(0)
changed = Condvar(mutex)
def work():
    try:
        with mutex.lock() as guard:
            try:
                changed.wait(guard, 40e-6)
            finally:
                guard.value += 1  # GuardReleased, if it were not held
    except PoisonError:
        mutex.clear_poison()
def notify():
    try:
        with mutex.lock(30): changed.notify_one()
    except PoisonError:
        mutex.clear_poison()
with beside(notify):
    suffer(work, lambda: None)
assert not mutex.statistics().locked and not changed._waiters and not changed._latch.locked()
"""

RWLOCK = """
lock = RwLock(0, prefer="{prefer}")
def work():
    try:
        with lock.read() as guard: guard.value
        with lock.write() as guard: guard.value += 1
    except PoisonError:
        lock.clear_poison()
def other():
    try:
        with lock.write(30): pass
        with lock.read(30): pass
    except PoisonError:
        lock.clear_poison()
with beside(other):
    suffer(work, lambda: None)
seen = lock.statistics()
assert not (seen.readers or seen.writing or seen.waiting_readers or seen.waiting_writers), seen
assert not lock._latch.locked()
"""

QUEUE = """
queue = CommandQueue(4)
command = Command.make(CommandKind.HOUSEKEEPING)
def work():
    with contextlib.suppress(QueueFull): queue.push(command, timeout=20e-6)
    with contextlib.suppress(PopTimeout): queue.pop(timeout=20e-6)
with beside(work):
    suffer(work, lambda: None)
ledger = queue._ledger
assert ledger.broken is None and not queue._lock.locked()
assert not ledger.producers and not ledger.consumers
assert len(queue) == sum(map(len, filter(None, ledger.fifos)))
while len(queue): queue.pop(0)
assert queue.metrics.commands_pushed == queue.metrics.commands_dispatched
"""

SCOPE = """
def work():
    global s
    event = threading.Event()
    with scope({most}) as s:
        try:
            calls = [s.spawn(event.wait) for _ in range(3)]
        finally:
            event.set()
        for call in calls:
            call.join()
def sound():
    if s._state == "open":  # struck before the first step of `__exit__`
        assert "_join_all" not in passed
        s.__exit__(None, None, None)
    assert not s._latch.locked()
    assert not s._running and not s._pending and all(call.is_done for call in s._calls)
s = scope()
sweep(work, sound)
"""

CASES = {
    "mutex": MUTEX.format(how="", limit=""),
    "mutex with a limit": MUTEX.format(how="", limit="1"),
    "mutex with a rank": MUTEX.format(how=", rank=1", limit=""),
    "watched mutex": "enable_lockdep()" + MUTEX.format(how=", name='m'", limit=""),
    "mutex by hand": BY_HAND,
    "contended mutex": CONTENDED,
    "condvar": CONDVAR,
    "rwlock": RWLOCK.format(prefer="writer"),
    "fair rwlock": RWLOCK.format(prefer="fair"),
    "command queue": QUEUE,
    "scope": SCOPE.format(most=""),
    "scope of one thread": SCOPE.format(most="1"),
}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_hundreds_of_interrupts_lose_no_lock(case: str) -> None:
    program = f"ROUNDS = {ROUNDS}\n{PROGRAM}\n{case}\nprint('sound')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "sound", done.stderr[-2_000:]


class Interrupt(BaseException):
    pass


def interrupting(strikes: list[int]) -> Primitives:
    """Locks that, once the first has been released, raise the strikes when asked to wait."""
    released: list[int] = []

    class Lock:
        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.locked = self._lock.locked

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if released and strikes:
                raise Interrupt(strikes.pop(0))
            return self._lock.acquire(blocking, timeout)

        def release(self) -> None:
            released.append(1)
            self._lock.release()

        def __enter__(self) -> bool:  # of a latch, which is not struck: that would be C
            return self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    def condition(lock: Any) -> Any:
        raise AssertionError("not used")

    return Primitives(Lock, condition, threading.Thread, time.monotonic_ns)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_further_interrupt_waits_until_the_guard_holds_again(count: int) -> None:
    strikes = list(range(count))
    mutex = Mutex([0], primitives=interrupting(strikes))
    changed = Condvar(mutex)
    with mutex.lock() as guard:
        with pytest.raises(Interrupt) as struck:
            changed.wait(guard)
        assert struck.value.args == (0,), "the first is the one to tell of"
        assert not strikes
        assert guard.value == [0]
    assert not mutex.statistics().locked
    assert not mutex.is_poisoned
