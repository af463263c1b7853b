"""What units that write documents say of themselves, with the ledger checked against what was written."""

from __future__ import annotations

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import DatasetPart, UnitResult


def dataset_result(
    ledger: Ledger, rows: int, sources: dict[str, tuple[int, int]], where: str, *, left_out: int = 0
) -> UnitResult:
    """The result of a unit that wrote `rows` documents, by source as (documents, bytes).

    `left_out`: rows that came and were not written, since a stage could not work on them. Raises LedgerError
    unless each entry balances, each stage got what the one before it kept, and the rows and bytes written are
    those the last stage kept.
    """
    ledger.check(where)
    before: dict[str, tuple[str, int, int]] = {}
    for entry in ledger:
        if entry.source in before:
            stage, documents, size = before[entry.source]
            if (documents, size) != (entry.documents_in, entry.bytes_in):
                raise LedgerError(
                    f"{where}, source {entry.source}: {stage} let {documents} documents of {size} bytes pass "
                    f"but {entry.stage} got {entry.documents_in} of {entry.bytes_in}"
                )
        before[entry.source] = (entry.stage, entry.documents_kept, entry.bytes_out)
    for source, (documents, size) in sources.items():
        stage, kept, out = before.get(source, ("nothing", documents, size))
        if (kept, out) != (documents, size):
            raise LedgerError(
                f"{where}, source {source}: {stage} let {kept} documents of {out} bytes pass but {documents} "
                f"of {size} were written"
            )
    if rows != sum(documents for documents, _ in sources.values()):
        raise LedgerError(f"{where}: {rows} rows were written, the ledger says {sources}")
    return UnitResult(rows, ledger.record(), DatasetPart(sources, left_out))
