"""Locks, conditions, queue and threads on an interpreter without the GIL, where there is one.

The same scenarios run on the interpreter of the tests as well, so that they are known to be sound.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import meridian

PRESENT = "the present one"
WITHOUT_GIL = "import sys; sys.exit(getattr(sys, '_is_gil_enabled', lambda: True)())"
IMPORTS = os.pathsep.join(
    (str(Path(meridian.__file__).parent.parent), sysconfig.get_path("purelib"))
)
CHILD = {
    **os.environ,
    "PYTHONPATH": IMPORTS,
    "PYTHONDONTWRITEBYTECODE": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}

PROGRAM = """
import sys
from collections import Counter
from meridian.foundation.sync import (  # what needs no NumPy, which is built for one interpreter
    Command, CommandKind, CommandQueue, Condvar, Mutex, PoisonError, RwLock, par_chunks, scope,
)

sys.setswitchinterval(1e-5)

def together(*bodies):
    with scope() as threads:
        for body in bodies:
            threads.spawn(body)
"""

MUTEX = """
mutex = Mutex(0)
def add():
    for _ in range(5_000):
        with mutex.lock() as guard:
            guard.value += 1
def try_to_add():
    done = 0
    while done < 500:
        if (guard := mutex.try_lock()) is not None:
            with guard:
                guard.value += 1
            done += 1
together(add, add, try_to_add, add)
assert mutex.into_inner() == 15_500
"""

POISON = """
mutex = Mutex([0])
def fail():
    for _ in range(500):
        try:
            with mutex.lock() as guard:
                guard.value[0] += 1
                raise KeyError
        except KeyError:
            pass
        except PoisonError as poisoned:
            with poisoned.guard as guard:
                guard.value[0] += 1
                mutex.clear_poison()
together(fail, fail, fail)
mutex.clear_poison()
assert mutex.into_inner() == [1_500]
"""

RWLOCK = """
lock = RwLock([0, 0], prefer="{prefer}")
def write():
    for _ in range(1_000):
        with lock.write() as guard:
            guard.value[0] += 1
            guard.value[1] -= 1
def read():
    for _ in range(2_000):
        with lock.read() as guard:
            assert sum(guard.value) == 0
together(write, read, read, write)
assert lock.into_inner() == [2_000, -2_000]
"""

CONDVAR = """
turn = Mutex(0)
changed = Condvar(turn)
def play(me):
    for _ in range(500):
        with turn.lock() as guard:
            assert changed.wait_while(guard, lambda whose: whose != me, timeout=60)
            guard.value = (me + 1) % 3
            changed.notify_all()
together(*[lambda me=me: play(me) for me in range(3)])
assert not turn.statistics().waiting
"""

QUEUE = """
queue = CommandQueue(4)
taken = [[] for _ in range(3)]
def push(mine):
    for number in range(500):
        queue.push(Command.make(CommandKind.HOUSEKEEPING, issued_at=1_000 * mine + number))
def pop(into):
    while (command := queue.pop()) is not None:
        into.append(command.issued_at)
with scope() as consumers:
    for into in taken:
        consumers.spawn(pop, into)
    together(*[lambda mine=mine: push(mine) for mine in range(4)])
    queue.shutdown()
counts = Counter(sum(taken, []))
assert counts == Counter(1_000 * mine + number for mine in range(4) for number in range(500))
assert queue.metrics.commands_pushed == queue.metrics.commands_dispatched == 2_000
"""

SCOPE = """
with scope({most}) as s:
    def fib(n):
        if n < 2:
            return n
        left, right = s.spawn(fib, n - 1), s.spawn(fib, n - 2)
        return left.join() + right.join()
    call = s.spawn(fib, 9)
assert call.join() == 34
assert sum(par_chunks(sum, bytes(range(200)), 3)) == sum(range(200))
"""

SCENARIOS = {
    "mutex": MUTEX,
    "poisoned mutex": POISON,
    "rwlock": RWLOCK.format(prefer="writer"),
    "fair rwlock": RWLOCK.format(prefer="fair"),
    "condvar": CONDVAR,
    "command queue": QUEUE,
    "scope": SCOPE.format(most=""),
    "scope of two threads": SCOPE.format(most="2"),
}


def find(version: str) -> str | None:
    """An interpreter of that version that runs without the GIL, on PATH or known to uv."""
    candidates = [shutil.which(f"python{version}")]
    if (uv := shutil.which("uv")) is not None:
        found = subprocess.run(
            [uv, "python", "find", "--offline", "--no-project", version],
            capture_output=True, text=True, timeout=60, env=CHILD, check=False,
        )  # fmt: skip
        candidates.append(found.stdout.strip())
    for candidate in filter(None, candidates):
        probe = [candidate, "-c", WITHOUT_GIL]
        if not subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode:
            return candidate
    return None


@pytest.fixture(scope="module", params=[PRESENT, "3.13t", "3.14t"])
def interpreter(request: pytest.FixtureRequest) -> str:
    if request.param == PRESENT:
        return sys.executable
    found = find(request.param)
    if found is None:
        pytest.skip(f"no free-threaded Python {request.param} here")
    return found


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_nothing_is_lost(interpreter: str, scenario: str) -> None:
    program = f"{PROGRAM}\n{scenario}\nprint('sound')"
    done = subprocess.run(
        [interpreter, "-c", program],
        capture_output=True, text=True, timeout=60, env=CHILD, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "sound", done.stderr[-2_000:]
