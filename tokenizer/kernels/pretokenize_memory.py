"""Memory by address, for kernels that call one another for every pre-token.

An array passed to a compiled function is counted as a reference on the way in and out, at ten times the cost
of what these functions do (measured: 35 MB/s of English, 600 without). So they take the addresses of arrays
that the outermost kernel holds, and check for themselves that a place is inside: nothing here does.

`compiled`: compiled on first use, cached on disk, and free of the interpreter's lock. `inlined`: the same,
and part of its callers' code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

F = TypeVar("F", bound=Callable[..., object])

if TYPE_CHECKING:

    def compiled(function: F) -> F: ...

    def inlined(function: F) -> F: ...

    def integer(number: object) -> int:
        """`number` as int64."""

    def address(array: Any) -> int:
        """Where the data of `array` (contiguous) begin; valid while the array lives."""

    def byte_at(place: int) -> int:
        """The byte at an address, 0 to 255."""

    def eight_at(place: int) -> Any:
        """The eight bytes at an address, the first one lowest, as uint64."""

    def trailing_zeros(bits: Any) -> int:
        """How many of the lowest bits of a uint64 are 0; 64 of 0."""

else:
    import numpy as np
    from llvmlite import ir
    from numba import njit, types
    from numba.extending import intrinsic

    compiled = njit(cache=True, nogil=True)
    inlined = njit(cache=True, nogil=True, forceinline=True)
    integer = np.int64

    def _load(builder: Any, place: Any, bits: int) -> Any:
        return builder.load(builder.inttoptr(place, ir.IntType(bits).as_pointer()), align=1)

    @intrinsic
    def address(typingctx: Any, array: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            held = context.make_array(signature.args[0])(context, builder, arguments[0])
            return builder.ptrtoint(held.data, context.get_value_type(types.intp))

        return types.intp(array), codegen

    @intrinsic
    def byte_at(typingctx: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.zext(_load(builder, arguments[0], 8), context.get_value_type(types.intp))

        return types.intp(types.intp), codegen

    @intrinsic
    def eight_at(typingctx: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _load(builder, arguments[0], 64)

        return types.uint64(types.intp), codegen

    @intrinsic
    def trailing_zeros(typingctx: Any, bits: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

        return types.intp(types.uint64), codegen
