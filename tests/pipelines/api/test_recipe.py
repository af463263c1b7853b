"""Recipes written in Python, and a run from beginning to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import RecipeError


@pytest.fixture
def recipe(tmp_path: Path) -> cm.Recipe:
    texts = [f"document number {number} of a small corpus, which says little" for number in range(30)]
    lines = [json.dumps({"text": text}) for text in [*texts, texts[0]]]
    (tmp_path / "web.jsonl").write_text("\n".join(lines) + "\n")
    return cm.Recipe(
        {
            "name": "small",
            "engine": {"kind": "inline"},
            "sources": {"web": {"read": {"jsonl": "web.jsonl"}, "steps": []}},
            "dedup": ["exact"],
        },
        folder=tmp_path,
    )


def test_a_mapping_is_a_recipe(recipe: cm.Recipe, tmp_path: Path) -> None:
    assert recipe.name == "small"
    assert recipe.sources == ["web"]
    assert recipe.output == tmp_path / "runs" / "small"
    assert all(words for words in recipe.validate())
    assert [step.name for step in recipe.plan().steps][:2] == ["web.index", "web"]
    run = recipe.run()
    assert run.documents().collect().height == 30
    assert run.duplicates().collect().height == 1
    assert (run.path / "report" / "report.html").exists()
    assert recipe.run().documents().collect().height == 30


def test_values_are_overridden(recipe: cm.Recipe, tmp_path: Path) -> None:
    other = recipe.with_values("dedup=null", f"output={tmp_path / 'other'}")
    assert other.output == tmp_path / "other"
    assert other.run().documents().collect().height == 31
    with pytest.raises(RecipeError, match="--set dedupe: unknown key; did you mean `dedup`"):
        recipe.with_values("dedupe=[exact]")


def test_a_file_that_is_not_there_fails_validation(recipe: cm.Recipe, tmp_path: Path) -> None:
    (tmp_path / "web.jsonl").unlink()
    with pytest.raises(RecipeError, match=r"web\.jsonl"):
        recipe.validate()


def test_what_never_became_a_document_is_sampled_with_its_place(recipe: cm.Recipe, tmp_path: Path) -> None:
    first = json.dumps({"text": "a document that is whole"}) + "\n"
    (tmp_path / "web.jsonl").write_text(first + '{"text": "cut\n')
    run = recipe.run()
    (lost,) = run.sample(3, reason="bad_json")
    assert (lost.id, lost.position) == ("", f"web.jsonl, byte {len(first)}")
    shown = CliRunner().invoke(app, ["sample", str(run.path), "--reason", "bad_json"]).stdout
    assert shown.startswith(f"--- web.jsonl, byte {len(first)}  web  ")
    assert run.sample(1)[0].position is None
