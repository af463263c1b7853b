"""What a run prints at its end, and the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.contract.given import DRAWN, LONGER_CONTEXT, MODEL, SHARDS, TOKENIZER
from corpusmill.pipelines.inspection.held_out_facts import HeldOutFacts
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.records.opaque import Summary
from corpusmill.pipelines.records.shard_counts import PartitionCounts, ShardCounts
from corpusmill.pipelines.records.training_files import TrainingSummary
from corpusmill.pipelines.report.build import Written
from corpusmill.pipelines.report.figures import Finding
from corpusmill.pipelines.run.runner import RunResult
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.storage.remote.mirrors import location_of
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.sealed import canonical


@dataclass(frozen=True)
class StepDone:
    """A step: its units, those done now, whether it was used as it is, and the seconds it took."""

    name: str
    units: int
    done_now: int
    reused: bool
    seconds: float


@dataclass(frozen=True)
class SourceDone:
    """Of a source, documents read, left before the mixture, and removed and quarantined by `stage.reason`;
    bytes cut by the same."""

    read: int
    left: int
    removed: Mapping[str, int]
    quarantined: Mapping[str, int]
    cut: Mapping[str, int]


@dataclass(frozen=True)
class HeldOutFiles:
    """Shards that nothing is trained on."""

    files: tuple[str, ...]
    documents: int
    tokens: int


@dataclass(frozen=True)
class ShardsMade:
    """Files and counts of the shards, those that are held out apart."""

    files: tuple[str, ...]
    held_out: HeldOutFiles
    documents: int
    tokens: int
    padding: int
    rows: int


@dataclass(frozen=True)
class StepMade:
    """What a step left: its name, where it lies, and what its stage says of it."""

    step: str
    folder: str
    summary: Summary

    @property
    def training(self) -> TrainingSummary:
        """The summary of a step that trained."""
        return decode(TrainingSummary, self.summary, self.folder)


@dataclass(frozen=True)
class Repaired:
    """What `--repair` found: faults, and files that came out other than they were."""

    faults: tuple[str, ...]
    differing: tuple[str, ...]


@dataclass(frozen=True)
class RunSummary:
    """A run that came to its end. `sources` and those of them that lie `beside` the recipe's; what was made
    now or before, None or empty where the recipe does not ask for it."""

    run: str
    report: str
    seconds: float
    steps: tuple[StepDone, ...]
    sources: Mapping[str, SourceDone]
    held_out: HeldOutFacts | None
    mixture: MixtureFacts | None
    stale: tuple[str, ...]
    findings: tuple[Finding, ...]
    beside: tuple[str, ...]
    repaired: Repaired | None
    tokenizer: StepMade | None
    shards: ShardsMade | None
    train: StepMade | None
    long_context: tuple[StepMade, ...]


def summary(result: RunResult, written: Written) -> RunSummary:
    """The run in brief; `written`: its report, from which the mixture and the findings are taken."""
    report = written.report
    sources = _sources(result)
    mixture = report.mixture
    shards = [state.folder for state in result.steps if state.step.gives == SHARDS and state.folder]
    return RunSummary(
        run=result.folder.location,
        report=location_of(written.page),
        seconds=round(result.seconds, 2),
        steps=tuple(_done(state) for state in result.steps),
        sources=sources,
        held_out=report.held_out,
        mixture=None if mixture is None or mixture.step in report.stale else mixture,
        stale=report.stale,
        findings=report.findings,
        beside=tuple(name for name in sources if name not in report.recipe["sources"]),
        repaired=_repaired(result),
        tokenizer=_last(_made(result, TOKENIZER)),
        shards=_shards(shards[-1]) if shards else None,
        train=_last(_made(result, MODEL)),
        long_context=_made(result, LONGER_CONTEXT),
    )


def summary_json(found: RunSummary) -> dict[str, object]:
    """The summary as `run --json` prints it: parts of the report with their keys sorted, as report.json has
    them; what a step says of itself beside where it lies; what there is none of left out."""
    printed = encode(found)
    for name in ("held_out", "mixture", "findings"):
        printed[name] = json.loads(canonical(printed[name]))
    for name in ("repaired", "tokenizer", "shards", "train", "long_context"):
        if not printed[name]:
            del printed[name]
    for name, made in (("tokenizer", found.tokenizer), ("train", found.train)):
        if made is not None:
            printed[name] = {"folder": made.folder, **made.summary}
    if found.long_context:
        printed["long_context"] = [
            {"step": made.step, "folder": made.folder, **made.summary} for made in found.long_context
        ]
    return printed


def _done(state: StepState) -> StepDone:
    return StepDone(state.step.name, state.total, state.redone, state.reused, round(state.seconds, 3))


def _repaired(result: RunResult) -> Repaired | None:
    if result.repairs is None:
        return None
    return Repaired(tuple(result.repairs.faults), tuple(result.repairs.differing))


def _made(result: RunResult, what: str) -> tuple[StepMade, ...]:
    """What the steps say that give this, a word of `contract.given`."""
    found = []
    for state in result.steps:
        if state.folder is not None and state.step.gives == what:
            units = state.folder.need_manifest().units
            said = units[0].summary if units else {}
            found.append(StepMade(state.step.name, location_of(state.folder.data), said))
    return tuple(found)


def _last(made: Sequence[StepMade]) -> StepMade | None:
    return made[-1] if made else None


def _shards(folder: StepFolder) -> ShardsMade:
    units = folder.need_manifest().units
    counts = [decode(PartitionCounts, unit.summary, str(folder.path)) for unit in units]
    apart: list[ShardCounts] = [one.held_out for one in counts if one.held_out is not None]
    files = [location_of(folder.data / file.name) for unit in units for file in unit.files]
    return ShardsMade(
        files=tuple(file for file in files if not _is_held_out(file)),
        held_out=HeldOutFiles(
            files=tuple(file for file in files if _is_held_out(file)),
            documents=sum(one.documents for one in apart),
            tokens=sum(one.tokens for one in apart),
        ),
        documents=sum(one.documents for one in counts),
        tokens=sum(one.tokens for one in counts),
        padding=sum(one.padding for one in counts),
        rows=sum(one.rows for one in counts),
    )


def _is_held_out(file: str) -> bool:
    """Whether a shard is one that nothing is trained on, by its name."""
    return Path(file).name.startswith("heldout-")


def _sources(result: RunResult) -> dict[str, SourceDone]:
    """Documents and bytes by source, of every step but those that draw the mixture."""
    entries: dict[str, list[LedgerEntry]] = {}
    for state in result.steps:
        drawing = state.step.gives in (DRAWN, SHARDS)  # what is left out here is not lost
        if state.folder is None or drawing or state.step.operator.leaves_in_place:
            continue
        for entry in state.folder.need_manifest().ledger:
            entries.setdefault(entry.source, []).append(entry)
    return {source: _source(mine) for source, mine in entries.items()}


def _source(entries: Sequence[LedgerEntry]) -> SourceDone:
    removed: Counter[str] = Counter()
    quarantined: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for entry in entries:
        for counts, tallies in ((removed, entry.removed), (quarantined, entry.quarantined)):
            for reason, (documents, _) in tallies.items():
                counts[_told(entry.stage, reason)] += documents
        for reason, size in entry.cut.items():
            cut[_told(entry.stage, reason)] += size
    read = sum(entry.documents_in for entry in entries if entry.stage == "read")
    left = read - removed.total() - quarantined.total()
    return SourceDone(read, left, dict(removed), dict(quarantined), dict(cut))


def _told(stage: str, reason: str) -> str:
    """What took documents out, `stage.reason`; the stage alone where its reason is empty."""
    return f"{stage}.{reason}" if reason else stage
