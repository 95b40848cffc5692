"""Boxes started in reserve, so that a job begins with a fork and not with a start.

A box is used for one submission only: it waits with its fork server up, its libraries loaded and an
empty folder where the submission will be, and is thrown away afterwards. A thread ends what was
used and starts the next, while nothing is judged if it can wait so long.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from grader.box import BoxUnavailable, Plan, open_box
from grader.box.boxset import BoxSet, scratch_parent
from grader.box.files import remove_tree
from grader.box.runtime import prepare_runtime
from grader.box.system import spare_uid
from grader.limits import Limits
from meridian.errors import MeridianError

__all__ = ["BoxPool", "Lease", "PoolClosed", "Shape"]


class PoolClosed(MeridianError, RuntimeError):
    """A box was asked of a pool that is closed."""

    def __init__(self) -> None:
        super().__init__("This pool is closed: make a new BoxPool")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What boxes must have in common to stand in for each other."""

    tier: str
    limits: Limits
    libraries: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    preload: tuple[str, ...] = ()


class Lease:
    """One submission's box, in a folder that goes with it."""

    def __init__(self, work: Path, boxes: BoxSet) -> None:
        self.work = work
        self.code = boxes.plan.submission
        """Empty; what is put here is what the box sees as the submission."""
        self.boxes = boxes

    def close(self) -> None:
        """End the box and remove its folder. Closing twice is harmless."""
        self.boxes.close()
        remove_tree(self.work)


class BoxPool:
    """Keeps `size` boxes ready, of the shape asked for last. Close it, or use it with `with`."""

    def __init__(self, size: int = 2) -> None:
        if type(size) is not int or not 1 <= size <= 64:
            raise ValueError(f"Expected 1 to 64 boxes in reserve, got {size!r}")
        self._size = size
        self._folder = Path(tempfile.mkdtemp(prefix="meridian-pool-"))
        os.chmod(self._folder, 0o711)
        self._ready: deque[Lease] = deque()
        self._used: deque[Lease] = deque()
        self._lent = 0
        self._shape: Shape | None = None
        self._made = 0
        self._closed = False
        self._failed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._fill, name="box pool", daemon=True)
        self._thread.start()

    def __enter__(self) -> BoxPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def take(self, shape: Shape) -> Iterator[Lease]:
        """A box of `shape` for a block: a ready one, or else one that is started now.

        The block does not wait until the box is gone. Raises `BoxUnavailable` when none can be
        started, `PoolClosed`.
        """
        lease = self._taken(shape)
        try:
            yield lease
        finally:
            with self._changed:
                self._lent -= 1
                self._used.append(lease)
                self._changed.notify_all()
            if self._closed:  # the thread that would do it is gone
                self._clear()

    def _taken(self, shape: Shape) -> Lease:
        with self._changed:
            if self._closed:
                raise PoolClosed
            self._want(shape)
            lease = self._ready.popleft() if self._ready else None
            self._failed = False
            self._lent += 1
            self._changed.notify_all()
        if lease is not None and lease.boxes.alive:
            return lease
        try:
            if lease is not None:
                lease.close()
            return self._make(shape)
        except BaseException:
            with self._changed:
                self._lent -= 1
            raise

    def warm(self, shape: Shape, timeout_s: float = 60.0) -> int:
        """Wait until the reserve of `shape` is full; how many boxes are ready. For measuring."""
        with self._changed:
            if self._closed:
                raise PoolClosed
            self._want(shape)
            self._failed = False
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: len(self._ready) >= self._size or self._failed, timeout_s
            )
            return len(self._ready)

    def close(self) -> None:
        """End all boxes in reserve; one in use ends with its block. Closing twice is harmless."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._used += self._ready
        self._ready.clear()
        self._clear()

    def _clear(self) -> None:
        """What is left to do after `close`, by whoever is last."""
        self._end_used()
        if not self._lent:
            remove_tree(self._folder)

    def _want(self, shape: Shape) -> None:
        """From now on boxes of `shape`; the others in reserve are of no use."""
        if shape != self._shape:
            self._shape = shape
            self._used += self._ready
            self._ready.clear()

    def _fill(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._used or self._wanting())
                if self._closed:
                    return
                shape = self._shape if not self._used else None
            if shape is None:
                self._end_used()
            else:
                self._add(shape)

    def _end_used(self) -> None:
        with contextlib.suppress(IndexError):  # until none is left
            while True:
                self._used.popleft().close()

    def _add(self, shape: Shape) -> None:
        """One box more in reserve, unless it is no longer wanted when it is there."""
        lease: Lease | None = None
        try:
            lease = self._make(shape)
            lease.boxes.wait()
        except (BoxUnavailable, OSError):  # `take` meets the same trouble, and tells it
            with self._changed:
                self._failed = True
                self._changed.notify_all()
        with self._changed:
            if lease is not None:
                fits = shape == self._shape and not self._failed
                (self._ready if fits else self._used).append(lease)
            self._changed.notify_all()

    def _wanting(self) -> bool:
        """Whether to start a box now: beside a job only when none is left for the next."""
        missing = self._shape is not None and len(self._ready) < self._size
        return missing and not self._failed and not (self._lent and self._ready)

    def _make(self, shape: Shape) -> Lease:
        with self._changed:
            self._made += 1
            work = self._folder / f"box-{self._made}"
            runtime = prepare_runtime(self._folder)
        uid = spare_uid()
        work.mkdir(mode=0o755)
        code = work / "submission"
        code.mkdir(mode=0o755)
        try:
            plan = Plan(
                runtime=runtime,
                submission=code,
                scratch=scratch_parent(work, uid),
                libraries=shape.libraries,
                hidden=shape.hidden,
                uid=uid,
                network=shape.limits.network,
            )
            boxes = BoxSet(open_box(shape.tier), plan, shape.limits, shape.preload)
            boxes.start()
        except BaseException:
            remove_tree(work)
            raise
        return Lease(work, boxes)
