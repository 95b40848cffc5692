"""Flush and compact as writers go along, or in two threads of the engine's own.

`Inline` does the work inside the call that made it necessary: the same calls give the same files.
`Background` lets writers go on, until they are too far ahead: then they wait, and it is counted.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from meridian.database.lsm.core import EngineCore
from meridian.database.lsm.errors import EngineClosed, EngineFailed
from meridian.database.lsm.memtable import MemTable

__all__ = ["Background", "Inline", "Worker"]


class Worker(Protocol):
    """Who flushes and compacts."""

    def full(self, active: MemTable) -> None:
        """`active` has reached its limit: freeze it, and see to what follows.

        Raises `EngineFailed` where that failed: what was written is in memory, and can be read.
        """
        ...

    def settle(self) -> None:
        """There may be something to compact."""
        ...

    def stop(self) -> None:
        """End; what is not flushed then stays so."""
        ...


class Inline:
    """In the caller's thread, step by step."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core

    def full(self, active: MemTable) -> None:
        core = self._core
        with core.mutex:
            if core.state.active is active:
                core.freeze()
        try:
            while core.flush_oldest() is not None:
                pass
            self.settle()
        except EngineClosed:
            raise
        except Exception as error:
            core.fail(error)
            raise EngineFailed(error) from error

    def settle(self) -> None:
        core = self._core
        while core.opts.auto_compact and core.compact_once():
            pass

    def stop(self) -> None:
        self._core.stopped.set()


class Background:
    """One thread that flushes, one that compacts.

    What goes wrong in them bars writers (`EngineCore.fail`) and stops both, until a flush that
    somebody asked for has succeeded.
    """

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._threads = [
            threading.Thread(target=loop, name=f"meridian-lsm-{name}", daemon=True)
            for name, loop in (("flush", self._flush), ("compact", self._compact))
        ]
        for thread in self._threads:
            thread.start()

    def full(self, active: MemTable) -> None:
        core = self._core
        with core.changed:
            if core.state.active is not active:
                return
            if self._too_far_ahead():
                began_s = time.perf_counter()
                core.changed.wait_for(lambda: core.barred or not self._too_far_ahead())
                core.counters.stalls += 1
                core.counters.stall_s += time.perf_counter() - began_s
                if core.barred:
                    core.refuse()
            if core.state.active is active:
                core.freeze()

    def settle(self) -> None:
        """The thread is told of every new version."""

    def stop(self) -> None:
        core = self._core
        with core.changed:
            core.stopped.set()
            core.changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _too_far_ahead(self) -> bool:
        core = self._core
        opts, state = core.opts, core.state
        return len(state.frozen) >= opts.max_immutables or (
            opts.auto_compact and core.strategy.must_wait(state.tables.version, opts)
        )

    def _flush(self) -> None:
        core = self._core
        while True:
            with core.changed:
                core.changed.wait_for(
                    lambda: core.stopped.is_set() or (core.state.frozen and core.failure is None)
                )
                if core.stopped.is_set():
                    return
            try:
                core.flush_oldest()
            except BaseException as error:
                core.fail(error)

    def _compact(self) -> None:
        core = self._core
        seen = -1
        while core.opts.auto_compact:
            with core.changed:
                while not core.stopped.is_set() and (core.published == seen or core.failure):
                    core.changed.wait()
                if core.stopped.is_set():
                    return
                seen = core.published
            try:
                while core.failure is None and core.compact_once():
                    pass
            except EngineClosed:
                return
            except BaseException as error:
                core.fail(error)
