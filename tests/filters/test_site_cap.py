"""`site_cap`: cutoffs against plain sorting, in any division; bounded partials; runs, however divided."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.rules.site_cutoffs import PURPOSE
from corpusmill.filters.site_cap import SiteCap
from corpusmill.filters.site_counts import SiteCounts
from corpusmill.filters.site_cutoffs import SiteCutoffs
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.recipe.loader import load_recipe
from tests.oracles.filters_documents import documents
from tests.warm import Warm

SEED = 11
Row = tuple[str | None, int, float | None, int]  # site, number of its id, score, bytes
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a.example", "b.example", None]),
        st.integers(0, 30),  # few, so that ids come twice
        st.sampled_from([None, 0.0, 0.25, 1.0]),
        st.integers(0, 9),
    ),
    max_size=40,
)


def table(rows: Sequence[Row]) -> Documents:
    docs = documents(["x" * size for *_, size in rows])
    urls = [None if site is None else f"https://www.{site.upper()}:80/page" for site, *_ in rows]
    return docs.with_columns(
        {
            "id": pa.array([f"id{number}" for _, number, *_ in rows], pa.string()),
            "url": pa.array(urls, pa.string()),
            "math.score": pa.array([score for _, _, score, _ in rows], pa.float64()),
        }
    )


def kept(rows: Sequence[Row], documents: int | None, size: int | None, prefer: bool) -> list[bool]:
    """Of each row, by sorting the groups of its site."""
    drawn = draws([f"id{number}" for _, number, *_ in rows], SEED, PURPOSE).tolist()
    keys = [
        ((-math.inf if score is None else score) if prefer else 0.0, -draw)
        for (_, _, score, _), draw in zip(rows, drawn, strict=True)
    ]
    found = [site is None for site, *_ in rows]
    for site in {site for site, *_ in rows} - {None}:
        mine = [n for n, row in enumerate(rows) if row[0] == site]
        many = total = 0
        for key in sorted({keys[n] for n in mine}, reverse=True):
            group = [n for n in mine if keys[n] == key]
            many += len(group)
            total += sum(rows[n][3] for n in group)
            if (documents is not None and many > documents) or (size is not None and total > size):
                break
            for n in group:
                found[n] = True
    return found


def folded(stage: Any, parts: Sequence[Sequence[Documents]], folder: Path) -> dict[str, Any]:
    """The artefact of a fold, its partials combined from the last to the first, two and two."""
    folder.mkdir()
    partials = [stage.map(iter(part)) for part in parts]
    while len(partials) > 1:
        partials = [stage.combine([partials.pop(), partials.pop()]), *partials]
    summary: dict[str, Any] = stage.finish(partials[0], folder)
    return summary


@settings(max_examples=25, deadline=None)
@given(
    ROWS,
    st.integers(1, 7),
    st.one_of(st.none(), st.integers(1, 6)),
    st.one_of(st.none(), st.integers(1, 30)),
    st.booleans(),
)
def test_any_division_keeps_what_sorting_keeps(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    size: int,
    many: int | None,
    most: int | None,
    prefer: bool,
) -> None:
    folder = tmp_path_factory.mktemp("cap")
    batches = [table(rows[at : at + size]) for at in range(0, len(rows), size)] or [table([])]
    parts = [batches[at : at + 2] for at in range(0, len(batches), 2)]
    counts = folded(SiteCounts(), parts, folder / "counts")
    assert (counts["documents"], counts["bytes"]) == (len(rows), sum(row[3] for row in rows))
    column = "math.score" if prefer else None
    cutter = SiteCutoffs(documents=many, bytes=most, prefer=column).prepare(
        Context(SEED, {"counts": folder / "counts"})
    )
    told = folded(cutter, parts, folder / "cutoffs")
    judge = SiteCap(prefer=column).prepare(Context(SEED, {"cutoffs": folder / "cutoffs"}))
    reasons = [reason for batch in batches for reason in judge.apply(batch).reasons.to_pylist()]
    expected = kept(rows, many, most, prefer)
    assert [reason is None for reason in reasons] == expected
    assert set(reasons) <= {None, "site_cap"}
    assert told["documents"] - told["kept_documents"] == expected.count(False)
    lost = sum(row[3] for row, stays in zip(rows, expected, strict=True) if not stays)
    assert told["bytes"] - told["kept_bytes"] == lost
    assert sum(row[3] for row in told["tables"][0]["rows"]) == sum(
        stays and row[0] is not None for row, stays in zip(rows, expected, strict=True)
    )


def test_a_huge_site_leaves_no_more_than_the_cap(tmp_path: Path) -> None:
    batches = [table([("a.example", 1000 * part + n, None, 1) for n in range(1000)]) for part in range(6)]
    folded(SiteCounts(), [batches], tmp_path / "counts")
    cutter = SiteCutoffs(documents=50).prepare(Context(SEED, {"counts": tmp_path / "counts"}))
    assert cutter.map(iter(batches)).num_rows == 51  # and the first that does not fit


RECIPE = """
name: capped
sources:
  web:
    read: {{jsonl: web*.jsonl}}
    steps: [{{math_score: {{at_least: 0}}}}]
  books:
    read: {{jsonl: books.jsonl}}
engine: {{kind: {engine}}}
site_cap: {cap}
"""


def write(folder: Path, files: int = 1, engine: str = "inline", cap: str = "{documents: 5}") -> Path:
    rng = np.random.default_rng(3)
    sites = ["big.example"] * 30 + ["small.example"] * 4 + [None] * 9
    words = ["lemma", "proof", "theorem", "buy", "cheap", "cookie"]
    rows = [
        {
            "id": f"w{n}",
            "text": " ".join(rng.choice(words, 12)),
            **({"url": f"http://{site}/{n}"} if site else {}),
        }
        for n, site in enumerate(sites)
    ]
    for number in range(files):
        lines = [json.dumps(row) + "\n" for row in rows[number::files]]
        (folder / f"web{number}.jsonl").write_text("".join(lines[::-1] if files > 1 else lines), "utf-8")
    books = [{"id": f"b{n}", "text": "a book", "url": f"http://big.example/b{n}"} for n in range(7)]
    (folder / "books.jsonl").write_text("".join(json.dumps(row) + "\n" for row in books), "utf-8")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(engine=engine, cap=cap), "utf-8")
    return path


def ran(warm: Warm, path: Path, out: Path) -> tuple[set[str], set[str]]:
    """Ids of `web` and `books` that are removed, and those that are left."""
    done = warm.call("run", path, "--out", out)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = {}
    for source in ("web", "books"):
        for file in out.glob(f"steps/{source}/*/data/*.parquet"):
            found.update(dict.fromkeys(pq.read_table(file, columns=["id"]).column("id").to_pylist(), source))
    removed: set[str] = set()
    for file in out.glob("steps/site_cap/*/data/*.removed.arrow"):
        rows = ipc.open_file(file).read_all()
        assert set(rows.column("reason").to_pylist()) == {"site_cap"}
        removed |= set(rows.column("id").to_pylist())
    return removed, found.keys() - removed


def test_a_run_keeps_the_same_at_four_workers_in_other_files(warm: Warm, tmp_path: Path) -> None:
    one, four = tmp_path / "one", tmp_path / "four"
    one.mkdir()
    four.mkdir()
    removed, left = ran(warm, write(one), one / "run")
    assert (len(removed), len(left)) == (37 - 5, 5 + 4 + 9)
    again = ran(warm, write(four, files=4, engine="process, workers: 4"), four / "run")
    assert again == (removed, left)
    report = json.loads((one / "run" / "report" / "report.json").read_text("utf-8"))
    (told,) = [step["tables"] for step in report["tables"] if step["step"] == "site_cap.cutoffs"]
    assert told[0]["columns"] == ["site", "documents", "bytes", "kept_documents", "kept_bytes"]
    assert [row[0] for row in told[0]["rows"]] == ["big.example", "small.example"]
    assert [row[3] for row in told[0]["rows"]] == [5, 4]
    story = json.loads(warm.call("explain", min(removed), "--run", one / "run", "--json").stdout)
    event = story["instances"][0]["events"][-1]
    assert (event["reason"], event["scores"]["site"], event["scores"]["documents"]) == (
        "site_cap",
        "big.example",
        37,
    )


def test_the_highest_scores_of_named_sources_stay(warm: Warm, tmp_path: Path) -> None:
    path = write(tmp_path, cap="{documents: 5, prefer: math_score.score, from_sources: [web]}")
    removed, left = ran(warm, path, tmp_path / "run")
    assert (len(removed), len(left)) == (30 - 5, 5 + 4 + 9 + 7)
    scores: dict[str, float] = {}
    for file in tmp_path.glob("run/steps/web/*/data/*.parquet"):
        rows = pq.read_table(file, columns=["id", "url", "math_score.score"]).to_pylist()
        scores.update({row["id"]: row["math_score.score"] for row in rows if "big" in (row["url"] or "")})
    assert min(scores[one] for one in scores.keys() & left) >= max(scores[one] for one in removed)


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        ("{}", "it has no limit and would remove nothing; add `documents: 10K`"),
        ("{prefer: math_score.score}", "it has no limit and would remove nothing"),
        ("{documents: 0}", "site_cap.documents"),
        ("{document: 5}", "did you mean `documents`"),
        ("{from_sources: [wob]}", "did you mean `web`"),
        ("{documents: 5, prefer: nope.score}", "no step of the sources gives the score `nope.score`"),
        ("{documents: 5, prefer: math_score.scores}", "gives the score `math_score.scores`"),
    ],
)
def test_faults_are_told(tmp_path: Path, cap: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(write(tmp_path, cap=cap))


def test_it_may_count_alone(warm: Warm, tmp_path: Path) -> None:
    removed, left = ran(warm, write(tmp_path, cap="{documents: null}"), tmp_path / "run")
    assert (len(removed), len(left)) == (0, 30 + 4 + 9 + 7)
