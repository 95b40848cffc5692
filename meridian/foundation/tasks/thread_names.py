"""Thread names that ``top -H``, ``ps -L`` and debuggers show, not only Python."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from pathlib import Path

__all__ = ["show_thread_name", "shown_name"]

_LONGEST_BYTES = 15  # of Linux: TASK_COMM_LEN without its end


def show_thread_name() -> None:
    """Tell the system the name of this thread; since 3.14 Python does so by itself.

    Nothing happens where the system takes no name.
    """
    if sys.version_info < (3, 14):
        comm = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        with contextlib.suppress(OSError):
            comm.write_bytes(shown_name(threading.current_thread().name))


def shown_name(name: str) -> bytes:
    """`name` in the 15 bytes there are; of a long one the number at its end is kept.

    >>> shown_name("meridian-ingress-blocking-12")
    b'meridian-ing-12'
    """
    encoded = name.encode(errors="replace")
    if len(encoded) <= _LONGEST_BYTES:
        return encoded
    number = re.search(rb"-\d{1,6}\Z", encoded)
    tail = number.group() if number else b""
    head = encoded[: _LONGEST_BYTES - len(tail)]
    return head.decode(errors="ignore").rstrip("-").encode() + tail
