"""What runs in the worker, beside the engine: a disk whose fsync takes as long as the judge likes.

It may be tampered with from there; the bonus that relies on it is worth two points.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

PATIENCE_S = 2.0  # how long an fsync waits at most


class SlowDisk:
    """From now on os.fsync waits for `release()`, or for its patience to end."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self._waiting = 0
        self._fsync = os.fsync
        os.fsync = self._wait

    def _wait(self, fd: Any) -> None:
        self._waiting += 1
        try:
            self._gate.wait(PATIENCE_S)
        finally:
            self._waiting -= 1
        self._fsync(fd)

    def is_waited_for(self, within_s: float) -> bool:
        """Whether some thread is inside of fsync now, or comes there soon."""
        end = time.monotonic() + within_s
        while not self._waiting and time.monotonic() < end:
            time.sleep(0.001)
        return self._waiting > 0

    def release(self) -> None:
        self._gate.set()
        os.fsync = self._fsync
