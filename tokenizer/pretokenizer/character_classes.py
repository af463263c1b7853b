"""The class of every character, as the pre-tokenizing kernels test it."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.code_points import CATEGORIES, WHITE_SPACE, categories, within


@cache
def class_table() -> npt.NDArray[np.uint8]:
    """uint8[256 + 0x110000], read-only, 1.1 MB: see `kernels.pretokenize_characters`. Made once a process."""
    from corpusmill.tokenizer.kernels import pretokenize_characters as kernel

    of_category = {
        "Lu": kernel.UPPER, "Lt": kernel.UPPER, "Ll": kernel.LOWER, "L": kernel.CASELESS, "M": kernel.MARK,
        "N": kernel.NUMBER, "P": kernel.SYMBOL, "S": kernel.SYMBOL,
    }  # fmt: skip
    classes = [of_category.get(name, of_category.get(name[0], 0)) for name in CATEGORIES]
    code_points = np.array(classes, np.uint8)[categories()]
    code_points[within(WHITE_SPACE)] = kernel.SPACE
    first_bytes = np.full(kernel.BYTES, kernel.NON_ASCII, np.uint8)
    first_bytes[:0x80] = code_points[:0x80]
    table = np.concatenate([first_bytes, code_points])
    table.setflags(write=False)
    return table
