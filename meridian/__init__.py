"""Meridian: the production systems of a satellite constellation, as a library and a training lab.

Importing the package imports nothing else: each track is loaded when it is first used, and no
import ever compiles a kernel. Call :func:`warmup` to compile ahead.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["__version__", "warmup"]

__version__ = "0.1.0"

# Sub-packages that own numba kernels. Each has a `_kernels.warmup()`.
_KERNELS = {
    "database": (
        "meridian.database.storage._kernels",
        "meridian.database.btree._search_kernels",
        "meridian.database.btree._edit_kernels",
        "meridian.database.btree._batch_kernels",
        "meridian.database.btree._bulk_kernels",
        "meridian.database.lsm._hash_kernels",
        "meridian.database.lsm._order_kernels",
        "meridian.database.lsm._block_kernels",
        "meridian.database.lsm._read_kernels",
        "meridian.database.lsm._batch_kernels",
        "meridian.database.lsm._probe_kernels",
        "meridian.database.lsm._merge_kernels",
    ),
    "foundation": ("meridian.foundation.sync._kernels", "meridian.foundation.channels._kernels"),
    "orbital": ("meridian.orbital._kernels",),
}


def warmup(*tracks: str) -> None:
    """Compile every kernel of `tracks` (all of them when none is named), or load it from the cache.

    Raises `ValueError` for a name that is not a track with kernels.
    """
    for track in tracks or tuple(_KERNELS):
        if track not in _KERNELS:
            raise ValueError(f"No kernels in {track!r}; tracks with kernels: {', '.join(_KERNELS)}")
        for module in _KERNELS[track]:
            import_module(module).warmup()
