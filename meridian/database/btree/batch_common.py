"""What batches share: arguments as arrays, and nodes brought into memory in stretches.

The pattern is that of the storage batches. Under the pool's latch a kernel does what it can on the
nodes in memory. At one that is not, it and those after it are pinned, at most half of the pool,
read together where they are neighbours, and the kernel goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.btree import _batch_kernels as kernels
from meridian.database.btree.descent import raise_broken
from meridian.database.btree.errors import KeyRange, TreeCorrupt
from meridian.database.btree.layout import MAX_KEY, as_key
from meridian.database.storage._kernels import read_only
from meridian.database.storage.errors import PageOutOfRange, PoolExhausted, StorageClosed

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = [
    "Groups",
    "as_keys",
    "as_rids",
    "check_open",
    "groups_of_leaves",
    "new_state",
    "pin_limit",
    "reading",
    "sort_keys",
    "visit",
]

Keys = npt.NDArray[np.uint32]
Rids = npt.NDArray[np.uint64]
Pages = npt.NDArray[np.int64]
State = npt.NDArray[np.int64]
Groups = tuple[Pages, Pages]  # nodes, and where the keys of each start (and the last ones end)
Kernel = Callable[..., int]

_MAX_RID = (1 << 48) - 1
_WINDOW = 1024  # nodes per kernel call: how long others wait for the latch, about 1 ms
_MAX_PINNED = 256


def as_keys(keys: object) -> Keys:
    """`keys` as a flat, native array of uint32.

    Raises `KeyRange` for the first that is no key, or for an array of something else than
    integers; `ValueError` for one that is not flat; `TypeError` for what is no sequence.
    """
    if not isinstance(keys, np.ndarray):
        if isinstance(keys, (str, bytes, bytearray)) or not isinstance(keys, Sequence):
            raise TypeError(f"Expected keys as an array, got {type(keys).__name__}")
        return np.fromiter(map(as_key, keys), np.uint32, len(keys))
    if keys.ndim != 1:
        raise ValueError(f"Expected keys in a flat array, got one of shape {keys.shape}")
    if keys.dtype.kind == "O":
        return np.fromiter(map(as_key, keys.tolist()), np.uint32, len(keys))
    if keys.dtype.kind not in "iu" and keys.size:
        raise KeyRange(keys[0])
    if keys.dtype != np.uint32 and keys.size:
        low, high = int(keys.min()), int(keys.max())
        if low < 0 or high > MAX_KEY:
            raise KeyRange(low if low < 0 else high)
    return np.ascontiguousarray(keys, np.uint32)


def as_rids(rids: object, count: int) -> Rids:
    """`rids` as a flat, native array of `count` packed record ids.

    Raises `ValueError` for another number of them, for an array that is not flat or not of
    integers, for a number beyond 48 bits; `TypeError` for what is no sequence.
    """
    if not isinstance(rids, np.ndarray):
        if isinstance(rids, (str, bytes, bytearray)) or not isinstance(rids, Sequence):
            raise TypeError(f"Expected packed record ids as an array, got {type(rids).__name__}")
        checked = [checked_int("a packed record id", rid, most=_MAX_RID) for rid in rids]
        rids = np.array(checked, np.uint64)
    if rids.shape != (count,):
        raise ValueError(f"Expected {count} packed record ids, one per key, got shape {rids.shape}")
    if rids.dtype.kind not in "iu" and rids.size:
        raise ValueError(f"Expected packed record ids as integers, got {rids.dtype}")
    if rids.size:
        low, high = int(rids.min()), int(rids.max())
        if low < 0 or high > _MAX_RID:
            raise ValueError(
                f"Expected packed record ids of 48 bits, got {low if low < 0 else high}"
            )
    return np.ascontiguousarray(rids, np.uint64)


def sort_keys(keys: Keys) -> tuple[Keys, Keys]:
    """`keys` ascending, and the places that they came from, uint32; equal ones in their order.

    Key and place are sorted as one number, which takes a fifth of ``argsort``, and is stable. Both
    arrays are read-only: to numba what callers give is one type, writable or not.
    """
    places = np.arange(len(keys), dtype=np.uint32)
    if len(keys) < 2 or bool(np.all(keys[1:] >= keys[:-1])):
        return read_only(keys), read_only(places)
    packed = keys.astype(np.uint64) << np.uint64(32)
    packed |= places
    packed.sort()
    ascending: Keys = (packed >> np.uint64(32)).astype(np.uint32)
    return read_only(ascending), read_only(packed.astype(np.uint32))


def new_state() -> State:
    """What a kernel tells beside its result: `_batch_kernels.WHY` and the places after it."""
    return np.zeros(kernels.STATE_SIZE, np.int64)


def check_open(pool: BufferPool) -> None:
    """Raise `StorageClosed` if the pool is closed."""
    if pool.closed:
        raise StorageClosed("The buffer pool")


def reading(tree: BPlusTree) -> AbstractContextManager[None]:
    """Hold the tree's latch for reading, if this thread does not hold it already."""
    return nullcontext() if tree.latch.held() else tree.latch.read()


def pin_limit(pool: BufferPool) -> int:
    """Pages to pin at once: half of what is not pinned already, for others work here too."""
    unpinned = int(np.count_nonzero(pool.pin_counts == 0))
    return max(1, min(unpinned // 2, _MAX_PINNED))


def visit(
    tree: BPlusTree,
    page_ids: Pages,
    kernel: Kernel,
    args: tuple[Any, ...],
    state: State,
    first: int = 0,
    *,
    scan: bool = False,
) -> int:
    """Let a kernel work through nodes from index `first` on; return the index where it halted.

    That is their number if it did not. The kernel is given the pool's memory, then `args`, `state`
    and the nodes to do; the tree's latch is held. `scan` says that the nodes will hardly be used
    again. Raises `TreeCorrupt`, and what `BufferPool.fetch_many` raises.
    """
    pool = tree.pool

    def call(first: int, stop: int) -> int:
        with pool.latch:
            refs = np.zeros(pool.frames, np.uint8) if scan else pool.ref_bits
            words = pool.arena.view(np.uint32).reshape(-1)
            memory = (words, pool.page_table, refs, tree._meta.array)
            done = int(kernel(*memory, *args, state, first, stop))
            if done < 0:
                raise_broken(done)
            if tree._touch is not None and not scan:  # CLOCK needs no more than the bits
                _touch(tree, page_ids[first:done])
        return done

    while first < len(page_ids):
        stop = min(first + _WINDOW, len(page_ids))
        done = call(first, stop)
        pool.stats.hits += done - first
        if state[kernels.WHY] == kernels.MISSING:
            with _pinned(tree, page_ids[done : done + pin_limit(pool)], scan) as count:
                done = call(done, done + count)
        if state[kernels.WHY] == kernels.HALTED:
            return done
        first = done
    return first


def _touch(tree: BPlusTree, page_ids: Pages) -> None:
    """Tell the pool's policy of pages that a kernel has used. The pool's latch is held."""
    assert tree._touch is not None
    for page_id in page_ids.tolist():
        frame = tree.pool._frame_of.get(page_id)
        if frame is not None:
            tree._touch(frame)


@contextmanager
def _pinned(tree: BPlusTree, page_ids: Pages, scan: bool) -> Iterator[int]:
    """Pin nodes for one kernel call: all of them, or the first if that is too many."""
    pool = tree.pool
    try:
        try:
            frames = pool.fetch_many(page_ids, scan=scan)
        except PoolExhausted:
            if len(page_ids) == 1:
                raise
            frames = pool.fetch_many(page_ids[:1], scan=scan)
    except PageOutOfRange as error:
        count = pool.file.page_count
        raise TreeCorrupt(
            error.page_id, f"a node names it, but the file has {count} pages"
        ) from None
    try:
        yield len(frames)
    finally:
        pool.unpin_many(frames)


def groups_of_leaves(tree: BPlusTree, keys: Keys) -> Groups:
    """The leaves that sorted `keys` belong to, in order, and where the keys of each start.

    There is at least one key and one level; the tree's latch is held.
    """
    page_ids = np.array([tree.root], np.int64)
    starts = np.array([0, len(keys)], np.int64)
    for level in range(tree.height - 1, 0, -1):
        below, below_starts = np.empty(len(keys), np.int64), np.empty(len(keys) + 1, np.int64)
        state = new_state()
        args = (keys, page_ids, starts, level, below, below_starts)
        visit(tree, page_ids, kernels.route, args, state)
        made = int(state[kernels.DONE])
        below_starts[made] = len(keys)
        page_ids, starts = below[:made], below_starts[: made + 1]
    return page_ids, starts
