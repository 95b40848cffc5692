"""Look up many keys of a table at once: find the block of each, load those, search them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _batch_kernels as kernels
from meridian.database.lsm.block_reader import BATCH_BLOCKS, BlockReader, Loaded
from meridian.database.lsm.bloom import BloomFilter
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


def get_rows(
    reader: BlockReader, bloom: BloomFilter, probe: Probe, todo: I64, out: U8, status: U8
) -> None:
    """See `SSTable.get_rows`."""
    probe = _checked(probe)
    count = len(probe.key_starts) - 1
    _check_array("out", out, np.uint8, 2)
    _check_array("status", status, np.uint8, 1)
    if len(out) != count or len(status) != count or not out.flags.c_contiguous:
        raise ValueError(
            f"Expected out and status with a row for each of {count:,} keys, got {out.shape} and "
            f"{status.shape}"
        )
    for some, block_of, loaded in _loaded(reader, bloom, probe, todo):
        kernels.get_rows(
            loaded.arena, loaded.buffer, loaded.at, loaded.lengths, probe.keys, probe.key_starts,
            some, block_of, out, status,
        )  # fmt: skip


def get_values(
    reader: BlockReader, bloom: BloomFilter, probe: Probe, todo: I64, out: list[Found]
) -> None:
    """See `SSTable.get_values`."""
    probe = _checked(probe)
    status = np.zeros(len(probe.key_starts) - 1, np.uint8)
    if len(out) != len(status):
        raise ValueError(f"Expected a place for each of {len(status):,} keys, got {len(out):,}")
    for some, block_of, loaded in _loaded(reader, bloom, probe, todo):
        starts = np.empty(len(some) + 1, np.int64)
        spans = np.empty((len(some), 2), np.int64)
        kernels.get_spans(
            loaded.arena, loaded.buffer, loaded.at, loaded.lengths, probe.keys, probe.key_starts,
            some, block_of, status, spans,
        )  # fmt: skip
        values = np.empty(int(spans[:, 1].sum()), np.uint8)
        kernels.gather(loaded.arena, loaded.buffer, spans, values, starts)
        data, places = values.tobytes(), pairwise(starts.tolist())
        for i, state, (begin, end) in zip(
            some.tolist(), status[some].tolist(), places, strict=True
        ):
            if state:
                out[i] = TOMBSTONE if state == kernels.DELETED else data[begin:end]


def _checked(probe: Probe) -> Probe:
    """`probe` as kernels take it; whether its starts lie inside is seen on the way."""
    keys, starts, hashes = probe
    _check_array("keys", keys, np.uint8, 1)
    _check_array("key_starts", starts, np.int64, 1)
    if not len(starts) or (hashes is not None and len(hashes) != len(starts) - 1):
        raise ValueError(
            "Expected a start for each key and one behind the last, and as many hashes"
        )
    return Probe(read_only(keys), read_only(starts), hashes)


def _check_array(what: str, array: object, dtype: type, dimensions: int) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != dimensions:
        got = (
            f"{array.dtype}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        )
        raise TypeError(
            f"Expected {what} as an array of {dtype.__name__} in {dimensions} dimensions, got {got}"
        )


def _loaded(
    reader: BlockReader, bloom: BloomFilter, probe: Probe, todo: I64
) -> Iterator[tuple[I64, I64, Loaded]]:
    """Have the blocks of those of `todo` that the filter lets pass in memory, so many at a time:
    (some of `todo`, the block of each or -1, the blocks)."""
    index, (keys, key_starts, hashes) = reader.index, probe
    _check_array("todo", todo, np.int64, 1)
    if hashes is not None and len(todo):
        todo = todo[bloom.may_contain_hashes(hashes[todo])]
    todo = read_only(np.ascontiguousarray(todo))
    block_of = np.empty(len(todo), np.int64)
    wanted = np.zeros(len(index), np.uint8)
    routed = kernels.route_keys(
        keys, key_starts, todo, index.keys, index.key_starts, block_of, wanted
    )
    if routed < 0:
        raise ValueError(f"Expected todo among {len(key_starts) - 1:,} keys, each inside its array")
    blocks = np.flatnonzero(wanted)
    for start in range(0, len(blocks), BATCH_BLOCKS):
        batch = blocks[start : start + BATCH_BLOCKS]
        some, theirs = todo, block_of
        if len(batch) < len(blocks):
            mine = (block_of >= batch[0]) & (block_of <= batch[-1])
            some, theirs = read_only(todo[mine]), block_of[mine]
        with reader.loaded(batch, fill=True) as loaded:
            yield some, theirs, loaded
