"""Eight bytes of an array as one number, at any position, in one instruction."""

from __future__ import annotations

import sys
from typing import Any

from numba import types
from numba.extending import intrinsic


@intrinsic
def load_word(context: Any, data: Any, at: Any) -> Any:
    """`data[at : at + 8]` (contiguous uint8[...], all eight within it) as a little-endian uint64.

    Nothing is checked. Written out as eight shifts and ors, LLVM finds the one load behind them only now
    and then. Raises TypeError while compiling for any other array or a big-endian machine.
    """
    if not (isinstance(data, types.Array) and data.dtype == types.uint8 and data.layout == "C"):
        raise TypeError(f"load_word reads contiguous uint8 arrays, not {data}")
    if sys.byteorder != "little":
        raise TypeError("load_word is written for little-endian machines")

    def code(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        index = target.cast(builder, arguments[1], signature.args[1], types.intp)
        word = target.get_value_type(types.CPointer(types.uint64))
        return builder.load(builder.bitcast(builder.gep(array.data, [index]), word), align=1)

    return types.uint64(data, at), code
