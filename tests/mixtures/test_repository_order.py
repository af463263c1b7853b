from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from corpusmill.mixtures.repository_order import RepositoryOrder
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Context
from tests.oracles.tokenizer_texts import as_documents

ADDED = ("group", "group_rank", "group_bytes", "repository_order.parsed", "repository_order.scanned")


def regrouped(docs: Documents, order: Sequence[int], partitions: int = 1) -> list[Documents]:
    """What a runner makes of these documents arriving in `order`, a unit of two documents at a time."""
    stage = RepositoryOrder().prepare(Context(seed=4))
    taken = docs.table.take(pa.array(order))
    emitted = [
        stage.emit(
            Documents(taken.slice(at, 2)), at, np.arange(min(2, len(order) - at), dtype=np.uint32)
        ).rows
        for at in range(0, len(order), 2)
    ]
    rows = pa.concat_tables(emitted).sort_by([(name, "ascending") for name in ("key", "unit", "row")])
    part = [key * partitions >> 64 for key in rows.column("key").to_pylist()]
    return [
        stage.reduce(rows.filter(pa.array([p == k for p in part], pa.bool_()))) for k in range(partitions)
    ]


def repository() -> Documents:
    files = {
        ("r", "p/__init__.py"): "from .a import run\n",
        ("r", "p/a.py"): "from .c import x\nfrom . import b\n",
        ("r", "p/b.py"): "import os\n",
        ("r", "p/c.py"): "from .b import y\n",
        ("r", "README.md"): "p\n",
        ("s", "main.c"): '#include "util.h"\n',
        ("s", "util.h"): "int f(void);\n",
        (None, "x.txt"): "alone",
        (None, None): "nowhere",
    }
    docs = as_documents(
        list(files.values()), repo=[r for r, _ in files], path=[p for _, p in files], source=["code"] * 9
    )
    return docs.with_columns(
        {"quality.score": pa.array(np.arange(9.0)), "list": pa.array([[i] for i in range(9)])}
    )


def rows_of(parts: Sequence[Documents], *names: str) -> list[tuple[object, ...]]:
    return [row for part in parts for row in zip(*(part.column(n).to_pylist() for n in names), strict=True)]


def test_files_come_after_what_they_import() -> None:
    parts = regrouped(repository(), range(9))
    rows = rows_of(parts, "group", "path", "group_rank")
    assert [(path, rank) for group, path, rank in rows if group == "r"] == [
        *[("README.md", 0), ("p/b.py", 1), ("p/c.py", 2), ("p/a.py", 3), ("p/__init__.py", 4)]
    ]
    assert [(path, rank) for group, path, rank in rows if group == "s"] == [("util.h", 0), ("main.c", 1)]
    assert {(path, rank) for group, path, rank in rows if group is None} == {("x.txt", None), (None, None)}


def test_arrival_and_partitions_change_nothing_but_the_place() -> None:
    docs = repository()
    expected = {row[0]: row for row in rows_of(regrouped(docs, range(9)), "id", "group", "group_rank")}
    for seed in range(10):
        order = random.Random(seed).sample(range(9), 9)
        for partitions in (1, 3):
            parts = regrouped(docs, order, partitions)
            assert {r[0]: r for r in rows_of(parts, "id", "group", "group_rank")} == expected


def test_other_columns_survive() -> None:
    docs = repository()
    parts = regrouped(docs, range(9), partitions=4)
    names = docs.table.column_names
    assert all(part.table.column_names == [*names, *ADDED] for part in parts)
    assert sorted(map(repr, rows_of(parts, *names))) == sorted(map(repr, rows_of([docs], *names)))
    assert parts[0].table.schema.field("group_rank").type == pa.int32()


def test_bytes_before_a_file_are_counted_by_repository() -> None:
    texts = ["import b\n", "é = 1\n", "alone", "z", ""]
    docs = as_documents(texts, repo=["r", "r", None, "s", "s"], path=["a.py", "b.py", None, "a", "b"])
    rows = rows_of(regrouped(docs, range(5)), "group", "path", "group_bytes")
    expected = [("r", "b.py", 0), ("r", "a.py", len("é = 1\n".encode())), ("s", "a", 0), ("s", "b", 1)]
    assert sorted(rows, key=str) == sorted([*expected, (None, None, None)], key=str)


def test_one_name_in_two_sources_is_two_repositories() -> None:
    docs = as_documents(["a", "b"], repo=["r", "r"], path=["a", "b"], source=["one", "two"])
    assert rows_of(regrouped(docs, [0, 1]), "group_rank") == [(0,), (0,)]


def test_a_repeated_path_keeps_both_files() -> None:
    docs = as_documents(["import b", "import b\n", "x"], repo=["r"] * 3, path=["a.py", "a.py", "b.py"])
    rows = rows_of(regrouped(docs, [0, 1, 2]), "path", "group_rank")
    assert rows == [("b.py", 0), ("a.py", 1), ("a.py", 2)]


def test_import_statements_are_counted() -> None:
    docs = as_documents(
        ["import b\nimport c", "cimport a\n", "x"], repo=["r"] * 3, path=["a.py", "b.pyx", "c.txt"]
    )
    rows = rows_of(regrouped(docs, [0, 1, 2]), "path", *ADDED[3:])
    assert sorted(rows, key=str) == [("a.py", 2, 0), ("b.pyx", 0, 1), ("c.txt", None, None)]


def test_a_stage_that_ran_before_leaves_nothing() -> None:
    first = regrouped(repository(), range(9))[0]
    again = regrouped(first, range(9))[0]
    assert again.table.column_names == first.table.column_names
    assert rows_of([again], "id", *ADDED) == rows_of([first], "id", *ADDED)
