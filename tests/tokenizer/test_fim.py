from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.split_points import chosen_for_fim, split_parts
from corpusmill.tokenizer.fim.views import View
from corpusmill.tokenizer.kernels.fim_parts import fim_parts
from tests.oracles.tokenizer_fim import split_text

draw = st.integers(0, 2**64 - 1)


@settings(deadline=None, max_examples=75)
@given(st.lists(st.tuples(st.text(max_size=20), st.booleans(), draw, draw), max_size=6), st.integers(0, 3))
def test_parts_equal_the_oracle(rows: list[tuple[str, bool, int, int]], skipped: int) -> None:
    array = pa.array(["x" * 7] * skipped + [row[0] for row in rows], pa.large_string()).slice(skipped)
    offsets, data = buffers(array)
    chosen = np.array([row[1] for row in rows], np.bool_)
    first, second = (np.array([row[k] for row in rows], np.uint64) for k in (2, 3))
    bounds = fim_parts(offsets, data, chosen, first, second)
    parts = [data[a:b].tobytes().decode() for a, b in pairwise(bounds)]
    expected: list[str] = []
    for text, one, two, three in rows:
        expected.extend(split_text(text, two, three) if one else [text])
    assert parts == expected


def test_split_points_are_uniform_over_characters() -> None:
    """Chi-square of 60,000 positions over 0..9 against uniform; 27.9 is the 0.001 point of 9 degrees."""
    n = 30_000
    ids = pa.array([f"{i:032x}" for i in range(n)])
    texts = pa.array(["é中a🙂bcdef"] * n, pa.large_string())  # 9 code points, 10 places
    offsets, data = buffers(texts)
    bounds = split_parts(offsets, data, ids, np.ones(n, np.bool_), seed=3)
    places = {len("é中a🙂bcdef"[:k].encode()): k for k in range(10)}
    cuts = bounds[:-1].reshape(n, 3)
    positions = [places[int(cut)] for cut in (cuts[:, 1:] - cuts[:, :1]).ravel()]
    counts = np.bincount(positions, minlength=10)
    expected = 2 * n / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9


def test_the_choice_depends_on_the_id_alone() -> None:
    ids = pa.array([f"{i:032x}" for i in range(1000)])
    names = pa.array(["web"] * 1000)

    def chosen_of(ids: pa.Array, rate: float, draw: int = 0) -> Any:
        return chosen_for_fim(ids, names, names, View(fim=Fim(rate=rate), draw=draw), seed=1)

    chosen = chosen_of(ids, 0.3)
    order = np.random.default_rng(0).permutation(1000)
    shuffled = chosen_of(ids.take(pa.array(order)), 0.3)
    assert (shuffled == chosen[order]).all()
    assert (chosen == (draws(ids, 1, "fim") < np.uint64(0.3 * 2**64))).all()
    assert chosen_of(ids, 1.0).all()
    assert not chosen_of(ids, 0.0).any()
    both = (chosen & chosen_of(ids, 0.3, draw=1)).sum()
    assert abs(both - 90) < 4 * np.sqrt(90)  # another draw is independent
