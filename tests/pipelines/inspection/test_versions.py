"""Commands that take a tokenizer or model out of a run say where the run no longer holds it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.cli.failures import run_and_exit
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.tokenizer_files import tokenizer_file
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.staleness import stale_steps
from corpusmill.pipelines.storage.versions import note_version, version_of
from tests.pipelines.inspection import made_run as made

Copies = Callable[[], RunFolder]


def as_until_leaves_it(copy: RunFolder) -> None:
    """The tokenizer and all after it were made from other inputs, and the last run did not ask for them."""
    current = copy.current()
    beyond = [name for name in current.steps if name.split(".")[0] in ("tokenizer", "encode", "pack")]
    asked = [name for name in current.steps if name not in beyond]
    copy.write_current(replace(current, stale=tuple(beyond), until=("decontaminate",), asked=tuple(asked)))


def test_a_stale_tokenizer_is_named_on_standard_error(
    copy_of: Copies, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_of()
    for stale, what in ((False, copy.path), (True, copy.path), (True, copy.path / "steps" / "tokenizer")):
        if stale:
            as_until_leaves_it(copy)
        caplog.clear()
        out = tmp_path / f"out-{stale}-{what.name}"
        with pytest.raises(SystemExit) as left:
            run_and_exit(app, ["export", str(what), str(out), "--to", "tiktoken", "--json"])
        assert left.value.code == 0
        assert json.loads(capsys.readouterr().out)  # nothing else is on standard output
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(said) == stale
        if stale:
            assert said[0].startswith("step tokenizer in ")
            assert "stale: made from other inputs or options than the run now has; run the recipe" in said[0]


def test_versions_of_a_step(copy_of: Copies, caplog: pytest.LogCaptureFixture) -> None:
    copy = copy_of()
    step = copy.current_step("tokenizer")
    assert step is not None
    file = step.data / "tokenizer.json"
    assert version_of(step) == "current"
    assert stale_steps(copy) == set(load_record(copy).stale) == set()
    held = copy.current_step("dedup.exact")
    assert held is not None  # another content: what was made from it is outdated
    manifest = held.need_manifest()
    held.write_manifest(replace(manifest, content="0" * 64))
    assert stale_steps(copy) == set(load_record(copy).stale)
    assert version_of(step) == "stale"
    held.write_manifest(manifest)
    older = copy.step("tokenizer", "0" * 64)
    shutil.copytree(step.path, older.path)
    note_version(older.data / "tokenizer.json")
    assert "an earlier version of its step" in caplog.records[-1].getMessage()
    caplog.clear()
    note_version(file)
    assert tokenizer_file(file) == file
    lone = shutil.copy(file, copy.path.parent / "tokenizer.json")
    assert tokenizer_file(Path(lone)) == Path(lone)
    assert caplog.records == []


def test_a_model_that_was_copied_without_the_other_steps_has_no_note(
    copy_of: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_of()
    for folder in (copy.path / "steps").iterdir():
        if folder.name != "tokenizer":
            shutil.rmtree(folder)
    (copy.path / "recipe.json").unlink()
    assert tokenizer_file(copy.path) is not None
    assert caplog.records == []


def loading(folder: Path, tokenizer: Path, more: str = "") -> str:
    """A recipe that loads `tokenizer`; `more`: YAML of options beside it, and of sections."""
    (folder / "in.jsonl").write_text(json.dumps({"text": "Words of a recipe that loads a tokenizer."}) + "\n")
    recipe = folder / "loads.yaml"
    recipe.write_text(
        "name: loads\nsources: {a: {read: {jsonl: in.jsonl}, domain: web}}\n"
        f"tokenizer:\n  load: {json.dumps(str(tokenizer))}\n{more}"
    )
    return str(recipe)


def left_with(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        run_and_exit(app, list(arguments))
    return int(left.value.code or 0)


def test_a_recipe_that_loads_a_stale_tokenizer_is_warned(
    copy_of: Copies, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_of()
    step = copy.current_step("tokenizer")
    assert step is not None
    recipe = loading(tmp_path, step.data / "tokenizer.json")
    assert left_with("validate", recipe) == 0
    assert caplog.records == []
    as_until_leaves_it(copy)
    assert left_with("validate", recipe) == 0
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("step tokenizer in ")
    assert warning.endswith("run the recipe to the step again")


def test_a_recipe_that_takes_a_stale_model_or_reference_is_warned_once_for_each(
    copy_of: Copies, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_of()
    made.add_training(copy)
    model, tokenizer = copy.current_step("train"), copy.current_step("tokenizer")
    assert model is not None
    assert tokenizer is not None
    for name in ("config.json", "model-1.safetensors", "model-2.safetensors"):
        (model.data / name).write_bytes(b"{}")
    lone = shutil.copy(tokenizer.data / "tokenizer.json", tmp_path / "tokenizer.json")
    recipe = loading(
        tmp_path,
        Path(lone),
        f"  references: {{old: {json.dumps(str(tokenizer.data / 'tokenizer.json'))}}}\n"
        f"pack: {{sequence_length: 64}}\ntrain: {{start_from: {json.dumps(str(model.data))}}}\n",
    )
    assert left_with("validate", recipe) == 0
    assert caplog.records == []
    current = copy.current()
    copy.write_current(replace(current, stale=("train",)))
    assert left_with("validate", recipe) == 0
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"step train in {model.path}: stale: made from other inputs or options than")
    assert warning.endswith("run the recipe to the step again")
    caplog.clear()
    steps = {name: key for name, key in current.steps.items() if name not in ("tokenizer", "train")}
    copy.write_current(replace(current, steps={**steps, "tokenizer": "0" * 64, "train": "0" * 64}))
    assert left_with("validate", recipe) == 0
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("step tokenizer in ")
    assert second.startswith("step train in ")
    assert first.endswith("the run has another now; `current.json` names the one in use")


def test_a_recipe_that_loads_a_damaged_tokenizer_is_refused(
    copy_of: Copies, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = copy_of().current_step("tokenizer")
    assert step is not None
    file = step.data / "tokenizer.json"
    definition = json.loads(file.read_text())
    merges = definition["model"]["merges"]
    merges[0], merges[1] = merges[1], merges[0]
    file.write_text(json.dumps(definition))
    recipe = loading(tmp_path, file)
    for command in ("validate", "run"):
        assert left_with(command, recipe) == 2
        said = capsys.readouterr().err
        assert str(file) in said
        assert "--repair" in said
