"""What a run would cost, measured on a cut of its own input.

A few files of every source are read for a few hundred documents each and taken through every step in a
temporary folder; seconds and bytes are scaled by the share of the source's file bytes that the cut
represents, fixed costs such as loading libraries included, so a small cut errs on the high side.
Training is measured at two lengths, which tells its start from its steps; a long-context phase is taken to
cost as much a token as training. It is an estimate: expect it within a factor of two.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Task
from corpusmill.pipelines.recipe.listing import source_of
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.run_folder import Json, read_json

CUT_FILES = 4  # files read of each source, evenly spaced
CUT_FILE_BYTES = 64 * 2**20  # larger files are only taken when a source has nothing smaller
CUT_DOCUMENTS = 200  # documents read of each unit
TRAIN_STEPS = 4  # more in the longer of the two


class _CutRunner(Runner):
    """A run over a few files of each source."""

    def list_inputs(self) -> None:
        super().list_inputs()
        sizes = {name: _sizes(source_of(self.recipe, name), paths) for name, paths in self._paths.items()}
        self.whole = {name: sum(sizes[name].values()) for name in sizes}
        self._paths = {name: _cut(paths, sizes[name]) for name, paths in self._paths.items()}
        self.part = {name: sum(sizes[name][file] for file in paths) for name, paths in self._paths.items()}


def _sizes(source: Source, paths: Mapping[str, str]) -> dict[str, int]:
    return {name: source.reader.stored_bytes(Path(path)) for name, path in paths.items()}


def _cut(paths: dict[str, str], sizes: Mapping[str, int]) -> dict[str, str]:
    names = [name for name in paths if sizes[name] <= CUT_FILE_BYTES]
    names = names or sorted(paths, key=lambda name: sizes[name])[:1]
    step = max(1, len(names) // CUT_FILES)
    chosen = names[::step][:CUT_FILES]
    return {name: paths[name] for name in sorted(chosen)}


def estimate_run(recipe: Recipe) -> Json:
    """Core-seconds, disk and memory of a run from nothing.

    Returns `steps` (each with `name`, `seconds` of one core, `disk` bytes), `wall_seconds` with the
    recipe's workers, `memory` and `disk` in bytes, and `sample_documents`; or, where the cut cannot be run
    to its end, `impossible` alone, saying why. Raises what else a run raises.
    """
    with tempfile.TemporaryDirectory(prefix="corpusmill-estimate-") as folder:
        cut = replace(
            recipe,
            output_folder=Path(folder),
            engine=recipe.engine.model_copy(update={"kind": "process", "workers": 1, "address": None}),
            train=_with_steps(recipe, 1),
            long_context=(),
        )
        runner = _CutRunner(cut, limit=CUT_DOCUMENTS)
        training: dict[str, float] = {}
        try:
            runner.run()
            if recipe.train is not None:
                training = _training_seconds(recipe, cut, runner.states["train"].seconds)
        except UserError as error:
            # The cut may be too small for what the whole input is large enough for.
            return {"impossible": str(error)}
        return _scale(recipe, runner, _peak(Path(folder)), training)


def _with_steps(recipe: Recipe, steps: int) -> Task | None:
    """The recipe's training cut to a few steps, which nothing is required of: they could not fulfil it."""
    return None if recipe.train is None else recipe.train.model_copy(update={"steps": steps, "require": None})


def _training_seconds(recipe: Recipe, cut: Recipe, one_step: float) -> dict[str, float]:
    """Seconds of `train` and of every long-context phase: what starting costs, and each step's share, from
    two lengths."""
    longer = _CutRunner(replace(cut, train=_with_steps(recipe, 1 + TRAIN_STEPS)), limit=CUT_DOCUMENTS)
    longer.run()  # every step but the last is used as it is
    each = max(0.0, longer.states["train"].seconds - one_step) / TRAIN_STEPS
    assert recipe.train is not None
    found = {"train": one_step + each * (int(recipe.train.model_dump()["steps"]) - 1)}
    for number, phase in enumerate(recipe.long_context):
        steps = int(phase.train.model_dump()["steps"])
        found[f"long_context.{number}"] = one_step + each * phase.step_cost * steps
    return found


def _peak(folder: Path) -> int:
    lines = (folder / "log" / "run.jsonl").read_text("utf-8").splitlines()
    return max((json.loads(line).get("rss") or 0 for line in lines), default=0)


def _scale(recipe: Recipe, runner: _CutRunner, peak: int, training: Mapping[str, float]) -> Json:
    factors = _factors(runner)
    overall = _overall(runner, factors)
    ledgers = [
        entry
        for state in runner.states.values()
        if state.step.operator.reads == "splits" and state.folder is not None
        for entry in state.folder.need_manifest()["ledger"]
    ]
    rows: list[Json] = []
    documents = 0
    for name, state in runner.states.items():
        assert state.folder is not None
        manifest = state.folder.need_manifest()
        if state.step.operator.reads == "splits":
            documents += sum(
                entry["documents_in"] for entry in manifest["ledger"] if entry["stage"] == "read"
            )
        factor = factors.get(name, overall)
        if state.step.operator.reads == "files":
            factor = runner.whole[name] / max(1, runner.part[name])
        if name == "train":  # its model is as large after one step
            factor = 1.0
        if recipe.tokenizer_sample is not None and name.split(".")[0] in ("tokenizer_sample", "tokenizer"):
            read = sum(e["bytes_in"] for e in ledgers if e["stage"] == "read")
            budget = int(recipe.tokenizer_sample.model_dump()["sample_bytes"])
            factor = min(factor, budget / max(1, read))  # grows with its sample, up to the budget
        disk = sum(file["bytes"] for unit in manifest["units"] for file in unit["files"])
        rows.append(
            {"name": name, "seconds": training.get(name, state.seconds * factor), "disk": int(disk * factor)}
        )
    disks = {row["name"]: row["disk"] for row in rows}
    for number in range(len(recipe.long_context)):  # packed again, and a model of the same size
        here = f"long_context.{number}"
        packing = next(row["seconds"] for row in rows if row["name"] == "pack")
        rows.append({"name": f"{here}.pack", "seconds": packing, "disk": disks["pack"]})
        rows.append({"name": here, "seconds": training[here], "disk": disks["train"]})
    workers = recipe.engine.workers or os.cpu_count() or 1
    solo = {name for name, state in runner.states.items() if state.step.operator.exclusive} | training.keys()
    wall = sum(row["seconds"] / (1 if row["name"] in solo else workers) for row in rows)
    return {
        "sample_documents": documents,
        "steps": rows,
        "workers": workers,
        "wall_seconds": wall,
        "memory": peak * workers,
        "disk": sum(row["disk"] for row in rows),
    }


def _factors(runner: _CutRunner) -> dict[str, float]:
    """How many times the cut fits into each source, for its reading steps: by bytes that went in."""
    found: dict[str, float] = {}
    for name, state in runner.states.items():
        if state.step.operator.reads != "splits":
            continue
        assert state.folder is not None
        index = state.step.inputs[0]
        entries = [e for e in state.folder.need_manifest()["ledger"] if e["stage"] == "read"]
        read = sum(entry["bytes_in"] for entry in entries)
        held = _indexed_bytes(runner, index)
        found[name] = max(1.0, held / max(1, read)) * runner.whole[index] / max(1, runner.part[index])
    return found


def _indexed_bytes(runner: _CutRunner, index: str) -> int:
    folder = runner.states[index].folder
    assert folder is not None
    return sum(
        split["size"]
        for unit in folder.need_manifest()["units"]
        for entry in read_json(folder.file(f"{unit['unit']:05d}.index.json"))
        for split in entry["splits"]
    )


def _overall(runner: _CutRunner, factors: Mapping[str, float]) -> float:
    """The factor of steps that see all sources: weighted by the bytes each source lets through."""
    kept: dict[str, int] = {}
    for name in factors:
        folder = runner.states[name].folder
        assert folder is not None
        kept[name] = sum(
            size for unit in folder.need_manifest()["units"] for _, size in unit["sources"].values()
        )
    total = sum(kept.values())
    return sum(factors[name] * size for name, size in kept.items()) / total if total else 1.0
