"""Copies of repositories: whole ones are removed, by measured index, in favour of the best."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.matching import repositories
from corpusmill.dedup.repository import Repository
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import WithSides
from corpusmill.pipelines.run.operators.row_order import sorted_rows
from tests.oracles.dedup_exchange import documents, played

Row = tuple[str, str | None, str | None, int, str]
"""Text, repository, licence, stars, source."""
CLASSES = {"MIT": 0, "GPL-2.0-only": 1, None: 2}


def removals_in_rounds(
    stage: Repository, docs: Documents, unit: int, batch: int, partitions: int
) -> dict[str, tuple[str, float]]:
    """Removed id -> (survivor id, similarity)."""
    found = [one.removals for one in played(stage, docs, unit, batch, partitions)]
    removed = pa.concat_tables([DUPLICATES.empty_table(), *(one for one in found if one is not None)])
    assert removed.schema.equals(DUPLICATES)
    ids = removed.column("id").to_pylist()
    assert len(set(ids)) == len(ids), "a document is removed once"
    survivors = removed.column("survivor_id").to_pylist()
    return dict(zip(ids, zip(survivors, removed.column("similarity").to_pylist(), strict=True), strict=True))


def made(rows: list[Row]) -> Documents:
    docs = documents([row[0] for row in rows], [row[4] for row in rows])
    columns = {
        "repo": pa.array([row[1] for row in rows], pa.string()),
        "license": pa.array([row[2] for row in rows], pa.string()),
        "meta": pa.array([json.dumps({"stars": row[3]}) for row in rows], pa.string()),
    }
    return docs.with_columns(columns)


def sets(text: str, width: int) -> set[tuple[str, ...]]:
    words = text.split()
    if words and len(words) < width:
        return {(" ".join(words),)}
    return {tuple(words[at : at + width]) for at in range(len(words) - width + 1)}


def brute_force(
    docs: Documents, rows: list[Row], width: int, threshold: float
) -> dict[str, tuple[str, float]]:
    """Every pair of repositories measured, in the order of their worth."""
    repos: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for row, id_ in zip(rows, docs.column("id").to_pylist(), strict=True):
        if row[1] is not None:
            repos.setdefault((row[4], row[1]), []).append((id_, row))
    worth = {}
    for repo, files in repos.items():
        weights = {one: sum(len(row[0]) for _, row in files if CLASSES[row[2]] == one) for one in range(3)}
        licence = max(weights, key=lambda one: (weights[one], one))
        size = sum(len(row[0]) for _, row in files)
        worth[repo] = (licence, -max(row[3] for _, row in files), -size, min(id_ for id_, _ in files))
    shingles = {repo: set().union(*(sets(row[0], width) for _, row in its)) for repo, its in repos.items()}
    kept: list[tuple[str, str]] = []
    removed: dict[str, tuple[str, float]] = {}
    for repo in sorted(repos, key=worth.__getitem__):
        alike = []
        for better in kept:
            both = len(shingles[repo] | shingles[better])
            index = Fraction(len(shingles[repo] & shingles[better]), both) if both else Fraction(0)
            if shingles[repo] and shingles[better] and index >= threshold:
                alike.append((-index, worth[better], better))
        if alike:
            index, _, better = min(alike)
            removed.update({id_: (worth[better][3], float(-index)) for id_, _ in repos[repo]})
        else:
            kept.append(repo)
    return removed


row = st.tuples(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6).map(" ".join),
    st.sampled_from([None, "r", "s", "t", "u"]),
    st.sampled_from(["MIT", "GPL-2.0-only", None]),
    st.integers(0, 2),
    st.sampled_from(["one", "two"]),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(row, max_size=14), st.integers(1, 7), st.integers(1, 4), st.integers(1, 9))
def test_equals_brute_force_in_any_layout(rows: list[Row], unit: int, batch: int, partitions: int) -> None:
    """With bands of one hash all pairs that share much are found, but by chance of hashes alone."""
    docs = made(rows)
    stage = Repository(width=2, bands=64, rows=1, threshold=0.5)
    assert removals_in_rounds(stage, docs, unit, batch, partitions) == brute_force(docs, rows, 2, 0.5)


def test_a_fork_goes_as_a_whole_and_what_is_left_is_complete() -> None:
    words = [f"w{n}" for n in range(400)]
    original: list[Row] = [
        (" ".join(words[at : at + 100]), "o/r", "MIT", 5, "s") for at in range(0, 400, 100)
    ]
    fork: list[Row] = [(text, "f/r", "MIT", 9, "s") for text, *_ in original[:-1]]
    fork += [(" ".join([*words[300:390], *["new"] * 5]), "f/r", "MIT", 9, "s")]
    part: list[Row] = [(original[0][0], "p/r", "MIT", 99, "s")]
    docs = made([*original, *fork, *part])
    ids = docs.column("id").to_pylist()
    removed = removals_in_rounds(Repository(), docs, 3, 2, 5)
    assert set(removed) == set(ids[:4])
    assert {survivor for survivor, _ in removed.values()} == {min(ids[4:8])}
    assert all(0.9 < similarity < 1 for _, similarity in removed.values())
    copyleft = [(text, repo, "GPL-2.0-only" if repo == "f/r" else licence, stars, source)
                for text, repo, licence, stars, source in [*original, *fork, *part]]  # fmt: skip
    assert set(removals_in_rounds(Repository(), made(copyleft), 3, 2, 5)) == set(ids[4:8])
    assert removals_in_rounds(Repository(threshold=1.0), docs, 3, 2, 5) == {}


def test_crowded_bands_are_measured_against_their_best() -> None:
    rows: list[Row] = [("a b c d e f", f"r{n}", "MIT", n, "s") for n in range(12)]
    docs = made(rows)
    best = docs.column("id").to_pylist()[-1]
    removed = removals_in_rounds(Repository(max_bucket=1), docs, 5, 5, 3)
    assert len(removed) == 11
    assert set(removed.values()) == {(best, 1.0)}


def shared_core(count: int, own: int) -> list[Row]:
    """Repositories of one file that all have, and one of `own` words of their own: most share bands."""
    core = " ".join(f"core{n}" for n in range(100))
    return [
        row
        for number in range(count)
        for row in (
            (core, f"r{number}", "MIT", number % 3, "s"),
            (" ".join(f"w{number}x{n}" for n in range(own)), f"r{number}", "MIT", 0, "s"),
        )
    ]


def test_what_many_share_removes_none_that_differ() -> None:
    """Repositories with one vendored file: in a crowd of them as in any layout, only copies go."""
    rows = shared_core(60, 60)
    rows += [(text, f"copy of {repo}", "MIT", 0, "s") for text, repo, *_ in rows[:8]]
    docs = made(rows)
    for most in (2, 128):
        stage = Repository(max_bucket=most)
        removed = removals_in_rounds(stage, docs, 200, 200, 1)
        assert set(removed) <= {*docs.column("id").to_pylist()[:8], *docs.column("id").to_pylist()[-8:]}
        assert len(removed) == 8
        assert all(removals_in_rounds(stage, docs, 7, 3, parts) == removed for parts in (2, 9))


def test_a_crowd_is_measured_against_those_unlike_one_another() -> None:
    """With `max_bucket: 2` forks of the second group meet a leader of their own, behind six of the first."""
    rows: list[Row] = []
    for group in range(2):
        words = [f"w{group}x{n}" for n in range(80)]
        for fork in range(6):
            rows.append((" ".join([*words, f"own{fork}"]), f"g{group}f{fork}", "MIT", 9 - fork, "s"))
    docs = made(rows)
    removed = removals_in_rounds(Repository(max_bucket=2), docs, 5, 5, 3)
    ids = docs.column("id").to_pylist()
    assert set(removed) == {*ids[1:6], *ids[7:]}
    assert {survivor for survivor, _ in removed.values()} == {ids[0], ids[6]}


def test_copies_make_one_pair_each_and_the_best_alone_brings_its_set() -> None:
    for count in (40, 160):
        docs = made([("a b c d e f", f"r{n}", "MIT", n, "s") for n in range(count)])
        stage = Repository()
        rows = stage.emit(docs, 0, np.arange(count, dtype=np.uint32)).rows
        for this in stage.rounds()[:3]:
            assert not isinstance(this, WithSides)
            sent = this(sorted_rows(rows))
            assert isinstance(sent, pa.Table)
            rows = sent
        assert len(repositories.of_kind(rows, repositories.BROUGHT)) == stage.bands
        assert len(repositories.of_kind(rows, repositories.PAIR)) == count - 1
