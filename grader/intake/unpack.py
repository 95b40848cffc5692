"""Archives as submissions: read as hostile bytes, and never extracted by a library.

Every number in an archive is a claim: sizes are counted while reading, and a library that would
read as much as a header tells it to is given no more than a sip. Nothing is written to a name
that came out of an archive; `collect` writes what passed under names it made itself.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from grader.intake.intake import NOTEBOOK, Names, SubmissionRefused, is_ignored
from grader.intake.sips import CHUNK, Sipped, gzip_chunks, xz_chunks

__all__ = ["Archive", "is_archive"]

MAX_ARCHIVE_BYTES = 64 * 2**20
MAX_UNPACKED_BYTES = 128 * 2**20
MAX_ENTRIES = 5_000
_LOCAL_HEADER_BYTES = 30
_AGAIN = "Make the archive again and submit that."
_KINDS = "Submit the exercise folder, or a .zip, .tar, .tar.gz, .tgz or .tar.xz of it."


class _Entry(NamedTuple):
    """One member as an archive tells it; `trouble` says why it may not be taken."""

    name: str
    is_folder: bool
    size: int
    trouble: str
    open: Callable[[], IO[bytes]]


class Archive:
    """The package and the notebook of an archive, at its top or in the one folder there.

    Use as a context manager. Raises `SubmissionRefused` for whatever an archive can be or hold
    that a submission may not, and for one that is broken, cut short or encrypted.
    """

    def __init__(self, path: Path, package: str) -> None:
        self._path = path
        self._package = package
        self._open = contextlib.ExitStack()
        self._found: dict[str, _Entry] = {}
        self.names = Names()

    def __enter__(self) -> Archive:
        try:
            with self._blaming():
                entries = [_located(entry) for entry in self._entries()]
            self._take(entries)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def read(self, name: str, cap: int) -> bytes:
        """Up to ``cap + 1`` bytes of a file in `names`."""
        content = bytearray()
        with self._blaming(), self._found[name].open() as file:
            while len(content) <= cap and (chunk := file.read(min(CHUNK, cap + 1 - len(content)))):
                content += chunk
        if len(content) <= cap and len(content) != self._found[name].size:
            raise self._refused(f"a broken archive ({name} is not as long as it says)", _AGAIN)
        return bytes(content)

    # -- which entries are the submission --------------------------------------------------------

    def _take(self, entries: list[tuple[tuple[str, ...], _Entry]]) -> None:
        top = self._top([parts for parts, _ in entries])
        for parts, entry in entries:
            name = "/".join(parts[len(top) :])
            if parts[: len(top)] == top and (
                name == NOTEBOOK or parts[len(top) :][:1] == (self._package,)
            ):
                self._add(name, entry)

    def _add(self, name: str, entry: _Entry) -> None:
        if entry.trouble:
            raise SubmissionRefused(ascii(name)[1:-1], entry.trouble, "Replace or remove it.")
        if entry.is_folder and name != NOTEBOOK:
            self.names.add_folder(name)
            return
        if entry.is_folder:
            raise SubmissionRefused(name, "a folder, not a file", "Remove it.")
        if name == self._package:
            raise SubmissionRefused(name, "a file, not a folder", f"Submit the folder {name}.")
        self.names.add_file(name)
        self._found[name] = entry

    def _top(self, names: list[tuple[str, ...]]) -> tuple[str, ...]:
        """The folder of the archive that holds the package: its top, or one below it."""
        if any(parts[0] == self._package for parts in names):
            return ()
        tops = {parts[0] for parts in names if parts[1:2] == (self._package,)}
        if len(tops) != 1:
            reason = "there more than once" if tops else f"not in {self._path.name}"
            raise SubmissionRefused(
                self._package, reason, f"Submit one folder that holds the package {self._package}."
            )
        return (tops.pop(),)

    # -- what an archive holds -------------------------------------------------------------------

    def _entries(self) -> Iterator[_Entry]:
        """All members but those of caches. Raises `SubmissionRefused`, or what a library raises."""
        file = self._open.enter_context(_plain_file(self._path))
        kind = _kind(file)
        if not kind:
            raise self._refused("not an archive that is taken", _KINDS)
        found = self._zip(file) if kind == "zip" else self._tar(self._unpacked(file, kind))
        for count, entry in enumerate(found, 1):
            if count > MAX_ENTRIES:
                raise self._refused(f"more than {MAX_ENTRIES} entries", "Leave out what is made.")
            if not any(map(is_ignored, entry.name.split("/"))) or ".." in entry.name:
                yield entry

    def _zip(self, file: IO[bytes]) -> Iterator[_Entry]:
        archive = self._open.enter_context(zipfile.ZipFile(Sipped(file)))
        end = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise self._refused("overlapping entries, as in a zip bomb", _AGAIN)
            name = info.orig_filename  # `filename` is cut at the first NUL
            end = info.header_offset + _LOCAL_HEADER_BYTES + len(name) + info.compress_size
            mode = info.external_attr >> 16
            trouble = _trouble(mode)
            if info.flag_bits & 0x41:
                trouble = "encrypted"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                trouble = "compressed in a way that is not taken"
            elif not info.is_dir():
                archive.open(info).close()  # its own header must tell the same name
            is_folder = name.endswith("/") or stat.S_ISDIR(mode)
            yield _Entry(name, is_folder, info.file_size, trouble, partial(archive.open, info))

    def _tar(self, file: IO[bytes]) -> Iterator[_Entry]:
        archive = self._open.enter_context(tarfile.TarFile(fileobj=Sipped(file), encoding="utf-8"))
        for info in archive:
            trouble = ""
            if info.issym():
                trouble = "a symbolic link"
            elif info.islnk():
                trouble = "a hard link"
            elif info.issparse():
                trouble = "a sparse file"
            elif not info.isreg() and not info.isdir():
                trouble = "neither a file nor a folder"
            elif info.size < 0:
                raise self._refused("a broken archive (a size below zero)", _AGAIN)
            content = partial(_content, archive, info)
            yield _Entry(info.name, info.isdir(), info.size, trouble, content)
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise self._refused(
                "a broken archive (cut short, or no header where one is due)", _AGAIN
            )

    def _unpacked(self, file: IO[bytes], kind: str) -> IO[bytes]:
        """`file` without its gzip or xz layer, in a nameless temporary file."""
        if kind == "tar":
            return file
        chunks = gzip_chunks(file) if kind == "gzip" else xz_chunks(file)
        unpacked: IO[bytes] = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        for chunk in chunks:
            unpacked.write(chunk)
            if unpacked.tell() > MAX_UNPACKED_BYTES:
                raise self._refused(
                    f"more than {MAX_UNPACKED_BYTES} bytes unpacked", "Remove data and outputs."
                )
        unpacked.seek(0)
        return unpacked

    @contextlib.contextmanager
    def _blaming(self) -> Iterator[None]:
        """Whatever a library raises over hostile bytes is the archive's fault, and says so."""
        try:
            yield
        except SubmissionRefused:
            raise
        except Exception as error:
            said = ascii(str(error) or type(error).__name__)[1:-1][:200]
            raise self._refused(f"a broken archive ({said})", _AGAIN) from None

    def _refused(self, reason: str, fix: str) -> SubmissionRefused:
        return SubmissionRefused(ascii(self._path.name)[1:-1], reason, fix)


def is_archive(path: Path) -> bool:
    """Whether `path` is a file that begins like an archive that is taken; it may yet be broken."""
    try:
        with _plain_file(path) as file:
            return bool(_kind(file))
    except (OSError, SubmissionRefused):
        return False


def _located(entry: _Entry) -> tuple[tuple[str, ...], _Entry]:
    """The parts of an entry's name. Raises `SubmissionRefused` where it would lead elsewhere."""
    name = entry.name
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    reason = ""
    if name.startswith("/"):
        reason = "an absolute name"
    elif "\\" in name or (len(name) > 1 and name[1] == ":" and name[0].isascii()):
        reason = "a name as Windows writes it"
    elif ".." in parts:
        reason = "a name that leads out of the archive"
    elif "\0" in name:
        reason = "a name with a NUL in it"
    if reason:
        raise SubmissionRefused(ascii(name)[1:-1][:200], reason, _AGAIN)
    return parts or (".",), entry


def _trouble(mode: int) -> str:
    """What an entry is by its Unix mode, where that is neither file nor folder."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return (
        ""
        if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
        else ("neither a file nor a folder")
    )


def _kind(file: IO[bytes]) -> str:
    """``"zip"``, ``"gzip"``, ``"xz"``, ``"tar"`` or nothing, by content: a name proves nothing."""
    head = file.read(tarfile.BLOCKSIZE)
    file.seek(0)
    for kind, magic in (("zip", b"PK\3\4"), ("zip", b"PK\5\6"), ("gzip", b"\x1f\x8b")):
        if head.startswith(magic):
            return kind
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    old_tar = head[148:156].strip(b"\0 ").isdigit()  # a checksum where tar has it
    return "tar" if head[257:262] == b"ustar" or old_tar else ""


def _plain_file(path: Path) -> IO[bytes]:
    """`path` opened, if it is a plain file that is not too large; a pipe would wait for ever."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    facts = os.fstat(fd)
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_ARCHIVE_BYTES:
        return open(fd, "rb")
    os.close(fd)
    name = ascii(path.name)[1:-1]
    if not stat.S_ISREG(facts.st_mode):
        raise SubmissionRefused(name, "neither a folder nor an archive", _KINDS)
    raise SubmissionRefused(
        name, f"larger than {MAX_ARCHIVE_BYTES} bytes", "Remove data and outputs."
    )


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    if file is None:
        raise ValueError(f"{info.name} has no content")
    return file
