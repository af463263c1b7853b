"""Pairs of a sample by their rare shingles are all pairs, and the chance of each is that of its bands."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.matching import exact_pairs
from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.recall import SampledPairs
from tests.dedup.test_minhash import near_duplicates
from tests.oracles.dedup_exchange import documents, pairs_and_removals
from tests.oracles.dedup_near import Doc, order
from tests.oracles.dedup_words import jaccard, shingle_set

words = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), max_size=14).map(" ".join)


def brute_force(texts: list[str], width: int, least: float, contained: bool) -> dict[frozenset[int], float]:
    """Jaccard index of every pair of different sets that is alike enough, by the first text of each set."""
    sets: dict[tuple[int, ...], int] = {}
    for number, text in enumerate(texts):
        sets.setdefault(tuple(shingle_set(text, True, width, "fold", "exact")), number)
    found = {}
    for one, i in sets.items():
        for other, j in sets.items():
            both, small = len(set(one) & set(other)), min(len(one), len(other))
            if i < j and small:
                index = both / (len(one) + len(other) - both)
                if (both / small if contained else index) >= least:
                    found[frozenset((i, j))] = index
    return found


def told(pairs: SampledPairs) -> dict[frozenset[int], float]:
    ends = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    return dict(zip(map(frozenset, ends), pairs.index.tolist(), strict=True))


@settings(deadline=None, max_examples=80)
@given(
    st.lists(words, max_size=14),
    st.integers(1, 3),
    st.sampled_from([0.3, 0.5, 0.9]),
    st.sampled_from(["jaccard", "containment"]),
)
def test_all_pairs_are_found_and_no_other(
    texts: list[str], width: int, threshold: float, measure: str
) -> None:
    stage = Minhash.model_validate(
        {"width": width, "threshold": threshold, "measure": measure, "bands": 4, "rows": 2}
    )
    docs = documents(texts)
    pairs = stage.pairs_among(docs)
    contained = measure == "containment"
    assert pairs.documents == len(texts)
    assert told(pairs) == pytest.approx(brute_force(texts, width, min(0.5, threshold), contained))
    _, _, keys, _ = stage.sketch(*docs.utf8())
    for at in range(len(pairs.first)):
        a, b = pairs.first[at], pairs.second[at]
        assert pairs.found[at] == (keys[a] == keys[b]).any()
        assert pairs.chance[at] == pytest.approx(1 - (1 - pairs.index[at] ** 2) ** 4)
    sets = [shingle_set(text, True, width, "fold", "exact") for text in texts]
    facts = zip(docs.column("id").to_pylist(), docs.sizes().tolist(), sets, strict=True)
    known = [Doc(i, "web", size, tuple(shingles)) for i, size, shingles in facts]
    rank = {at: place for place, at in enumerate(order(known, []))}
    for a, b, duplicate in zip(pairs.first, pairs.second, pairs.duplicate, strict=True):
        worse, better = (a, b) if rank[a] > rank[b] else (b, a)
        share = len(set(sets[worse]) & set(sets[better])) / len(sets[worse])
        assert duplicate == ((share if contained else jaccard(sets[a], sets[b])) >= threshold)


def test_what_is_found_is_what_the_exchange_finds() -> None:
    texts = near_duplicates(11, 20, 6)
    docs = documents(texts)
    stage = Minhash(threshold=0.6, bands=10, rows=4)
    pairs = stage.pairs_among(docs)
    chosen = pairs.found & pairs.duplicate
    ids = docs.column("id").to_pylist()
    ours = {
        frozenset((ids[a], ids[b])) for a, b in zip(pairs.first[chosen], pairs.second[chosen], strict=True)
    }
    found, _ = pairs_and_removals(stage, docs, 50, 50, 2)
    columns = (found.column(name).to_pylist() for name in ("id", "survivor_id", "similarity"))
    theirs = {frozenset((a, b)) for a, b, similarity in zip(*columns, strict=True) if similarity < 1}
    sets = {i: tuple(shingle_set(t, True, 5, "fold", "exact")) for i, t in zip(ids, texts, strict=True)}

    def by_sets(some: set[frozenset[str]]) -> set[frozenset[tuple[int, ...]]]:
        return {frozenset(sets[i] for i in pair) for pair in some}

    assert by_sets(ours) == by_sets(theirs)
    assert len(ours) > 20
    assert 0 < (~pairs.found).sum() < len(pairs.found)


def test_a_dense_sample_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """All documents share half of their words: those that are compared are the first ones, exactly."""
    rng = random.Random(2)
    common = [f"c{n}" for n in range(40)]
    texts = [" ".join(common + [f"w{rng.randrange(10**6)}" for _ in range(38)]) for _ in range(64)]
    stage = Minhash(threshold=0.2, width=1)
    every = stage.pairs_among(documents(texts))
    assert every.documents == 64
    monkeypatch.setattr(exact_pairs, "PROBES", 5_000)
    fewer = stage.pairs_among(documents(texts))
    assert 1 < fewer.documents < 64
    assert told(fewer) == {pair: index for pair, index in told(every).items() if max(pair) < fewer.documents}


def test_without_documents() -> None:
    for texts in ([], [""], ["one text alone with words enough"]):
        pairs = Minhash().pairs_among(documents(texts))
        assert len(pairs.first) == 0
        assert np.isclose(dict(pairs.curve)[0.8], 0.998, atol=5e-4)
