"""A small finished run whose documents are exported: filters with scores, a late cut, documents held out."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe

pl.DataFrame()  # polars sets a variable of its allocator once

RECIPE = """
name: small
seed: 4
output: run
engine: {kind: inline}
sources:
  web:
    read: {jsonl: {files: FOLDER/web.jsonl}}
    steps: [{c4: {terminal: false, min_sentences: 0}}, {gopher_quality: {min_words: 5, min_stop_words: 0}}]
  code: {domain: code, read: {jsonl: code.jsonl}}
dedup: [exact, paragraph]
tokenizer: {train: {vocab_size: 300, held_out: 0.2}}
"""
WORDS = ("stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass")
SHARED = (
    "This long line stands in a few of the documents of the source, and it is cut from all but one of them."
)
LICENCES = ("MIT", "CC-BY-4.0", None)


def lines(source: str, count: int) -> str:
    """Documents as JSON Lines; some share a line, and the last is a copy of the first."""
    made = []
    for n in range(count):
        text = f"The {WORDS[n % 10]} of {source} number {n} lies by the {WORDS[n // 10]} and is very old."
        text += f"\n\n{SHARED}" if source == "code" and n % 9 == 4 else ""
        record = {"text": text, "k": {"n": n, "odd": "" if n % 2 else None}, "license": LICENCES[n % 3]}
        record |= {"url": f"https://www.{WORDS[n % 7]}.example/{n}", "lang": "en"} if source == "web" else {}
        made.append(json.dumps(record))
    return "\n".join([*made, made[0]])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for source, count in (("web", 60), ("code", 40)):
        (folder / f"{source}.jsonl").write_text(lines(source, count))
    (folder / "r.yaml").write_text(RECIPE.replace("FOLDER", str(folder)))
    run_recipe(load_recipe(folder / "r.yaml"))
    return folder
