from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.text.clusters import cluster_classes
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.split_points import chosen_for_fim, split_kinds, split_parts
from corpusmill.tokenizer.fim.views import View
from corpusmill.tokenizer.kernels.fim_parts import fim_parts
from tests.oracles.tokenizer_fim import split_text

draw = st.integers(0, 2**64 - 1)
kinds = st.sampled_from(["characters", "lines"])
texts = st.text(max_size=20) | st.text("a\r\n\u0301\u200d\U0001f469क्षกำ각中", max_size=20)
CLUSTERS = ["é", "中", "a", "🙂", "e\u0301\u0302", "\r\n", "\U0001f469\u200d\U0001f467", "क्षि", "f"]
LINES = ["a\n", "\n", "bcd\r\n", "\r", "中\n", "e\u0301 \n", "g\n", "\n", "i"]


@settings(deadline=None, max_examples=75)
@given(st.lists(st.tuples(texts, st.booleans(), draw, draw, kinds), max_size=6), st.integers(0, 3))
def test_parts_equal_the_oracle(rows: list[tuple[str, bool, int, int, str]], skipped: int) -> None:
    array = pa.array(["x" * 7] * skipped + [row[0] for row in rows], pa.large_string()).slice(skipped)
    offsets, data = buffers(array)
    chosen = np.array([row[1] for row in rows], np.bool_)
    first, second = (np.array([row[k] for row in rows], np.uint64) for k in (2, 3))
    kind_D = np.array([["characters", "lines"].index(row[4]) for row in rows], np.uint8)
    bounds = fim_parts(offsets, data, chosen, first, second, kind_D, cluster_classes())
    parts = [data[a:b].tobytes().decode() for a, b in pairwise(bounds)]
    expected: list[str] = []
    for text, one, two, three, kind in rows:
        expected.extend(split_text(text, two, three, kind) if one else [text])
    assert parts == expected


@pytest.mark.parametrize(("units", "split"), [(CLUSTERS, "characters"), (LINES, "lines")])
def test_split_points_are_uniform(units: list[str], split: str) -> None:
    """Chi-square of 60,000 positions over 0..9 against uniform; 27.9 is the 0.001 point of 9 degrees."""
    n, text = 30_000, "".join(units)
    ids = pa.array([f"{i:032x}" for i in range(n)])
    offsets, data = buffers(pa.array([text] * n, pa.large_string()))
    kind_D = split_kinds(pa.array(["a"] * n), Fim.model_validate({"splits": {"a": split}}))
    bounds = split_parts(offsets, data, ids, np.ones(n, np.bool_), seed=3, kinds=kind_D)
    places = {len("".join(units[:k]).encode()): k for k in range(10)}
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
