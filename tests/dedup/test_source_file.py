"""Copies of source files: groups by text, survivors by licence, place and stars."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.matching.code_worth import PERMISSIVE, is_vendored, licence_class, stars_of
from corpusmill.dedup.source_file import SourceFile
from corpusmill.pipelines.contract.documents import Documents
from tests.oracles.dedup_exchange import documents, removals

LOWER = frozenset(name.lower() for name in PERMISSIVE)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", 0),
        ("mit", 0),
        ("MIT OR GPL-3.0-only", 0),
        ("(Apache-2.0 WITH LLVM-exception) AND BSD-3-Clause", 0),
        ("MIT AND GPL-2.0-only", 1),
        ("GPL-2.0-or-later", 1),
        ("MIT (+ vendored: MPL-2.0)", 1),
        ("NOASSERTION", 2),
        (" ", 2),
        (None, 2),
    ],
)
def test_licences(licence: str | None, expected: int) -> None:
    assert licence_class(licence, LOWER) == expected


def test_stars_and_places() -> None:
    fields = ["stars", "max_stars_count"]
    metas = [
        '{"stars": 3}',
        '{"max_stars_count": 4.0}',
        '{"stars": "x", "max_stars_count": 5}',
        '{"stars": true}',
    ]
    assert [stars_of(meta, fields) for meta in [*metas, "{}", '{"stars": -1}', '{"x": "stars"}']] == [
        *[3, 4, 5, 0, 0, 0, 0]
    ]
    places: list[str | None] = [
        "a/vendor/b.c",
        "vendor/b.c",
        "a/Third-Party/b.c",
        "a/_vendor/b.py",
        "a/vendor.c",
        "avendor/b.c",
        None,
    ]
    assert [is_vendored(place) for place in places] == [True] * 4 + [False] * 3


Row = tuple[str, str | None, str | None, str, int, str]


def made(rows: list[Row]) -> Documents:
    """Documents of (text, repo, licence, path, stars, source)."""
    docs = documents([row[0] for row in rows], [row[5] for row in rows])
    columns = {
        "repo": pa.array([row[1] for row in rows], pa.string()),
        "license": pa.array([row[2] for row in rows], pa.string()),
        "path": pa.array([row[3] for row in rows], pa.string()),
        "meta": pa.array([json.dumps({"stars": row[4]}) for row in rows], pa.string()),
    }
    return docs.with_columns(columns)


def test_the_best_copy_stays() -> None:
    rows: list[Row] = [
        ("a  b", "vendoring", "MIT", "v/vendor/x.c", 9, "s"),
        ("a b\n", "fork", "MIT", "x.c", 1, "s"),
        ("a\tb", "original", "MIT", "x.c", 5, "s"),
        ("a b", "copyleft", "GPL-3.0-only", "x.c", 100, "s"),
        ("a b", "unknown", None, "x.c", 100, "s"),
        ("a b", None, "MIT", "page", 100, "s"),
        ("A b", "case", "MIT", "x.c", 0, "s"),
        (" ", "blank", "MIT", "y.c", 0, "s"),
        ("", "blank", "MIT", "z.c", 0, "s"),
    ]
    docs = made(rows)
    ids = docs.column("id").to_pylist()
    assert removals(SourceFile(), docs) == {ids[at]: (ids[2], 1.0) for at in (0, 1, 3, 4)}
    assert removals(SourceFile(permissive=["gpl-3.0-only"]), docs)[ids[2]] == (ids[3], 1.0)


row = st.tuples(
    st.sampled_from(["a", " a", "b", "a b", "a\n\nb", "", " "]),
    st.sampled_from([None, "r", "s"]),
    st.sampled_from([None, "MIT", "GPL-2.0-only"]),
    st.sampled_from(["x.c", "vendor/x.c"]),
    st.integers(0, 2),
    st.sampled_from(["one", "two"]),
)


@settings(deadline=None, max_examples=75)
@given(
    st.lists(row, max_size=20),
    st.sampled_from([[], ["two"]]),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_equals_brute_force_in_any_layout(
    rows: list[Row], priority: list[str], unit: int, batch: int, partitions: int
) -> None:
    docs = made(rows)
    groups: dict[str, list[tuple[int, int, bool, int, int, str]]] = {}
    for (text, repo, licence, path, stars, source), id_ in zip(
        rows, docs.column("id").to_pylist(), strict=True
    ):
        if repo is not None and text.split():
            place = priority.index(source) if source in priority else len(priority)
            worth = (place, licence_class(licence, LOWER), is_vendored(path), -stars, -len(text), id_)
            groups.setdefault(" ".join(text.split()), []).append(worth)
    expected = {
        one[-1]: (min(group)[-1], 1.0) for group in groups.values() for one in group if one != min(group)
    }
    stage = SourceFile(priority=priority)
    assert removals(stage, docs, unit, batch, partitions) == expected
