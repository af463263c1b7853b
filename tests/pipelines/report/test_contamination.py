"""The table of benchmark items found, of a run that only marks documents."""

from __future__ import annotations

import json
from pathlib import Path

from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.run.runner import run_recipe

QUESTION = (
    "A ferry carries 14 cars and 3 coaches over the narrow strait on each of its morning trips. "
    "How many wheels have touched its deck after the fifth trip?"
)
OTHER = "Name the river that flows through the oldest town of the province and into its largest lake."
FILLER = "the weather over the northern hills stayed dry while people walked along quiet roads toward town"
RECIPE = """
name: marked
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: web.jsonl}}
decontaminate: {against: bench.jsonl, action: mark}
"""


def test_marked_documents_are_kept_and_counted(tmp_path: Path) -> None:
    changed = QUESTION.replace("14", "25").replace("3 coaches", "11 coaches")
    texts = [
        f"{FILLER}\n{QUESTION}\n{changed}",
        f"{FILLER}\n{changed}\n{OTHER}",
        *(f"{n} {FILLER}" for n in range(30)),
    ]
    bench = [
        {"id": "ferry", "question": QUESTION, "text": QUESTION, "benchmark": "trips"},
        {"id": "river", "question": OTHER, "text": OTHER, "benchmark": "places"},
        {"id": "never", "question": OTHER[::-1], "text": OTHER[::-1], "benchmark": "places"},
    ]
    for name, rows in (("web", [{"id": n, "text": text} for n, text in enumerate(texts)]), ("bench", bench)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    folder = run_recipe(load_recipe(tmp_path / "recipe.yaml")).folder
    report = gather(folder)
    found = report.contamination
    assert found is not None
    assert (found.documents, found.removed) == (2, 0)
    rows = [
        (row.benchmark, row.items, row.items_found, row.documents, row.matches) for row in found.benchmarks
    ]
    assert rows == [
        ("places", 2, 1, 1, {"verbatim": 1}),
        ("trips", 1, 1, 2, {"verbatim": 2}),
    ]
    assert not [finding for finding in report.findings if "decontaminate" in finding.about]
    assert report.totals.documents_left == len(texts)
    (sample,) = [place for place in report.funnel["web"] if place.stage == "decontaminate"]
    assert (sample.documents_in, sample.documents_kept) == (32, 32)
    identity = next(iter(folder_ids(folder.path)))
    (instance,) = explain(folder, identity).instances
    (judged,) = [event for event in instance.events if event.step == "decontaminate"]
    assert judged.verdict == "kept"
    assert (judged.scores["benchmark"], judged.scores["item"]) == ("trips", "ferry")
    assert (judged.scores["match"], judged.scores["items"]) == ("verbatim", ["ferry"])


def folder_ids(run: Path) -> list[str]:
    """Ids of the source's documents, in the order of its files."""
    import pyarrow.parquet as pq

    (path,) = (run / "steps" / "web").glob("*/data/*.parquet")
    return [str(value) for value in pq.read_table(path, columns=["id"]).column("id").to_pylist()]
