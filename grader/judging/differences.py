"""Where two values differ, in words short enough for a learner to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["difference", "is_numpy", "same_arrays", "show"]

_MAX_SHOWN_CHARS = 300
_MAX_WHOLE_CHARS = 100
_MAX_SHOWN_BYTES = 48
_MAX_SHOWN_BITS = 1_000
_SHOWN_ITEMS = 20

Same = Callable[[Any, Any], bool]


def is_numpy(value: Any) -> bool:
    """Whether it is a NumPy array or scalar. Loads nothing: an array could not be here else."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)


def same_arrays(got: Any, want: Any) -> bool:
    """Equal dtype, shape and values; NaN and NaT equal themselves at the same place."""
    return got.dtype == want.dtype and got.shape == want.shape and not _unequal(got, want).any()


def _unequal(got: Any, want: Any) -> Any:
    """Where two arrays of one dtype and shape differ."""
    import numpy

    got, want = numpy.asarray(got), numpy.asarray(want)
    if got.dtype.names is not None:
        places = numpy.zeros(got.shape, bool)
        for name in got.dtype.names:
            fields = _unequal(got[name], want[name])
            inner = tuple(range(got.ndim, fields.ndim))  # of a field that is an array itself
            places |= fields.any(axis=inner) if inner else fields
        return places
    if got.dtype.kind == "V":
        raw = [numpy.frombuffer(a.tobytes(), "u1").reshape(*a.shape, -1) for a in (got, want)]
        return (raw[0] != raw[1]).any(axis=-1)
    places = numpy.asarray(got != want)
    if got.dtype.kind in "fc":
        places &= ~(numpy.isnan(got) & numpy.isnan(want))
    elif got.dtype.kind in "mM":
        places &= ~(numpy.isnat(got) & numpy.isnat(want))
    return places


def difference(got: Any, want: Any, same: Same, path: str = "") -> str:
    """ "1, got 2", or the first place where two values differ that are too long to show."""
    at = f"{path} to be " if path else ""
    kind = type(want)
    if type(got) is not kind:
        return f"{at}{show(want)}, got {show(got)}"
    if is_numpy(want):
        return _array_difference(got, want, path)
    if kind is bytes and len(got) == len(want) > 16:
        i = next(i for i in range(len(want)) if got[i] != want[i])
        return f"{path}byte {i} of {len(want)} to be {want[i]:#04x}, got {got[i]:#04x}"
    if kind in (list, tuple) and _is_long(got, want):
        pairs = enumerate(zip(got, want, strict=False))
        i = next((i for i, pair in pairs if not same(*pair)), min(len(got), len(want)))
        if len(got) == len(want):
            return difference(got[i], want[i], same, f"{path}[{i}]")
        sizes = f"{len(want)} items, got {len(got)}"
        return (
            f"{at}{sizes}; the first that differs is [{i}]: {_item(want, i)}, got {_item(got, i)}"
        )
    if kind is dict and got.keys() == want.keys() and _is_long(got, want):
        for key in want:
            if not same(got[key], want[key]):
                return difference(got[key], want[key], same, f"{path}[{show(key)}]")
    return f"{at}{show(want)}, got {show(got)}"


def _is_long(got: Any, want: Any) -> bool:
    return max(len(show(got)), len(show(want))) > _MAX_WHOLE_CHARS


def _item(items: Any, i: int) -> str:
    return show(items[i]) if i < len(items) else "nothing"


def _array_difference(got: Any, want: Any, path: str) -> str:
    at = f"{path} to be " if path else ""
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{at}{_kind_of(want)}, got {_kind_of(got)}"
    import numpy

    if not want.shape:
        return f"{at}{show(want)}, got {show(got)}"
    places = numpy.argwhere(_unequal(got, want))
    first = tuple(int(i) for i in places[0])
    index = ", ".join(map(str, first))
    here, there = got[first], want[first]
    if want.dtype.names is not None:
        name = next(n for n in want.dtype.names if not same_arrays(here[n], there[n]))
        here, there, index = here[name], there[name], f"{index}][{name!r}"
    return (
        f"{path}[{index}] to be {show(there)}, got {show(here)} "
        f"({len(places)} of {want.size} differ)"
    )


def _kind_of(array: Any) -> str:
    return f"an array of {_cut(str(array.dtype), _MAX_WHOLE_CHARS)} with shape {array.shape}"


def show(value: Any) -> str:
    """`value` as short text that names its type where that is not plain to see."""
    if isinstance(value, bytes) and len(value) > _MAX_SHOWN_BYTES:
        return f"{len(value)} bytes {value[:24].hex()}..{value[-8:].hex()}"
    if type(value) is int and value.bit_length() > _MAX_SHOWN_BITS:
        return f"an int of {value.bit_length()} bits"
    try:
        text = _text(value)
    except Exception:  # an int of too many digits inside, too deep, a date beyond all calendars
        return f"a {type(value).__name__} that no text can show"
    return _cut(text, _MAX_SHOWN_CHARS)


def _text(value: Any) -> str:
    if not is_numpy(value) or not value.ndim:
        return repr(value)
    import numpy

    text = numpy.array2string(value, threshold=_SHOWN_ITEMS, edgeitems=3, separator=", ")
    return f"{_kind_of(value)}: {' '.join(text.split())}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
