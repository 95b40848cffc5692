"""Which files of this package go into the box, where the submission runs.

They import nothing but each other, the standard library and msgspec.
"""

from __future__ import annotations

__all__ = ["RUNTIME_FILES"]

RUNTIME_FILES = ("__init__.py", "kernel.py", "protocol.py", "servant.py", "worker.py")
