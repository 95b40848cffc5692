"""`black_box`: a value the compiler knows nothing about.

CPython never removes dead code, so there the identity function is enough. LLVM does: a numba
kernel whose result is unused is deleted, and one with constant arguments is computed at compile
time. Wrap inputs and outputs.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["black_box", "use_in_kernels"]

T = TypeVar("T")


def black_box(value: T) -> T:
    """Return `value`. Call `use_in_kernels` once before compiling a kernel that uses it."""
    return value


def use_in_kernels() -> None:
    """Teach numba what `black_box` is. Imports numba, which is why it does not happen by itself.

    Inside a kernel, numbers, arrays and tuples pass through an empty piece of assembly that LLVM
    must assume reads and changes them. Calling twice is harmless.
    """
    from meridian.foundation.profiling import _black_box_jit  # noqa: F401  registers on import
