from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import DataError, IntegrityError
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.evaluation.baselines import fit_baselines
from corpusmill.training_hooks.evaluation.pair_counts import PairCounts
from corpusmill.training_hooks.evaluation.real_tokens import ROWS, real_tokens, start_token
from tests.oracles.training_baselines import Oracle
from tests.oracles.training_held_out import EOS, PAD, write_documents

LENGTH, VOCABULARY = 12, 64
ROWS_OF_IDS = st.lists(
    st.lists(st.integers(3, 12) | st.just(EOS), min_size=1, max_size=LENGTH), min_size=1, max_size=9
)


def padded(rows: list[list[int]]) -> np.ndarray:
    return np.array([row + [PAD] * (LENGTH - len(row)) for row in rows])


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS_OF_IDS, ROWS_OF_IDS)
def test_equals_the_oracle(tmp_path: Path, left: list[list[int]], right: list[list[int]]) -> None:
    paths = [write_documents(tmp_path / f"{k}.arrow", padded(rows)) for k, rows in enumerate((left, right))]
    fitted, oracle = fit_baselines(paths), Oracle(left + right, EOS, VOCABULARY)
    assert fitted.tokens == sum(map(len, left + right))
    words = np.arange(VOCABULARY)
    expected = [oracle.unigram(w) for w in range(VOCABULARY)]
    assert fitted.unigram_nats(words).tolist() == pytest.approx(expected, rel=1e-12)
    for before in (EOS, 5, 40):
        found = fitted.bigram_nats(np.full(VOCABULARY, before), words)
        expected = [oracle.bigram(before, w) for w in range(VOCABULARY)]
        assert found.tolist() == pytest.approx(expected, rel=1e-12)
        assert np.exp(-found).sum() == pytest.approx(1.0)
    assert np.exp(-fitted.unigram_nats(words)).sum() == pytest.approx(1.0)


def test_copies_of_a_document_are_counted_once(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(3, 60, (6, LENGTH))
    once = fit_baselines([write_documents(tmp_path / "once.arrow", rows)])
    names, epochs = [*range(6), *range(6)], [0] * 6 + [1] * 6
    path = write_documents(tmp_path / "twice.arrow", np.tile(rows, (2, 1)), documents=names, epochs=epochs)
    twice = fit_baselines([path])
    np.testing.assert_array_equal(once.direct, twice.direct)
    np.testing.assert_array_equal(once.unigram, twice.unigram)
    assert once.tokens == twice.tokens == rows.size


def test_more_shards_than_asked_for_are_left(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(3, 60, (6, LENGTH))
    paths = [write_documents(tmp_path / f"{k}.arrow", rows) for k in range(3)]
    assert fit_baselines(paths, tokens=rows.size + 1).tokens == 2 * rows.size


def test_what_cannot_be_fitted(tmp_path: Path) -> None:
    good = write_documents(tmp_path / "good.arrow", np.full((2, LENGTH), 7))
    wide = write_documents(tmp_path / "wide.arrow", np.full((2, LENGTH), 7), vocab_size=65)
    bad = write_documents(tmp_path / "bad.arrow", np.full((2, LENGTH), 64))
    with pytest.raises(IntegrityError, match=r"wide\.arrow has 65 ids, others 64"):
        fit_baselines([good, wide])
    with pytest.raises(IntegrityError, match=r"bad\.arrow holds id 64"):
        fit_baselines([bad])
    with pytest.raises(DataError, match="no tokens"):
        fit_baselines([])


@given(st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20), max_size=12))
def test_pairs_add_up_whatever_their_batches(batches: list[list[tuple[int, int]]]) -> None:
    counts = PairCounts(7)
    expected: dict[int, int] = {}
    for batch in batches:
        pairs = np.array(batch, np.int64).reshape(-1, 2)
        counts.add(pairs[:, 0], pairs[:, 1])
        for before, token in batch:
            expected[before * 7 + token] = expected.get(before * 7 + token, 0) + 1
    keys, found = counts.table()
    assert dict(zip(keys.tolist(), found.tolist(), strict=True)) == expected
    assert (np.diff(keys) > 0).all()


def test_tokens_come_with_what_stands_before_them(tmp_path: Path) -> None:
    """Over more than one block of rows."""
    rows = np.random.default_rng(0).integers(3, 60, (ROWS + 5, 4))
    rows[:, 3] = np.where(np.arange(len(rows)) % 3, PAD, rows[:, 3])
    shard = open_shard(write_documents(tmp_path / "x.arrow", rows))
    blocks = list(real_tokens(shard))
    assert len(blocks) == 2
    token = np.concatenate([b.token for b in blocks])
    before = np.concatenate([b.before for b in blocks])
    source = np.concatenate([b.source for b in blocks])
    expected = [
        (int(row[k]), int(row[k - 1]) if k else EOS, r % 2)
        for r, row in enumerate(rows)
        for k in range(4)
        if row[k] != PAD
    ]
    assert list(zip(token.tolist(), before.tolist(), source.tolist(), strict=True)) == expected


def test_a_row_begins_where_documents_do() -> None:
    assert start_token({"eos_id": 5, "bos_id": 4, "pad_id": 3}) == 5
    assert start_token({"eos_id": None, "bos_id": 0, "pad_id": 3}) == 0
    assert start_token({"pad_id": 3}) == 3
    with pytest.raises(ValueError, match="neither"):
        start_token({"pad_id": None})
