"""Taking in a submission: plain files of known kinds, copied and hashed, or a clear refusal."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from grader.box.files import open_beneath
from grader.intake.intake import MAX_TOTAL_BYTES, NOTEBOOK, Names, SubmissionRefused, is_ignored
from grader.intake.unpack import Archive

__all__ = ["Collected", "SubmissionRefused", "collect"]


class Collected(msgspec.Struct, frozen=True):
    """What was taken: paths relative to the submission, and the digest of all content."""

    files: tuple[str, ...]
    sha256: str
    total_bytes: int
    has_notebook: bool


def collect(source: Path, destination: Path, package: str) -> Collected:
    """Copy `package` and the capstone notebook from `source` into the new folder `destination`.

    `source` is the folder that holds them, or an archive of it (zip, tar, tar.gz, tar.xz) with or
    without that folder; nothing else in it is looked at. The digest covers names and content, not
    dates or modes, and is the same for a folder and for its archive. Raises `SubmissionRefused`
    for links, devices, compiled code, for names that lead elsewhere, and for too much of
    anything; `source` itself may be reached through a link.
    """
    root = Path(os.path.realpath(source))
    if not root.exists():
        raise SubmissionRefused(str(source), "does not exist", "Submit the exercise folder.")
    digest, total = hashlib.sha256(), 0
    with _Folder(root, package) if root.is_dir() else Archive(root, package) as tree:
        names = tree.names.sorted()
        _make_folder(destination)
        for name in names:
            cap = tree.names.cap(name)
            content = tree.read(name, cap)
            if len(content) > cap:
                raise SubmissionRefused(
                    name, f"larger than {cap} bytes", "Remove data and outputs."
                )
            total += len(content)
            if total > MAX_TOTAL_BYTES:
                raise SubmissionRefused(
                    name, f"more than {MAX_TOTAL_BYTES} bytes in all", "Remove data files."
                )
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
            _write(destination, name, content)
    return Collected(tuple(names), digest.hexdigest(), total, NOTEBOOK in names)


class _Folder:
    """The package and the notebook of a folder, which its owner may change while it is read."""

    def __init__(self, root: Path, package: str) -> None:
        self._root = root
        self._package = package
        self.names = Names()

    def __enter__(self) -> _Folder:
        if not os.path.lexists(self._root / self._package):
            raise SubmissionRefused(
                self._package,
                "missing",
                f"Submit the folder that holds the package {self._package}.",
            )
        self._walk(self._package)
        if os.path.lexists(self._root / NOTEBOOK):  # what it is, is seen when it is read
            self.names.add_file(NOTEBOOK)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def read(self, name: str, cap: int) -> bytes:
        """Up to ``cap + 1`` bytes of a plain file; what it is, is checked on the descriptor."""
        try:
            fd = open_beneath(self._root, name, os.O_RDONLY)
        except OSError as error:
            raise self._unreadable(name, error) from None
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
            os.close(fd)
            raise _not_plain(name, facts)
        with open(fd, "rb") as file:
            return file.read(cap + 1)

    def _walk(self, folder: str) -> None:
        """Name the files below `folder`, refusing what is neither file nor folder."""
        self.names.add_folder(folder)
        for name, facts in self._listed(folder):
            if stat.S_ISDIR(facts.st_mode):
                self._walk(name)
            elif not stat.S_ISREG(facts.st_mode):
                raise _not_plain(name, facts)
            else:
                self.names.add_file(name)

    def _listed(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            fd = open_beneath(self._root, folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unreadable(folder, error) from None
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if not is_ignored(entry.name):
                        yield f"{folder}/{entry.name}", entry.stat(follow_symlinks=False)
        except OSError as error:
            raise self._unreadable(folder, error) from None
        finally:
            os.close(fd)

    def _unreadable(self, name: str, error: OSError) -> SubmissionRefused:
        try:
            facts = os.lstat(self._root / name)
        except OSError:
            return SubmissionRefused(
                ascii(name)[1:-1], "gone while it was read", "Submit it again."
            )
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            return _not_plain(name, facts)
        if name == self._package and not stat.S_ISDIR(facts.st_mode):
            return SubmissionRefused(name, "a file, not a folder", f"Submit the folder {name}.")
        if isinstance(error, FileNotFoundError):
            return SubmissionRefused(name, "changed while it was read", "Submit it again.")
        return SubmissionRefused(name, f"cannot be read: {error.strerror}", "Allow it.")


def _write(destination: Path, name: str, content: bytes) -> None:
    """Write one file that the box may read, whatever the umask is."""
    *above, _ = name.split("/")
    for i in range(1, len(above) + 1):
        _make_folder(destination.joinpath(*above[:i]))
    target = destination / name
    target.write_bytes(content)
    target.chmod(0o644)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _not_plain(name: str, facts: os.stat_result) -> SubmissionRefused:
    if stat.S_ISLNK(facts.st_mode):
        return SubmissionRefused(name, "a symbolic link", "Replace it by the file itself.")
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
        return SubmissionRefused(name, "a hard link", "Replace it by a copy of the file.")
    if stat.S_ISDIR(facts.st_mode):
        return SubmissionRefused(name, "a folder, not a file", "Remove it.")
    return SubmissionRefused(name, "neither a file nor a folder", "Remove it.")
