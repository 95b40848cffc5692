"""Guards of a mutex that are dropped or interrupted: nothing stays locked."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import warnings

import pytest

from meridian.foundation.sync.mutex import (
    LostGuard,
    Mutex,
    PoisonError,
)
from tests.foundation.sync.mutex_rig import in_thread

# Lost guards


def test_a_thread_that_ends_with_the_guard_poisons_and_releases() -> None:
    mutex = Mutex(0, name="lost")

    def forget() -> None:
        guard = mutex.lock()
        guard.value = 1

    with pytest.warns(LostGuard, match="lost") as caught:
        assert in_thread(forget) == []
    assert len(caught) == 1
    assert not mutex.statistics().locked
    with pytest.raises(PoisonError, match="dropped") as told:
        mutex.lock()
    with told.value.guard as guard:
        assert guard.value == 1


def test_who_waits_for_a_lost_guard_is_let_in() -> None:
    mutex = Mutex(0)
    taken, waits = threading.Event(), threading.Event()

    def forget() -> None:
        guard = mutex.lock()
        taken.set()
        waits.wait()
        del guard

    def wait() -> None:
        taken.wait()
        waits.set()
        mutex.lock()

    with pytest.warns(LostGuard):
        (error,) = in_thread(forget, wait)
    assert isinstance(error, PoisonError)


def test_a_guard_in_a_cycle_is_found_by_the_collector() -> None:
    mutex = Mutex(0)
    cycle: list[object] = [mutex.lock()]
    cycle.append(cycle)
    del cycle
    with pytest.warns(LostGuard):
        gc.collect()
    assert mutex.is_poisoned


def test_a_collection_in_the_midst_of_locking_does_not_hang() -> None:
    mutex, lost = Mutex(0, rank=1), Mutex(0, rank=2)
    threshold = gc.get_threshold()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LostGuard)
        gc.freeze()
        gc.set_threshold(1)
        try:
            for _ in range(200):
                cycle: list[object] = []
                with mutex.lock() as guard:
                    cycle += [lost.lock(), cycle]
                    del cycle
                    guard.value += 1
                gc.collect()
                lost.clear_poison()
        finally:
            gc.set_threshold(*threshold)
            gc.unfreeze()
    assert mutex.into_inner() == 200


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_program_that_ends_while_it_holds_a_mutex_ends_quietly() -> None:
    ended = python(
        "import threading\n"
        "from meridian.foundation.sync import Mutex\n"
        "mutex, queue = Mutex(0), Mutex(0)\n"
        "guard = mutex.lock()\n"
        "def wait():\n"
        "    waits.set()\n"
        "    mutex.lock()\n"
        "waits = threading.Event()\n"
        "threading.Thread(target=wait, daemon=True).start()\n"
        "waits.wait()\n"
        "print('end')\n"
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_a_lost_guard_is_told_without_any_configuration() -> None:
    ended = python(
        "from meridian.foundation.sync import Mutex\n"
        "mutex = Mutex(0, name='commands')\n"
        "mutex.lock()\n"
        "print(mutex)\n"
    )
    assert ended.stdout == "<Mutex 'commands': free, poisoned>\n"
    assert "LostGuard" in ended.stderr
    assert "commands" in ended.stderr


def test_ctrl_c_while_waiting_leaves_nothing_behind() -> None:
    ended = python(
        "import signal, threading\n"
        "from meridian.foundation.sync import Mutex\n"
        "mutex, held = Mutex(0), threading.Event()\n"
        "def hold():\n"
        "    with mutex.lock():\n"
        "        held.set()\n"
        "        while not mutex.statistics().waiting:\n"
        "            pass\n"
        "        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)\n"
        "        done.wait()\n"
        "done = threading.Event()\n"
        "thread = threading.Thread(target=hold)\n"
        "thread.start()\n"
        "held.wait()\n"
        "try:\n"
        "    mutex.lock()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', mutex.statistics().waiting)\n"
        "done.set()\n"
        "thread.join()\n"
        "mutex.lock(60).release()\n"
        "print(mutex)\n"
    )
    assert ended.stdout == "interrupted 0\n<An unnamed Mutex: free>\n", ended.stderr
