"""Runs in which a section's filter cuts documents: texts, ledger, `explain`, `inspect` and report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.kept_documents import kept_documents, kept_record
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.report.contamination import contamination
from corpusmill.pipelines.report.samples import removed_samples
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.runner import run_recipe

QUESTION = (
    "A farmer keeps seventeen brown hens in a small barn and each of them lays two eggs on every weekday "
    "but none at weekends. How many eggs can the farmer sell after four weeks?"
)
FILLER = "the weather over the northern hills stayed dry while people walked along quiet roads toward town"
STEP = "decontaminate"
TEXTS = {
    "clean": FILLER,
    "leak": f"é {FILLER}\n\n{QUESTION}\n\n{FILLER} 数\n\n{QUESTION}",
    "alone": QUESTION,
    "repeats": f"{FILLER}\n{FILLER}\n{QUESTION.upper()}\n",
}


def run(folder: Path, *sizes: int, before: str = "") -> RunRecord:
    """A run over files of so many of the texts each."""
    folder.mkdir(exist_ok=True)
    (folder / "farm.jsonl").write_text(json.dumps({"id": "i7", "question": QUESTION, "source": "farm"}))
    rows = [json.dumps({"id": identity, "text": text}) + "\n" for identity, text in TEXTS.items()]
    for number, size in enumerate(sizes):
        (folder / f"web{number}.jsonl").write_text("".join(rows[:size]))
        rows = rows[size:]
    recipe = (
        f"name: r\nengine: {{kind: inline}}\nsources: {{web: {{read: {{jsonl: web*.jsonl}}}}}}\n{before}"
        f"{STEP}: {{against: farm.jsonl, action: cut, cut_to: line}}\n"
    )
    (folder / "r.yaml").write_text(recipe)
    run_recipe(load_recipe(folder / "r.yaml", inputs=True))
    return kept_record(folder / "runs" / "r")


def texts(record: RunRecord) -> dict[str, str]:
    """Ids of the documents kept, by text."""
    return {
        text: identity
        for _, _, docs in kept_documents(record)
        for identity, text in zip(docs.column("id").to_pylist(), docs.text.to_pylist(), strict=True)
    }


def test_cut_texts_ledger_and_what_people_see(tmp_path: Path) -> None:
    record = run(tmp_path, 4)
    kept = texts(record)
    leak = f"é {FILLER}\n\n\n{FILLER} 数\n\n"
    assert set(kept) == {FILLER, leak, f"{FILLER}\n{FILLER}\n"}
    step = record.complete_giving("contamination")
    assert step is not None
    (entry,) = [entry for entry in step.ledger if entry.stage == STEP]
    size = {name: len(text.encode()) for name, text in TEXTS.items()}
    left = sum(len(text.encode()) for text in kept)
    assert (entry.bytes_in, entry.bytes_kept, entry.bytes_out) == (sum(size.values()), left, left)
    assert entry.cut == {"contaminated": sum(size.values()) - size["alone"] - left}
    assert entry.removed == {"emptied": (1, size["alone"])}
    found = contamination(record)
    assert found is not None
    assert (found.documents, found.removed) == (3, 1)
    (story,) = explain(record.folder, kept[leak]).instances
    event = next(event for event in story.events if event.stage == STEP)
    assert [(part.survivor_source, part.survivor_id) for part in event.cut] == [("farm", "i7")] * 2
    raw = TEXTS["leak"].encode()
    assert [raw[part.start : part.end].decode().strip() for part in event.cut] == [QUESTION] * 2
    assert [(part.start, part.end) for part in event.cut] == [
        (span["start"], span["end"]) for span in event.scores["spans"]
    ]
    samples = [sample for sample in removed_samples(record) if sample.kind == "cut"]
    assert {sample.detail for sample in samples} == {"as in i7 (farm)"}
    assert all(QUESTION.upper() in (sample.excerpt or "").upper() for sample in samples)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2)])
def test_files_do_not_matter(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    assert texts(run(tmp_path / "a", 4)) == texts(run(tmp_path / "b", *sizes))


def test_cuts_after_the_cuts_of_an_exchange(tmp_path: Path) -> None:
    """Spans count bytes of the text as it was judged; masks keep those of the text as written."""
    before = "dedup:\n  - paragraph: {unit: line, min_words: 3}\n"
    kept = texts(run(tmp_path, 4, before=before))
    assert any("数" in text for text in kept)
    assert all("farmer" not in text.lower() for text in kept)


def test_a_filter_that_cuts_is_no_step_of_a_source() -> None:
    with pytest.raises(CorpusmillError, match="cuts parts of documents, which is done where a section"):
        FusedMaps([find("dedup", STEP)()], Ledger())
