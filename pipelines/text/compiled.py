"""numba's decorators, under types that checkers see through, and cached so that one process compiles for all.

`compiled`: compiled on first use, cached on disk, and free of the interpreter's lock. `inlined`: the same,
and copied into its callers before types are known; `forced`: copied by LLVM instead. `reassociated`: sums
may be taken in any order, which lets them use vector instructions. `integer`: `np.int64`, so that arithmetic
on bytes is signed and 64 bits wide.

numba compiles a function once for each kind of argument, and an array that may not be written is another kind
than one that may. Texts reach kernels as arrays that may not be written, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

F = TypeVar("F", bound=Callable[..., object])

if TYPE_CHECKING:

    def compiled(function: F) -> F: ...

    def inlined(function: F) -> F: ...

    def forced(function: F) -> F: ...

    def reassociated(function: F) -> F: ...

    def integer(number: object) -> int: ...

else:
    from corpusmill.pipelines.system.kernel_cache import use_kernel_cache

    use_kernel_cache()

    import numpy as np
    from numba import njit

    from corpusmill.pipelines.text.one_compiler import keep_once

    def _decorator(**options: Any) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            # The wrapper left out serves callbacks from C, which nothing here makes.
            return keep_once(njit(nogil=True, no_cfunc_wrapper=True, **options)(function))

        return decorate

    compiled = _decorator()
    inlined = _decorator(inline="always")
    forced = _decorator(forceinline=True)
    reassociated = _decorator(fastmath={"reassoc", "contract"})
    integer = np.int64
