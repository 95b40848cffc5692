"""Which files of this package go into the box, where the submission runs.

They import nothing but each other, the standard library and msgspec, and NumPy and trio only when
something that needs them arrives.
"""

from __future__ import annotations

__all__ = ["RUNTIME_FILES"]

RUNTIME_FILES = (
    "__init__.py",
    "arrays.py",
    "confine.py",
    "conversation.py",
    "event_loops.py",
    "forkserver.py",
    "kernel.py",
    "landlock.py",
    "operations.py",
    "protocol.py",
    "seccomp.py",
    "servant.py",
    "strays.py",
    "syscalls.py",
    "tasks.py",
    "telling.py",
    "values.py",
    "worker.py",
)
