"""Asking the processor for an element of an array before it is needed; changes nothing but time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:

    def prefetch(array: npt.NDArray[Any], index: int) -> None:
        """For compiled code: fetch the cache line of the `index`-th element of a C-contiguous array."""

else:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic
    def prefetch(typing_context, array, index):
        signature = types.void(array, types.intp)

        def generate(context, builder, signature, arguments):
            rows = context.make_array(signature.args[0])(context, builder, arguments[0])
            address = builder.bitcast(builder.gep(rows.data, [arguments[1]]), cgutils.voidptr_t)
            word = ir.IntType(32)
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word]),
                "llvm.prefetch.p0",
            )
            # To read (0), to stay in every level of the cache (3), data rather than instructions (1).
            builder.call(function, [address, word(0), word(3), word(1)])
            return context.get_dummy_value()

        return signature, generate
