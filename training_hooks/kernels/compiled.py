"""Numba's decorators under a type that checkers see through.

`compiled`: compiled on first use, cached on disk, and free of the interpreter's lock. `reassociated`: the
same, where sums may be taken in any order, which lets them use vector instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

F = TypeVar("F", bound=Callable[..., object])

if TYPE_CHECKING:

    def compiled(function: F) -> F: ...

    def reassociated(function: F) -> F: ...

else:
    from corpusmill.pipelines.kernel_cache import use_kernel_cache

    use_kernel_cache()
    from numba import njit

    compiled = njit(cache=True, nogil=True)
    reassociated = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
