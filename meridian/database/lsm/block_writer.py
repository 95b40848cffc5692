"""Entries to blocks, a MiB at a time, and what the index says of each block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _block_kernels as kernels
from meridian.database.lsm._crc_kernels import crc_tables
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.table_format import MAX_BLOCK, MAX_BLOCK_SIZE
from meridian.database.storage._kernels import read_only

__all__ = ["BlockWriter", "arrays"]

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]

Write: TypeAlias = Callable[[memoryview], object]

_BUFFER: Final = 1 << 20  # encoded and written at once
_BLOCKS: Final = 4096  # finished blocks between two writes, at most


class BlockWriter:
    """Encode entries, and hand on finished blocks; the unfinished one waits for more entries."""

    __slots__ = ("_blocks", "_index", "_offsets", "_out", "_state", "block_size", "written")

    def __init__(self, block_size: int) -> None:
        self.block_size = block_size
        self.written = 0
        """Bytes of the blocks that were handed on."""
        self._index: list[bytes] = []
        self._out = np.empty(_BUFFER + MAX_BLOCK + MAX_BLOCK_SIZE, np.uint8)
        self._offsets = np.empty(MAX_BLOCK_SIZE // 8 + 1, np.uint16)
        self._state = np.zeros(4, np.int64)  # see `encode_entries`
        self._blocks = np.empty((_BLOCKS + 1, 3), np.int64)

    @property
    def pending_bytes(self) -> int:
        """Bytes encoded and not handed on."""
        return int(self._state[1])

    def add(self, columns: Columns, write: Write) -> None:
        """Encode entries that were checked and follow those before; hand blocks on to `write`."""
        given, row = arrays(columns), 0
        while True:
            row = kernels.encode_entries(
                *given, row, self.block_size,
                self._out, self._offsets, self._state, self._blocks, crc_tables(),
            )  # fmt: skip
            if row == len(columns) and self._state[0] < _BUFFER:
                return
            self._flush(write)

    def finish(self, write: Write) -> bytes:
        """Hand on the rest to `write`; the index of all blocks."""
        kernels.end_block(self._out, self._offsets, self._state, self._blocks, crc_tables())
        self._flush(write)
        return b"".join(self._index)

    def _flush(self, write: Write) -> None:
        """Hand on the finished blocks, and move the one in the making to the front."""
        state = self._state
        start, end, done = int(state[0]), int(state[1]), int(state[3])
        if done:
            index = kernels.index_entries(self._out, self._blocks[:done], self.written)
            self._index.append(index.tobytes())
            write(self._out.data[:start])
            self.written += start
        self._out[: end - start] = self._out[start:end].copy()
        state[0], state[1], state[3] = 0, end - start, 0


def arrays(columns: Columns) -> tuple[_U8, _I64, _U8, _I64, npt.NDArray[np.bool_]]:
    """What kernels take of columns: one type to numba, writable or not."""
    return (
        read_only(columns.keys),
        read_only(columns.key_starts),
        read_only(columns.values),
        read_only(columns.value_starts),
        read_only(columns.tombstones),
    )
