"""Results that cannot be mistaken: files of one job under one seal, kept by the job's cache key.

A worker seals what it wrote with a secret made for this one job, so a result that was cut short,
changed, or belongs to another job is noticed. The same file is the cache: equal submission,
grader and environment have an equal key, and what lies under it is the verdict.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

import msgspec

from grader.cohort.errors import BrokenSeal

__all__ = ["MAX_RESULT_BYTES", "Results", "job_secret", "seal", "unseal"]

MAX_RESULT_BYTES = 64 * 2**20
_MAGIC = b"MSA1"
_SEAL_BYTES = 32
_HEAD = len(_MAGIC) + _SEAL_BYTES
_NAME = re.compile(r"(plots/)?[\w][\w.\-]{0,150}")
_KEY = re.compile(r"[0-9a-f]{64}")
_FILES = msgspec.msgpack.Decoder(dict[str, bytes])


def job_secret(run_secret: bytes, cache_key: str) -> bytes:
    """What one job is sealed and signed with; it opens nothing else."""
    return hmac.new(run_secret, b"cohort job\0" + cache_key.encode(), hashlib.sha256).digest()


def seal(files: dict[str, bytes], secret: bytes) -> bytes:
    """`files`, by plain name or ``plots/<name>``, as bytes that only `secret` could have made.

    Raises `ValueError` for a name that is more than a file's name, and for too much of it.
    """
    for name in files:
        if not _NAME.fullmatch(name):
            raise ValueError(f"Expected a plain file name, got {name!r}")
    body = msgspec.msgpack.encode(files, order="deterministic")
    if len(body) > MAX_RESULT_BYTES:
        raise ValueError(f"A result of {len(body)} bytes; {MAX_RESULT_BYTES} may be sent")
    return _MAGIC + hmac.new(secret, body, hashlib.sha256).digest() + body


def unseal(data: bytes, secret: bytes) -> dict[str, bytes]:
    """The files that `seal` took. Raises `BrokenSeal`; nothing is decoded before it holds."""
    if len(data) < _HEAD or not data.startswith(_MAGIC):
        raise BrokenSeal("not a sealed result")
    body = data[_HEAD:]
    expected = hmac.new(secret, body, hashlib.sha256).digest()
    if not hmac.compare_digest(expected, data[len(_MAGIC) : _HEAD]):
        raise BrokenSeal("the seal does not fit")
    try:
        files = _FILES.decode(body)
    except msgspec.DecodeError as error:
        raise BrokenSeal(str(error)) from None
    if not all(_NAME.fullmatch(name) for name in files):
        raise BrokenSeal("it names files elsewhere")
    return files


class Results:
    """One sealed file for every job that was judged; the first one written stays.

    Written beside its place and linked into it, so a reader never sees half a result, and two
    workers that judged the same job (one lost its lease) cannot replace what was entered.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, cache_key: str) -> Path:
        """Where the result is kept. Raises `ValueError` for what is no cache key."""
        if not _KEY.fullmatch(cache_key):
            raise ValueError(f"Expected 64 hexadecimal digits, got {cache_key!r}")
        return self.folder / cache_key[:2] / f"{cache_key}.sealed"

    def get(self, cache_key: str, secret: bytes) -> dict[str, bytes] | None:
        """The files of this job, ``None`` where it has no result. Raises `BrokenSeal`."""
        try:
            with open(self.path(cache_key), "rb") as file:
                data = file.read(_HEAD + MAX_RESULT_BYTES + 1)
        except FileNotFoundError:
            return None
        return unseal(data, secret)

    def holds(self, cache_key: str, secret: bytes) -> bool:
        """Whether there is a result and it is whole; a damaged one is removed."""
        try:
            return self.get(cache_key, secret) is not None
        except BrokenSeal:
            self.discard(cache_key)
            return False

    def put(self, cache_key: str, data: bytes, secret: bytes) -> None:
        """Keep `data`, unless a whole result is there already. Raises `BrokenSeal`, `OSError`."""
        unseal(data, secret)
        path = self.path(cache_key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                if not self.holds(cache_key, secret):
                    os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers that were killed left half written."""
        for path in self.folder.glob("*/.*"):
            path.unlink(missing_ok=True)

    def discard(self, cache_key: str) -> None:
        """Forget a result. Discarding what is not there is harmless."""
        self.path(cache_key).unlink(missing_ok=True)
