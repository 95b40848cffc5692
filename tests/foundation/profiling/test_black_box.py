"""`black_box` in the interpreter and in compiled kernels."""

from __future__ import annotations

import subprocess
import sys

import numba
import numpy as np
import pytest

from meridian.foundation.profiling.bench import black_box, use_in_kernels

use_in_kernels()


@numba.njit
def discarded(n: int) -> int:
    for i in range(n):
        i * i
    return 0


@numba.njit
def kept(n: int) -> int:
    for i in range(n):
        black_box(black_box(i) * i)
    return 0


@numba.njit
def through(value):  # type: ignore[no-untyped-def]
    return black_box(value)


@numba.njit
def many_times(array: np.ndarray, n: int) -> float:
    total = 0.0
    for i in range(n):
        seen = black_box(array)
        total += black_box((i, seen[i % seen.size]))[1]
    return total


def loop_blocks(kernel: numba.core.dispatcher.Dispatcher) -> int:
    """Backward branches in the compiled code: a loop that was deleted has none."""
    (assembly,) = kernel.inspect_asm().values()
    body = assembly.split("_ZN7cpython")[0]
    seen: set[str] = set()
    backward = 0
    for line in body.splitlines():
        text = line.strip()
        if text.endswith(":"):
            seen.add(text[:-1])
        elif text.startswith(("j", "b")) and text.split()[-1] in seen:
            backward += 1
    return backward


def test_llvm_deletes_the_loop_unless_its_values_are_opaque() -> None:
    discarded(10)
    kept(10)
    assert loop_blocks(discarded) == 0
    assert loop_blocks(kept) >= 1


@pytest.mark.parametrize(
    "value",
    [3, -2.5, True, 1 + 2j, (1, 2.0), (1, (2, 3)), np.float32(1.5), np.uint8(200)],
)
def test_values_pass_through(value: object) -> None:
    assert black_box(value) is value
    assert through(value) == value


def test_array_is_the_same_memory_and_the_same_owner_count() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    before = sys.getrefcount(array)
    out = through(array)
    assert np.shares_memory(out, array)
    out[1, 2] = 99
    assert array[1, 2] == 99
    del out
    assert sys.getrefcount(array) == before


def test_long_loop_neither_grows_the_stack_nor_leaks() -> None:
    """Two million turns: a slot allocated inside the loop would need 100 MB of stack."""
    array = np.ones(100)
    before = sys.getrefcount(array)
    assert many_times(array, 2_000_000) == 2_000_000.0
    assert sys.getrefcount(array) == before


def test_importing_the_engine_loads_neither_numba_nor_matplotlib() -> None:
    code = (
        "import sys, meridian.foundation.profiling.bench as b; assert b.black_box(5) == 5; "
        "print([m for m in ('numba', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
