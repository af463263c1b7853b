"""What a run would cost, measured on a cut of its own input.

A few files of every source are read for a few hundred documents each and taken through every step in a
temporary folder; seconds and bytes are scaled by the share of the source's file bytes that the cut
represents, fixed costs such as loading libraries included, so a small cut errs on the high side.
Work in rounds, such as training, is measured at two lengths, which tells its start from its rounds. Sections
say what is left of them in a cut, and what costs as much as something else (`section.Cut`). It is an
estimate: expect it within a factor of two.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.recipe.places import stored_bytes
from corpusmill.pipelines.recipe.section import Cut
from corpusmill.pipelines.run.inputs import source_of
from corpusmill.pipelines.run.runner import RunListener, Runner
from corpusmill.pipelines.sources.reader import read_index

CUT_FILES = 4  # files read of each source, evenly spaced
CUT_FILE_BYTES = 64 * 2**20  # larger files are only taken when a source has nothing smaller
CUT_DOCUMENTS = 200  # documents read of each unit
MORE_ROUNDS = 4  # in the longer of the two


class _CutRunner(Runner):
    """A run over a few files of each source."""

    def list_inputs(self) -> None:
        super().list_inputs()
        sizes = {name: _sizes(source_of(self.recipe, name), paths) for name, paths in self._paths.items()}
        self.whole = {name: sum(sizes[name].values()) for name in sizes}
        self._paths = {name: _cut(paths, sizes[name]) for name, paths in self._paths.items()}
        self.part = {name: sum(sizes[name][file] for file in paths) for name, paths in self._paths.items()}


def _sizes(source: Source, paths: Mapping[str, str]) -> dict[str, int]:
    return {name: stored_bytes(source.reader, place) for name, place in paths.items()}


def _cut(paths: dict[str, str], sizes: Mapping[str, int]) -> dict[str, str]:
    names = [name for name in paths if sizes[name] <= CUT_FILE_BYTES]
    names = names or sorted(paths, key=lambda name: sizes[name])[:1]
    step = max(1, len(names) // CUT_FILES)
    chosen = names[::step][:CUT_FILES]
    return {name: paths[name] for name in sorted(chosen)}


@dataclass(frozen=True)
class StepCost:
    """Seconds of one core, and bytes on disk, of one step; its operator, the files that a unit has, the lists
    of removals that it applies to what it reads, and the rows that it writes."""

    name: str
    seconds: float
    disk: int
    operator: str
    files: float
    masks: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a run from nothing would cost, from a cut of so many documents: by step, seconds with the recipe's
    workers, and bytes of memory and disk. `input_bytes`: of the files of all sources; `text_bytes`: of the
    documents that these let pass."""

    sample_documents: int
    steps: tuple[StepCost, ...]
    workers: int
    wall_seconds: float
    memory: int
    disk: int
    input_bytes: int
    text_bytes: int


class NoEstimateError(UserError):
    """The cut cannot be run to its end, though the whole input may be."""


def estimate_run(recipe: Recipe, listener: RunListener | None = None) -> Estimate:
    """Core-seconds, disk and memory of a run from nothing. `listener` hears of the run of the cut.

    Raises NoEstimateError where the cut cannot be run to its end, and what else a run raises.
    """
    with tempfile.TemporaryDirectory(prefix="corpusmill-estimate-") as folder:
        cut = replace(
            recipe,
            output_folder=Path(folder),
            keep="all",
            engine=recipe.engine.model_copy(update={"kind": "process", "workers": 1, "address": None}),
        )
        cuts = _cuts(recipe, 1)
        runner = _CutRunner(_with_sections(cut, cuts), listener, limit=CUT_DOCUMENTS)
        rounds: dict[str, float] = {}
        try:
            runner.run()
            if any(step in runner.states for one in cuts for step in one.rounds):
                rounds = _seconds_of_rounds(cut, cuts, runner)
        except UserError as error:
            # The cut may be too small for what the whole input is large enough for.
            raise NoEstimateError(f"a cut of a few documents cannot be run to its end: {error}") from error
        return _scale(recipe, cuts, runner, _peak(Path(folder)), rounds)


def _cuts(recipe: Recipe, rounds: int) -> list[Cut]:
    return [section.cut(rounds) for section in recipe.sections.values()]


def _with_sections(recipe: Recipe, cuts: Sequence[Cut]) -> Recipe:
    """The recipe with what the cuts leave of its sections."""
    left = [one.section for one in cuts if one.section is not None]
    return replace(recipe, sections={section.name: section for section in left})


def _seconds_of_rounds(cut: Recipe, cuts: Sequence[Cut], runner: _CutRunner) -> dict[str, float]:
    """Seconds of every step whose work is rounds: what starting costs, and each round's share, from two
    lengths."""
    more = _with_sections(cut, _cuts(cut, 1 + MORE_ROUNDS))
    longer = _CutRunner(more, limit=CUT_DOCUMENTS)
    longer.run()  # every other step is used as it is
    found: dict[str, float] = {}
    for one in cuts:
        for step, count in one.rounds.items():
            like = one.alike.get(step, step)
            first = runner.states[like].seconds
            each = max(0.0, longer.states[like].seconds - first) / MORE_ROUNDS
            found[step] = first + each * (count - (0 if step in one.alike else 1))
    return found


def _peak(folder: Path) -> int:
    lines = (folder / "log" / "run.jsonl").read_text("utf-8").splitlines()
    return max((json.loads(line).get("rss") or 0 for line in lines), default=0)


def _scale(
    recipe: Recipe, cuts: Sequence[Cut], runner: _CutRunner, peak: int, rounds: Mapping[str, float]
) -> Estimate:
    most = {root: size for one in cuts for root, size in one.most_bytes.items()}
    factors = _factors(runner)
    overall = _overall(runner, factors)
    ledgers = [
        entry
        for state in runner.states.values()
        if state.step.operator.reads == "splits" and state.folder is not None
        for entry in state.folder.need_manifest().ledger
    ]
    rows: list[StepCost] = []
    documents = 0
    for name, state in runner.states.items():
        assert state.folder is not None
        manifest = state.folder.need_manifest()
        if state.step.operator.reads == "splits":
            documents += sum(entry.documents_in for entry in manifest.ledger if entry.stage == "read")
        factor = factors.get(name, overall)
        if state.step.operator.reads == "files":
            factor = runner.whole[name] / max(1, runner.part[name])
        if name in rounds:
            factor = 1.0
        if (budget := most.get(name.split(".")[0])) is not None:
            read = sum(entry.bytes_in for entry in ledgers if entry.stage == "read")
            factor = min(factor, budget / max(1, read))
        disk = manifest.bytes
        files = state.folder.units.count_files() / max(1, len(state.folder.units))
        seconds = rounds.get(name, state.seconds * factor)
        operator, masks = state.step.operator.name, len(state.step.masks)
        written = int(manifest.rows * factor)
        rows.append(StepCost(name, seconds, int(disk * factor), operator, files, masks, written))
    found = {row.name: row for row in rows}
    for step, like in ((step, like) for one in cuts for step, like in one.alike.items()):
        rows.append(replace(found[like], name=step, seconds=rounds.get(step, found[like].seconds)))
    workers = recipe.engine.workers or os.cpu_count() or 1
    solo = {name for name, state in runner.states.items() if state.step.operator.exclusive} | rounds.keys()
    wall = sum(row.seconds / (1 if row.name in solo else workers) for row in rows)
    disk = sum(row.disk for row in rows)
    whole = sum(runner.whole.values())
    text = int(sum(_kept(runner, name) * factor for name, factor in factors.items()))
    return Estimate(documents, tuple(rows), workers, wall, peak * workers, disk, whole, text)


def _factors(runner: _CutRunner) -> dict[str, float]:
    """How many times the cut fits into each source, for its reading steps: by bytes that went in."""
    found: dict[str, float] = {}
    for name, state in runner.states.items():
        if state.step.operator.reads != "splits":
            continue
        assert state.folder is not None
        index = state.step.inputs[0]
        entries = [entry for entry in state.folder.need_manifest().ledger if entry.stage == "read"]
        read = sum(entry.bytes_in for entry in entries)
        indexed_bytes = _indexed_bytes(runner, index)
        found[name] = (
            max(1.0, indexed_bytes / max(1, read)) * runner.whole[index] / max(1, runner.part[index])
        )
    return found


def _indexed_bytes(runner: _CutRunner, index: str) -> int:
    folder = runner.states[index].folder
    assert folder is not None
    return sum(
        split.size
        for unit in folder.need_manifest().units
        for entry in read_index(folder.file(f"{unit.name}.index.json"))
        for split in entry.splits
    )


def _kept(runner: _CutRunner, name: str) -> int:
    """Bytes of the documents that a reading step let pass."""
    folder = runner.states[name].folder
    assert folder is not None
    return sum(size for _, size in folder.need_manifest().sources.values())


def _overall(runner: _CutRunner, factors: Mapping[str, float]) -> float:
    """The factor of steps that see all sources: weighted by the bytes each source lets through."""
    kept = {name: _kept(runner, name) for name in factors}
    total = sum(kept.values())
    return sum(factors[name] * size for name, size in kept.items()) / total if total else 1.0
