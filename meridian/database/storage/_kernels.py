"""Batch work on the pool's arena, compiled.

A kernel takes the arena and the tables as arguments, never as globals: numba freezes a global
array at compile time. Each has a plain-Python twin, its ``py_func``, that tests compare it with.
"""

from __future__ import annotations

__all__ = ["warmup"]


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
