"""From one run to another: what came and went against the inputs, options in words, shares, examples."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.inspection.run_diff import changes
from corpusmill.pipelines.inspection.run_diff.difference import Fate, FateChange, RunDifference
from corpusmill.pipelines.inspection.run_diff.fates import ranges

pl.DataFrame()  # polars sets a variable of its allocator once

RECIPE = """
name: compared
plugins: [plug.py]
output: before
engine: {kind: inline}
sources:
  web: {read: {jsonl: web.jsonl}, steps: [{enough_words: {at_least: 8}}]}
  code: {read: {jsonl: code.jsonl}, steps: []}
dedup: [exact]
"""
PLUGIN = '''
"""A filter for tests: needs words."""

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter


class EnoughWords(Filter):
    at_least: int = 8

    def score(self, docs):
        import numpy as np

        return {"words": np.array([len(text.split()) for text in docs.text.to_pylist()], np.int64)}

    def judge(self, scores):
        return reason_where((scores["words"] < self.at_least, "too_few_words"))
'''


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `before` and `after`: another limit, one document less and two more, and of code a copy of a
    document of web that only the second run keeps."""
    path = tmp_path_factory.mktemp("compared")
    draw = random.Random(5)
    words = ["".join(draw.choice("abcdefgh") for _ in range(6)) for _ in range(90)]

    def row(name: str, count: int) -> dict[str, Any]:
        return {"id": name, "url": f"http://x.example/{name}", "text": " ".join(draw.choices(words, k=count))}

    web = [row(f"w{count}", count) for count in range(4, 24)]
    twice = row("twice", 30)
    web += [twice, twice, dict(twice)]  # three equal records, of which `exact` keeps one
    (path / "plug.py").write_text(PLUGIN, "utf-8")
    (path / "recipe.yaml").write_text(RECIPE, "utf-8")
    write(path / "web.jsonl", web)
    write(path / "code.jsonl", [{"id": "copy", "text": web[6]["text"]}, row("own", 40)])
    recipe = cm.Recipe.load(path / "recipe.yaml")
    recipe.run()
    write(path / "web.jsonl", [*web[:-4], web[-3], web[-2], web[-1], row("new", 20), row("short", 5)])
    over = [f"output={path / 'after'}", "sources.web.steps.enough_words.at_least=12", "seed=3"]
    recipe.with_values(*over).run()
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> RunDifference:
    return cm.open_run(folder / "before").diff(cm.open_run(folder / "after"))


def change(found: RunDifference, before: str, after: str) -> FateChange:
    (one,) = (one for one in found.changes if (one.before.words, one.after.words) == (before, after))
    return one


def test_documents_are_matched_by_id(folder: Path, found: RunDifference) -> None:
    few = "enough_words: too_few_words"
    went = change(found, "kept", few)
    assert (went.direction, went.source, went.documents) == ("went", "web", 4)  # of 8, 9, 10 and 11 words
    assert change(found, "kept", "not in the input").documents == 1
    assert change(found, "not in the input", "kept").documents == 1
    short = change(found, "not in the input", few)
    assert (short.direction, short.documents) == ("otherwise", 1)
    came = change(found, "exact: exact_duplicate", "kept")
    assert (came.direction, came.source, came.documents) == ("came", "code", 1)
    before, after = (cm.open_run(folder / name).documents().collect() for name in ("before", "after"))
    assert found.kept_by_both == before.join(after, on="id").height
    for line in found.sources:
        mine = [one.filter(pl.col("source") == line.source) for one in (before, after)]
        assert [line.before.documents, line.after.documents] == [one.height for one in mine]
        assert [line.before.bytes, line.after.bytes] == [one["bytes"].sum() for one in mine]
        assert line.after.documents == line.before.documents + line.came.documents - line.went.documents
        assert line.before.tokens is None
    assert {one.after for one in found.changes if one.direction == "otherwise"} == {
        Fate("removed", "web", "enough_words", "too_few_words")
    }


def test_what_changed_is_told_in_words(found: RunDifference) -> None:
    told = [one.words for one in found.options]
    assert told == ["seed 0 -> 3", "web: other input files", "enough_words: at_least 8 -> 12"]
    assert not found.shares
    assert not found.notes


def test_ranges_of_ids_add_up(folder: Path, found: RunDifference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes.Changes.read, "__defaults__", (3,))
    again = cm.open_run(folder / "before").diff(cm.open_run(folder / "after"))
    assert again == found
    some = list(ranges(10, 3))
    assert some[0][0] == "00000000"
    assert some[-1][1] > "f" * 32
    assert all(one[1] == other[0] for one, other in pairwise(some))


def test_examples_have_reasons_at_both_ends(folder: Path, found: RunDifference) -> None:
    came = [one for one in found.examples if one.direction == "came"]
    went = [one for one in found.examples if one.direction == "went"]
    assert {one.place for one in went} == {f"http://x.example/w{count}" for count in (8, 9, 10, 11, 23)}
    assert sorted((one.source, one.before.words) for one in came) == [
        ("code", "exact: exact_duplicate"),
        ("web", "not in the input"),
    ]
    texts = dict(cm.open_run(folder / "before").documents().select("id", "text").collect().iter_rows())
    assert all(one.text == texts[one.id][:400] for one in went)
    fewer = cm.open_run(folder / "before").diff(cm.open_run(folder / "after"), examples=2)
    two = [one for one in fewer.examples if one.direction == "went"]
    assert {one.after.state for one in two} == {"removed", "not_read"}  # one of each change first
    assert not cm.open_run(folder / "before").diff(cm.open_run(folder / "after"), examples=0).examples


def test_a_run_beside_itself_has_no_difference(folder: Path) -> None:
    run = cm.open_run(folder / "before")
    found = run.diff(run)
    assert (found.changes, found.options, found.shares, found.examples) == ((), (), (), ())
    assert found.kept_by_both == run.documents().collect().height


def test_the_command_and_the_notebook(folder: Path, found: RunDifference) -> None:
    names = [str(folder / "before"), "--diff", str(folder / "after")]
    told = CliRunner().invoke(app, ["inspect", *names, "--examples", "1"])
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert "enough_words: at_least 8 -> 12" in lines
    assert ["web", "kept", "enough_words:", "too_few_words", "4"] in [line.split()[:5] for line in lines]
    assert sum(line.startswith("- ") and "http://x.example/w" in line for line in lines) == 1
    value = json.loads(CliRunner().invoke(app, ["inspect", *names, "--json"]).stdout)
    assert (value["kind"], len(value["examples"])) == ("difference", len(found.examples))
    assert "<td>enough_words: too_few_words</td>" in found._repr_html_()
    wrong = CliRunner().invoke(app, ["inspect", *names, "--scores"])
    assert "--diff takes one run before it" in str(wrong.exception)
    wrong = CliRunner().invoke(app, ["inspect", names[0], "--examples", "1"])
    assert "--examples is an option of --diff" in str(wrong.exception)


def test_steps_that_no_longer_hold_are_told(folder: Path) -> None:
    recipe = cm.Recipe.load(folder / "recipe.yaml", [f"output={folder / 'again'}"])
    recipe.run()
    run = recipe.with_values("sources.web.steps.enough_words.at_least=20").run(until=["web"])
    found = cm.open_run(folder / "before").diff(run)
    assert "not complete: dedup.exact" in found.notes[0]
    back = [one for one in found.changes if one.before.stage == "exact" and one.direction == "came"]
    assert sum(one.documents for one in back if one.source == "web") == 2  # of three equal ones
