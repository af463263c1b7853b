"""Rows of one key that are shown in windows: what is found is what all rows at once give."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.boilerplate import Boilerplate
from corpusmill.dedup.exact import Exact
from corpusmill.dedup.matching import crowds, equals, repeats, repositories
from corpusmill.dedup.minhash import Minhash
from corpusmill.dedup.paragraph import Paragraph
from corpusmill.dedup.repository import Repository
from corpusmill.dedup.source_file import SourceFile
from corpusmill.dedup.substring import Substring
from corpusmill.dedup.url import Url
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Exchange, Found, WithSides
from corpusmill.pipelines.contract.windows import InWindows
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.run.operators import layout, meeting, partitions
from corpusmill.pipelines.run.operators.left_out import read_left_out
from corpusmill.pipelines.run.operators.row_order import sorted_rows
from tests.oracles.dedup_exchange import documents
from tests.pipelines.run.edited import rows_of, run, write_recipe


def rows_found(found: Sequence[pa.Table | Found]) -> list[dict[str, Any]]:
    """Whatever rounds gave, in one order."""
    tables = []
    for one in found:
        tables += [one.removals, one.edits] if isinstance(one, Found) else [one]
    rows = [row for table in tables if table is not None for row in table.to_pylist()]
    return sorted(rows, key=lambda row: str(sorted(row.items(), key=str)))


def compare_rounds(stage: Exchange, docs: Documents, draw: random.Random) -> int:
    """Each round in windows of any rows, beside the whole; returns how many rows windows gave."""
    rows, side, seen = None, None, 0
    for unit in range(0, len(docs), 5):
        emitted = stage.emit(
            docs.slice(unit, min(5, len(docs) - unit)),
            unit // 5,
            np.arange(5, dtype=np.uint32)[: len(docs) - unit],
        )
        rows = emitted.rows if rows is None else pa.concat_tables([rows, emitted.rows])
        if emitted.side is not None:
            side = emitted.side if side is None else pa.concat_tables([side, emitted.side])
    assert rows is not None
    for this in stage.rounds():
        if not len(rows):
            break
        if isinstance(this, WithSides):
            assert side is not None
            by = [("unit", "ascending"), ("row", "ascending")]
            rows = rows.append_column("key", pa.nulls(len(rows), pa.uint64())).sort_by(by).combine_chunks()
            places = sorted({5 * row["unit"] + row["row"] for row in rows.to_pylist()})
            made = this.work(rows, side.take(pa.array(places, pa.int64())).combine_chunks())
            rows = made if isinstance(made, pa.Table) else rows.slice(0, 0)
            continue
        rows = sorted_rows(rows)
        if not isinstance(this, InWindows):
            made = this(rows)
            assert isinstance(made, pa.Table)
            rows = made
            continue
        place = np.array([draw.randrange(4) for _ in range(len(rows))])
        windows = [
            rows.filter(pa.array(place == number)).combine_chunks() for number in draw.sample(range(4), 4)
        ]
        known = this.known_of(lambda: windows)  # noqa: B023
        assert known is not None
        found = [this.some(known, window) for window in windows]
        whole = this(rows)
        assert rows_found(found) == rows_found([whole])
        seen += len(rows_found(found))
        rows = whole if isinstance(whole, pa.Table) else rows
    return seen


TEXTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a\n\nb", "a\n\na\n\nb"]), st.sampled_from(["web", "code"])),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.sampled_from(["exact", "url", "first url", "file"]), st.randoms(use_true_random=False))
def test_documents(rows: list[tuple[str, str]], kind: str, draw: random.Random) -> None:
    urls = [f"http://{text[0]}.org/" for text, _ in rows]
    docs = documents([text for text, _ in rows], [source for _, source in rows], urls=urls)
    stages: dict[str, Exchange] = {
        "exact": Exact(priority=["code"]),
        "url": Url(),
        "first url": Url(keep="first", priority=["code"]),
        "file": SourceFile(),
    }
    if kind == "file":
        docs = docs.with_columns({"repo": pa.array(["r"] * len(docs))})
    compare_rounds(stages[kind], docs, draw)


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.sampled_from(["first", "none"]), st.integers(1, 3), st.randoms(use_true_random=False))
def test_paragraphs(
    rows: list[tuple[str, str]], keep: Literal["first", "none"], most: int, draw: random.Random
) -> None:
    docs = documents([text for text, _ in rows], [source for _, source in rows])
    stage = Paragraph(keep=keep, max_copies=most, min_characters=1, min_words=0, priority=["code"])
    compare_rounds(stage, docs, draw)


WORDS_OF = st.tuples(
    st.sampled_from(["", "x y z ", "x y z u v w "]),
    st.lists(st.sampled_from([*"abcdefghij"]), min_size=1, max_size=9).map(" ".join),
).map("".join)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(WORDS_OF, min_size=1, max_size=40),
    st.integers(2, 5),
    st.sampled_from([0.2, 0.5, 0.8]),
    st.sampled_from(["jaccard", "containment", None]),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_near_duplicates(
    texts: list[str],
    most: int,
    threshold: float,
    measure: Literal["jaccard", "containment"] | None,
    pending: int,
    draw: random.Random,
) -> None:
    """Pairs of crowded buckets, in as many looks as their leaders take."""
    options: dict[str, Any] = {"verify": False}
    if measure is not None:
        options = {"measure": measure, "threshold": threshold}
    stage = Minhash(width=1, bands=2, rows=1, max_bucket=most, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "PENDING", pending)
        compare_rounds(stage, documents(texts), draw)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.text("ab", max_size=12), min_size=1, max_size=20),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_substrings(texts: list[str], least: int, draw: random.Random) -> None:
    """Its first round, by anchor."""
    stage = Substring(min_bytes=least, bounds="characters")
    compare_rounds(stage, documents(texts), draw)


@settings(deadline=None, max_examples=60)
@given(
    TEXTS,
    st.sampled_from(["first", "none"]),
    st.integers(2, 4),
    st.sampled_from([0.0, 0.3, 0.6]),
    st.randoms(use_true_random=False),
)
def test_boilerplate(
    rows: list[tuple[str, str]],
    keep: Literal["first", "none"],
    pages: int,
    share: float,
    draw: random.Random,
) -> None:
    texts = [text.replace("\n\n", "\n") for text, _ in rows]
    urls = [f"http://{draw.choice('ab')}.org/{number}" for number in range(len(rows))]
    docs = documents(texts, [source for _, source in rows], urls=urls)
    stage = Boilerplate(keep=keep, min_pages=pages, min_share=share, priority=["code"])
    compare_rounds(stage, docs, draw)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a b c", "a b c d", "d e", ""]), st.sampled_from([None, *"rstuv"])),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_repositories(rows: list[tuple[str, str | None]], most: int, draw: random.Random) -> None:
    """The rounds by repository, by band and set, and the last one; `LISTED` is of no account to what they
    give."""
    docs = documents([text for text, _ in rows])
    docs = docs.with_columns({"repo": pa.array([repo for _, repo in rows], pa.string())})
    stage = Repository(width=2, bands=4, rows=1, threshold=0.3, max_bucket=most, priority=["code"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repositories, "LISTED", draw.choice([1, 2, 3, 16]))
        compare_rounds(stage, docs, draw)


def test_windows_see_something() -> None:
    docs = documents(["a\n\nb"] * 20)
    draw = random.Random(1)
    assert compare_rounds(Exact(), docs, draw) == 19
    assert compare_rounds(Paragraph(min_characters=1, min_words=0), docs, draw) == 40 + 38
    docs = docs.with_columns({"repo": pa.array([f"r{n // 2}" for n in range(20)])})
    files, repos = 20, 10
    met = files + repos + 20 * repos + (repos - 1)  # sets, bands that all share, and copies of the best
    assert compare_rounds(Repository(), docs, draw) == files + 22 * repos + met + files - 2


def show_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, keys of some dozens of rows; what is found is written a little at a time."""
    for where in (layout, partitions):
        monkeypatch.setattr(where, "LARGE", 1)
    for name, value in {"LEAST_BYTES": 500, "MOST_BYTES": 1500, "WINDOW_BYTES": 2000}.items():
        monkeypatch.setattr(partitions, name, value)
    monkeypatch.setattr(layout, "PIECE_BYTES", 500)
    monkeypatch.setattr("corpusmill.pipelines.run.operators.buckets.AT_ONCE", 20)


@pytest.mark.parametrize("dedup", ["exact", "url", "paragraph", "{paragraph: {keep: none}}"])
def test_a_run_with_a_hot_key_removes_and_cuts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dedup: str
) -> None:
    """Its rows are shown in windows, and what is found is written a little at a time."""
    texts = hot(0, 300)
    plain = run(write_recipe(tmp_path / "plain", [texts], dedup))
    show_in_windows(monkeypatch)
    windows: list[int] = []
    read = partitions.read_windows

    def counted(*given: Any) -> Any:
        for rows in read(*given):
            windows.append(rows.num_rows)
            yield rows

    monkeypatch.setattr(meeting, "read_windows", counted)
    split = run(write_recipe(tmp_path / "split", [texts], dedup))
    assert rows_of(split) == rows_of(plain)
    assert (len(windows) > 10) == (dedup != "url")
    assert max(windows, default=0) < 100
    assert masks_of(split) == masks_of(plain)


def masks_of(record: RunRecord) -> dict[str, str]:
    """The digest of each file of the run's mask."""
    (name,) = [step for step in record.steps if step.startswith("dedup.") and step.count(".") == 1]
    return {file.name: file.sha256 for file in record.steps[name].data.units.files()}


BANNER = "this paragraph stands in all of the pages of the site"


def hot(first: int, end: int) -> list[str]:
    return [
        f"{BANNER}\n\n{'copy' if number % 3 else number} of a text that is long enough"
        for number in range(first, end)
    ]


def test_a_run_killed_within_a_window_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every round that is shown windows: while they are learned, and while results are written."""
    plain = run(write_recipe(tmp_path / "plain", [hot(0, 200)], "paragraph"))
    show_in_windows(monkeypatch)
    recipe = write_recipe(tmp_path / "killed", [hot(0, 200)], "paragraph")
    read = partitions.read_windows

    def dying(windows: int) -> Any:
        def counted(*given: Any) -> Any:
            nonlocal windows
            for rows in read(*given):
                windows -= 1
                if not windows:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield rows

        return counted

    deaths = 0
    for windows in (3, 9, 16):
        child = os.fork()
        if not child:
            monkeypatch.setattr(meeting, "read_windows", dying(windows))
            run(recipe)
            os._exit(0)
        deaths += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert deaths == 3
    assert masks_of(run(recipe)) == masks_of(plain)


@pytest.mark.parametrize("dedup", ["exact", "paragraph"])
def test_more_documents_under_a_hot_key_equal_a_run_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dedup: str
) -> None:
    plain = run(write_recipe(tmp_path / "plain", [hot(0, 120), hot(120, 200)], dedup))
    show_in_windows(monkeypatch)
    run(write_recipe(tmp_path / "grown", [hot(0, 120), hot(120, 160)], dedup))
    grown = run(write_recipe(tmp_path / "grown", [hot(0, 120), hot(120, 200)], dedup))
    assert rows_of(grown) == rows_of(plain)
    assert masks_of(grown) == masks_of(plain)


@pytest.mark.parametrize(
    ("dedup", "module", "function", "guilty"),
    [("exact", equals, "removals_of_equals", [150]), ("paragraph", repeats, "by_document", range(300))],
)
def test_what_a_round_raises_on_in_a_window_is_left_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dedup: str,
    module: ModuleType,
    function: str,
    guilty: Sequence[int],
) -> None:
    """As where all rows are shown at once: the document that fails alone too, or, where none does, all of its
    group."""
    texts = ["this text of several words stands in all of the pages"] * 300
    texts += [f"text {number} stands here and nowhere else in the corpus" for number in range(9)]
    apply = getattr(module, function)

    def raising(rows: pa.Table, *given: Any) -> pa.Table:
        if 150 in rows.column("row").to_pylist():
            raise ValueError("a row of which it makes nothing")
        return apply(rows, *given)

    monkeypatch.setattr(module, function, raising)
    plain = run(write_recipe(tmp_path / "plain", [texts], dedup))
    show_in_windows(monkeypatch)
    split = run(write_recipe(tmp_path / "split", [texts], dedup))
    assert rows_of(split) == rows_of(plain)
    for record in (plain, split):
        left = read_left_out(record.steps[f"dedup.{dedup}.gather"].data).to_pylist()
        assert [row["row"] for row in left] == list(guilty)
        assert {row["cause"].split(":")[0] for row in left} == {"ValueError"}
