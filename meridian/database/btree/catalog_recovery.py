"""Build the index of a catalogue anew from its records, after a session that did not end well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from meridian.database.btree.errors import IndexNeedsRebuild
from meridian.database.btree.tree import BPlusTree
from meridian.database.storage.errors import CorruptPage, StorageClosed
from meridian.database.storage.page import HEADER_SIZE, SLOT_SIZE, PageType
from meridian.database.storage.page_file import PageFile
from meridian.database.storage.page_manager import PageManager
from meridian.database.storage.rid import RecordId
from meridian.database.storage.slotted_page import SlottedPage
from meridian.database.storage.tle import TLE_DTYPE, epoch_key
from meridian.fs import FileSystem, OsFileSystem, StrPath
from meridian.orbital.tle import ElementOutOfRange

__all__ = ["abandon", "check_closed_cleanly", "rebuild_index"]

Rids = npt.NDArray[np.uint64]
_WIDTH = TLE_DTYPE.itemsize
_TYPE_AT = 8
_BATCH = 64


def check_closed_cleanly(path: StrPath, page_size: int, fs: FileSystem | None) -> None:
    """Raise `IndexNeedsRebuild` for a file that was not; leave it as it is.

    Read-only: whoever opens a file to write, and closes it, marks it as closed cleanly.
    """
    if not (fs or OsFileSystem()).exists(path) or not (fs or OsFileSystem()).size(path):
        return
    with PageFile(path, page_size, readonly=True, fs=fs) as file:
        clean = file.was_clean
    if not clean:
        raise IndexNeedsRebuild(os.fspath(path))


def abandon(heap: PageManager) -> None:
    """Let go of a file without a word: not written any more, and not marked as closed cleanly."""
    heap.file._wrote = False
    heap.file.close()
    with suppress(StorageClosed):  # which says that changed pages are lost
        heap.pool.close()


def rebuild_index(heap: PageManager) -> BPlusTree:
    """The tree over the readable records of `heap`, whose old index pages become free.

    Of several records with one id, the one with the newest epoch stays, of equal epochs the last;
    the others are deleted, or they would be back after the next crash.
    """
    _free_index(heap)
    parts = list(_records(heap))
    rids = np.concatenate([rids for rids, _ in parts]) if parts else np.empty(0, np.uint64)
    rows = np.concatenate([rows for _, rows in parts]) if parts else np.empty(0, TLE_DTYPE)
    order = np.lexsort((rids, _ages(rows["epoch"]), rows["norad_id"]))
    keys, rids = rows["norad_id"][order], rids[order]
    last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    tree = BPlusTree.rebuild(heap.pool, [(keys[last], rids[last])])
    heap.delete_many(rids[~last])
    return tree


def _ages(epochs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What sorts records from old to new; one whose epoch is none is older than all others."""
    keys = np.full(len(epochs), -np.inf)
    try:
        keys[:] = epoch_key(epochs)
    except ElementOutOfRange:
        for i, epoch in enumerate(epochs.tolist()):
            with suppress(ElementOutOfRange):
                keys[i] = epoch_key(epoch)
    return keys


def _free_index(heap: PageManager) -> None:
    """Give the pages of the old index back: the file has one tree, so all of type INDEX."""
    file = heap.file
    for root in (0, 1):
        file.set_root(root, 0)
    damaged = set(heap.damaged)
    buffer = memoryview(bytearray(_BATCH * file.page_size))
    for first in range(1, file.page_count, _BATCH):
        page_ids = range(first, min(first + _BATCH, file.page_count))
        pages = [buffer[i * file.page_size :][: file.page_size] for i in range(len(page_ids))]
        file.read_pages(page_ids, pages, verify=False)
        for page_id, page in zip(page_ids, pages, strict=True):
            if page[_TYPE_AT] == PageType.INDEX and page_id not in damaged:
                heap.pool.free_page(page_id)


def _records(heap: PageManager) -> Iterator[tuple[Rids, npt.NDArray[np.void]]]:
    """All element sets that can be read, with their packed ids."""
    if not heap.damaged:
        for rids, rows in heap.scan():
            if rows.shape[1] == _WIDTH:
                yield rids, np.ascontiguousarray(rows).view(TLE_DTYPE).reshape(-1)
        return
    # A page whose directory is damaged has sound records, too: each slot is asked for.
    for page_id in heap._space.data_pages().tolist():
        found: list[tuple[int, bytes]] = []
        for slot in range(_slots(heap, page_id)):
            try:
                data = heap.get(RecordId(page_id, slot))
            except CorruptPage:
                continue
            if data is not None and len(data) == _WIDTH:
                found.append((page_id << 16 | slot, data))
        if found:
            rids = np.array([rid for rid, _ in found], np.uint64)
            yield rids, np.frombuffer(b"".join(data for _, data in found), TLE_DTYPE)


def _slots(heap: PageManager, page_id: int) -> int:
    """Slots of a data page, at most as many as it has room for; 0 if it cannot be read."""
    most = (heap.file.page_size - HEADER_SIZE) // SLOT_SIZE
    try:
        with heap.pool.fetch(page_id, scan=True) as page:
            return min(SlottedPage(page.data).slot_count, most)
    except CorruptPage:
        return 0
