"""A local worker: a plain process that is told on its standard input where the jobs are.

    python -m grader.cohort.worker   <- one line of JSON (`Order`), then nothing
                                     -> one line of JSON for each step, and one at the end

It ends when nothing waits, and gives back what it holds when its input closes: the coordinator
has gone, or wants it to stop.
"""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

import msgspec

from grader.box.pool import BoxPool
from grader.cohort.disk import is_full
from grader.cohort.errors import OtherGrader
from grader.cohort.task import judge
from grader.cohort.work import Order, serve

__all__ = ["main", "own_peak_bytes"]

_GRACE_S = 10.0


def main() -> int:
    """Serve one order. Exit status 0 even when single jobs failed: their rows say so."""
    words = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints there
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    stop = threading.Event()
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    end: dict[str, Any] = {"jobs": 0}
    try:
        with _pool(order) as pool:
            execute = functools.partial(judge, pool=pool)
            end["jobs"] = serve(order, execute, stop, lambda step: _say(words, {"step": step}))
    except OtherGrader as error:
        end["fatal"] = str(error)
    except KeyboardInterrupt:
        end["stopped"] = True
    except OSError as error:
        if not is_full(error):
            raise
        end["disk_full"] = True
    _say(words, {**end, "peak_bytes": own_peak_bytes()})
    return 0


def _pool(order: Order) -> AbstractContextManager[BoxPool | None]:
    """A box in reserve, so that a job begins with a fork; but nothing starts beside a race."""
    return nullcontext() if order.lane == "races" else BoxPool(1)


def own_peak_bytes() -> int:
    """The most memory this process ever had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _watch(stop: threading.Event) -> None:
    """Interrupt the main thread when the input closes; leave hard if it does not listen."""
    while os.read(0, 4096):
        pass
    stop.set()
    main_thread = threading.main_thread()
    assert main_thread.ident is not None
    signal.pthread_kill(main_thread.ident, signal.SIGINT)
    main_thread.join(_GRACE_S)
    os._exit(1)


def _say(words: IO[bytes], fact: dict[str, Any]) -> None:
    words.write(msgspec.json.encode(fact) + b"\n")
    words.flush()


if __name__ == "__main__":
    sys.exit(main())
