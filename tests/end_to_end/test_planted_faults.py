"""Shards that are damaged between packing and training: the command refuses to train on them."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.evaluation.faults import check_shards
from tests.oracles.training_planted import (
    TEXT,
    TOKENS,
    Document,
    documents_of,
    encoded,
    text_of,
    write_documents,
)

Run = Callable[..., subprocess.CompletedProcess[str]]
Shards = dict[Path, tuple[dict[str, Any], list[Document]]]


def data_of(run: Path, step: str) -> Path:
    fingerprint = json.loads((run / "current.json").read_text())["steps"][step]
    return run / "steps" / step / fingerprint[:16] / "data"


@pytest.fixture(scope="module")
def definition(calm: Path) -> Path:
    return data_of(calm, "tokenizer") / "tokenizer.json"


@pytest.fixture(scope="module")
def documents(calm: Path, definition: Path) -> Shards:
    tokenizer = Tokenizer.from_file(str(definition))
    return {
        path: documents_of(path, tokenizer) for path in sorted(data_of(calm, "pack").glob("shard-*.arrow"))
    }


def plant(documents: Shards, definition: Path, name: str, source: str, folder: Path) -> list[Path]:
    """The training shards, with damage in one source, in `folder`."""
    tokenizer, draw = Tokenizer.from_file(str(definition)), random.Random(1)

    def damaged(each: Document, facts: dict[str, Any]) -> Document:
        if facts["sources"][each.source] != source:
            return each
        if name in TEXT:
            return encoded(each, TEXT[name](text_of(each.ids, tokenizer), draw), tokenizer, facts["eos_id"])
        return replace(each, ids=TOKENS[name](each.ids, facts["vocab_size"]))

    return [
        write_documents(
            folder / path.name, facts, facts["sequence_length"], [damaged(each, facts) for each in sound]
        )
        for path, (facts, sound) in documents.items()
    ]


def test_shards_of_real_text_raise_no_alarm(calm: Path, definition: Path) -> None:
    shards = sorted(data_of(calm, "pack").glob("*.arrow"))
    assert len(shards) > 4
    assert any(open_shard(path).metadata["cut"] for path in shards)  # documents without their ends
    assert check_shards(shards, definition) == []
    assert check_shards(shards) == []


@pytest.mark.parametrize("source", ["code", "web"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bytes shuffled", "shuffled tokens"),
        ("characters shuffled", "shuffled tokens"),
        ("words shuffled", "shuffled words"),
        ("noise", "shuffled tokens"),
        ("one text for all", "repeated documents"),
        ("no text", "empty documents"),
        ("tokens shuffled", "shuffled tokens"),
        ("tokens reversed", "other encoding"),
        ("tokens reversed, ends too", "misplaced ends"),
        ("ids off by one", "misplaced ends"),
        ("bytes of ids swapped", "wrong vocabulary"),
        ("ids renamed", "misplaced ends"),
        ("padding inside", "padding inside"),
    ],
)
def test_damage_to_real_text_is_named(
    name: str, kind: str, source: str, documents: Shards, definition: Path, tmp_path: Path
) -> None:
    """In one shard of all documents: of few, and of few words, nothing is told."""
    facts = next(iter(documents.values()))[0]
    together = {Path("shard.arrow"): (facts, [each for _, sound in documents.values() for each in sound])}
    paths = plant(together, definition, name, source, tmp_path)
    assert kind in {fault.kind for fault in check_shards(paths, definition)}


def commit_anew(step: StepFolder) -> None:
    """The manifest of a step for the files that lie there now."""
    manifest = step.need_manifest()
    units = []
    for unit in manifest.units:
        contents = [(step.data / file.name).read_bytes() for file in unit.files]
        files = tuple(
            replace(file, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for file, content in zip(unit.files, contents, strict=True)
        )
        units.append(replace(unit, files=files))
    step.write_manifest(replace(manifest, units=tuple(units)))


def test_the_command_does_not_train_on_them(
    calm: Path, documents: Shards, definition: Path, run_tiny: Run, tmp_path: Path
) -> None:
    """The shards are whole, what their step is said to have written, of the right tokenizer, and say what
    they hold; one source of them is noise."""
    run = tmp_path / "run"
    shutil.copytree(calm, run, ignore=shutil.ignore_patterns("train"))
    plant(documents, definition, "bytes shuffled", "web", data_of(run, "pack"))
    commit_anew(StepFolder(data_of(run, "pack").parent))
    failed = run_tiny(run, settings=("train.require={}",))
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert "the token shards look broken:" in failed.stderr
    for path in documents:
        assert f"- {path.name}: shuffled tokens: of web, a token tells" in failed.stderr
    assert not list(run.glob("steps/train/*/manifest.json"))
