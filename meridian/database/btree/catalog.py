"""Element sets by NORAD id: a heap file and the tree that finds its records, in one file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from meridian.database.btree.batch_common import Keys, Rids, as_keys, sort_keys
from meridian.database.btree.catalog_recovery import abandon, check_closed_cleanly, rebuild_index
from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import MAX_KEY, NO_RID, as_key
from meridian.database.btree.tree import BPlusTree
from meridian.database.storage.errors import CorruptPage, StorageError
from meridian.database.storage.page import PAGE_SIZE
from meridian.database.storage.page_manager import PageManager
from meridian.database.storage.rid import RecordId
from meridian.database.storage.tle import TLE_DTYPE, TleRecord, epoch_key
from meridian.fs import FileSystem, StrPath, failpoint
from meridian.orbital.tle import valid_rows

__all__ = ["TleIndex"]

Records = npt.NDArray[np.void]
_WIDTH = TLE_DTYPE.itemsize
_ATTEMPTS = 3  # at a record that moves while it is read, before the writers are stopped


class TleIndex:
    """Give the record of a NORAD id in `height` page reads, and those of a range of ids in order.

    The heap keeps the records, the tree the place of each. The tree is derived data: nothing else
    protects it against a crash, and nothing else has to, for it can be built from the heap.

    A slot of the heap is used again once its record is deleted, so the tree must never name a
    slot that may hold another object's record. Hence the order of every change: a new record is
    in the heap before the tree names it, and the tree has let go of an old one before the heap
    does. A reader may still hold the old place; it compares the id in the record with the one it
    asked for, and asks again.

    Calls may come from many threads; writers take turns. `heap` and `tree` are there to look at.
    """

    def __init__(self, heap: PageManager, tree: BPlusTree, lost_pages: tuple[int, ...]) -> None:
        """Join parts that belong together; use `open`."""
        self.heap = heap
        self.tree = tree
        self.lost_pages = lost_pages
        self._turn = threading.RLock()
        self._left: list[tuple[Keys, Rids]] = []  # records out of use that could not be deleted

    @classmethod
    def open(
        cls,
        path: StrPath,
        *,
        recover: str = "raise",
        frames: int = 1024,
        page_size: int = PAGE_SIZE,
        fs: FileSystem | None = None,
    ) -> TleIndex:
        """Open the catalogue at `path`, or make it.

        A file that was not closed cleanly raises `IndexNeedsRebuild` and is left as it is; with
        ``recover="rebuild"`` its tree is built anew from the records that can be read, as it is if
        any page is damaged. Pages that cannot be read are listed in `lost_pages`; of two records
        of one object the newer stays.

        Other errors as in `PageManager`, `ValueError` for another `recover`.
        """
        if recover not in ("raise", "rebuild"):
            raise ValueError(f"Expected recover 'raise' or 'rebuild', got {recover!r}")
        if recover == "raise":
            check_closed_cleanly(path, page_size, fs)
        heap = PageManager(path, frames=frames, page_size=page_size, fs=fs)
        try:
            sound = heap.file.was_clean and not (heap.damaged and recover == "rebuild")
            tree = BPlusTree(heap.pool) if sound else rebuild_index(heap)
            return cls(heap, tree, heap.damaged)
        except BaseException:
            abandon(heap)
            raise

    # -- one object -----------------------------------------------------------------------------

    def put(self, record: TleRecord) -> RecordId:
        """Store `record` in the place of the one with its id, if there is one; where it is now.

        Raises what `TleRecord.pack` raises, and what `BPlusTree.upsert` does, the catalogue then
        being as before.
        """
        if not isinstance(record, TleRecord):
            raise TypeError(f"Expected a TleRecord, got {type(record).__name__}")
        data = record.pack()
        key = as_key(record.norad_id)
        with self._turn:
            old = self.tree.get(key)
            if old is not None and self._is_record_of(old, key):
                self.heap.update(old, data)  # records have one length, so it stays where it is
                return old
            # The slot that the tree names, if any, cannot be read: the record moves.
            new = self.heap.insert(data)
            failpoint("catalog.put.stored")
            try:
                self.tree.upsert(key, new)
            except BaseException:
                self._drop(np.array([key], np.uint32), np.array([new.pack()], np.uint64))
                raise
            return new

    def get(self, norad_id: SupportsIndex) -> TleRecord | None:
        """The record of an object, or ``None``.

        Raises `KeyRange`, what `PageManager.get` raises for pages it has to load, `TreeCorrupt`
        if the tree names a place where no record of this object is.
        """
        key = as_key(norad_id)
        for _ in range(_ATTEMPTS):
            rid = self.tree.get(key)
            if rid is None:
                return None
            data = self.heap.get(rid)
            if data is not None and _id_of(data) == key:
                return TleRecord.unpack(data)
        with self._turn:  # nothing moves any more
            rid = self.tree.get(key)
            if rid is None:
                return None
            data = self.heap.get(rid)
            if data is None or _id_of(data) != key:
                raise _misled(key, rid)
            return TleRecord.unpack(data)

    def delete(self, norad_id: SupportsIndex) -> bool:
        """Remove an object; ``False`` if it is not there. Raises what `BPlusTree.delete` raises."""
        key = as_key(norad_id)
        with self._turn:
            rid = self.tree.get(key)
            if rid is None:
                return False
            self.tree.delete(key)
            failpoint("catalog.delete.unlinked")
            self._drop(np.array([key], np.uint32), np.array([rid.pack()], np.uint64))
            return True

    def __contains__(self, norad_id: SupportsIndex) -> bool:
        return norad_id in self.tree

    def __len__(self) -> int:
        return len(self.tree)

    # -- many objects ---------------------------------------------------------------------------

    def put_many(self, records: Records) -> int:
        """Store an array of `TLE_DTYPE`, the last of equal ids; return how many ids are new.

        All records are stored first, then the tree names them, then the old ones are deleted. If
        the tree fails half-way, each id has its old or its new record, and no other stays.
        """
        keys, rows = _newest(records, by_epoch=False)
        with self._turn:
            if not len(keys):
                return 0
            old = self.tree.get_many(keys)
            new = self.heap.insert_many(rows)
            failpoint("catalog.put_many.stored")
            try:
                return self.tree.put_many(keys, new)
            finally:  # after an error some ids have their new record, others their old one
                self._drop(np.concatenate((keys, keys)), np.concatenate((old, new)))

    def get_many(self, norad_ids: npt.NDArray[np.integer]) -> tuple[Records, npt.NDArray[np.bool_]]:
        """Look up ids: rows of `TLE_DTYPE` (n,), in their order, and whether each was found.

        Rows that were not are zero. Raises what `get` raises.
        """
        keys = as_keys(norad_ids)
        rows, found = self._rows(keys, self.tree.get_many(keys))
        if found is None:
            with self._turn:
                rows, found = self._rows(keys, self.tree.get_many(keys), certain=True)
        assert found is not None
        return rows, found

    def range(self, lo: SupportsIndex = 0, hi: SupportsIndex = MAX_KEY) -> Records:
        """The records of ids from `lo` to `hi`, both included, by id. Raises what `get` raises."""
        rows, found = self._rows(*self.tree.range_arrays(lo, hi))
        if found is None:
            with self._turn:
                rows, _ = self._rows(*self.tree.range_arrays(lo, hi), certain=True)
        return rows

    def bulk_load(self, records: Records) -> int:
        """Fill an empty catalogue, records and tree in the order of ids; how many there are.

        Of equal ids the newest epoch wins, of equal epochs the last. Raises `ValueError` if there
        are objects already, and what `PageManager.insert_many` raises; the catalogue is then empty.
        """
        keys, rows = _newest(records, by_epoch=True)
        with self._turn:
            if len(self.tree):
                raise ValueError(f"The catalogue has {len(self.tree)} objects: use put_many")
            new = self.heap.insert_many(rows)
            try:
                self.tree.bulk_load(keys, new)
            except BaseException:
                self._drop(keys, new)
                raise
            return len(keys)

    # -- the file -------------------------------------------------------------------------------

    def flush(self, *, sync: bool = False) -> int:
        """Write all dirty pages; with `sync`, return once the device has them."""
        return self.heap.flush(sync=sync)

    def close(self) -> None:
        """Write everything, mark the file as closed cleanly. As `PageManager.close`."""
        if self._left and not self.heap.pool.closed:
            with self._turn:
                self._sweep()
        self.heap.close()

    def __enter__(self) -> TleIndex:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[int]:
        """The ids, ascending; what holds for `BPlusTree.items` while the catalogue changes."""
        return (key for key, _ in self.tree.items())

    # -- parts ----------------------------------------------------------------------------------

    def _rows(
        self, keys: Keys, rids: Rids, *, certain: bool = False
    ) -> tuple[Records, npt.NDArray[np.bool_] | None]:
        """The rows under `rids`, and which there are; ``None`` if some are not of these `keys`.

        Writers may have come in between then; if that is `certain` not to be, `TreeCorrupt`.
        """
        found = rids != NO_RID
        rows = np.zeros(len(keys), TLE_DTYPE)
        read, ok = self.heap.get_many(rids[found], _WIDTH)
        rows[found] = np.ascontiguousarray(read).view(TLE_DTYPE).reshape(-1)
        right = ok & (rows["norad_id"][found] == keys[found])
        if right.all():
            return rows, found
        if certain:
            i = int(np.flatnonzero(found)[np.argmin(right)])
            raise _misled(int(keys[i]), RecordId.unpack(int(rids[i])))
        return rows, None

    def _is_record_of(self, rid: RecordId, key: int) -> bool:
        """Whether the record under `rid` is there, and of this object."""
        try:
            data = self.heap.get(rid)
        except (CorruptPage, IndexError):
            return False
        return data is not None and _id_of(data) == key

    def _drop(self, keys: Keys, rids: Rids) -> None:
        """Delete those of the records under `rids`, of objects `keys`, that the tree does not name.

        The catalogue is right without that, so a disk that fails here costs space only: they are
        tried again with the next change, and on closing.
        """
        self._left.append((keys, rids))
        self._sweep()

    def _sweep(self) -> None:
        left, self._left = self._left, []
        for some, places in left:
            try:
                self._delete_unnamed(some, places)
            except (StorageError, OSError):
                self._left.append((some, places))

    def _delete_unnamed(self, keys: Keys, rids: Rids) -> None:
        unnamed = (rids != NO_RID) & (self.tree.get_many(keys) != rids)
        keys, rids = keys[unnamed], rids[unnamed]
        try:
            read, ok = self.heap.get_many(rids, _WIDTH)
        except CorruptPage:  # one by one, for all that can be reached
            for key, packed in zip(keys.tolist(), rids.tolist(), strict=True):
                rid = RecordId.unpack(packed)
                if self._is_record_of(rid, key):
                    self.heap.delete(rid)
            return
        ids = np.ascontiguousarray(read).view(TLE_DTYPE).reshape(-1)["norad_id"]
        self.heap.delete_many(rids[ok & (ids == keys)])


def _newest(records: Records, *, by_epoch: bool) -> tuple[Keys, Records]:
    """Ids, ascending and distinct, and their rows: the last ones, or those of the newest epoch."""
    if not isinstance(records, np.ndarray) or records.dtype != TLE_DTYPE:
        got = records.dtype if isinstance(records, np.ndarray) else type(records).__name__
        raise TypeError(f"Expected an array of TLE_DTYPE, got {got}")
    if records.ndim != 1:
        raise ValueError(f"Expected a flat array of records, got shape {records.shape}")
    good = valid_rows(records)
    if not good.all():
        TleRecord.unpack(records[int(np.argmin(good))].tobytes())  # raises, by name
    if by_epoch and len(records):
        records = records[np.argsort(epoch_key(records["epoch"]), kind="stable")]
    keys, order = sort_keys(np.ascontiguousarray(records["norad_id"]))
    last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    return keys[last], records[order[last]]


def _id_of(data: bytes) -> int:
    """The id in a packed record; -1 if it is none."""
    return int.from_bytes(data[:4], "little") if len(data) == _WIDTH else -1


def _misled(key: int, rid: RecordId) -> TreeCorrupt:
    return TreeCorrupt(
        rid.page_id, f"the tree names slot {rid.slot} for object {key}, which is not there"
    )
