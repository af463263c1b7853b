"""Broken input through the whole command: a counted quarantine or a clear error, never a dead process."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

BROKEN = """
name: broken
data: {data}
output: {out}
engine: {{workers: 1}}
sources:
  pages:
    read: {{warc: {{files: [broken/*.warc, broken/*.warc.gz, broken/*.warc.gz.bad], on_corrupt: {choice}}}}}
    steps: [extract, language]
  archive: {{read: {{arc: {{files: broken/*.arc, on_corrupt: {choice}}}}}, steps: [extract], allow_loss: 1}}
  code:
    read: {{jsonl: {{files: broken/code_bad_bytes.jsonl.zst, on_corrupt: {choice}}}}}
    steps: [code_quality]
dedup: [exact, minhash]
"""


def write_recipe(folder: Path, data: Path, choice: str) -> Path:
    path = folder / "broken.yaml"
    path.write_text(BROKEN.format(data=data, out=folder / "run", choice=choice))
    return path


def test_everything_broken_is_counted_and_nothing_dies(
    corpusmill: Run, data_folder: Path, tmp_path: Path
) -> None:
    done = corpusmill("run", write_recipe(tmp_path, data_folder, "quarantine"), "--json")
    assert done.returncode == 0, done.stderr
    sources = json.loads(done.stdout)["sources"]
    for name in ("pages", "archive", "code"):
        row = sources[name]
        lost = sum(row["removed"].values()) + sum(row["quarantined"].values())
        assert row["read"] == row["left"] + lost
        assert row["read"] > 0
    assert sources["pages"]["quarantined"]["read.corrupt_input"] >= 1
    assert sum(sources["archive"]["quarantined"].values()) >= 1


def test_the_run_stops_at_corrupt_input_when_asked_to(
    corpusmill: Run, data_folder: Path, tmp_path: Path
) -> None:
    failed = corpusmill("run", write_recipe(tmp_path, data_folder, "fail"))
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert "warc" in failed.stderr


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.97])
def test_a_truncated_file_is_never_merely_short(cut: float, command: Run, tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"id": str(n), "text": f"document number {n} " * 20}) + "\n" for n in range(2000)
    )
    whole = gzip.compress(lines.encode(), mtime=0)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: int(len(whole) * cut)])
    (tmp_path / "recipe.yaml").write_text(
        "name: cut\nengine: {kind: inline}\nsources: {a: {read: {jsonl: cut.jsonl.gz}}}\n"
    )
    nothing = command(tmp_path, "run", "recipe.yaml")
    assert nothing.returncode == 1
    assert "sources.a: keeps none of its 1 records: quarantined read.corrupt_input 1" in nothing.stderr
    done = command(tmp_path, "run", "recipe.yaml", "--set", "sources.a.allow_loss=1", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["sources"]["a"]
    assert row["quarantined"] == {"read.corrupt_input": 1}
    assert row["left"] < 2000
    on_corrupt = "sources.a.read.jsonl={files: cut.jsonl.gz, on_corrupt: fail}"
    failed = command(tmp_path, "run", "recipe.yaml", "--set", on_corrupt)
    assert failed.returncode == 1
    assert "cut.jsonl.gz" in failed.stderr


def test_one_bad_line_stops_the_run_when_asked_to_and_is_counted_otherwise(
    command: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": \n{"text": "two"}\n')
    text = "name: bad\nengine: {kind: inline}\nsources: {a: {read: {jsonl: {files: a.jsonl}}}}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    done = command(tmp_path, "run", "recipe.yaml", "--json")
    assert json.loads(done.stdout)["sources"]["a"]["quarantined"] == {"read.bad_json": 1}
    failed = command(tmp_path, "run", "recipe.yaml", "--set", "sources.a.read.jsonl.on_corrupt=fail")
    assert failed.returncode == 1
    assert "a.jsonl" in failed.stderr
    assert "bad_json" in failed.stderr
    assert "on_corrupt: quarantine" in failed.stderr
