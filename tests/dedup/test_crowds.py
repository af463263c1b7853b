"""A bucket of very many documents in windows: in how many looks its leaders are found, and what is known."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.dedup.matching import crowds
from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.documents import Documents
from tests.dedup.test_windows import compare_rounds
from tests.oracles.dedup_exchange import documents


def in_one_bucket(groups: int, each: int) -> Documents:
    """Groups of documents that are alike, the longest first, all of which share the bucket of a band."""
    texts = [
        " ".join([*(f"g{group}w{n}" for n in range(30 - group)), f"own{group}x{number}"])
        for group in range(groups)
        for number in range(each)
    ]
    for shared in range(10_000):
        docs = documents([f"shared{shared} {text}" for text in texts])
        keys = Minhash(width=1, bands=2, rows=1).sketch(*docs.utf8())[2]
        if len(np.unique(keys[:, 0])) == 1:
            return docs
    raise AssertionError("no word is the least of all")


@pytest.mark.parametrize("pending", [1, 4, 256])
def test_leaders_behind_a_crowd_that_is_alike(monkeypatch: pytest.MonkeyPatch, pending: int) -> None:
    """Each look finds the leader of a further group, or of all that it has room for."""
    monkeypatch.setattr(crowds, "PENDING", pending)
    looks: list[bool] = []
    again = crowds.again

    def counted(*given: Any) -> pa.Table | None:
        found = again(*given)
        looks.append(found is not None)
        return found

    monkeypatch.setattr(crowds, "again", counted)
    docs = in_one_bucket(4, 12)
    for most in (2, 3, 6):
        looks.clear()
        stage = Minhash(width=1, bands=2, rows=1, max_bucket=most)
        assert compare_rounds(stage, docs, random.Random(most)) >= 4 * 11
        assert sum(looks) >= (min(most, 4) - 1 if pending < 5 else 1)


def test_the_best_of_copies_are_known_without_their_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket may have any number of them."""
    seen: list[tuple[int, int]] = []
    pairs = crowds.pairs

    def counted(known: pa.Table, *given: Any) -> pa.Table:
        best = known.filter(pa.array(known.column("role").to_numpy() == crowds.TWIN))
        seen.append((best.num_rows, best.num_rows - best.column("shingles").null_count))
        return pairs(known, *given)

    monkeypatch.setattr(crowds, "pairs", counted)
    texts = in_one_bucket(4, 12).text.to_pylist()
    stage = Minhash(width=1, bands=2, rows=1, max_bucket=2)
    assert compare_rounds(stage, documents(texts + texts), random.Random(1)) >= 48
    assert set(seen) == {(48, 0)}
