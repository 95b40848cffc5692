"""Hostile bytes in small amounts: for libraries that read as much as a header claims."""

from __future__ import annotations

import gzip
import io
import lzma
import os
from collections.abc import Iterator
from typing import IO

__all__ = ["CHUNK", "Sipped", "gzip_chunks", "xz_chunks"]

CHUNK = 1 << 16
_SIP = 2**20
_MAX_DICTIONARY_BYTES = 128 * 2**20


class Sipped(io.RawIOBase):
    """Gives a library no more than a sip at a time, and altogether not much more than there is.

    `zipfile` reads a directory, `tarfile` a header, in one piece as long as the archive claims;
    a negative length would be everything, an endless loop would read for ever.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = 2 * os.fstat(file.fileno()).st_size + 16 * _SIP

    def read(self, size: int = -1) -> bytes:
        if not -1 <= size <= _SIP:
            raise ValueError(f"a header that asks for {size} bytes")
        content = self._file.read(_SIP + 1 if size == -1 else size)
        self._left -= max(size, len(content))
        if self._left < 0 or len(content) > _SIP:
            raise ValueError("a header that asks for everything")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def gzip_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The content of all gzip members in `file`."""
    with gzip.GzipFile(fileobj=file) as unpacker:
        while chunk := unpacker.read(CHUNK):
            yield chunk


def xz_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The content of the one xz stream in `file`; its dictionary may claim gigabytes."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY_BYTES)
    while not unpacker.eof:
        data = file.read(CHUNK) if unpacker.needs_input else b""
        if unpacker.needs_input and not data:
            raise EOFError("cut short")
        yield unpacker.decompress(data, CHUNK)
