"""Mistakes of every kind in one recipe come out together, in its order, before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.run.graph import with_needs
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.tokenizer.imports.read_tokenizer import byte_level_definition
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.pipelines.recipe.in_recipe import without_column

RECIPE = """\
name: t
engine: {kind: inline}
sources:
  a:
    read: {jsonl: a.jsonl}
    steps:
      - language: {keep: [en, jp]}
  b:
    read: {jsonl: b/*.jsonl}
    steps:
      - gopher_quality: {min_wrods: 3}
  c:
    read: {parquet: a.jsonl}
  d: {read: {jsonl: list.json}, allow_loss: 2}
dedup: [exact]
decontaminate: {against: a.jsonl}
tokenizer:
  load: tokenizer.json
pack: {sequence_length: 64}
train: {start_from: model}
"""


def test_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"content": "The lamp is lit."}) + "\n")
    (tmp_path / "list.json").write_text(json.dumps([{"text": "The lamp is lit."}]))
    letters = {letter: number for number, letter in enumerate(sorted(CHARACTERS.values()))}
    definition = byte_level_definition(letters, [], PreTokenizer(pattern="gpt2"))
    (tmp_path / "tokenizer.json").write_text(definition)
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(tmp_path / "r.yaml", inputs=True)
    lines = [without_column(line.removeprefix(f"{tmp_path}/")) for line in caught.value.lines]
    expected = [
        ("r.yaml:5: sources.a.read.jsonl: a.jsonl: ", "write `text_field: content`"),
        ("r.yaml:7: sources.a.steps.0.language.keep: ", "write `ja` (Japanese)"),
        ("r.yaml:9: sources.b.read.jsonl: ", "nothing matches 'b/*.jsonl'"),
        ("r.yaml:11: sources.b.steps.0.gopher_quality.min_wrods: ", "unknown option"),
        ("r.yaml:13: sources.c.read.parquet: a.jsonl: ", "its format is jsonl; read it with"),
        ("r.yaml:14: sources.d.read.jsonl: list.json: ", "one JSON list"),
        ("r.yaml:14: sources.d.allow_loss: ", "expected a share from 0 to 1"),
        ("r.yaml:16: decontaminate.against: a.jsonl: ", "write `text_field: content`"),
        ("r.yaml:18: tokenizer.load: ", "names no token for pad, eos, which"),
        ("r.yaml:20: train.start_from: ", "there is no file"),
    ]
    assert [line.split(": ")[0] for line in lines] == [where.split(": ")[0] for where, _ in expected]
    for line, (where, words) in zip(lines, expected, strict=True):
        assert line.startswith(where)
        assert words in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.jsonl", "list.json", "r.yaml", "tokenizer.json",
    ]  # fmt: skip


def test_unknown_steps_are_named_all_at_once() -> None:
    steps = [
        Step("web.index", operator_named("index")),
        Step("web", operator_named("read"), (), ("web.index",)),
    ]
    assert with_needs(steps, ["web", "web"]) == {"web", "web.index"}
    with pytest.raises(UserError) as caught:
        with_needs(steps, ["wep", "web", "code", "wep"])
    first, second = str(caught.value).splitlines()
    assert first.startswith("no step `wep`; did you mean `web`?")
    assert second.startswith("no step `code`; there are: ")
