"""One array, several threads, each at its own part of it, and nothing copied."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from meridian.checks import available_cores, checked_int
from meridian.foundation.sync.threads import scope

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["par_chunks"]

R = TypeVar("R")


@overload
def par_chunks(
    fn: Callable[[npt.NDArray[Any]], R],
    array: npt.NDArray[Any],
    workers: int | None = None,
    overlap: int = 0,
) -> list[R]: ...
@overload
def par_chunks(
    fn: Callable[[memoryview], R],
    array: memoryview | bytes | bytearray,
    workers: int | None = None,
    overlap: int = 0,
) -> list[R]: ...
def par_chunks(
    fn: Callable[[Any], R], array: Any, workers: int | None = None, overlap: int = 0
) -> list[R]:
    """Call `fn` with each part of `array` at the same time; the results, in order.

    Args:
        fn: gets a view; nothing is copied, and writing to it writes to the array.
        array: a NumPy array, cut along its first axis, or anything with a flat buffer.
        workers: how many parts, each in a thread of its own, if there are as many elements; by
            default one for each CPU that this process may use.
        overlap: elements of the next part that each part sees as well, at its end. With ``k - 1``
            every run of `k` neighbours lies in exactly one part, however many parts there are.

    An empty array gives ``[]``. Raises what `fn` raises, as a `Scope` does; `TypeError` for what
    has no views, `ValueError` for ``workers < 1`` or ``overlap < 0``.
    """
    overlap = checked_int("overlap", overlap)
    workers = available_cores() if workers is None else checked_int("workers", workers, least=1)
    sliceable = _views_of(array)
    size = len(sliceable)
    parts = min(workers, size)
    ends = [size * part // parts for part in range(parts + 1)] if parts else [0]
    views = [sliceable[start : end + overlap] for start, end in itertools.pairwise(ends)]
    if len(views) == 1:
        return [fn(views[0])]
    with scope() as s:
        calls = [s.spawn(fn, view) for view in views]
        return [call.join() for call in calls]


def _views_of(array: Any) -> Any:
    numpy = sys.modules.get("numpy")  # who has an array has loaded it
    if numpy is not None and isinstance(array, numpy.ndarray):
        if array.ndim == 0:
            raise TypeError("Expected an array with at least one axis, got a scalar")
        return array
    try:
        return memoryview(array)
    except TypeError:
        raise TypeError(
            f"Expected a NumPy array or a buffer, whose parts are views, got {type(array).__name__}"
        ) from None
