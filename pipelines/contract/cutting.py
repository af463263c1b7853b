"""Parts that a filter cuts from the documents that it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Columns


class Cutting:
    """What a filter may cut, beside what it removes.

    Only a filter that a section places (`Builder.mask`) is asked; as a step of a source one that overrides
    `cuts` is an error, since its cuts would be left undone.
    """

    def cuts(self, scores: Columns) -> pa.Table | None:
        """Spans to cut, from the scores of documents that are kept; None, unless overridden: none.

        Columns of a span: `row` int64, the place of its document among the scores; `start`, `end`, `reason`,
        `survivor_id` and `survivor_source` as `addresses.EDITS` has them, the last two of the record that the
        part is told by. A document of which only white space is left is removed as `emptied`.
        """
        return None
