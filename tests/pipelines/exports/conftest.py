"""A small finished run whose documents are exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe

RECIPE = """
name: small
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: web.jsonl}, steps: [{c4: {terminal: false, min_sentences: 0}}]}
  code: {read: {jsonl: code.jsonl}}
dedup: [exact]
tokenizer: {train: {vocab_size: 300, held_out: 0.2}}
"""
WORDS = ("stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for source, count in (("web", 60), ("code", 40)):
        texts = [
            f"The {WORDS[n % 10]} of {source} number {n} lies by the {WORDS[n // 10]}." for n in range(count)
        ]
        lines = [json.dumps({"text": text, "k": n}) for n, text in enumerate([*texts, texts[0]])]
        (folder / f"{source}.jsonl").write_text("\n".join(lines))
    (folder / "r.yaml").write_text(RECIPE)
    run_recipe(load_recipe(folder / "r.yaml"))
    return folder
