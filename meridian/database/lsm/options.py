"""How an engine is set up: sizes, triggers, what runs behind the caller's back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int, checked_seconds
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.table_format import MAX_BLOCK_SIZE, MIN_BLOCK_SIZE
from meridian.database.lsm.types import MAX_KEY

__all__ = [
    "STRATEGIES",
    "CompactionFilter",
    "FilterKey",
    "KeyPrefix",
    "LsmOptions",
    "PrefixFilterKey",
]

CompactionFilter: TypeAlias = Callable[[Columns], npt.NDArray[np.bool_]]
"""Sees merged entries in key order, tombstones too, and answers bool[n]: which of them stay."""
FilterKey: TypeAlias = Callable[[bytes], bytes]
"""What of a key the bloom filters know."""

STRATEGIES: Final = ("leveled", "tiered", "fifo")

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20


@runtime_checkable
class PrefixFilterKey(Protocol):
    """A `FilterKey` that a seek can use: it knows when a prefix says it all."""

    def __call__(self, key: bytes, /) -> bytes: ...

    def of_prefix(self, prefix: bytes, /) -> bytes | None:
        """The filter key of every key that begins with `prefix`; None: they may differ."""
        ...


@dataclass(frozen=True, slots=True)
class KeyPrefix:
    """The first `length` bytes of a key as its filter key: filters then answer for prefixes.

    A shorter key is its own filter key.
    """

    length: int

    def __post_init__(self) -> None:
        checked = checked_int("the length of a prefix", self.length, least=1, most=MAX_KEY)
        object.__setattr__(self, "length", checked)

    def __call__(self, key: bytes, /) -> bytes:
        return key[: self.length]

    def rows(self, keys: npt.NDArray[np.uint8], /) -> npt.NDArray[np.uint8]:
        """Of many keys at once: uint8 (n, width) to (n, min(width, length))."""
        return keys[:, : self.length]

    def of_prefix(self, prefix: bytes, /) -> bytes | None:
        return prefix[: self.length] if len(prefix) >= self.length else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LsmOptions:
    """What an `LsmEngine` is told once, when it is opened; none of it is kept in its files.

    Raises `TypeError` and `ValueError` when made with what cannot be.
    """

    memtable_bytes: int = 4 * _MIB
    """Keys and values in memory before they are frozen and flushed."""
    max_immutables: int = 2
    """Frozen memtables that may wait for their flush before writers must."""
    block_size: int = 4096
    bits_per_key: int = 10
    """Of the bloom filters: 10 let 0.8 % of absent keys through."""
    block_cache_bytes: int = 32 * _MIB
    strategy: str = "leveled"
    """``"leveled"``, ``"tiered"`` or ``"fifo"``."""
    auto_compact: bool = True
    """Compact whenever the strategy finds something; else only in `LsmEngine.compact`."""
    background: bool = False
    """Flush and compact in threads of the engine; else inside the call that made it necessary."""
    fsync: bool = True
    """False: leave it to the system when bytes reach the device. A power cut may then cost the
    store; the death of the process costs no more than it does otherwise."""
    compaction_bytes_per_s: int | None = None
    """Write no faster than that when compacting."""

    l0_trigger: int = 4
    """Tables in level 0 that start a compaction (leveled)."""
    l0_stop: int = 12
    """Tables in level 0 at which writers wait for it (leveled, tiered)."""
    l1_bytes: int = 256 * _MIB
    size_ratio: int = 10
    """How much larger each level is than the one above."""
    max_levels: int = 7
    """Level 0 included."""
    target_file_bytes: int = 64 * _MIB
    """Merged tables of level 1 and deeper are cut there."""

    num_tiers: int = 4
    """Sorted runs that start a compaction (tiered)."""
    max_size_amp_percent: int = 200
    """Merge all runs when those above the oldest reach this share of it."""
    size_ratio_percent: int = 1
    """Merge the newer runs when the next is larger than all of them by more than this."""
    min_merge_width: int = 2

    fifo_bytes: int = 1024 * _MIB
    """Drop the oldest tables beyond this (fifo)."""
    fifo_ttl_s: float | None = None
    """Drop tables older than this (fifo)."""

    filter_key: FilterKey | None = None
    """Filters are built on, and asked for, this of a key; `PrefixFilterKey` serves seeks too."""
    compaction_filter: CompactionFilter | None = None
    """Asked for every merged stretch of entries. With a `filter_key`, entries that share theirs
    always come together."""
    gc_tombstones: bool = True
    """Whether compaction may drop a tombstone that hides nothing any more."""

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None or name != "compaction_bytes_per_s":
                self._set(name, checked_int(name, value, least=least, most=most))
        if self.l0_stop < self.l0_trigger:
            raise ValueError(
                f"Expected l0_stop >= l0_trigger ({self.l0_trigger}), got {self.l0_stop}"
            )
        if self.fifo_ttl_s is not None:
            self._set("fifo_ttl_s", checked_seconds("fifo_ttl_s", self.fifo_ttl_s, positive=True))
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"Expected {name} as bool, got {type(getattr(self, name)).__name__}"
                )
        for name in _CALLABLES:
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise TypeError(f"Expected {name} to be callable, got {type(given).__name__}")
        if self.strategy not in STRATEGIES:
            raise ValueError(
                f"Expected a strategy among {', '.join(STRATEGIES)}, got {self.strategy!r}"
            )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def level_target_bytes(self, level: int) -> int:
        """What a level below 0 may hold before its score exceeds 1 (leveled)."""
        return self.l1_bytes * int(self.size_ratio ** (level - 1))


_RANGES: Final = (  # name, least, most
    ("memtable_bytes", 1, None),
    ("max_immutables", 1, None),
    ("block_size", MIN_BLOCK_SIZE, MAX_BLOCK_SIZE),
    ("bits_per_key", 1, 64),
    ("block_cache_bytes", 0, None),
    ("compaction_bytes_per_s", 1, None),
    ("l0_trigger", 1, None),
    ("l0_stop", 1, None),
    ("l1_bytes", 1, None),
    ("size_ratio", 2, 1000),
    ("max_levels", 2, 20),
    ("target_file_bytes", 1, None),
    ("num_tiers", 2, None),
    ("max_size_amp_percent", 1, None),
    ("size_ratio_percent", 0, None),
    ("min_merge_width", 2, None),
    ("fifo_bytes", 1, None),
)
_FLAGS: Final = ("auto_compact", "background", "fsync", "gc_tombstones")
_CALLABLES: Final = ("filter_key", "compaction_filter")
assert {name for name, *_ in _RANGES} <= {field.name for field in fields(LsmOptions)}
