"""A run's documents as a folder in the Hub's layout, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.exports.dataset import export_dataset
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.sources.hugging_face import HuggingFace
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.oracles.sources_archives import read_all


def test_what_is_written_is_what_the_run_keeps(finished: Path, tmp_path: Path) -> None:
    summary = export_dataset(finished / "run", tmp_path / "out")
    counts = summary["documents"]
    assert counts["web/train"] + counts["web/test"] == 60
    assert counts["code/train"] + counts["code/test"] == 40
    assert 0 < counts["web/test"] < 30
    view = load_record(RunFolder(finished / "run")).view()
    kept = {
        row["id"]: row
        for unit in range(len(view))
        for docs, _ in view.batches(unit)
        for row in docs.table.to_pylist()
    }
    reader = HuggingFace(files=["x"], split=["train", "test"])
    rows = [row for file in reader.expand(tmp_path / "out") for row in read_all(reader, file).rows]
    assert {row["id"]: (row["text"], row["meta"]) for row in rows} == {
        key: (row["text"], row["meta"]) for key, row in kept.items()
    }
    assert len(rows) == 100


def test_files_are_numbered_and_named_by_the_readme(finished: Path, tmp_path: Path) -> None:
    export_dataset(finished / "run", tmp_path / "out", file_bytes=1)
    export_dataset(finished / "run", tmp_path / "again", file_bytes=1)
    head = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---")[1])
    assert [config["config_name"] for config in head["configs"]] == ["default", "code", "web"]
    assert head["configs"][2]["data_files"] == [
        {"split": "train", "path": "data/web/train-*.parquet"},
        {"split": "test", "path": "data/web/test-*.parquet"},
    ]
    for config, there in (("web", {"web"}), (None, {"web", "code"})):
        files = HuggingFace(files=["x"], config=config, split="train").expand(tmp_path / "out")
        assert {file.parent.name for file in files} == there
        assert {file.name for file in files} == {"train-00000-of-00001.parquet"}
        assert pq.read_schema(files[0]).names[:3] == ["id", "text", "source"]
    for file in sorted((tmp_path / "out").rglob("*.*")):
        other = tmp_path / "again" / file.relative_to(tmp_path / "out")
        assert file.is_dir() or file.read_bytes() == other.read_bytes()


def test_the_command(finished: Path, tmp_path: Path) -> None:
    arguments = ["export", str(finished / "run"), str(tmp_path / "out"), "--to", "dataset", "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(done.stdout)["files"] == 4
    with pytest.raises(UserError, match="already there"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    with pytest.raises(UserError, match="--ema is for --to deepseek_v3"):
        CliRunner().invoke(app, [*arguments, "--ema"], catch_exceptions=False)


def test_what_is_no_finished_run_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        export_dataset(tmp_path, tmp_path / "out")
    recipe = finished / "r.yaml"
    other = load_recipe(recipe, [f"output={tmp_path / 'part'}"])
    run_recipe(other, until=["web"])
    with pytest.raises(UserError, match="step code is not complete"):
        export_dataset(tmp_path / "part", tmp_path / "out")
    assert not (tmp_path / "out").exists()
