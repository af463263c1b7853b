"""Numba's decorators under a type that checkers see through.

`compiled`: compiled on first use, cached on disk, and free of the interpreter's lock. `inlined`: the same,
and copied into its callers. `integer`: `np.int64`, so that arithmetic on bytes is signed and 64 bits wide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

F = TypeVar("F", bound=Callable[..., object])

if TYPE_CHECKING:

    def compiled(function: F) -> F: ...

    def inlined(function: F) -> F: ...

    def integer(number: object) -> int: ...

else:
    import numpy as np
    from numba import njit

    compiled = njit(cache=True, nogil=True)
    inlined = njit(cache=True, nogil=True, inline="always")
    integer = np.int64
