"""A file system that fails on request: the nth call, in the way a disk or a kernel may.

fs = FaultyFileSystem()
fs.fail("pwritev", nth=3, error=OSError(errno.ENOSPC, "No space left on device"))
fs.short("preadv", nbytes=100)                  # the next read stops after 100 bytes
fs.tear(nth=2, keep_bytes=2048, silent=True)    # a lying disk: says all, keeps half
store = PageFile(path, fs=fs)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from meridian.fs import Buffer, FileSystem, LogFile, OsFileSystem, RandomFile, StrPath
from meridian.testing.faults import Call, Fault, FaultPlan

__all__ = ["Call", "Fault", "FaultyFileSystem"]


class FaultyFileSystem(FaultPlan):
    """Wraps any `FileSystem` and injects planned faults, so that no test patches ``os``.

    Plan with `fail`, `short`, `tear`; damage what is stored with `flip_bit`, `truncate`; look at
    `counts`, `calls`, `pending` (see `FaultPlan`).
    """

    def __init__(self, inner: FileSystem | None = None) -> None:
        super().__init__()
        self.inner: FileSystem = inner if inner is not None else OsFileSystem()

    # -- damage to what is stored ---------------------------------------------------------------

    def flip_bit(self, path: StrPath, byte: int, bit: int) -> None:
        """Flip bit `bit` (0 is the lowest) of byte `byte` in the stored file, now."""
        if not 0 <= bit <= 7:
            raise ValueError(f"Expected bit 0 to 7, got {bit}")
        file = self.inner.open_random(path)
        try:
            held = bytearray(1)
            if byte < 0 or file.preadv([memoryview(held)], byte) != 1:
                raise ValueError(f"No byte {byte} in {os.fspath(path)} of {file.size()} bytes")
            held[0] ^= 1 << bit
            file.pwritev([held], byte)
        finally:
            file.close()

    def truncate(self, path: StrPath, size: int) -> None:
        """Cut the stored file to its first `size` bytes, now."""
        file = self.inner.open_random(path)
        try:
            if not 0 <= size <= file.size():
                raise ValueError(f"Expected 0 to {file.size()} bytes to keep, got {size}")
            file.truncate(size)
        finally:
            file.close()

    # -- FileSystem -----------------------------------------------------------------------------

    def open_append(self, path: StrPath) -> LogFile:
        with self.call("open_append", path):
            return _FaultyLog(self, self.inner.open_append(path), path)

    def create(self, path: StrPath) -> LogFile:
        with self.call("create", path):
            return _FaultyLog(self, self.inner.create(path), path)

    def open_random(
        self, path: StrPath, *, create: bool = False, direct: bool = False, readonly: bool = False
    ) -> RandomFile:
        with self.call("open_random", path):
            file = self.inner.open_random(path, create=create, direct=direct, readonly=readonly)
            return _FaultyRandom(self, file, path)

    def read(self, path: StrPath) -> memoryview:
        with self.call("read", path):
            return self.inner.read(path)

    def listdir(self, path: StrPath) -> list[str]:
        with self.call("listdir", path):
            return self.inner.listdir(path)

    def exists(self, path: StrPath) -> bool:
        with self.call("exists", path):
            return self.inner.exists(path)

    def size(self, path: StrPath) -> int:
        with self.call("size", path):
            return self.inner.size(path)

    def rename(self, old: StrPath, new: StrPath) -> None:
        with self.call("rename", old):
            self.inner.rename(old, new)

    def unlink(self, path: StrPath) -> None:
        with self.call("unlink", path):
            self.inner.unlink(path)

    def mkdir(self, path: StrPath) -> None:
        with self.call("mkdir", path):
            self.inner.mkdir(path)

    def sync_dir(self, path: StrPath) -> None:
        with self.call("sync_dir", path):
            self.inner.sync_dir(path)


class _FaultyFile:
    """What both kinds of open file share; the plan says what fails and keeps the record."""

    def __init__(self, plan: FaultPlan, inner: RandomFile | LogFile, path: StrPath) -> None:
        self._plan = plan
        self._base = inner
        self.path = os.fspath(path)

    def sync(self) -> None:
        with self._plan.call("sync", self.path):
            self._base.sync()

    def truncate(self, size: int) -> None:
        with self._plan.call("truncate", self.path, size):
            self._base.truncate(size)

    def close(self) -> None:
        try:
            with self._plan.call("close", self.path):
                pass
        finally:  # a real close that fails has still let go of the descriptor
            self._base.close()

    def _transfer(
        self,
        op: str,
        buffers: Sequence[Buffer],
        offset: int,
        move: Callable[[list[memoryview]], int],
    ) -> int:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        size = sum(map(len, views))
        fault = self._plan.arrive(op, self.path)
        done = 0
        try:
            if fault is None:
                done = move(views)
            elif fault.kind == "short":
                done = move(_head(views, fault.nbytes))
            else:
                kept = _head(views, fault.nbytes)
                while kept:
                    moved = move(kept)
                    done += moved
                    kept = _tail(kept, moved)
                if fault.error is not None:
                    raise fault.error
                done = size
        except BaseException as error:
            self._plan.record(Call(op, self.path, offset, size, done, type(error).__name__))
            raise
        self._plan.record(Call(op, self.path, offset, size, done))
        return done


class _FaultyRandom(_FaultyFile):
    def __init__(self, plan: FaultPlan, inner: RandomFile, path: StrPath) -> None:
        super().__init__(plan, inner, path)
        self._inner = inner

    def preadv(self, buffers: Sequence[memoryview], offset: int) -> int:
        return self._transfer("preadv", buffers, offset, lambda v: self._inner.preadv(v, offset))

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> int:
        written = 0

        def move(views: list[memoryview]) -> int:
            nonlocal written
            moved = self._inner.pwritev(views, offset + written)
            written += moved
            return moved

        return self._transfer("pwritev", buffers, offset, move)

    def size(self) -> int:
        with self._plan.call("size", self.path):
            return self._inner.size()

    def lock(self, *, shared: bool = False) -> bool:
        with self._plan.call("lock", self.path):
            return self._inner.lock(shared=shared)


class _FaultyLog(_FaultyFile):
    def __init__(self, plan: FaultPlan, inner: LogFile, path: StrPath) -> None:
        super().__init__(plan, inner, path)
        self._inner = inner

    def write(self, data: Buffer) -> int:
        def move(views: list[memoryview]) -> int:
            return sum(self._inner.write(view) for view in views)

        return self._transfer("write", [data], self._inner.tell(), move)

    def preallocate(self, size: int) -> None:
        with self._plan.call("preallocate", self.path, size):
            self._inner.preallocate(size)

    def tell(self) -> int:
        return self._inner.tell()


def _head(views: Sequence[memoryview], size: int) -> list[memoryview]:
    """The first `size` bytes of a list of buffers, without copying."""
    head = []
    for view in views:
        if size <= 0:
            break
        head.append(view[:size])
        size -= len(view)
    return head


def _tail(views: Sequence[memoryview], start: int) -> list[memoryview]:
    tail = []
    for view in views:
        if start < len(view):
            tail.append(view[max(start, 0) :])
        start -= len(view)
    return tail
