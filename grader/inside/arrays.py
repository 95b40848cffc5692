"""NumPy arrays and scalars as dtype, shape and bytes: plain data that both sides can believe.

NumPy is imported here only when an array has come in; a process that never sees one never loads
it. What has no exact plain form (object dtype, titles, empty items, extension dtypes, subclasses
of ``ndarray``) stays where it is, under a handle.

The description of a dtype is a tree: text as in ``dtype.str``, a list of five (names, trees,
offsets, item size, whether aligned) for a record, a list of two (tree, shape) for a sub-array.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any

__all__ = ["array_of", "parts_of", "scalar_of"]

_PLAIN = re.compile(
    r"[<>|](?:[bBiufcSUV][1-9]\d{0,8}|[mM]8(?:\[\d{0,9}(?:[YMWDhms]|ms|us|ns|ps|fs|as)\])?)"
)
_MAX_DIMENSIONS = 32
_MAX_FIELDS = 1_000
_MAX_DTYPE_DEPTH = 8
_LAST_CODE_POINT = 0x10FFFF


class _NotPlainError(Exception):
    """This dtype has no exact plain form."""


def parts_of(value: Any) -> tuple[Any, list[int] | None, bytes] | None:
    """Description of the dtype, shape (``None`` for a scalar) and bytes in C order.

    ``None`` for everything that is not exactly a NumPy array or scalar of a plain dtype.
    """
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return None
    is_array = type(value) is numpy.ndarray
    if not is_array and not (isinstance(value, numpy.generic) and type(value) is value.dtype.type):
        return None
    try:
        described = _describe(value.dtype)
    except _NotPlainError:
        return None
    return described, list(value.shape) if is_array else None, value.tobytes()


def _describe(dtype: Any) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_describe(base), list(shape)]
    if dtype.hasobject or dtype.itemsize == 0:
        raise _NotPlainError
    if dtype.names is None:
        if not _PLAIN.fullmatch(dtype.str):
            raise _NotPlainError
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    if any(len(field) != 2 for field in fields):  # with a title
        raise _NotPlainError
    return [
        list(dtype.names),
        [_describe(field[0]) for field in fields],
        [field[1] for field in fields],
        dtype.itemsize,
        dtype.isalignedstruct,
    ]


def array_of(description: Any, shape: Any, data: Any) -> Any:
    """A new, writable, C-ordered ``ndarray``. Raises `ValueError` when the parts do not fit.

    The size is computed from the description before any memory is taken.
    """
    import numpy

    if type(shape) is not list or len(shape) > _MAX_DIMENSIONS or type(data) is not bytes:
        raise ValueError("an array without shape or bytes")
    if not all(type(length) is int and 0 <= length < 2**62 for length in shape):
        raise ValueError("an array with a length that is none")
    dtype = _dtype(description)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array whose shape does not fit its bytes")
    try:
        array = numpy.ndarray(tuple(shape), dtype, data).copy()
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"an array that cannot be ({error})") from None
    _check(array)
    return array


def scalar_of(description: Any, data: Any) -> Any:
    """The NumPy scalar; errors as `array_of`."""
    return array_of(description, [], data)[()]


def _dtype(tree: Any, depth: int = 0) -> Any:
    import numpy

    if type(tree) is str and _PLAIN.fullmatch(tree):
        try:
            return numpy.dtype(tree)
        except TypeError:
            raise ValueError("a dtype that NumPy does not have") from None
    if type(tree) is not list or depth > _MAX_DTYPE_DEPTH or len(tree) not in (2, 5):
        raise ValueError("a dtype that is none")
    try:
        if len(tree) == 2:
            base, shape = _dtype(tree[0], depth + 1), tree[1]
            if type(shape) is not list or not all(type(n) is int and n > 0 for n in shape):
                raise ValueError("a sub-array without a shape")
            return numpy.dtype((base, tuple(shape)))
        names, trees, offsets, itemsize, aligned = tree
        kinds = [type(part) for part in tree]
        if kinds != [list, list, list, int, bool] or not 0 < len(names) <= _MAX_FIELDS:
            raise ValueError("a record dtype that is none")
        if not all(type(name) is str for name in names) or not all(
            type(offset) is int for offset in offsets
        ):
            raise ValueError("a record dtype without names or offsets")
        layout = {
            "names": names,
            "formats": [_dtype(part, depth + 1) for part in trees],
            "offsets": offsets,
            "itemsize": itemsize,
        }
        return numpy.dtype(layout, align=aligned)  # type: ignore[call-overload]
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a dtype that cannot be ({error})") from None


def _check(array: Any) -> None:
    """Refuse bytes that stand for no value: a bool of 2, a code point beyond Unicode."""
    if array.dtype.names is not None:
        for name in array.dtype.names:
            _check(array[name])
    elif array.dtype.kind == "b":
        if (array.view("u1") > 1).any():
            raise ValueError("a bool that is neither true nor false")
    elif array.dtype.kind == "U" and array.size:
        import numpy

        points = numpy.atleast_1d(numpy.ascontiguousarray(array)).view(array.dtype.str[0] + "u4")
        if (points > _LAST_CODE_POINT).any():
            raise ValueError("text beyond Unicode")
