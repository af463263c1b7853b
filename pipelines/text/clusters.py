"""Extended grapheme clusters (Unicode Standard Annex 29): what each code point is to their rules.

A cluster is what a reader takes for one character: a letter with its marks, a line break CR LF, an emoji of
several, a Hangul syllable of several letters, a conjunct of Indic consonants. `kernels.clusters` finds them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.code_points import CODE_POINTS, unpacked_numbers

# Values of Grapheme_Cluster_Break; of OTHER, the pictographs, the consonants of conjuncts and LONER, linkers,
# apart; of EXTEND, the linkers of conjuncts and JOINING, what may stand between their consonants.
CLASSES = (
    "OTHER", "PICTOGRAPHIC", "CONSONANT", "CR", "LF", "CONTROL", "EXTEND", "JOINING", "LINKER", "ZWJ",
    "REGIONAL", "PREPEND", "LONER", "SPACINGMARK", "L", "V", "T", "LV", "LVT",
)  # fmt: skip


@cache
def cluster_classes() -> npt.NDArray[np.uint8]:
    """uint8[CODE_POINTS], read-only: places in `CLASSES`."""
    from corpusmill.pipelines.text.cluster_table import CLASS_RUNS

    values, lengths = unpacked_numbers(CLASS_RUNS).reshape(-1, 2).T
    table = np.repeat(values.astype(np.uint8), lengths)
    assert len(table) == CODE_POINTS
    table.setflags(write=False)
    return table
