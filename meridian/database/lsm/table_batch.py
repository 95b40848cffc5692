"""Look up many keys of a table at once: find the block of each, load those, search them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _read_kernels as kernels
from meridian.database.lsm.block_reader import BATCH_BLOCKS, BlockReader, Loaded
from meridian.database.lsm.types import TOMBSTONE, Found
from meridian.database.storage._kernels import read_only

__all__ = ["Probe", "get_rows", "get_values"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]


class Probe(NamedTuple):
    """Many keys, as kernels take them: fastest in ascending order."""

    keys: U8
    """uint8, one after the other."""
    key_starts: I64
    """int64[n + 1], where each begins."""
    hashes: npt.NDArray[np.uint64] | None = None
    """uint64[n], `hash64` of the filter key of each; None: the filters were asked already."""


def get_rows(reader: BlockReader, probe: Probe, todo: I64, out: U8, status: U8) -> None:
    """See `SSTable.get_rows`; the filter was asked."""
    keys, starts = read_only(probe.keys), read_only(probe.key_starts)
    for some, block_of, loaded in _loaded(reader, keys, starts, todo):
        kernels.get_rows(
            loaded.arena, loaded.buffer, loaded.at, loaded.lengths, keys, starts,
            some, block_of, out, status,
        )  # fmt: skip


def get_values(reader: BlockReader, probe: Probe, todo: I64, out: list[Found]) -> None:
    """See `SSTable.get_values`; the filter was asked."""
    keys, starts = read_only(probe.keys), read_only(probe.key_starts)
    status = np.zeros(len(starts) - 1, np.uint8)
    for some, block_of, loaded in _loaded(reader, keys, starts, todo):
        ends = np.empty(len(some) + 1, np.int64)
        spans = np.empty((len(some), 2), np.int64)
        kernels.get_spans(
            loaded.arena, loaded.buffer, loaded.at, loaded.lengths, keys, starts,
            some, block_of, status, spans,
        )  # fmt: skip
        values = np.empty(int(spans[:, 1].sum()), np.uint8)
        kernels.gather(loaded.arena, loaded.buffer, spans, values, ends)
        data = values.tobytes()
        places = pairwise(ends.tolist())
        for i, state, (begin, end) in zip(
            some.tolist(), status[some].tolist(), places, strict=True
        ):
            if state:
                out[i] = TOMBSTONE if state == kernels.DELETED else data[begin:end]


def _loaded(
    reader: BlockReader, keys: U8, key_starts: I64, todo: I64
) -> Iterator[tuple[I64, I64, Loaded]]:
    """Have the blocks of `todo` in memory, so many at a time: (some of `todo`, the block of each or
    -1, the blocks)."""
    index = reader.index
    todo = read_only(np.ascontiguousarray(todo, np.int64))
    block_of = np.empty(len(todo), np.int64)
    wanted = np.zeros(len(index), np.uint8)
    if not kernels.route_keys(
        keys, key_starts, todo, index.keys, index.key_starts, block_of, wanted
    ):
        return
    blocks = np.flatnonzero(wanted)
    for start in range(0, len(blocks), BATCH_BLOCKS):
        batch = blocks[start : start + BATCH_BLOCKS]
        some, theirs = todo, block_of
        if len(batch) < len(blocks):
            mine = (block_of >= batch[0]) & (block_of <= batch[-1])
            some, theirs = read_only(todo[mine]), block_of[mine]
        with reader.loaded(batch, fill=True) as loaded:
            yield some, theirs, loaded
