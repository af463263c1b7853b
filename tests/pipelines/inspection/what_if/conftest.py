"""A small run of two filters and an exact deduplication, and reruns of it under other thresholds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

PLUGIN = '''
"""Two filters for tests, one by rules and one that judges by itself."""

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.rules import over, under
from corpusmill.pipelines.contract.stage import Filter


class EnoughWords(Filter):
    at_least: int | None = Field(40, description="Fewest words.")
    at_most: int | None = Field(200, description="Most words.")
    cut: str = Field(" ", description="What stands between words.")

    rules = (under("words", "at_least", "too_few_words"), over("words", "at_most", "too_many_words"))

    def score(self, docs):
        return {"words": np.array([len(text.split(self.cut)) for text in docs.text.to_pylist()], np.int64)}


class Vowels(Filter):
    measured = ("letters",)
    produces = ("vowels.share", "vowels.first")

    most: float = Field(0.395, description="Largest share of vowels.")
    firsts: list[str] = Field(["z"], description="Letters that no text may begin with.")
    letters: str = Field("aeiou", description="What is a vowel.")

    def score(self, docs):
        texts = docs.text.to_pylist()
        shares = [sum(text.count(v) for v in self.letters) / len(text) if text else None for text in texts]
        return {"share": pa.array(shares, pa.float64()), "first": pa.array([text[:1] for text in texts])}

    def judge(self, scores):
        share = np.array([np.nan if v is None else v for v in pa.array(scores["share"]).to_pylist()])
        firsts = pa.array(scores["first"]).to_pylist()
        unwanted = np.array([first in self.firsts for first in firsts], bool)
        return reason_where((share > self.most, "vowels"), (unwanted, "first_letter"))


class Unsaid(Filter):
    at_least: int = Field(3, description="Fewest characters.")

    def score(self, docs):
        return {"size": np.array([len(text) for text in docs.text.to_pylist()], np.int64)}

    def judge(self, scores):
        return reason_where((np.asarray(scores["size"]) < self.at_least, "short"))
'''

RECIPE = """
name: asked
seed: 9
plugins: [own.py]
output: run
engine: {kind: inline}
sources:
  web:
    read: {jsonl: {files: "web*.jsonl", split_bytes: 64KiB}}
    steps: [enough_words, vowels, unsaid]
  other:
    read: {jsonl: {files: other.jsonl, split_bytes: 64KiB}}
    domain: web
    steps: [enough_words]
dedup: [exact]
"""


def write_inputs(folder: Path, documents: int = 600) -> None:
    """Texts of 1 to 260 words, some of them twice, in two languages as the data says."""
    draw = random.Random(4)
    words = ["".join(draw.choice("aeioubcdfgz") for _ in range(draw.randint(2, 9))) for _ in range(300)]
    texts = [" ".join(draw.choice(words) for _ in range(draw.randint(1, 260))) for _ in range(documents)]
    rows = [{"text": text, "url": f"http://a.example/{n}", "lang": "de" if n % 3 else "en"}
            for n, text in enumerate(texts)]  # fmt: skip
    again = [dict(row, url=row["url"] + "/copy") for row in rows[::5]] + rows[7:10]
    third = [dict(row, url=row["url"] + "/third") for row in rows[::10]]
    for name, part in (("web1", rows + again), ("web2", third), ("other", rows[50:120])):
        lines = [json.dumps(row) for row in part] + ["{"]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "own.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")


@pytest.fixture(scope="session")
def asked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe that was run; not to be changed."""
    folder = tmp_path_factory.mktemp("asked")
    write_inputs(folder)
    run_recipe(load_recipe(folder / "recipe.yaml"))
    return folder


@pytest.fixture
def rerun(asked_folder: Path, tmp_path: Path) -> Callable[..., RunFolder]:
    """The recipe run from nothing with other values."""

    def run(*overrides: str) -> RunFolder:
        recipe = load_recipe(asked_folder / "recipe.yaml", [*overrides, f"output={tmp_path / 'rerun'}"])
        return run_recipe(recipe).folder

    return run


def texts_of(folder: RunFolder, source: str) -> list[tuple[str, str]]:
    """Id and text of every document that a source's steps kept, in order."""
    last = next(one for one in load_record(folder).sources if one.name == source).last
    tables = [pq.read_table(last.data.file(f"{unit.unit:05d}.parquet")) for unit in last.units]
    return [(row["id"], row["text"]) for table in tables for row in table.to_pylist()]


def left_of(folder: RunFolder, source: str) -> list[str]:
    """Ids of what masks left of a source, in order."""
    view = load_record(folder).view()
    found = []
    for unit in range(len(view)):
        for docs, _ in view.batches(unit):
            rows = docs.table.select(["id", "source"]).to_pylist()
            found += [row["id"] for row in rows if row["source"] == source]
    return found
