"""Recipes written in Python, and a run from beginning to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import IntegrityError, RecipeError, UserError
from corpusmill.pipelines.inspection.run_log import repair_command


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
    with pytest.raises(UserError, match="no table groups: no step of its recipe makes it"):
        run.query("select * from groups")
    assert recipe.run().documents().collect().height == 30


def test_values_are_overridden(recipe: cm.Recipe, tmp_path: Path) -> None:
    other = recipe.with_values("dedup=null", f"output={tmp_path / 'other'}")
    assert other.output == tmp_path / "other"
    assert other.run().documents().collect().height == 31
    with pytest.raises(RecipeError, match="--set dedupe: unknown key; did you mean `dedup`"):
        recipe.with_values("dedupe=[exact]")


def test_faults_of_a_mapping_name_the_path_within_it(tmp_path: Path) -> None:
    def lines(**more: object) -> list[str]:
        sources = {"web": {"read": {"jsonl": "web.jsonl"}, "steps": ["language"]}}
        with pytest.raises(RecipeError) as caught:
            cm.Recipe({"name": "small", "sources": sources, **more}, folder=tmp_path).validate()
        return str(caught.value).splitlines()

    assert lines()[0].startswith("recipe mapping: sources.web.read.jsonl: nothing matches 'web.jsonl' in")
    odd = {"web": {"read": {"jsonl": "web.jsonl"}, "steps": [{"language": {"kep": ["en"]}}]}}
    assert lines(sources=odd)[0].startswith(
        "recipe mapping: sources.web.steps.0.language.kep: unknown option"
    )
    assert lines(seed=object())[0].startswith("recipe mapping: seed: is of the class object; write texts")
    assert lines(dedup={(1, 2): 3})[0].startswith("recipe mapping: dedup: has a key that is a list; write a")
    twice = lines(dedup={1: "exact", "1": "url"})[0]
    assert twice == "recipe mapping: dedup: has the key 1 as a number and as a text; write one"
    nested: dict[str, object] = {}
    nested["inner"] = nested
    assert lines(mixture=nested)[0].startswith(
        "recipe mapping: mixture.inner.inner: is nested over 32 levels"
    )


def test_a_mapping_takes_what_programs_write(tmp_path: Path) -> None:
    given = {"web": {"read": {"jsonl": tmp_path / "web.jsonl"}, "steps": ()}}
    made = cm.Recipe({"name": "small", "sources": given, "output": tmp_path / "out"})
    given.clear()
    assert made.with_values("seed=3").sources == ["web"]
    assert made.output == tmp_path / "out"


def test_damage_to_the_run_of_a_mapping_is_repaired_by_it(recipe: cm.Recipe) -> None:
    run = recipe.run()
    (file,) = run.path.glob("steps/web/*/data/*.parquet")
    file.write_bytes(b"0" * file.stat().st_size)
    with pytest.raises(IntegrityError, match="its bytes differ from the manifest"):
        run.documents().collect()
    assert repair_command(run.path) == "recipe.run(repair=True)"
    assert recipe.run(repair=True).documents().collect().height == 30


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


def test_a_removed_document_is_shown_by_what_the_run_stored(tmp_path: Path) -> None:
    texts = ["a text that is long enough to stay where it is", "a short\ntext"]
    (tmp_path / "web.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    steps = [{"expression": {"keep": {"long": "length(text) > 20"}}}]
    sources = {"web": {"read": {"jsonl": "web.jsonl"}, "steps": steps}}
    made = cm.Recipe({"name": "s", "engine": {"kind": "inline"}, "sources": sources}, folder=tmp_path).run()
    shown = CliRunner().invoke(app, ["sample", str(made.path), "--reason", "long"]).stdout.splitlines()
    assert shown[0].endswith("12 bytes  expression: long (expression.long False)")
    assert shown[1].endswith("(--recipe))")
    assert shown[2:5] == ["it begins:", "a short", "text"]
