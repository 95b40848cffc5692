"""The real threads that carry the threads of scenarios, kept from one run to the next.

Starting a thread costs ten times what a change of threads does. So that a carrier is as good as a
new thread to the code it carries, its `threading.local` values are dropped between two bodies.
"""

from __future__ import annotations

import ctypes
import threading
from _thread import allocate_lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meridian.testing.interleave.run import Run
    from meridian.testing.interleave.tasks import Task

__all__ = ["Carrier", "Carriers", "raise_in", "sleep_for_ever"]

_thread_dict = ctypes.pythonapi.PyThreadState_GetDict
_thread_dict.restype = ctypes.c_void_p
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


def forget_locals() -> None:
    """Drop what the calling thread keeps in `threading.local` objects, as its end would."""
    address = _thread_dict()
    if address:
        ctypes.cast(address, ctypes.py_object).value.clear()


def _forgetting_works() -> bool:
    """Whether this interpreter keeps thread locals where `forget_locals` looks. 3.13 does not."""
    seen: list[bool] = []
    local = threading.local()

    def probe() -> None:
        local.value = 1
        forget_locals()
        seen.append(hasattr(local, "value"))

    thread = threading.Thread(target=probe)
    thread.start()
    thread.join()
    return seen == [False]


def raise_in(carrier: Carrier, kind: type[BaseException]) -> None:
    """Have `kind` raised in the thread at its next bytecode, wherever that is."""
    _raise_in(carrier.ident or 0, kind)


def sleep_for_ever() -> None:
    """Sleep without end."""
    lock = allocate_lock()
    lock.acquire()
    lock.acquire()


class Carrier(threading.Thread):
    """A daemon thread that sleeps on its baton and, woken, lives the life of the task loaded."""

    def __init__(self, number: int, *, once: bool) -> None:
        super().__init__(name=f"interleave-{number}", daemon=True)
        self.baton = allocate_lock()
        self.baton.acquire()
        self._once = once
        self._load: tuple[Run, Task] | None = None

    def load(self, run: Run, task: Task) -> None:
        self._load = (run, task)

    def run(self) -> None:
        while True:
            self.baton.acquire()
            if self._load is None:
                return
            run, task = self._load
            hand_over = run.live(task)
            if not self._once:
                forget_locals()
            hand_over()
            if self._once:
                return

    def dismiss(self) -> None:
        """End the thread, which must be asleep."""
        self._load = None
        self.baton.release()


class Carriers:
    """As many carriers as the largest run needed. A context manager: none outlives it."""

    def __init__(self) -> None:
        self._threads: list[Carrier] = []
        self._spent: list[Carrier] = []
        self._once = not _forgetting_works()

    def take(self, index: int) -> Carrier:
        """The carrier of the run's thread number `index`."""
        if self._once:
            self._spent = [carrier for carrier in self._spent if carrier.is_alive()]
            self._spent.append(self._new(index))
            return self._spent[-1]
        while len(self._threads) <= index:
            self._threads.append(self._new(len(self._threads)))
        return self._threads[index]

    def abandon(self, carrier: Carrier) -> None:
        """Think no more of a thread that cannot be ended."""
        self._threads = [other for other in self._threads if other is not carrier]
        self._spent = [other for other in self._spent if other is not carrier]

    def _new(self, number: int) -> Carrier:
        carrier = Carrier(number, once=self._once)
        carrier.start()
        return carrier

    def __enter__(self) -> Carriers:
        return self

    def __exit__(self, *_: object) -> None:
        for carrier in self._threads:
            carrier.dismiss()
        for carrier in self._threads + self._spent:
            carrier.join()
        self._threads.clear()
        self._spent.clear()
