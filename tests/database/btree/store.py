"""File, pool and tree as one thing, and the pages below them by the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meridian.database.btree import BPlusTree
from meridian.database.storage import BufferPool, PageFile, RecordId, seal
from meridian.testing import FaultyFileSystem


class Store:
    """A tree of small pages, so that few keys make many levels."""

    def __init__(
        self,
        path: Path,
        *,
        frames: int = 16,
        page_size: int = 512,
        policy: str = "clock",
        fs: FaultyFileSystem | None = None,
        **options: Any,
    ) -> None:
        self.path = path
        self.fs = fs
        self.frames = frames
        self.page_size = page_size
        self.policy = policy
        self.options = options
        self.open()

    def open(self, **changed: Any) -> None:
        self.file = PageFile(self.path, self.page_size, fs=self.fs)
        self.pool = BufferPool(self.file, self.frames, self.policy)
        self.tree = BPlusTree(self.pool, **{**self.options, **changed})

    def close(self) -> None:
        try:
            self.pool.close()
        finally:
            self.file.close()

    def reopen(self, **changed: Any) -> BPlusTree:
        self.close()
        self.open(**changed)
        return self.tree

    def items(self) -> dict[int, RecordId]:
        """Every key, by `get`."""
        return {key: rid for key in range(512) if (rid := self.tree.get(key)) is not None}

    def read(self, page_id: int) -> bytearray:
        """A page as it is in the file."""
        self.pool.flush_all()
        page = bytearray(self.page_size)
        self.file.read_page(page_id, memoryview(page))
        return page

    def patch(self, page_id: int, at: int, new: bytes) -> None:
        """Change bytes of a page behind the tree's back; its checksum is right again."""
        page = self.read(page_id)
        page[at : at + len(new)] = new
        seal(page)
        self.file.write_page(page_id, page)
        self.reopen()


def rid_of(key: int) -> RecordId:
    """A record id that tells which key it belongs to."""
    return RecordId(key * 7 + 1, key & 0xFFFF)
