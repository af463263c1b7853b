"""Where fill-in-the-middle cuts documents: positions among code points, found in UTF-8 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled, integer


@compiled
def _byte_of(data: Any, start: int, end: int, code_point: int) -> int:
    """Byte position in data[start:end] at which code point number `code_point` begins (or `end`)."""
    seen = 0
    for i in range(start, end):
        if (data[i] & 0xC0) != 0x80:
            if seen == code_point:
                return i
            seen += 1
    return end


@compiled
def fim_parts(offsets: Any, data: Any, chosen: Any, first: Any, second: Any) -> Any:
    """Boundaries of the parts of each document.

    offsets int64[n + 1], data uint8[...] UTF-8, chosen bool[n], first and second uint64[n] uniform draws.
    A chosen document of c code points is cut at positions `(draw >> 32) * (c + 1) >> 32` of both draws,
    sorted. Returns int64[n + 2 * sum(chosen) + 1], absolute in `data`.
    """
    n = len(offsets) - 1
    bounds = np.empty(n + 2 * int(np.sum(chosen)) + 1, np.int64)
    part = 0
    bounds[0] = offsets[0]
    for doc in range(n):
        start, end = offsets[doc], offsets[doc + 1]
        if chosen[doc]:
            points = 0
            for i in range(start, end):
                if (data[i] & 0xC0) != 0x80:
                    points += 1
            places = np.uint64(points + 1)
            one = integer(((first[doc] >> np.uint64(32)) * places) >> np.uint64(32))
            two = integer(((second[doc] >> np.uint64(32)) * places) >> np.uint64(32))
            low, high = (one, two) if one < two else (two, one)
            cut = _byte_of(data, start, end, low)
            bounds[part + 1] = cut
            bounds[part + 2] = _byte_of(data, cut, end, high - low)
            part += 2
        bounds[part + 1] = end
        part += 1
    return bounds
