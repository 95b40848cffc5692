"""How a command says that it could not do its work: one sentence, or one JSON object."""

from __future__ import annotations

import errno
import sys

from meridian.errors import MeridianError

__all__ = ["failure_message", "print_failure"]

_FIXES = {
    errno.ENOENT: "Check the name, and that its folder is there",
    errno.EACCES: "You may not do that there: choose another place, or see `ls -ld` for who may",
    errno.EPERM: "You may not do that there: choose another place, or see `ls -ld` for who may",
    errno.EROFS: "Choose a place on a disk that can be written to",
    errno.EISDIR: "Name a file: this is a folder",
    errno.ENOTDIR: "Choose another place: a part of this path is a file, not a folder",
    errno.EEXIST: "Choose another place: a file is in the way",
    errno.ENOSPC: "Free some space on its disk, or choose another place",
    errno.EDQUOT: "Free some of your quota on its disk, or choose another place",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


def failure_message(error: Exception) -> str:
    """What went wrong and what to do about it.

    Errors of ours say so themselves; for one of the operating system it is put together from the
    file, the system's own words and what usually helps.
    """
    if isinstance(error, MeridianError) or not isinstance(error, OSError):
        return str(error)
    if error.filename is None or error.strerror is None:
        return str(error)
    # What is written under this name first is renamed when it is complete (`write_atomically`).
    name = str(error.filename).removesuffix(".tmp")
    fix = _FIXES.get(error.errno or 0)
    return f"{name}: {error.strerror}." + (f" {fix}" if fix else "")


def print_failure(error: Exception, message: str, *, as_json: bool) -> None:
    """Say on standard error what went wrong: for a person, or ``{"error": {kind, message}}``."""
    if not as_json:
        print(f"meridian: {message}", file=sys.stderr)
        return
    import json

    said = {"error": {"kind": type(error).__name__, "message": message}}
    print(json.dumps(said, ensure_ascii=False), file=sys.stderr)
