"""Memory by address, for kernels that call one another for every character or word.

An array passed to a compiled function is counted as a reference on the way in and out, at ten times the cost
of what such functions do (measured on pre-tokens: 35 MB/s of English, 600 without). So they take addresses of
arrays that the outermost kernel holds, and check for themselves that a place is inside: nothing here does.
Numbers are little-endian, as on every machine that numba compiles for here; on others compiling fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:

    def address(array: npt.NDArray[Any]) -> int:
        """Where the data of `array` (contiguous) begin; valid while the array lives."""

    def byte_at(place: int) -> int:
        """The byte at an address, 0 to 255."""

    def two_at(place: int) -> int:
        """The two bytes at an address as one number, the first one lowest."""

    def four_at(place: int) -> int:
        """The four bytes at an address as one number, the first one lowest."""

    def eight_at(place: int) -> Any:
        """The eight bytes at an address, the first one lowest, as uint64."""

    def put_byte(place: int, byte: int) -> None:
        """Write the lowest eight bits of a number at an address."""

    def trailing_zeros(bits: Any) -> int:
        """How many of the lowest bits of a uint64 are 0; 64 of 0."""

    def prefetch(array: npt.NDArray[Any], index: int) -> None:
        """Ask for the cache line of the `index`-th element of a contiguous array before it is needed."""

else:
    import sys

    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    if sys.byteorder != "little":
        raise ImportError("the kernels are written for little-endian machines")

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
    def two_at(typingctx: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.zext(_load(builder, arguments[0], 16), context.get_value_type(types.intp))

        return types.intp(types.intp), codegen

    @intrinsic
    def four_at(typingctx: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.zext(_load(builder, arguments[0], 32), context.get_value_type(types.intp))

        return types.intp(types.intp), codegen

    @intrinsic
    def eight_at(typingctx: Any, place: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _load(builder, arguments[0], 64)

        return types.uint64(types.intp), codegen

    @intrinsic
    def put_byte(typingctx: Any, place: Any, byte: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place, byte = arguments
            target = builder.inttoptr(place, ir.IntType(8).as_pointer())
            builder.store(builder.trunc(byte, ir.IntType(8)), target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), codegen

    @intrinsic
    def trailing_zeros(typingctx: Any, bits: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

        return types.intp(types.uint64), codegen

    @intrinsic
    def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.bitcast(builder.gep(rows.data, [arguments[1]]), cgutils.voidptr_t)
            word = ir.IntType(32)
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word]),
                "llvm.prefetch.p0",
            )
            # To read (0), to stay in every level of the cache (3), data rather than instructions (1).
            builder.call(function, [place, word(0), word(3), word(1)])
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen
