"""What the tests of the command queue under threads share."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from meridian.foundation.sync import (
    cmdqueue,
    cmdqueue_ledger,
    cmdqueue_producers,
    command_buckets,
    command_metrics,
)
from meridian.foundation.sync.cmdqueue import (
    Command,
    CommandKind,
    CommandQueue,
)

__all__ = [
    "FILES",
    "Interrupt",
    "PATIENCE_S",
    "interrupting",
    "safe_mode",
    "sound",
    "start",
    "status",
]

PATIENCE_S = 60.0


def status(issued_at: int, priority: int = 50) -> Command:
    return Command.make(CommandKind.STATUS_REQUEST, priority=priority, issued_at=issued_at)


def safe_mode(issued_at: int = 0) -> Command:
    return Command.make(CommandKind.SAFE_MODE, issued_at=issued_at)


def start(bundle: Any, *bodies: Callable[[], object]) -> None:
    threads = [bundle.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


FILES = {
    str(module.__file__)
    for module in (cmdqueue, cmdqueue_ledger, cmdqueue_producers, command_buckets, command_metrics)
}


class Interrupt(BaseException):
    """Stands for KeyboardInterrupt, which pytest would take for its own."""


@contextmanager
def interrupting(line: int, lock: Any) -> Iterator[list[int]]:
    """Raise `Interrupt` before the `line`-th line of the queue's code, and tell how many ran.

    Not before a ``with`` that is being left: no signal can strike there, a tracer can.
    """
    lines = [0]

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            source = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if source.startswith("with ") and lock.locked():
                return trace
            lines[0] += 1
            if lines[0] == line:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(None)


def sound(queue: CommandQueue) -> int:
    """Check the books, and return the number of commands held."""
    ledger = queue._ledger
    held = sum(len(fifo) for fifo in ledger.fifos if fifo)
    mask = sum(1 << priority for priority, fifo in enumerate(ledger.fifos) if fifo)
    assert not queue._lock.locked()
    assert ledger.broken is None
    assert ledger.mask == mask
    assert len(queue) == held
    assert ledger._moving is None
    for fifo in ledger.fifos:
        times = [command.issued_at for command in fifo or ()]
        assert times == sorted(times)
    return held
