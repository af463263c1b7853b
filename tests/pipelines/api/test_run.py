"""A run asked from Python: its tables balance with its ledger, SQL reads nothing else, samples repeat."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import corpusmill as cm
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection import sampling
from corpusmill.pipelines.inspection.tables.table import Table


def _scalar(frame: pl.DataFrame) -> object:
    return frame.item()


def test_documents_are_those_that_came_less_those_that_left(run: cm.Run) -> None:
    read = "select sum(documents) from ledger where outcome = 'in' and stage = 'read'"
    came = _scalar(run.query(read + " and source in ('web', 'code')"))
    left = _scalar(run.query("select count(*) from removed where step in ('web', 'code')"))
    masked = _scalar(run.query("select count(*) from removed where step not in ('web', 'code')"))
    kept = _scalar(run.query("select count(*) from documents"))
    assert isinstance(came, int)
    assert isinstance(left, int)
    assert isinstance(masked, int)
    assert kept == came - left - masked
    assert masked > 0


def test_bytes_of_documents_are_those_of_their_texts(run: cm.Run) -> None:
    frame = run.documents().select("bytes", pl.col("text").str.len_bytes().alias("there")).collect()
    assert frame.height > 200
    assert (frame["bytes"] == frame["there"]).all()


def test_tokens_before_and_after_the_mixture(run: cm.Run) -> None:
    mixture = run.mixture()
    drawn = run.query(
        "select source, sum(tokens) as tokens from pieces where split = 'train' group by source"
    )
    asked = dict(mixture.select("source", "tokens").iter_rows())
    assert dict(drawn.select("source", "tokens").iter_rows()) == asked
    there = run.query(
        "select source, sum(tokens) as tokens from tokens where not held_out group by source order by source"
    )
    assert there["tokens"].to_list() == mixture.sort("source")["available_tokens"].to_list()


def test_scores_of_kept_and_removed(run: cm.Run) -> None:
    frame = run.scores("enough_words").filter(pl.col("stage") == "enough_words").collect()
    assert frame["enough_words_words"].to_list()
    assert (frame["enough_words_words"] < 8).all()
    kept = run.scores().filter(pl.col("kept")).collect()
    assert (kept["enough_words_words"] >= 8).all()
    assert kept.height == _scalar(run.query("select count(*) from documents"))


def test_duplicates_name_survivors_that_are_kept(run: cm.Run) -> None:
    frame = run.query(
        "select d.survivor_id, k.id from duplicates d left join documents k on d.survivor_id = k.id"
    )
    assert frame.height > 0
    assert frame["id"].null_count() == 0


def test_only_columns_that_are_used_are_read(run: cm.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[frozenset[str]] = []
    batches = Table.batches

    def noted(self: Table, names: frozenset[str] | None = None) -> object:
        asked.append(names or frozenset())
        return batches(self, names)

    monkeypatch.setattr(Table, "batches", noted)
    run.query("select source, sum(bytes) from documents where lang is null group by source")
    assert asked == [frozenset({"source", "bytes", "lang"})]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select * from read_csv('/etc/passwd')", "read_csv reads a file"),
        ("select * from READ_PARQUET /* x */ ('a')", "READ_PARQUET reads a file"),
        ("select * from \"read_csv\"('a')", "read_csv reads a file"),
        ("select * from /* ' */ read_csv/* ' */('a')", "read_csv reads a file"),
        ("select * from /* /* ' */ ' */ read_csv('a') -- '", "read_csv reads a file"),
        ("select 1 as a /*! from read_csv('a') */", "read_csv reads a file"),
        ("select * from read_csv/*! ( */'a')", "read_csv reads a file"),
        ("select * -- '\n from read_csv('a') -- '", "read_csv reads a file"),
        ("select 1 as \"'\" from read_csv('a') as \"'\"", "read_csv reads a file"),
        ("select $$'$$ from read_csv('a') as y where 'a' = 'a'", "read_csv reads a file"),
        ("select e'\\'' as x from read_csv('a') -- '", "read_csv reads a file"),
        ("drop table documents", "begin it with SELECT or WITH"),
        ("select 1; drop table documents", "one query at a time"),
        ("select nothing from documents", "the query is refused"),
        ("select cast(url as int) from documents", "is refused: conversion from `str` to `i32` failed"),
        ("select * from nowhere", "tables: documents, removed, duplicates"),
        ("", "begin it with SELECT or WITH"),
    ],
)
def test_a_query_reads_the_run_alone(run: cm.Run, sql: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        run.query(sql)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_that_names_a_function_is_no_call(run: cm.Run) -> None:
    called = "select count(*) from documents where text like '%read_csv(%' and source <> 'it''s'"
    assert _scalar(run.query(called)) == 0
    assert _scalar(run.query("-- it's a note\nselect 1 as a -- isn't; it?")) == 1
    assert run.query('select 1 as ";"').columns == [";"]


def test_a_limit_counts_the_rows_before_a_later_condition(run: cm.Run) -> None:
    first = "select * from (select source from documents limit 5) as x"
    (source,) = run.query(first)["source"].unique()
    other = "web" if source == "code" else "code"
    assert run.query(f"{first} where source = '{other}'").height == 0
    assert run.query(f"{first} where source = '{source}'").height == 5


def test_unknown_tables_and_sources_are_told(run: cm.Run) -> None:
    with pytest.raises(UserError, match="no table 'document'; did you mean `documents`"):
        run.table("document")
    with pytest.raises(UserError, match="no source webb"):
        run.sample(3, source="webb")
    with pytest.raises(UserError, match="no source webb; did you mean `web`"):
        run.documents(source="webb")
    with pytest.raises(UserError, match="no source webb; did you mean `web`"):
        run.removed(source="webb")
    with pytest.raises(UserError, match=r"no score of stage enough_wrods; its scores: .*enough_words_words"):
        run.scores("enough_wrods")
    with pytest.raises(UserError, match="nothing was removed for reason too_few"):
        run.sample(3, reason="too_few")
    with pytest.raises(UserError, match="not a run folder"):
        cm.open_run("/nowhere/at/all")


def test_samples_repeat_and_follow_the_seed(run: cm.Run) -> None:
    first = run.sample(5, source="web")
    assert first == run.sample(5, source="web")
    assert [one.id for one in first] == [one.id for one in run.sample(9, source="web")[:5]]
    assert {one.id for one in first} != {one.id for one in run.sample(5, source="web", seed=1)}
    texts = dict(run.documents(source="web").select("id", "text").collect().iter_rows())
    assert all(one.text == texts[one.id] and one.source == "web" for one in first)


def test_of_a_batch_only_documents_that_may_be_drawn_are_made(
    run: cm.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    drawn = sampling._Drawn
    monkeypatch.setattr(sampling, "_Drawn", lambda *given: made.append(given) or drawn(*given))
    whole = [one.id for one in run.sample(1000)]
    everything = len(made)
    made.clear()
    assert [one.id for one in run.sample(2)] == whole[:2]
    assert len(made) < everything // 10


def test_what_was_removed_is_read_again(run: cm.Run, made_folder: Path) -> None:
    recipe = cm.Recipe.load(made_folder / "recipe.yaml")
    (few, *_) = run.sample(5, reason="too_few_words", recipe=recipe)
    assert few.stage == "enough_words"
    assert few.text is not None
    assert len(few.text.split()) < 8
    without = run.sample(5, reason="too_few_words")
    assert without[0].text is None
    assert "the recipe was not given" in (without[0].why_not or "")
    for one in run.sample(20, stage="exact"):
        assert one.text
        assert one.reason == "exact_duplicate"


def test_the_names_of_the_package_are_these() -> None:
    results = {"MixtureStatistics", "RunDifference"}
    assert set(cm.__all__) == {"Recipe", "Run", "Shards", "__version__", "open_run", *results}
    stub = Path(str(cm.__file__)).with_suffix(".pyi").read_text()
    assert all(f"{name}" in stub for name in cm.__all__)
    with pytest.raises(AttributeError):
        _ = cm.nothing  # type: ignore[attr-defined]


def test_notebooks_show_runs_and_recipes(run: cm.Run, made_folder: Path) -> None:
    assert "<td>dedup.exact</td>" in run._repr_html_()
    page = cm.Recipe.load(made_folder / "recipe.yaml")._repr_html_()
    assert "<td>enough_words</td>" in page


def test_shards_are_told_apart(run: cm.Run) -> None:
    shards = run.shards()
    assert shards.training
    assert set(shards.files) == {*shards.training, *shards.held_out}
