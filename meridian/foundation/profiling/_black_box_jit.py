"""The numba side of `black_box`; importing this module registers it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils as _cgutils
from numba.core import imputils as _imputils
from numba.extending import intrinsic, overload

from meridian.foundation.profiling.blackbox import black_box

cgutils: Any = _cgutils  # numba carries no annotations for these
imputils: Any = _imputils


@intrinsic
def _opaque(_typing: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # In the entry block: a slot allocated where the call stands would grow the stack with
        # every turn of a loop.
        slot = cgutils.alloca_once(builder, args[0].type)
        builder.store(args[0], slot)
        # Empty assembly that is handed the slot's address and may touch memory: what is loaded
        # back is unknown to LLVM, and the store before it cannot be dropped.
        kind = ir.FunctionType(ir.VoidType(), [slot.type])
        builder.asm(kind, "", "r,~{memory}", [slot], side_effect=True)
        # Borrowed: the caller still owns the reference; a new one would corrupt array refcounts.
        return imputils.impl_ret_borrowed(
            context, builder, signature.return_type, builder.load(slot)
        )

    return value(value), codegen


opaque: Any = _opaque  # called from kernels, where numba passes the typing context itself


@overload(black_box)
def _black_box_in_kernel(value: Any) -> Any:  # noqa: ARG001  numba matches parameters by name
    def kernel(value: Any) -> Any:
        return opaque(value)

    return kernel
