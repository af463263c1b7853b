"""Copies documents into the rows they were packed in, and notes each piece.

Legend: d documents, k chains, c chunks (a chain's stretches of at most one row), p pieces, R rows, L the
sequence length. A chain is a run of documents packed as if they were one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled


@compiled
def fill_rows(
    start_d: Any,
    length_d: Any,
    first_k: Any,
    chain_c: Any,
    length_c: Any,
    row_c: Any,
    at_c: Any,
    values: Any,
    rows_RL: Any,
) -> Any:
    """Fill `rows_RL` (uint16 or uint32, already padded) and return the pieces, int64[p, 5].

    Document d is `values[start_d[d]:start_d[d] + length_d[d]]`; chain k is documents
    `first_k[k]:first_k[k + 1]`; chunk c takes the next `length_c[c]` tokens of chain `chain_c[c]` (chunks of
    a chain follow one another in order) into row `row_c[c]` from column `at_c[c]`. A piece is (row, start,
    length, document, offset in the document).
    """
    pieces = np.empty((len(length_d) + len(length_c), 5), np.int64)
    p = 0
    doc = 0
    used = 0
    for c in range(len(length_c)):
        if c == 0 or chain_c[c] != chain_c[c - 1]:
            doc = first_k[chain_c[c]]
            used = 0
        left = length_c[c]
        at = at_c[c]
        row = row_c[c]
        while left > 0:
            size = min(left, length_d[doc] - used)
            if size == 0:
                doc += 1
                used = 0
                continue
            begin = start_d[doc] + used
            for i in range(size):
                rows_RL[row, at + i] = values[begin + i]
            pieces[p, 0] = row
            pieces[p, 1] = at
            pieces[p, 2] = size
            pieces[p, 3] = doc
            pieces[p, 4] = used
            p += 1
            at += size
            used += size
            left -= size
    return pieces[:p]
