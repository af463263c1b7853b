"""A run that loses everything fails, says what was seen, and goes on once the recipe is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.report.build import build_report
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

PLUGIN = '''
"""A filter that removes what begins with a word."""
from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter

class Without(Filter):
    """Removes documents that begin with `word`; "" removes all."""
    word: str

    def score(self, docs):
        import numpy as np
        return {"hit": np.array([text.startswith(self.word) for text in docs.text.to_pylist()])}

    def judge(self, scores):
        return reason_where((scores["hit"], "begins"))
'''
HEAD = "name: t\noutput: out\nplugins: [without.py]\nengine: {kind: inline}\nsources:\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "without.py").write_text(PLUGIN)
    write(tmp_path / "good.jsonl", [{"text": f"rain number {k} falls on the roof"} for k in range(200)])
    write(tmp_path / "other.jsonl", [{"content": f"snow number {k} falls on the roof"} for k in range(200)])
    yield tmp_path
    plugins.clear_plugins()


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: Path, text: str) -> RunResult:
    (folder / "r.yaml").write_text(HEAD + text)
    return run_recipe(load_recipe(folder / "r.yaml"))


def lost(folder: Path, text: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        run(folder, text)
    return str(caught.value).splitlines()


def test_every_source_that_keeps_nothing_is_told_with_what_was_seen(folder: Path) -> None:
    text = (
        "  a: {read: {jsonl: other.jsonl}}\n"
        '  b: {read: {jsonl: good.jsonl}, steps: [{without: {word: ""}}]}\n'
        "  c: {read: {jsonl: good.jsonl}}\n"
        "dedup: [exact]\n"
    )
    first, second = lost(folder, text)
    assert "r.yaml:6:3: sources.a: keeps none of its 200 records: quarantined read.no_text 200" in first
    assert "other.jsonl: its first record has no field `text`, but content (text of" in first
    assert "write `text_field: content`" in first
    assert "or set `allow_loss: 1`" in first
    assert "r.yaml:7:3: sources.b: keeps none of its 200 records: removed without.begins 200" in second
    assert "loosen the steps" in second
    # What came of it can be looked at, what depends on it was not begun, and the other source is complete.
    current = RunFolder(folder / "out").current().steps
    assert set(current) == {"a.index", "a", "b.index", "b", "c.index", "c"}
    found = inspect(RunFolder(folder / "out").step("a", current["a"]).path)
    assert "no_text" in render_inspection(found)
    assert build_report(RunFolder(folder / "out")).page.exists()
    # The same command fails in the same way while nothing is mended, without doing the work again.
    assert lost(folder, text) == [first, second]
    mended = text.replace("jsonl: other.jsonl", "jsonl: {files: other.jsonl, text_field: content}")
    result = run(folder, mended.replace('word: ""', "word: snow"))
    assert {state.step.name for state in result.steps if state.reused} >= {"c.index", "c"}
    assert result.manifest("dedup.exact")


def test_the_share_that_may_be_quarantined(folder: Path) -> None:
    mixed = [{"text": f"hail number {k}"} for k in range(2)] + [{"n": k} for k in range(398)]
    write(folder / "mixed.jsonl", mixed)
    source = "  a: {read: {jsonl: mixed.jsonl}ALLOW}\n"
    (message,) = lost(folder, source.replace("ALLOW", ""))
    assert "loses 398 of its 400 records: quarantined read.no_text 398" in message
    assert "(it is 0.99)" in message
    assert run(folder, source.replace("ALLOW", ", allow_loss: 0.995")).manifest("a").rows == 2
    assert "(it is 0.5)" in lost(folder, source.replace("ALLOW", ", allow_loss: 0.5"))[0]
    # Removing nearly everything is a judgement, not a loss.
    write(folder / "few.jsonl", [{"text": f"{'sun' if k else 'fog'} {k}"} for k in range(400)])
    kept = run(folder, "  a: {read: {jsonl: few.jsonl}, steps: [{without: {word: sun}}]}\n")
    assert kept.manifest("a").rows == 1


def test_a_source_may_keep_nothing_where_that_is_asked_for(folder: Path) -> None:
    text = (
        "  a: {read: {jsonl: other.jsonl}, allow_loss: 1}\n  b: {read: {jsonl: good.jsonl}}\ndedup: [exact]\n"
    )
    result = run(folder, text)
    assert result.manifest("a").rows == 0
    assert load_recipe(folder / "r.yaml", inputs=True)  # then its first records are not looked at either


def test_files_without_a_record(folder: Path) -> None:
    (folder / "empty.jsonl").write_text("\n\n")
    (message,) = lost(folder, "  a: {read: {jsonl: empty.jsonl}}\n")
    assert "sources.a: its files hold no record" in message
    # Before the work, all such sources are told at once.
    (folder / "r.yaml").write_text(HEAD + "".join(f"  {n}: {{read: {{jsonl: empty.jsonl}}}}\n" for n in "ab"))
    with pytest.raises(UserError) as caught:
        load_recipe(folder / "r.yaml", inputs=True)
    first, second = str(caught.value).splitlines()
    assert "sources.a.read.jsonl: all of its files are empty; correct the pattern" in first
    assert "sources.b.read.jsonl: all of its files are empty" in second


def test_benchmarks_that_cannot_be_read(folder: Path) -> None:
    text = "  a: {read: {jsonl: good.jsonl}}\ndecontaminate: {against: other.jsonl}\n"
    (message,) = lost(folder, text)
    assert "decontaminate.against: keeps none of its 200 records" in message


def test_a_late_stage_that_leaves_no_document(folder: Path) -> None:
    sentence = "the harbour master counts the boats that come home before the storm in the evening of the day"
    write(folder / "one.jsonl", [{"text": f"{sentence} {k}"} for k in range(3)])
    write(folder / "bench.jsonl", [{"text": sentence}])
    text = "  a: {read: {jsonl: one.jsonl}}\ndecontaminate: {against: bench.jsonl}\n"
    (message,) = lost(folder, text)
    assert "step decontaminate: decontaminate leaves none of 3 documents" in message


@pytest.mark.parametrize("value", ["1.5", "-0.1", "all", "true", "[1]", "null"])
def test_allow_loss_is_a_share(folder: Path, value: str) -> None:
    (message,) = lost(folder, f"  a: {{read: {{jsonl: good.jsonl}}, allow_loss: {value}}}\n")
    assert "sources.a.allow_loss: expected a share from 0 to 1" in message
