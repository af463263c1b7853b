from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from corpusmill.mixtures.draw import Draw
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.randomness import is_held_out
from corpusmill.pipelines.contract.stage import Context, Emitted
from corpusmill.pipelines.records.mixture_plan import FILE, write_plan
from tests.made_records import made_plan

N = 20_000


def drawn(
    tmp_path: Path,
    epochs: int = 1,
    seed: int = 1,
    groups: list[str | None] | None = None,
    held_out: float = 0.0,
) -> pa.Table:
    write_plan(tmp_path / FILE, made_plan(seed, a={"full_epochs": epochs, "requested_share": 1.0}))
    n = len(groups) if groups is not None else N
    ids = [f"{i:032x}" for i in range(n)]
    docs = Documents(
        pa.table(
            {
                "id": ids,
                "held_out": is_held_out(ids, seed, held_out),
                "source": ["a"] * n,
                "group": pa.array(groups or [None] * n, pa.string()),
                "extra": pa.array(range(n), pa.int64()),
            }
        )
    )
    stage = Draw().prepare(Context(artefacts={"mixture": tmp_path}))
    rows = stage.emit(docs, 3, np.arange(n, dtype=np.uint32)).rows
    return rows.sort_by([("key", "ascending"), ("unit", "ascending"), ("row", "ascending")])


@pytest.fixture
def order(tmp_path: Path) -> npt.NDArray[np.int64]:
    """Documents 0..N-1 in their shuffled order."""
    return np.asarray(drawn(tmp_path).column("extra").to_numpy())


def test_it_is_a_permutation_with_all_columns(tmp_path: Path, order: npt.NDArray[np.int64]) -> None:
    assert sorted(order.tolist()) == list(range(N))
    rows = drawn(tmp_path)
    assert rows.column_names[:4] == ["key", "unit", "row", "epoch"]
    types = [rows.schema.field(name).type for name in ("key", "unit", "row", "epoch")]
    assert types == [pa.uint64(), pa.uint32(), pa.uint32(), pa.int32()]
    assert rows.column("extra").to_pylist() == rows.column("row").to_pylist()


def test_neighbours_do_not_stay_neighbours(order: npt.NDArray[np.int64]) -> None:
    """In a random permutation the number of i followed by i + 1 is Poisson of mean 1; 8 has p < 1e-5."""
    assert np.count_nonzero(np.diff(order) == 1) < 8
    assert np.count_nonzero(np.diff(order) == -1) < 8


def test_places_are_uniform(order: npt.NDArray[np.int64]) -> None:
    """Each of 10 stretches of the input spreads over 10 stretches of the output: chi-square with 81 degrees,
    whose 0.0001 point is 138."""
    table = np.zeros((10, 10))
    np.add.at(table, (order * 10 // N, np.arange(N) * 10 // N), 1)
    assert ((table - N / 100) ** 2 / (N / 100)).sum() < 138


def test_order_is_not_correlated_with_input(order: npt.NDArray[np.int64]) -> None:
    """The serial correlation and that with the input have standard deviation 1/sqrt(N)."""
    bound = 4 / np.sqrt(N)
    assert abs(np.corrcoef(order, np.arange(N))[0, 1]) < bound
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < bound


def test_partitions_are_even(tmp_path: Path) -> None:
    keys = drawn(tmp_path).column("key").to_numpy()
    counts = np.bincount([int(key) * 16 >> 64 for key in keys], minlength=16)
    assert ((counts - N / 16) ** 2 / (N / 16)).sum() < 44.3  # 15 degrees, 0.0001


def test_copies_lie_apart(tmp_path: Path) -> None:
    rows = drawn(tmp_path, epochs=4)
    place = np.empty((4, N), np.int64)
    place[rows.column("epoch").to_numpy(), rows.column("extra").to_numpy()] = np.arange(4 * N)
    for one in range(4):
        for other in range(one):
            assert abs(np.corrcoef(place[one], place[other])[0, 1]) < 4 / np.sqrt(N)
    assert np.count_nonzero(np.diff(rows.column("extra").to_numpy()) == 0) < 20  # Poisson of mean 3


def test_another_seed_is_another_order(tmp_path: Path, order: npt.NDArray[np.int64]) -> None:
    other = drawn(tmp_path, seed=2).column("extra").to_numpy()
    assert abs(np.corrcoef(order, other)[0, 1]) < 4 / np.sqrt(N)


def test_groups_stay_together(tmp_path: Path) -> None:
    groups: list[str | None] = [*(["g", "h", None] * 30)]
    rows = drawn(tmp_path, epochs=2, groups=groups)
    names = list(zip(rows.column("group").to_pylist(), rows.column("epoch").to_pylist(), strict=True))
    for name in [("g", 0), ("g", 1), ("h", 0), ("h", 1)]:
        places = [i for i, other in enumerate(names) if other == name]
        assert places == list(range(places[0], places[0] + 30))
    assert len(set(rows.column("key").to_pylist())) == 4 + 60


def test_a_large_group_is_divided_by_what_comes_before(tmp_path: Path) -> None:
    """Documents with as many times `shard_tokens` bytes of their group before them share a draw."""
    write_plan(tmp_path / FILE, made_plan(1, a={"full_epochs": 2, "requested_share": 1.0}))
    before = [0, 40, 99, 100, 250, 299, 310, None, 0, 30]
    groups = ["g"] * 7 + [None, "h", "h"]
    columns = {
        "id": [f"{i:032x}" for i in range(10)],
        "held_out": [False] * 10,
        "source": ["a"] * 10,
        "group": groups,
        "group_bytes": pa.array(before, pa.int64()),
    }
    stage = Draw(shard_tokens=100).prepare(Context(artefacts={"mixture": tmp_path}))
    docs = Documents(pa.table(columns))
    rows = stage.emit(docs, 0, np.arange(10, dtype=np.uint32)).rows
    of_key: dict[tuple[int, int], set[int]] = {}
    for key, row, epoch in zip(*(rows.column(n).to_pylist() for n in ("key", "row", "epoch")), strict=True):
        of_key.setdefault((epoch, key), set()).add(row)
    parts = [{0, 1, 2}, {3}, {4, 5}, {6}, {7}, {8, 9}]
    for epoch in (0, 1):
        assert sorted((rows for (e, _), rows in of_key.items() if e == epoch), key=min) == parts
    small = stage.emit(Documents(docs.drop("group_bytes").table), 0, np.arange(10, dtype=np.uint32)).rows
    assert len(set(small.column("key").to_pylist())) == 2 * 3


def test_held_out_documents_are_drawn_once_and_never_trained_on(tmp_path: Path) -> None:
    rows = drawn(tmp_path, epochs=3, held_out=0.01)
    names, held, epochs = (rows.column(name).to_pylist() for name in ("id", "held_out", "epoch"))
    apart = [name for name, h in zip(names, held, strict=True) if h]
    trained = {name for name, h in zip(names, held, strict=True) if not h}
    assert len(apart) == len(set(apart))
    assert abs(len(apart) - 0.01 * N) < 4 * np.sqrt(0.01 * N)  # binomial
    assert not trained & set(apart)
    assert len(trained) == N - len(apart)
    assert {e for e, h in zip(epochs, held, strict=True) if h} == {0}
    assert not any(drawn(tmp_path, epochs=1).column("held_out").to_pylist())


def test_who_is_held_out_depends_on_id_and_seed_alone() -> None:
    ids = [f"{i:032x}" for i in range(5000)]
    held = is_held_out(ids, 3, 0.1)
    np.testing.assert_array_equal(held[::-1], is_held_out(ids[::-1], 3, 0.1))
    np.testing.assert_array_equal(held, is_held_out(pa.array(ids), 3, 0.1))
    assert abs(held.sum() - 500) < 4 * np.sqrt(450)
    assert (is_held_out(ids, 3, 0.2) | ~held).all()  # a larger share holds out the same and more
    both = (held & is_held_out(ids, 4, 0.1)).sum()
    assert abs(both - 50) < 4 * np.sqrt(50)
    assert not is_held_out(ids, 3, 0.0).any()
    assert is_held_out(ids, 3, 1.0).all()


def test_one_partition_a_shard(tmp_path: Path) -> None:
    write_plan(tmp_path / FILE, made_plan(a={"tokens": 70}, b={"tokens": 31}))
    context = Context(artefacts={"mixture": tmp_path})
    assert [Draw(shard_tokens=n).partitions(context) for n in (1000, 101, 100, 10)] == [1, 1, 2, 11]


def test_it_accounts_for_what_is_drawn_whole_in_part_and_not_at_all() -> None:
    """Row 5 is drawn whole, 6 in part, 7 whole and in part, 8 not at all, 9 whole, by two phases."""
    docs = Documents(pa.table({"bytes": pa.array([100, 101, 102, 103, 104], pa.int64())}))
    copies: dict[str, Any] = {
        "row": [5, 6, 7, 7, 9, 9],
        "epoch": [0, 0, 0, 1, 0, 0],
        "cut_from": [0, 0, 0, 0, 0, 5],
        "cut_to": [-1, 3, -1, 2, 5, -1],
        "tokens": [[1] * 9, [1] * 4, [1] * 8, [1] * 8, [1] * 7, [1] * 7],
    }
    emitted = Emitted(pa.table({**copies, "row": pa.array(copies["row"], pa.uint32())}))
    found = Draw().sent(docs, np.arange(5, 10, dtype=np.uint32), emitted)
    assert found.sent.tolist() == [True, True, True, False, True]
    assert found.sizes.tolist() == [100, 101 * 3 // 4, 102, 0, 104]
    assert found.reasons.to_pylist() == [None, "drawn_in_part", None, "not_drawn", None]


def test_a_batch_that_filters_left_empty_has_marks_and_rows_of_no_documents(tmp_path: Path) -> None:
    write_plan(tmp_path / FILE, made_plan(1, a={"full_epochs": 1, "requested_share": 1.0}))
    text, none = pa.array([], pa.string()), np.zeros(0, np.uint32)
    docs = Documents(pa.table({"id": text, "held_out": pa.array([], pa.bool_()), "source": text}))
    context = Context(artefacts={"mixture": tmp_path})
    stage = Draw()
    assert stage.marks().of(context, docs, 3, none).shape == (2, 0)
    assert stage.prepare(context).emit(docs, 3, none).rows.num_rows == 0
