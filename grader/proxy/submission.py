"""The `submission` of acceptance tests: the learner's package, as if it were imported."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from grader.box.files import open_inside, regular_file
from grader.box.workers import Workshop
from grader.judging.compare import CriterionFailed, MustRaise
from grader.proxy.driving import Driving
from grader.proxy.proxy import Batch, Connection, Remote, RemoteBuffer, RemoteError, remote_map

__all__ = ["Raises", "Submission"]


class Raises:
    """What `Submission.raises` gives: after the block, `error` is the exception that was raised."""

    def __init__(self, names: tuple[str, ...], call: str) -> None:
        self._names = names
        self._call = call
        self.error: RemoteError | None = None

    def __enter__(self) -> Raises:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        wanted = " or ".join(self._names)
        if error is None:
            raise CriterionFailed(
                f"{self._call or 'The call'} must raise {wanted}; it returned",
                check=MustRaise(self._names),
            )
        if not isinstance(error, RemoteError):
            return False
        if not error.is_a(*self._names):
            if error.is_a("NotImplementedError"):
                return False  # not written is not the wrong exception
            raise CriterionFailed(
                f"{error}; it must raise {wanted}", check=MustRaise(self._names)
            ) from error
        self.error = error
        return True


class Submission(Driving):
    """Asks a worker for the names of one package; starts that worker on first use.

    One that is `weighed` knows what its worker held before anything of the package ran there.

    >>> page_file = submission.PageFile(submission.path("x.oor"))      # doctest: +SKIP
    >>> with submission.raises("PageOutOfRange", "IndexError"):        # doctest: +SKIP
    ...     page_file.read_page(9, submission.buffer(4096))
    """

    def __init__(self, workshop: Workshop, package: str, *, weighed: bool = False) -> None:
        self._weighed = weighed
        self._empty_bytes = 0
        self._workshop = workshop
        self._package = package
        self._scratch = workshop.scratch()
        self._connection: Connection | None = None
        self._root: Remote | None = None
        self._shared = False
        self._printed: list[tuple[str, str]] = []

    # -- the package -----------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._root is None:
            self._root = self.module()
        return self._ask("get", self._root, name, label=name)

    def module(self, name: str = "") -> Remote:
        """A module of the package, or the package itself."""
        full = f"{self._package}.{name}" if name else self._package
        module = self._ask("module", full, label=f"import {full}")
        assert isinstance(module, Remote)
        return module

    def sources(self) -> dict[str, str]:
        """The Python files of the package as the judge has them, by name: to be read, never run."""
        folder = self._workshop.code / self._package
        files = sorted(folder.rglob("*.py"))
        return {f.relative_to(folder).as_posix(): f.read_text(encoding="utf-8") for f in files}

    def buffer(self, source: bytes | int) -> RemoteBuffer:
        """A bytearray in the worker, of this content or of this many zero bytes."""
        made = self._ask("buffer", source)
        assert isinstance(made, RemoteBuffer)
        return made

    def map(self, function: Remote, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """``[function(*call) for call in calls]`` in one question; exceptions become values."""
        return remote_map(self._live(), function, calls)

    def prepare(self, function: Remote, calls: Sequence[tuple[Any, ...]]) -> Batch:
        """The same calls laid out in the worker, for a benchmark to run inside its clock."""
        return Batch(self._live(), function, calls)

    def raises(self, *names: str, call: str = "") -> Raises:
        """A block that must raise an exception whose class, or a base of it, has such a name."""
        return Raises(names, call)

    # -- files -----------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """What the worker calls file `name` of its scratch folder."""
        regular_file(self._scratch, name)
        return f"{self._workshop.seen_path(self._scratch)}/{name}"

    def host_path(self, name: str) -> Path:
        """What the judge calls the same file. A link planted there fails the criterion."""
        self._shared = True
        try:
            return regular_file(self._scratch, name)
        except ValueError as error:
            raise CriterionFailed(str(error)) from None

    def read(self, name: str) -> bytes:
        """The content of a file, opened so that no link is ever followed."""
        with open(self._open(name, os.O_RDONLY), "rb") as file:
            return file.read(self._workshop.limits.file_bytes)

    def write(self, name: str, data: bytes, offset: int | None = None) -> None:
        """Replace a file's content, or the bytes from `offset` on; links are never followed."""
        fresh = os.O_TRUNC if offset is None else 0
        fd = self._open(name, os.O_WRONLY | os.O_CREAT | fresh)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], (offset or 0) + written)
        finally:
            os.close(fd)

    def truncate(self, name: str, size: int) -> None:
        """Cut a file to `size` bytes, or lengthen it with zeros, as a failing disk might."""
        fd = self._open(name, os.O_WRONLY)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)

    def _open(self, name: str, flags: int) -> int:
        self._shared = self._shared or bool(flags & os.O_CREAT)
        try:
            return open_inside(self._scratch, name, flags)
        except ValueError as error:
            raise CriterionFailed(str(error)) from None
        except OSError as error:
            raise CriterionFailed(f"{name} cannot be opened: {error.strerror}") from None

    # -- its life --------------------------------------------------------------------------------

    def restart(self) -> None:
        """A new worker on the same files; every `Remote` of the old one is dead."""
        self.kill()
        self._live()

    def kill(self) -> None:
        """SIGKILL, as a power failure would: nothing is flushed, no handler runs."""
        connection, self._connection, self._root = self._connection, None, None
        if connection is not None:
            connection.close()
            self._printed.append(connection.output())

    def own_memory(self) -> int:
        """`peak_memory` without what the worker held before the package: interpreter, libraries."""
        return max(0, self.peak_memory() - self._empty_bytes)

    def cpu_s(self) -> float:
        """CPU seconds that the submission's processes have used, read from the kernel by the judge.

        Of all its workers so far, so that the difference of two readings counts. Without a box, of
        this process; 0.0 for a box on a system that has no /proc. In steps of some 10 ms.
        """
        if self._live().in_process:
            used = os.times()
            return used.user + used.system
        return self._workshop.cpu_s()

    def output(self) -> str:
        """What the package printed to stdout so far, cut to the limit."""
        now = [] if self._connection is None else [self._connection.output()]
        return "".join(out for out, _ in (*self._printed, *now))

    def close(self) -> None:
        """End the worker and remove its files."""
        with contextlib.suppress(FileNotFoundError):
            self.kill()
            self._workshop.discard(self._scratch)

    def _live(self) -> Connection:
        if self._connection is None:
            self._connection = self._workshop.connect(self._scratch)
            if self._weighed:
                self._connection.ask("module", "operator")  # now it is there, and its code loaded
                self._empty_bytes = self._connection.peak_memory()
            self._connection.before = self._share
        return self._connection

    def _ask(self, operation: str, *arguments: Any, label: str = "") -> Any:
        return self._live().ask(operation, *arguments, label=label)

    def _share(self) -> None:
        """Files that the judge made belong to the judge; the worker may write them as well."""
        if self._shared:
            self._workshop.share(self._scratch)


def opened(workshop: Workshop, package: str) -> Iterator[Submission]:
    """A `Submission` for one race, cleaned up afterwards: the body of a fixture."""
    submission = Submission(workshop, package, weighed=True)
    try:
        yield submission
    finally:
        submission.close()
