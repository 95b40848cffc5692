"""Engines in a folder of the test's own, and what is put into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from meridian.database.lsm import LsmEngine, norad_keys

__all__ = ["Mixed", "Open", "loaded", "tables_in"]

Open = Callable[..., LsmEngine]
Mixed = tuple[LsmEngine, dict[bytes, bytes]]


def tables_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("sst_*"))


def loaded(engine: LsmEngine, ids: range, value: bytes = b"v" * 82) -> None:
    engine.put_many(norad_keys(np.array(ids)), [value] * len(ids))
