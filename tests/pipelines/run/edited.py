"""Small corpora run through exchanges that edit, and what is left of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe

PLUGINS = Path(__file__).parents[2] / "plugins"
Corpus = Sequence[Sequence[str]]  # the texts of each source
Rows = list[tuple[str, str]]  # (id, text) of documents in the order of a view


def write_recipe(folder: Path, corpus: Corpus, dedup: str, *, reader: str = "", more: str = "") -> Path:
    """A recipe over sources s0, s1, ... and their files, with every plugin of the tests; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for plugin in sorted(PLUGINS.glob("*.py")):
        shutil.copy(plugin, folder)
        names.append(plugin.name)
    sources = []
    for number, texts in enumerate(corpus):
        lines = [json.dumps({"text": text}) for text in texts]
        (folder / f"s{number}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        sources.append(
            f"  s{number}: {{read: {{jsonl: {{files: s{number}.jsonl{reader}}}}}, allow_loss: 1}}\n"
        )
    path = folder / "recipe.yaml"
    path.write_text(
        f"name: edited\noutput: run\nplugins: [{', '.join(names)}]\nengine: {{kind: inline}}\n"
        f"sources:\n{''.join(sources)}dedup: [{dedup}]\n{more}",
        "utf-8",
    )
    return path


def run(path: Path, *overrides: str, repair: bool = False) -> RunRecord:
    """The record of a finished run of the recipe."""
    try:
        return load_record(run_recipe(load_recipe(path, list(overrides)), repair=repair).folder)
    finally:
        plugins.clear_plugins()


def rows_of(record: RunRecord, masked: bool = True) -> Rows:
    """The documents that a run keeps, or (not `masked`) that its sources wrote, in the order of its view."""
    view = record.view()
    if not masked:
        view.masks.clear()
    return [
        row
        for unit in range(len(view))
        for docs, _ in view.batches(unit, ["id", "text"])
        for row in zip(docs.column("id").to_pylist(), docs.text.to_pylist(), strict=True)
    ]
