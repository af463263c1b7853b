"""The arithmetic of a run's accounts: within a receipt, within a step, and from one step to the next.

A seal tells that a manifest was altered; this tells whether its figures can be true at all. What a stage let
pass is what the next one got, what the last stage let pass is what was written, a step's ledger is the sum of
its units', and a step's first stage saw what the steps it reads left, less what its masks removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.manifest import Manifest
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.balance import check_rows, check_step
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.storage.sealed import digest
from corpusmill.pipelines.storage.segments import content_of, sources_of

Tally = tuple[int, int]  # documents, bytes


def wrong_figures(record: RunRecord) -> Iterator[str]:
    """Every figure of the run's complete steps that contradicts another, in words."""
    for step in record.steps.values():
        if step.manifest is not None:
            yield from _within(step, step.manifest)
            yield from _between(record, step)


def _within(step: StepRecord, manifest: Manifest) -> Iterator[str]:
    where, units = f"step {step.name}", step.units
    if manifest.content != content_of(units):
        yield f"{where}: its content hash is not that of its units"
    if manifest.fingerprint != digest(encode(manifest.key)):
        yield f"{where}: its fingerprint is not that of its key"
    if manifest.bytes != sum(unit.bytes for unit in units):
        yield f"{where}: {manifest.bytes} bytes, its units have {sum(unit.bytes for unit in units)}"
    if manifest.sources != sources_of(units):
        yield f"{where}: its documents by source are not the sum of its units'"
    if step.rows != sum(unit.rows for unit in units):
        yield f"{where}: {step.rows} rows, its units have {sum(unit.rows for unit in units)}"
    if manifest.ledger != Ledger.total(unit.ledger for unit in units).record():
        yield f"{where}: its ledger is not the sum of its units'"
    for unit in units:
        yield from _chain(step, unit, f"{where}, unit {unit.unit}")


def _chain(step: StepRecord, unit: Receipt, where: str) -> Iterator[str]:
    """Faults of one unit's ledger: each entry, and from each stage to the next."""
    ledger = list(Ledger.total([unit.ledger]))
    for entry in ledger:
        try:
            entry.check(where)
        except LedgerError as error:
            yield str(error)
    if not step.operator.writes_dataset:
        for entry in ledger:
            if entry.bytes_out != entry.bytes_kept:
                at = f"{where}, stage {entry.stage}, source {entry.source}"
                yield f"{at}: {entry.bytes_kept} bytes were kept, {entry.bytes_out} went out"
        return
    names = [stage.name for stage in step.stages]
    stages = list(dict.fromkeys(entry.stage for entry in ledger))
    left = {stage: _tally((e.source, e.documents_kept, e.bytes_out) for e in ledger if e.stage == stage)
            for stage in stages}  # fmt: skip
    came = {stage: _tally((e.source, e.documents_in, e.bytes_in) for e in ledger if e.stage == stage)
            for stage in stages}  # fmt: skip
    if len(set(names)) < len(names):
        return  # two stages of one name share an entry
    for before, after in pairwise(stages):
        if left[before] != came[after]:
            yield f"{where}: {before} let {left[before]} pass, {after} got {came[after]} (documents, bytes)"
    written = _tally((source, documents, size) for source, (documents, size) in unit.sources.items())
    if stages and left[stages[-1]] != written:
        yield f"{where}: {stages[-1]} let {left[stages[-1]]} pass, {written} were written (documents, bytes)"
    if sum(documents for documents, _ in written.values()) != unit.rows:
        yield f"{where}: {unit.rows} rows, but documents by source are {written}"


def _tally(entries: Iterable[tuple[str, int, int]]) -> dict[str, Tally]:
    """Documents and bytes by source, of sources that have any."""
    return {source: (documents, size) for source, documents, size in entries if documents}


def _between(record: RunRecord, step: StepRecord) -> Iterator[str]:
    """What a step's first stage saw against what the steps it reads left, where these are still there."""
    named = {**step.inputs, **step.masks}
    steps = {name: record.steps[name] for name in named if name in record.steps}
    if any(name not in steps or steps[name].content != named[name] for name in named):
        return  # made from an earlier version
    stages = tuple(StageSpec("", "", stage.name, {}) for stage in step.stages)
    shape = Step(step.name, step.operator, stages, tuple(step.inputs), tuple(step.masks))
    folders = {name: step.data for name, step in steps.items()}
    try:
        check_step(shape, step.ledger, folders)
        check_rows(shape, step.rows, folders)
    except LedgerError as error:
        yield str(error)
