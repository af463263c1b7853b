"""The script that most letters of a text are of."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.text.scripts import KANA_OF_JAPANESE, SCRIPTS, main_scripts

KANA, HANI = SCRIPTS.index("Kana"), SCRIPTS.index("Hani")
COUNTS = st.fixed_dictionaries({place: st.integers(0, 12) for place in (1, 2, 3, KANA, HANI)})


def one(row: list[int]) -> str | None:
    """The rule for one text, as it is written down."""
    letters, east = sum(row), row[KANA] + row[HANI]
    most = max(range(len(row)), key=row.__getitem__)
    if 2 * east > letters:
        return "Jpan" if row[KANA] >= KANA_OF_JAPANESE * east else "Hani"
    return SCRIPTS[most] if 2 * row[most] > letters else None


@settings(max_examples=100, deadline=None)
@given(st.lists(COUNTS, max_size=5))
def test_many_texts_at_once(texts: list[dict[int, int]]) -> None:
    counts = np.array([[text.get(place, 0) for place in range(len(SCRIPTS))] for text in texts], np.int64)
    counts = counts.reshape(len(texts), len(SCRIPTS))
    assert main_scripts(counts) == [one(row) for row in counts.tolist()]
