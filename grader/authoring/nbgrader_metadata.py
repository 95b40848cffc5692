"""nbgrader's cell metadata, schema 3, as its own tools read and write it.

Editors keep this metadata when they renumber cells, and its id names a cell to the judge. The
checksum is nbgrader's: its tools, and a reader, can tell that a locked cell was changed or that
an answer was not begun.
"""

from __future__ import annotations

import hashlib
from typing import Any

__all__ = ["SCHEMA_VERSION", "nbgrader_metadata"]

SCHEMA_VERSION = 3


def nbgrader_metadata(name: str, kind: str, source: str, *, theirs: bool) -> dict[str, Any]:
    """Metadata for one cell of ours: an answer, or a cell that is not to be changed."""
    return {
        "schema_version": SCHEMA_VERSION,
        "grade": False,
        "grade_id": name,
        "locked": not theirs,
        "solution": theirs,
        "task": False,
        "cell_type": kind,
        "checksum": _checksum(name, kind, source, theirs=theirs),
    }


def _checksum(name: str, kind: str, source: str, *, theirs: bool) -> str:
    """MD5 of source, type, the three roles (graded, answer, locked) and the id, as in 0.9."""
    roles = ("False", str(theirs), str(not theirs))
    text = "".join((source, kind, *roles, name))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
