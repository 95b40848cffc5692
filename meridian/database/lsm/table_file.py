"""The open file of a table, read by many threads and closed by any."""

from __future__ import annotations

import threading

from meridian.database.lsm.errors import CorruptTable, EngineClosed
from meridian.fs import RandomFile

__all__ = ["TableFile"]


class TableFile:
    """The open file of a table. Closed while threads read it, it lets them end first.

    A descriptor that is closed under a read would be given to the next file that is opened, and
    the read would go there.
    """

    __slots__ = ("_file", "_lock", "_readers", "closed", "path")

    def __init__(self, file: RandomFile, path: str) -> None:
        self.path = path
        self._file = file
        self._lock = threading.Lock()
        self._readers = 0
        self.closed = False

    def read(self, view: memoryview, offset: int, part: str) -> None:
        """Fill `view` from `offset` on.

        Raises `EngineClosed` once it was closed, `CorruptTable` of `part` at the end of the file,
        and `OSError` as the file layer does.
        """
        with self._lock:
            if self.closed:
                raise EngineClosed(f"Table {self.path}")
            self._readers += 1
        try:
            done = 0
            while done < len(view):
                try:
                    got = self._file.preadv([view[done:]], offset + done)
                except InterruptedError:
                    continue
                if not got:
                    end = offset + done
                    raise CorruptTable(self.path, part, f"the file ends after {end:,} bytes")
                done += got
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._readers -= 1
            last = self.closed and not self._readers
        if last:
            self._file.close()

    def close(self) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed = True
            idle = not self._readers
        if idle:
            self._file.close()
