"""Which tables count, and in which level. Given: nothing to write here.

One small file, replaced as a whole: a crash leaves the old list or the new one. A table becomes
part of the data when it is listed, and a file that is not listed is rubbish.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

NAME = "LSMSTATE"


class Listed(NamedTuple):
    """The number of the next table, and the numbers of all tables by level, in their order."""

    next_id: int
    levels: list[list[int]]


class Manifest:
    """The list of tables of the engine in `folder`."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self.path = os.path.join(self.folder, NAME)

    def load(self) -> Listed | None:
        """What was committed last; `None` where nothing ever was."""
        try:
            with open(self.path, encoding="utf-8") as file:
                state = json.load(file)
        except FileNotFoundError:
            return None
        return Listed(state["next_id"], state["levels"])

    def commit(self, next_id: int, levels: Sequence[Sequence[int]]) -> None:
        """Replace the list; on the device when this returns. The tables in it must be so before."""
        text = json.dumps({"next_id": next_id, "levels": [list(level) for level in levels]})
        with open(self.path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".tmp", self.path)
        sync_folder(self.folder)


def sync_folder(folder: str) -> None:
    """Flush names to the device: a file that was renamed keeps its new name after a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
