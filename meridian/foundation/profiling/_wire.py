"""Measured data as JSON text: arrays are lists, anything unexpected is an error with its place."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

__all__ = ["decode", "encode"]

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Indented JSON of dataclasses, structs and containers; arrays and numpy scalars included."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_to_plain), indent=1) + b"\n"


def decode(text: str | bytes, kind: type[T]) -> T:
    """The `kind` that `encode` wrote, or ``ValueError`` (``Expected `float`, got ...``)."""
    return msgspec.json.decode(text, type=kind, dec_hook=_from_plain)


def _to_plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise NotImplementedError(f"Cannot write a {type(value).__name__} as JSON")


def _from_plain(_kind: Any, value: object) -> object:
    if not isinstance(value, list):
        raise ValueError(f"Expected a list of numbers, got {type(value).__name__}")
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a list of numbers: {error}") from None
