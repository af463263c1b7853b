"""`np.int64` under a type that checkers take for `int`: signed and 64 bits wide in compiled arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:

    def integer(number: object) -> int: ...

else:
    from numpy import int64 as integer

__all__ = ["integer"]
