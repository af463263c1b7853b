"""From one run to another: every document matched by its id, with what either run made of it.

Ids follow from what a record says of itself and from its bytes, so they are the same in runs that read their
inputs otherwise divided. Time: one reading of ids, sizes and reasons of either run, and of encoded documents
for their tokens. Memory: about 500 bytes a document, of at most `changes.AT_ONCE` documents at a time, which
are then read in ranges of ids.
"""

from __future__ import annotations

from collections.abc import Iterator

from corpusmill.pipelines.inspection.run_diff.changes import (
    Changes,
    fate_changes,
    kept_by_both,
    read_by,
    source_changes,
)
from corpusmill.pipelines.inspection.run_diff.difference import RunDifference
from corpusmill.pipelines.inspection.run_diff.options import option_changes, share_changes
from corpusmill.pipelines.inspection.run_record import RunRecord

EXAMPLES = 10


def difference(before: RunRecord, after: RunRecord, examples: int = EXAMPLES) -> RunDifference:
    """What came and went from `before` to `after`, with at most so many examples of either.

    Raises NotKeptError where a run did not keep its documents.
    """
    changes = Changes(before, after, examples)
    changes.read()
    summed = changes.summed()
    return RunDifference(
        before=before.folder.location,
        after=after.folder.location,
        read_before=read_by(summed, "fate"),
        read_after=read_by(summed, "fate_after"),
        kept_by_both=kept_by_both(summed),
        options=option_changes(before, after),
        sources=source_changes(summed),
        changes=fate_changes(summed),
        shares=share_changes(before, after),
        examples=changes.examples(summed),
        notes=tuple(_notes(before, after)),
    )


def _notes(*records: RunRecord) -> Iterator[str]:
    for record in records:
        open_ = [name for name, step in record.steps.items() if not step.complete]
        if open_:
            named = ", ".join(open_[:6]) + (f" and {len(open_) - 6} more" if len(open_) > 6 else "")
            yield f"{record.folder.location}: not complete: {named}; what these would remove counts as kept"
