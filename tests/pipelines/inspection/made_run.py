"""A small run with a bit of everything, made through the runner: read, judged, removed, encoded, packed.

`made_runs.py` has the fixtures. Sources are listed out of the order of their names on purpose. The training
step is written by hand, so that the tests need no trainer.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path

from corpusmill.pipelines.contract.given import MODEL
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.graph import GraphStep
from corpusmill.pipelines.records.receipt import SummaryPart, UnitResult
from corpusmill.pipelines.records.training_files import ExpertLoads, StepMetrics, TrainingSummary
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.graph_file import read_graph, write_graph
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import digest
from corpusmill.pipelines.storage.segments import content_of
from tests.made_records import made_key, made_manifest, made_stage

HOSTILE = "<script>alert(1)</script></style></pre>\u202egnp.exe \x1b[31m\x07 " + "W" * 5000
BOOM = "BOOM this document makes the stage raise"
BENCHMARK = " ".join(f"question{n} answer{n}" for n in range(30))

PLUGIN = '''
"""A filter for tests: needs words, and falls over one document."""

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter


class EnoughWords(Filter):
    at_least: int = 8

    def score(self, docs):
        import numpy as np

        texts = docs.text.to_pylist()
        if any(text.startswith("BOOM") for text in texts):
            raise ValueError("it went <b>boom</b>")
        return {"words": np.array([len(text.split()) for text in texts], np.int64)}

    def judge(self, scores):
        return reason_where((scores["words"] < self.at_least, "too_few_words"))
'''

RECIPE = """
name: made
seed: 5
plugins: [plug.py]
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: {files: web.jsonl, split_bytes: 64KiB}}, steps: [enough_words]}
  code: {read: {jsonl: {files: code.jsonl, split_bytes: 64KiB}}, steps: [enough_words]}
dedup: [exact]
decontaminate: {against: bench.jsonl}
tokenizer: {train: {vocab_size: 300}}
mixture: {tokens: 250K, weights: {web: 0.2, code: 0.8}, max_epochs: 2}
pack: {sequence_length: 128, shard_tokens: 32768, fim: {rate: 0.5}}
"""


def write_inputs(folder: Path) -> None:
    """Inputs, plugin and recipe. Of 200 web and 60 code documents, some are repeated on purpose."""
    draw = random.Random(11)
    words = ["".join(draw.choice("abcdefgh") for _ in range(draw.randint(2, 8))) for _ in range(400)]
    texts = [" ".join(draw.choice(words) for _ in range(draw.randint(40, 250))) for _ in range(260)]
    web = [{"text": text, "url": f"http://web.example/{n}"} for n, text in enumerate(texts[:200])]
    code = [{"text": text, "path": f"src/{n}.py"} for n, text in enumerate(texts[200:])]
    web.append(dict(web[15]))  # the very same record twice: the same id
    code += [{"text": texts[n], "path": f"copy/{n}.py"} for n in range(10)]  # duplicates of the other source
    web += [{"text": HOSTILE}, {"text": "too few <i>words</i>"}, {"text": BOOM}]
    code.append({"text": f"{texts[0]} {BENCHMARK}", "path": "leak.py"})
    for name, records in (("web", web), ("code", code), ("bench", [{"text": BENCHMARK}])):
        lines = [json.dumps(record) for record in records]
        if name == "web":
            lines.append('{"text": "cut off')
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "plug.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")


# No deduplication, and a source of two steps, the second of which brings documents together.
PLAIN = """
name: plain
plugins: [plug.py]
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: {files: web.jsonl, split_bytes: 64KiB}}, steps: [enough_words]}
  code:
    read: {jsonl: {files: code.jsonl, split_bytes: 64KiB}}
    steps: [enough_words, repository_order]
decontaminate: {against: bench.jsonl}
"""


def make_plain_run(folder: Path) -> RunFolder:
    """A run that stops after decontamination."""
    write_inputs(folder)
    (folder / "recipe.yaml").write_text(PLAIN, encoding="utf-8")
    return run_recipe(load_recipe(folder / "recipe.yaml")).folder


def make_run(folder: Path) -> RunFolder:
    """The run below `folder`; made once, found again."""
    if not (folder / "run" / "made").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_inputs(folder)
        result = run_recipe(load_recipe(folder / "recipe.yaml"))
        (result.folder.path / "made").write_text("", encoding="utf-8")
    return RunFolder(folder / "run")


SUMMARY = encode(
    TrainingSummary(
        bits_per_byte=None,
        first_loss=math.log(300),
        gamma=0.0,
        last_loss=2.0,
        ln_vocab=math.log(300),
        max_expert_violation=0.25,
        operations_per_token=1e6,
        parameters=1234,
        shard_faults=0,
        steps=30,
        tokens=999,
        unigram_entropy=4.5,
    )
)
METRICS = StepMetrics(
    step=1,
    tokens=33,
    sequences=1,
    loss=None,
    mtp_loss=None,
    balance_loss=0.0,
    loss_by_source={},
    gradient_norm=1.0,
    learning_rate=0.0,
    gamma=0.0,
    mtp_weight=0.3,
    max_expert_violation=0.25,
    experts=ExpertLoads((), (), ()),
)


def add_training(run: RunFolder, steps: int = 30) -> None:
    """A complete training step whose loss falls from ln(300) to 2."""
    summary = {**SUMMARY, "steps": steps}
    pack = run.current_step("pack")
    assert pack is not None
    artefacts = {"shards": pack.need_manifest().content}
    key = made_key(stages=(made_stage("train", steps=steps),), artefacts=artefacts)
    fingerprint = digest(encode(key))
    step = run.step("train", fingerprint)
    attempt = step.attempt(0, 1)
    with (attempt.folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for number in range(steps):
            loss = 2 + (math.log(300) - 2) * (1 - number / max(1, steps - 1))
            metrics = replace(METRICS, step=number + 1, loss=loss, mtp_loss=loss + 0.5)
            file.write(json.dumps(encode(replace(metrics, loss_by_source={"web": loss}))) + "\n")
    receipt = attempt.commit(UnitResult(0, part=SummaryPart(summary)))
    step.write_manifest(made_manifest([receipt], "train", fingerprint, key=key))
    current = run.current()
    run.write_current(replace(current, steps={**current.steps, "train": fingerprint}))
    ask_for(run, "train", MODEL)


def ask_for(run: RunFolder, step: str, gives: str = "") -> None:
    """As if the run's recipe had one more step, a task."""
    graph = read_graph(run)
    write_graph(run, replace(graph, steps=(*graph.steps, GraphStep(step, "task", gives=gives))))


def commit_again(step: StepFolder) -> None:
    """Let a step of one unit hold the files that now lie in its data, as if it had written them."""
    manifest = step.need_manifest()
    attempt = step.attempt(0, 2)
    shutil.copytree(step.data, attempt.folder, dirs_exist_ok=True)
    (unit,) = manifest.units
    receipt = attempt.commit(UnitResult(unit.rows, unit.ledger, unit.part))
    step.write_manifest(replace(manifest, content=content_of([receipt]), units=(receipt,)))


def forget(run: RunFolder, *names: str) -> None:
    """As if the run had been stopped before these steps were complete."""
    current = run.current()
    steps = {name: held for name, held in current.steps.items() if name not in names}
    for name in names:
        step = run.current_step(name)
        if step is not None:
            step.manifest_path.unlink()
    run.write_current(replace(current, steps=steps))
