"""Statistics of a mixture against its inputs and shards: phases, groups, copies, columns, what is missed."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.inspection.drawn_documents import DocumentLengths
from corpusmill.pipelines.inspection.mixture_statistics import MixtureStatistics
from corpusmill.tokenizer.shards.reader import open_shard

pl.DataFrame()  # polars sets a variable of its allocator once

RECIPE = """
name: statistics
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: web.jsonl}, steps: []}
  code: {read: {jsonl: code.jsonl}, steps: []}
  tiny: {read: {jsonl: tiny.jsonl}, steps: []}
dedup: [url]
tokenizer: {train: {vocab_size: 300, held_out: 0}}
mixture:
  tokens: 6K
  weights: {web: 0.6, code: 0.3, tiny: 0.1}
  within: {code: {by: license, weights: {mit: 0.5, "*": 0.5}}}
  phases:
    - {name: main, tokens: 0.7}
    - {name: last, tokens: 0.3}
  max_epochs: 2.5
pack: {sequence_length: 64, shard_tokens: 4K, held_out: 0.05}
"""
LANGUAGES = ("en", "zh", None)
LICENCES = ("mit", "bsd", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's folder with its inputs. Of web one record stands twice, so two documents have one id; of tiny
    most documents are removed."""
    path = tmp_path_factory.mktemp("statistics")
    draw = random.Random(3)

    def text(least: int, most: int) -> str:
        return " ".join(
            draw.choice(("stone", "river", "cloud", "amber")) for _ in range(draw.randint(least, most))
        )

    web: list[dict[str, Any]] = [
        {"id": f"w{k}", "text": text(20, 200), "lang": LANGUAGES[k % 3]} for k in range(45)
    ]
    code = [{"id": f"c{k}", "text": text(20, 200), "license": LICENCES[k % 3]} for k in range(30)]
    tiny = [{"id": f"t{k}", "text": text(40, 50), "url": "http://same.example/"} for k in range(9)]
    for name, rows in (("web", [*web, web[0]]), ("code", code), ("tiny", tiny)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (path / "recipe.yaml").write_text(RECIPE, "utf-8")
    cm.Recipe.load(path / "recipe.yaml").run()
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> MixtureStatistics:
    return cm.open_run(folder / "run").mixture_statistics(2)


def pieces(folder: Path) -> list[Any]:
    """Pieces of all shards that are trained on, with their phase."""
    made = []
    for file in cm.open_run(folder / "run").shards().training:
        shard = open_shard(file)
        made += [(shard.phase.name, piece) for row in range(shard.rows) for piece in shard.pieces(row)]
    return made


def test_sources_and_phases_are_what_the_shards_hold(folder: Path, found: MixtureStatistics) -> None:
    drawn = pieces(folder)
    assert found.whole.tokens == sum(piece.length for _, piece in drawn)
    for line in found.sources:
        mine = [piece for _, piece in drawn if piece.source == line.values[0]]
        assert line.tokens == sum(piece.length for piece in mine)
        assert line.documents == sum(piece.offset == 0 for piece in mine)  # a copy that phases divide once
        assert line.unique_tokens == sum(piece.length for piece in mine if piece.epoch == 0)
        assert line.repeated_tokens == line.tokens - line.unique_tokens
        assert line.epochs is not None
        assert line.epochs == pytest.approx(line.tokens / line.available_tokens, rel=1e-6)
        assert line.bytes_per_token == line.bytes / line.tokens
    assert found.whole.repeated_tokens > 0
    tokens = Counter((phase, piece.source) for phase, piece in drawn for _ in range(piece.length))
    groups = {(line.phase, *line.values): line for line in found.groups}
    assert {key: groups[key].tokens for key in groups if len(key) == 2} == {("last", "tiny"): 0, **tokens}
    assert len(tokens) == 5
    for phase in ("main", "last"):
        within = [groups[phase, "code", name] for name in ("mit", "*")]
        assert sum(one.tokens for one in within) == groups[phase, "code"].tokens
        assert sum(one.unique_tokens for one in within) == groups[phase, "code"].unique_tokens
        assert sum(one.bytes for one in within) == groups[phase, "code"].bytes


def test_columns_add_up_and_the_rest_is_summed(folder: Path, found: MixtureStatistics) -> None:
    run = cm.open_run(folder / "run")
    ids = {
        row["id"]: row
        for row in run.documents().select("id", "lang", "license").collect().iter_rows(named=True)
    }
    for column, unknown in (("lang", True), ("license", True), ("domain", False)):
        lines = found.values[column]
        assert sum(line.tokens for line in lines) == found.whole.tokens
        assert sum(line.available_tokens for line in lines) == found.whole.available_tokens
        assert sum(line.documents for line in lines) == found.whole.documents
        assert sum(line.unique_tokens for line in lines) == found.whole.unique_tokens
        if unknown:
            expected = Counter[str]()
            for _, piece in pieces(folder):
                expected[ids[piece.document][column] or "(unknown)"] += piece.length
            top = expected.most_common(2)
            assert [(line.value, line.tokens) for line in lines[:2]] == top
            assert (lines[2].value, lines[2].values) == ("(others)", len(expected) - 2)


def test_lengths_are_those_of_documents_and_of_copies(folder: Path, found: MixtureStatistics) -> None:
    run = cm.open_run(folder / "run")
    there = run.tokens().filter(~pl.col("held_out")).collect()
    copies: Counter[Any] = Counter()
    for _, piece in pieces(folder):
        copies[piece.document, piece.epoch, piece.source] += piece.length

    def one(source: str, of: str) -> DocumentLengths:
        (line,) = (line for line in found.lengths if (line.source, line.of) == (source, of))
        return line

    code = sorted(there.filter(pl.col("source") == "code")["tokens"].to_list())
    assert (one("code", "available").documents, one("code", "available").most) == (len(code), code[-1])
    assert one("code", "available").quantiles["0.5"] in code[len(code) // 2 - 1 : len(code) // 2 + 1]
    lengths = [length for (_, _, source), length in copies.items() if source == "code"]
    assert one("code", "drawn").documents == len(lengths)
    assert one("code", "drawn").mean == pytest.approx(sum(lengths) / len(lengths))
    assert (one("(all)", "drawn").least, one("(all)", "drawn").most) == (
        min(copies.values()),
        max(copies.values()),
    )


def test_what_is_missed_has_its_cause_and_what_was_lost_before(found: MixtureStatistics) -> None:
    tiny = next(line for line in found.sources if line.values == ("tiny",))
    assert (tiny.cause, tiny.tokens < tiny.requested_tokens) == ("max_epochs", True)
    assert tiny.shortfall is not None
    assert "main: tiny (max_epochs)" in tiny.shortfall
    (words,) = (one.text for one in found.shortfalls if one.name == "main: tiny")
    assert words.endswith("; of 9 documents read 8 were lost before: url.same_url 8")
    missed = [line for line in (*found.sources, *found.groups) if line.tokens < line.requested_tokens]
    assert all(line.cause and line.shortfall for line in missed)
    whole = [line for line in (*found.sources, *found.groups) if line.tokens == line.requested_tokens]
    assert not any(line.shortfall for line in whole)


def test_the_command_and_the_notebook_show_the_same(folder: Path, found: MixtureStatistics) -> None:
    told = CliRunner().invoke(app, ["inspect", "mixture", str(folder / "run"), "--top", "2"])
    assert told.exit_code == 0, told.output
    lines = [line.split() for line in told.stdout.splitlines()]
    assert ["phase", "last"] in [line[:2] for line in lines]
    assert any(line[:1] == ["(others)"] for line in lines)
    web = next(line for line in found.sources if line.values == ("web",))
    assert next(line for line in lines if line[:1] == ["web"])[1:4] == [
        f"{number:,}" for number in (web.available_tokens, web.requested_tokens, web.tokens)
    ]
    printed = CliRunner().invoke(app, ["inspect", "mixture", str(folder / "run"), "--json", "--top", "2"])
    value = json.loads(printed.stdout)
    assert (value["kind"], value["whole"]["tokens"]) == ("mixture statistics", found.whole.tokens)
    assert value["values"]["lang"][0]["value"] == found.values["lang"][0].value
    page = found._repr_html_()
    assert f"<td>{web.tokens:,}</td>" in page
    assert pl.DataFrame(found.sources)["tokens"].sum() == found.whole.tokens


def test_the_word_is_a_path_where_no_run_follows(folder: Path) -> None:
    step = str(folder / "run" / "steps" / "mixture")
    assert CliRunner().invoke(app, ["inspect", step]).exit_code == 0
    alone = CliRunner().invoke(app, ["inspect", "mixture"])
    assert isinstance(alone.exception, UserError)
    assert "mixture: does not exist" in str(alone.exception)
    other = CliRunner().invoke(app, ["inspect", "mixture", str(folder / "run"), "--scores"])
    assert "no other option but --top and --json" in str(other.exception)
    other = CliRunner().invoke(app, ["inspect", str(folder / "run"), "--top", "2"])
    assert "--top is an option of `inspect mixture RUN`" in str(other.exception)


def test_a_run_without_a_mixture_or_shards_tells_what_is_lacking(folder: Path, tmp_path: Path) -> None:
    recipe = cm.Recipe.load(folder / "recipe.yaml", [f"output={tmp_path / 'run'}"])
    run = recipe.run(until=["encode"])
    with pytest.raises(UserError, match="no mixture is planned"):
        run.mixture_statistics()
    found = recipe.run(until=["mixture"]).mixture_statistics()
    assert found.whole.tokens > 0
    assert not found.values
    assert "the run has no shards of its present recipe" in found.not_known[0]


def test_documents_that_were_not_kept_are_told(
    folder: Path, found: MixtureStatistics, tmp_path: Path
) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    recipe = cm.Recipe.load(folder / "recipe.yaml", [f"output={tmp_path / 'run'}", "keep=results"])
    run = recipe.run()
    little = run.mixture_statistics()
    assert little.sources == found.sources
    assert not little.values
    assert "keep" in little.not_known[0]
    with pytest.raises(NotKeptError, match="keep"):
        run.diff(cm.open_run(folder / "run"))


def test_groups_are_a_table_of_queries(folder: Path, found: MixtureStatistics) -> None:
    run = cm.open_run(folder / "run")
    told = run.query("select * from groups")
    assert told["name"].to_list() == [line.name for line in found.groups]
    assert told["phase"].to_list() == [line.phase for line in found.groups]
    for name in ("tokens", "requested_share", "documents", "unique_tokens", "cause"):
        assert told[name].to_list() == [getattr(line, name) for line in found.groups]
    outer = run.query(
        "select phase, sum(tokens) as n from groups where depth = 0 group by phase order by phase"
    )
    inner = run.query("select column, value, depth from groups where depth = 1 and phase = 'main'")
    assert outer["n"].sum() == found.whole.tokens
    assert set(inner.rows()) == {("license", "mit", 1), ("license", "*", 1)}


def test_bytes_in_proportion_are_told_as_such(folder: Path) -> None:
    words = CliRunner().invoke(app, ["inspect", "mixture", str(folder / "run")]).stdout
    assert words.count("bytes: of documents of which a part is drawn in proportion to their tokens") == 6
