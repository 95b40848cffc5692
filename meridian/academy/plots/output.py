"""A plot on disk is three files: the picture twice, and the numbers behind it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from meridian.academy.plots.theme import Plot
from meridian.foundation.profiling.files import replace_files
from meridian.fs import FileSystem

__all__ = ["Saved", "save"]


class Saved(NamedTuple):
    """Where `save` put the files."""

    png: Path
    svg: Path
    json: Path


def save(
    fig: Plot, path_stem: str | os.PathLike[str], data: object, *, fs: FileSystem | None = None
) -> Saved:
    """Write ``STEM.png``, ``STEM.svg`` and ``STEM.json`` in one step each; return their paths.

    `data` is anything made of structs, dataclasses, mappings, sequences, numbers, text and numpy
    arrays; not-a-number and infinities become ``null``. Everything is rendered before the first
    file is touched, so an error leaves earlier files as they were. Folders are created.
    """
    stem = Path(path_stem)
    if not stem.name:
        raise ValueError(f"Expected a file name without extension, got {os.fspath(path_stem)!r}")
    paths = Saved(*(stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg", "json")))
    numbers = msgspec.json.encode(_plain(msgspec.to_builtins(data, enc_hook=_unpack)))
    contents = {
        paths.png: fig.image("png"),
        paths.svg: fig.image("svg"),
        paths.json: msgspec.json.format(numbers, indent=1) + b"\n",
    }
    replace_files(contents, fs)
    return paths


def _unpack(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"Cannot write a {type(value).__name__} as JSON")


def _plain(value: object) -> object:
    """`value` with text keys and without the floats JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
