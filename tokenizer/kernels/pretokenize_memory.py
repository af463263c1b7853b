"""Memory by address, for kernels that call one another for every pre-token.

An array passed to a compiled function is counted as a reference on the way in and out, at ten times the cost
of what these functions do (measured: 35 MB/s of English, 600 without). So they take the addresses of arrays
that the outermost kernel holds, and check for themselves that a place is inside: nothing here does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    def address(array: Any) -> int:
        """Where the data of `array` (contiguous) begin; valid while the array lives."""

    def byte_at(place: int) -> int:
        """The byte at an address, 0 to 255."""

    def eight_at(place: int) -> Any:
        """The eight bytes at an address, the first one lowest, as uint64."""

    def trailing_zeros(bits: Any) -> int:
        """How many of the lowest bits of a uint64 are 0; 64 of 0."""

else:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

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
