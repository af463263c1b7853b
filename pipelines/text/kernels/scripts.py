"""Letters of each script, in all of a text or in places spread over it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.memory import address, byte_at
from corpusmill.pipelines.text.views import Texts

WINDOWS = 8


@compiled
def script_counts(
    texts: Texts, scripts: npt.NDArray[np.uint8], many: int, most: int
) -> npt.NDArray[np.int64]:
    """int64[n, many]: the letters of each script in a text; `scripts` is `scripts.script_table`.

    Of a text of over `most` bytes only `WINDOWS` places of `most // WINDOWS` bytes are read, the first at its
    beginning, the last at its end, the others spread evenly between.
    """
    n = len(texts.starts)
    begin, table = address(texts.data), address(scripts)
    found = np.zeros((n, many), np.int64)
    for i in range(n):
        start, end = begin + texts.starts[i], begin + texts.ends[i]
        windows, width = 1, end - start
        if width > most:
            windows, width = WINDOWS, most // WINDOWS
        for window in range(windows):
            at = start + (end - start - width) * window // max(windows - 1, 1)
            stop = at + width
            while at < stop and byte_at(at) & 0xC0 == 0x80:
                at += 1
            while at < stop:
                code, at = code_at(at, end)
                found[i, byte_at(table + code)] += 1
        found[i, 0] = 0
    return found
