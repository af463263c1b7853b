"""Methods of packing: what goes into which row, what it costs, and that the costs are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.inspection.shard_files import statistics
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.shard_counts import PartitionCounts
from corpusmill.tokenizer.kernels.greedy import greedy
from corpusmill.tokenizer.packing.rows import pack_rows
from tests.oracles.tokenizer_packing import best_fit_rows, greedy_rows
from tests.tokenizer.test_pack import drawn, packed

METHODS = ("best_fit", "greedy", "concat")
LENGTH = 16


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=60))))
def test_greedy_equals_the_oracle(case: tuple[int, list[int]]) -> None:
    capacity, lengths = case
    row, start, rows = greedy(np.array(lengths, np.int64), capacity)
    expected = greedy_rows(lengths, capacity)
    assert rows == len(expected)
    for number, items in enumerate(expected):
        assert row[items].tolist() == [number] * len(items)
        assert start[items].tolist() == np.cumsum([0, *(lengths[i] for i in items)])[:-1].tolist()


@pytest.mark.parametrize("in_order", [False, True])
@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_rows_hold_what_the_oracles_put_in_them(in_order: bool, lengths: list[int]) -> None:
    """Items longer than a row are cut into full rows and a rest; the rest is placed as any other item."""
    length_d = np.array(lengths, np.int64)
    start_d = np.cumsum(length_d) - length_d
    values = np.repeat(np.arange(len(lengths)), length_d).astype(np.uint16)  # a token tells its document
    chains = np.arange(len(lengths) + 1)
    rows = pack_rows(start_d, length_d, chains, values, LENGTH, 999, 1, in_order=in_order)
    chunks = [
        (document, min(LENGTH, length - at))
        for document, length in enumerate(lengths)
        for at in range(0, length, LENGTH)
    ]
    full = [] if in_order else [(document, size) for document, size in chunks if size == LENGTH]
    others = chunks if in_order else [(document, size) for document, size in chunks if size < LENGTH]
    placed = (greedy_rows if in_order else best_fit_rows)([size for _, size in others], LENGTH)
    wanted = [[others[item] for item in items] for items in placed] + [[one] for one in full]
    expected = sorted(
        [document for document, size in row for _ in range(size)] + [999] * (LENGTH - sum(s for _, s in row))
        for row in wanted
    )
    assert sorted(rows.tokens.tolist()) == expected


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([None, "r"])), max_size=25),
    st.sampled_from(METHODS),
)
def test_what_a_method_costs_is_counted(
    context: Context, tmp_path: Path, rows: list[tuple[int, str | None]], method: str
) -> None:
    lengths = [size for size, _ in rows]
    table = drawn(lengths, [group for _, group in rows], list(range(len(rows))))
    shard = packed(context, table, tmp_path, method=method)
    rows_of: dict[str, set[int]] = {}
    behind = 0
    for row in range(shard.rows):
        pieces = shard.pieces(row)
        for piece in pieces:
            rows_of.setdefault(piece.document, set()).add(row)
            behind += piece.length * (piece.document != pieces[0].document)
    divided = [int(name, 16) for name, found in rows_of.items() if len(found) > 1]
    counts = shard.metadata["counts"]
    assert counts["divided_documents"] == len(divided)
    assert counts["divided_short_documents"] == sum(lengths[number] <= LENGTH for number in divided)
    assert counts["tokens_behind_others"] == behind
    assert counts["fim_documents_by_source"].get("a", 0) == counts["fim_documents"]


def test_a_document_s_start_is_known_in_every_row(context: Context, tmp_path: Path) -> None:
    """Pieces leave no gap and begin where another document does, so that a mask across documents follows."""
    for number, method in enumerate(METHODS):
        shard = packed(context, drawn([5, 40, 3, 16, 9, 9, 9]), tmp_path, number, method=method)
        for row in range(shard.rows):
            at = 0
            for piece in shard.pieces(row):
                assert piece.start == at
                at += piece.length
                first = shard.tokens(row)[piece.start]
                assert first == 10 + (int(piece.document, 16) * 7 + piece.offset) % 600


def test_methods_differ_as_they_should(context: Context, tmp_path: Path) -> None:
    """Best fit divides no document that fits a row and pads least of those; end to end pads one row."""
    table = drawn(np.random.default_rng(4).integers(1, 15, 400).tolist())
    found = {}
    for number, method in enumerate(METHODS):
        counts = packed(context, table, tmp_path, number, method=method).metadata["counts"]
        found[method] = statistics([decode(PartitionCounts, counts, "made")])
    padding = {method: one.padding for method, one in found.items()}
    assert padding["concat"] < LENGTH <= padding["best_fit"] < padding["greedy"]
    assert found["best_fit"].divided_share == found["greedy"].divided_share == 0.0
    assert (found["concat"].divided_share or 0) > 0.3
    assert all(0 < (one.behind_others_share or 0) < 1 for one in found.values())
    assert {one.sources["a"].fim_rate for one in found.values()} == {134 / 400}


def test_shards_that_do_not_count_it_say_so() -> None:
    old = PartitionCounts(1, 10, 6, 2, 0, 2, {"a": 10}, {"a": 2})
    found = statistics([old])
    assert (found.divided_share, found.behind_others_share, found.sources["a"].fim_rate) == (None, None, None)
