"""Mistakes that people make in recipes: each is told before any work, at its line and column, with a cure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.cli.error_object import error_object
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError

SOUND = """\
name: mine
sources:
  notes:
    read: {jsonl: {files: notes/*.jsonl, text_field: body}}
    domain: web
    steps:
      - language: {keep: [en], at_least: 0.5}
      - gopher_quality:
          min_words: 20
  code:
    read: {jsonl: code.jsonl}
    steps: [code_quality]
dedup: [exact, minhash]
tokenizer: {train: {vocab_size: 8192}}
mixture:
  tokens: 4M
  weights: {notes: 0.6, code: 0.4}
pack: {sequence_length: 1024}
"""
WEIGHTS = "  weights: {notes: 0.6, code: 0.4}\n"
PHASES = "  phases:\n    - name: all\n      only: {COLUMN: [x]}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data that the recipe names."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.jsonl").write_text(json.dumps({"body": "The lamp is lit."}) + "\n")
    (tmp_path / "code.jsonl").write_text(json.dumps({"text": "x = 1\n", "path": "a.py"}) + "\n")
    return tmp_path


def refused(folder: Path, text: str) -> tuple[str, ...]:
    """The lines of the error, without the folder."""
    (folder / "r.yaml").write_text(text, "utf-8")
    before = sorted(folder.rglob("*"))
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(folder / "r.yaml", inputs=True)
    assert sorted(folder.rglob("*")) == before
    return tuple(line.replace(f"{folder}/", "") for line in caught.value.lines)


def test_the_recipe_that_mistakes_are_made_in_is_sound(folder: Path) -> None:
    (folder / "r.yaml").write_text(SOUND, "utf-8")
    assert len(load_recipe(folder / "r.yaml", inputs=True).sources) == 2


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        pytest.param("min_words", "min_wrods", "9:11", ["did you mean `min_words`"], id="misspelt option"),
        pytest.param("sources:", "source:", "2:1", ["did you mean `sources`"], id="misspelt section"),
        pytest.param("20", "many", "9:11", ["'many' is no whole number; write digits"], id="wrong type"),
        pytest.param("20", "yes", "9:11", ["'yes' is no whole number"], id="a word for a number"),
        pytest.param("4M", "4 millions", "16:3", ["no whole number; write digits, or"], id="wrong unit"),
        pytest.param("1024", "1KX", "18:8", ["no whole number", "KiB"], id="unknown suffix"),
        pytest.param("language:", "langage:", "7:9", ["did you mean `language`"], id="unknown step"),
        pytest.param("jsonl: code", "jsnl: code", "11:12", ["did you mean `jsonl`"], id="unknown reader"),
        pytest.param("exact,", "code_quality,", "13:9", ["write it under their `steps`"], id="step in dedup"),
        pytest.param("[code_quality]", "[minhash]", "12:13", ["a stage of dedup, not a step"],
                     id="dedup among steps"),
        pytest.param("notes/*.jsonl", "notse/*.jsonl", "4:12", ["did you mean `notes`"], id="missing folder"),
        pytest.param("code.jsonl", "code.json", "11:12", ["did you mean `code.jsonl`"], id="missing file"),
        pytest.param("text_field: body", "text_field: text", "4:12", ["write `text_field: body`"],
                     id="wrong field"),
        pytest.param("pack:", "dedup:", "18:1", ["first written on line 13; keep one"], id="duplicate key"),
        pytest.param("    domain:", "\tdomain:", "5:1", ["a tab; indent with spaces"], id="tab"),
        pytest.param("    domain:", "   domain:", "5:4", ["indent it as its neighbours"], id="indentation"),
        pytest.param("    steps: [code", "  steps: [code", "12:3", ["indent it further"], id="wrong nesting"),
        pytest.param("          min_words", "        min_words", "8:9", ["indent its options further"],
                     id="options beside their step"),
        pytest.param("0.5", "'0.5'", "7:32", ["write 0.5 without quotes"], id="number as text"),
        pytest.param("20", "-20", "9:11", ["must be at least", "got -20"], id="negative"),
        pytest.param("notes: 0.6", "notes: -0.6", "17:13", ["must be 0 or more"], id="negative weight"),
        pytest.param("code: 0.4}", "cod: 0.4}", "17:25", ["did you mean `code`"], id="unknown source"),
        pytest.param("0.4}", "0.5}", "17:3", ["add up to 1.1, not 1; correct them"], id="weights"),
        pytest.param("notes: 0.6, code: 0.4", "notes: 1.0", "17:3", ["no weight for code; add"],
                     id="a weight left out"),
        pytest.param("language: {keep: [en], at_least: 0.5}",
                     "expression: {keep: {short: 'gopher_quality.words > 9'}}", "7:22",
                     ["gopher_quality"], id="a score before its step"),
        pytest.param("[code_quality]", "[code_quality, expression: {keep: {a: code_quality.lnes > 3}}]",
                     "12:40", ["did you mean `code_quality.lines`"], id="unknown score of a step"),
        pytest.param(WEIGHTS, "  by: quality\n", "17:3", ["column `quality`; write"], id="unknown column"),
        pytest.param(WEIGHTS, PHASES.replace("COLUMN", "quality"), "19:14", ["column `quality`; write one"],
                     id="unknown column of a choice"),
        pytest.param(WEIGHTS, "  by: tokens\n  at: {tokens: [9, 1]}\n  weights: {below 9: 1}\n", "18:8",
                     ["must rise, got [9, 1]; sort them"], id="edges out of order"),
        pytest.param(WEIGHTS, "  by: tokens\n  at: {tokens: 9}\n  weights: {below 9: 1}\n", "18:8",
                     ["expected a list", "write [9]"], id="an edge without a list"),
        pytest.param(WEIGHTS, "  within: {notes: {by: quality}}\n", "17:20", ["column `quality`"],
                     id="unknown column of a group within"),
        pytest.param("name: mine\n", "name: mine\nseed: 2026-11-31\n", "2:1", ["no whole number; write"],
                     id="a date for a number"),
        pytest.param("tokens: 4M", "tokens: &t 4M", "16:11", ["anchor &t", "remove it"], id="anchor"),
        pytest.param("tokens: 4M", "tokens: *t", "16:11", ["alias *t", "write the value out"], id="alias"),
        pytest.param("dedup: [exact, minhash]", "dedup:", "13:1", ["is empty; write"], id="empty section"),
        pytest.param("[code_quality]", "[code_quality, code_quality]", "12:27", ["here already", "keep one"],
                     id="one step twice"),
        pytest.param("[en]", "[jp]", "7:20", ["write `ja` (Japanese)"], id="unknown language"),
        pytest.param("[en]", "en", "7:20", ["expected a list", "write [en]"], id="text for a list"),
        pytest.param("tokens: 4M", "tokens:4M", "17:10", ["indentation"], id="no space behind a colon"),
        pytest.param("notes/*.jsonl", "*.jsonl", "4:28", ["quotes"], id="a pattern without quotes"),
        pytest.param("1024}", "1024", "19:1", ["{ opened on line 18"], id="a brace never closed"),
        pytest.param("name: mine", "name: My corpus", "1:1", ["small letters"], id="a name with a space"),
        pytest.param("name: mine\n", "name: mine\nengine: {worker: 2}\n", "2:10", ["did you mean `workers`"],
                     id="misspelt engine"),
        pytest.param("[code_quality]", "code_quality", "12:5", ["write [a, b]"], id="a step without a list"),
        pytest.param("code.jsonl", '"${CORPUSMILL_NOT_SET}/a"', "11:12", ["is not set; set it"],
                     id="variable not set"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place_with_a_cure(
    folder: Path, old: str, new: str, place: str, words: list[str]
) -> None:
    assert SOUND.count(old) == 1
    lines = refused(folder, SOUND.replace(old, new))
    assert len(lines) == 1, "one mistake is told once"
    (line,) = lines
    assert line.startswith(f"r.yaml:{place}: ")
    assert [word for word in words if word not in line] == []
    told = error_object("recipe", 1, line)
    assert [told.file, f"{told.line}:{told.column}"] == ["r.yaml", place]
    assert told.cure


def test_what_several_sections_need_is_told_of_each(folder: Path) -> None:
    lines = refused(folder, SOUND.replace("tokenizer: {train: {vocab_size: 8192}}\n", ""))
    assert [line.split(", since")[0] for line in lines] == [
        "r.yaml:14:1: mixture: needs `tokenizer`",
        "r.yaml:17:1: pack: needs `tokenizer`",
    ]
    assert all(line.endswith("; add `tokenizer: {train: {vocab_size: 8192}}`") for line in lines)
