"""What was handed in, kept by its hash: without the files no attempt can be judged again."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from pathlib import Path, PurePosixPath

from grader.intake.collect import Collected
from grader.report import write_file
from meridian.errors import MeridianError

__all__ = ["StoreError", "SubmissionStore"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


class StoreError(MeridianError, LookupError):
    """The files of a submission are not in the store, or no longer what was handed in."""

    def __init__(self, folder: Path, sha256: str, reason: str) -> None:
        self.folder = folder
        self.sha256 = sha256
        self.reason = reason
        super().__init__(f"{folder}: submission {sha256[:16] or '(refused)'} {reason}")


class SubmissionStore:
    """One ``<sha256>.tar`` for every distinct submission; handing in the same again adds nothing.

    The name is the digest that `collect` took and the report signed, so what comes out is
    what was judged, or an error.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where these files are kept. Raises `StoreError` for what is no digest."""
        if not _SHA256.fullmatch(sha256):
            raise StoreError(self.folder, sha256[:64], "was never taken in, so nothing was kept")
        return self.folder / f"{sha256}.tar"

    def __contains__(self, sha256: str) -> bool:
        return _SHA256.fullmatch(sha256) is not None and self.path(sha256).is_file()

    def add(self, code: Path, collected: Collected) -> Path:
        """Keep the files of `code`, the folder that `collect` filled. Several jobs may at once."""
        path = self.path(collected.sha256)
        if not path.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(path, _packed(code, collected.files))
        return path

    def take(self, sha256: str, destination: Path) -> Path:
        """Write these files into the new folder `destination` and return it.

        Raises `StoreError` when they are missing, or their content is no longer that of the hash;
        then nothing is written.
        """
        path = self.path(sha256)
        try:
            files = _unpacked(path)
        except FileNotFoundError:
            raise StoreError(self.folder, sha256, "is not kept here") from None
        except (tarfile.TarError, EOFError) as error:
            raise StoreError(self.folder, sha256, f"cannot be read: {error}") from None
        digest = hashlib.sha256()
        for name, content in files.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        if digest.hexdigest() != sha256:
            raise StoreError(self.folder, sha256, "is damaged: its content has another hash")
        destination.mkdir(parents=True)
        for name, content in files.items():
            target = destination / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return destination


def _packed(code: Path, names: tuple[str, ...]) -> bytes:
    """A tar in which nothing but names and content differs: equal submissions, equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            content = (code / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _unpacked(path: Path) -> dict[str, bytes]:
    """Every file in the order it was packed. Raises `TarError` for what `_packed` never writes."""
    files: dict[str, bytes] = {}
    with tarfile.open(path, mode="r:") as archive:
        for entry in archive:
            name = PurePosixPath(entry.name)
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None or name.is_absolute() or ".." in name.parts or entry.name in files:
                raise tarfile.TarError(f"unexpected entry {entry.name!r}")
            files[entry.name] = content.read()
    return files
