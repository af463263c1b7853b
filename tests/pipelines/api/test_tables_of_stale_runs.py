"""Tables show what the last run keeps: nothing of steps that no longer hold, no cuts of what is removed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.tables import tokens
from corpusmill.pipelines.storage import datasets

RECIPE = """
name: stale
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: web.jsonl}, steps: []}
  code: {read: {jsonl: code.jsonl}, steps: []}
dedup: [{paragraph: {}}, url]
tokenizer: {train: {vocab_size: 300, held_out: 0}}
mixture: {tokens: 2K, weights: {web: 0.6, code: 0.4}, max_epochs: 9}
pack: {sequence_length: 64, held_out: 0}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> cm.Recipe:
    """Of web, two documents lose a paragraph each, and one of them is removed later for its address."""
    folder = tmp_path_factory.mktemp("stale")
    draw = random.Random(7)
    words = ["".join(draw.choice("abcdefgh") for _ in range(6)) for _ in range(200)]

    def text(count: int) -> str:
        return " ".join(draw.choices(words, k=count)) + "."

    repeated = [text(40), text(40), text(40)]
    web = [{"id": f"w{k}", "text": text(60) + "\n\n" + repeated[k % 3]} for k in range(24)]
    web += [
        {"id": f"x{k}", "text": text(50) + "\n\n" + repeated[k], "url": "http://same.example/"}
        for k in range(2)
    ]
    code = [{"id": f"c{k}", "text": text(50)} for k in range(12)]
    for name, rows in (("web", web), ("code", code)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    found = cm.Recipe.load(folder / "recipe.yaml")
    found.run()
    return found


@pytest.fixture
def run(recipe: cm.Recipe) -> cm.Run:
    return cm.open_run(recipe.output)


def test_cuts_are_of_documents_that_stay(run: cm.Run) -> None:
    cuts = run.query("select c.id, d.id as kept from cuts c left join documents d on c.id = d.id")
    assert cuts.height == 22  # of 26 documents: three keep the paragraphs, one is removed
    assert cuts["kept"].null_count() == 0
    removed = run.query("select count(*) from removed where stage = 'url'").item()
    assert removed == 1
    sizes = run.documents().select("bytes", pl.col("text").str.len_bytes().alias("there")).collect()
    assert (sizes["bytes"] == sizes["there"]).all()


def test_token_lists_are_read_where_lengths_are_asked_for(
    run: cm.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    read = datasets.read_unit

    def noted(folder: object, unit: int, columns: list[str]) -> object:
        asked.append(list(columns))
        return read(folder, unit, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(tokens, "read_unit", noted)
    counted = run.query("select source, count(*) as n from tokens group by source order by source")
    assert counted["n"].sum() == run.documents().collect().height
    assert {tuple(one) for one in asked} == {("source",)}
    assert (
        run.query("select sum(tokens) from tokens").item()
        == run.query("select sum(available_tokens) from mixture").item()
    )


def test_ids_of_pieces_are_those_of_documents(run: cm.Run) -> None:
    odd = run.query("select p.id from pieces p left join tokens t on p.id = t.id where t.id is null")
    assert odd.height == 0
    assert run.table("pieces").collect().schema["id"] == pl.String
    assert pa.array(run.table("pieces").collect()["id"].to_list()).null_count == 0


def test_answers_are_json_and_files_whole(run: cm.Run, tmp_path: Path) -> None:
    zero = "cast(0 as double)"
    strange = f"select {zero} / {zero} as a, 1 / {zero} as b, 0.5 as c"
    printed = CliRunner().invoke(app, ["query", str(run.path), strange, "--json"])
    assert json.loads(printed.stdout) == [{"a": None, "b": None, "c": 0.5}]
    lines = tmp_path / "a.jsonl"
    assert CliRunner().invoke(app, ["query", str(run.path), strange, "--out", str(lines)]).exit_code == 0
    assert json.loads(lines.read_text()) == {"a": None, "b": None, "c": 0.5}
    nowhere = CliRunner().invoke(
        app, ["query", str(run.path), strange, "--out", str(tmp_path / "no" / "a.csv")]
    )
    assert "there is no folder" in str(nowhere.exception)
    nested = "select source, array_agg(id) as ids from documents group by source"
    refused = CliRunner().invoke(app, ["query", str(run.path), nested, "--out", str(tmp_path / "b.csv")])
    assert isinstance(refused.exception, UserError)
    assert "the answer cannot be written" in str(refused.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_stale_steps_give_no_tables(recipe: cm.Recipe) -> None:
    recipe.with_values("dedup=[url]").run(until=["dedup.url"])
    try:
        run = cm.open_run(recipe.output)
        assert not {"tokens", "pieces", "mixture"} & set(run.tables)
        assert run.query("select count(*) from removed").item() == 1
        assert run.table("cuts").collect().height == 0
        complete = run.table("steps").filter(pl.col("state") == "complete").collect()["step"]
        assert "dedup.paragraph" not in complete
        assert set(run.query("select distinct step from ledger")["step"]) <= set(complete)
        with pytest.raises(
            UserError, match="no table 'mixture'; step mixture: stale: made from other inputs"
        ):
            run.mixture()
        with pytest.raises(UserError, match="the run has no table tokens: step encode: stale"):
            run.query("select count(*) from tokens")
        assert run.mixture_statistics().stale
    finally:
        recipe.run()
    assert {"tokens", "pieces", "mixture"} <= set(cm.open_run(recipe.output).tables)
