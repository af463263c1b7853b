"""The ledger across steps: what one step let pass is what the next one got."""

from __future__ import annotations

from collections.abc import Mapping

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.run_folder import StepFolder


def expected(step: Step, inputs: Mapping[str, StepFolder]) -> dict[str, tuple[int, int]]:
    """Documents and bytes by source that a step must see: its datasets less what its masks take out."""
    sums: dict[str, list[int]] = {}
    for name in step.datasets:
        for source, (documents, size) in inputs[name].need_manifest().sources.items():
            tally = sums.setdefault(source, [0, 0])
            tally[0] += documents
            tally[1] += size
    for name in step.masks:
        for entry in Ledger.total([inputs[name].need_manifest().ledger]):
            documents, size = entry.lost
            sums[entry.source][0] -= documents
            sums[entry.source][1] -= size
    return {source: (documents, size) for source, (documents, size) in sums.items() if documents}


def check_rows(step: Step, rows: int, inputs: Mapping[str, StepFolder]) -> None:
    """Raise LedgerError unless the partitions of an exchange got every row that was sent to them."""
    if step.operator.balances != "rows":
        return
    sent = inputs[step.inputs[0]].need_manifest().rows
    if rows != sent:
        raise LedgerError(f"step {step.name}: {sent} rows were sent to its partitions, {rows} arrived")


def check_step(step: Step, ledger: Ledger, inputs: Mapping[str, StepFolder]) -> None:
    """Raise LedgerError unless every entry balances and the step's first stage saw all it had to see."""
    ledger.check(f"step {step.name}")
    if step.operator.balances != "documents":
        return
    first = step.stages[0].name
    seen = {
        entry.source: (entry.documents_in, entry.bytes_in)
        for entry in ledger
        if entry.stage == first and entry.documents_in
    }
    wanted = expected(step, inputs)
    if seen != wanted:
        raise LedgerError(
            f"step {step.name}: {first} saw {seen} (documents, bytes by source), expected {wanted}"
        )
