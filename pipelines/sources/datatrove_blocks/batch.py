"""A block over the documents of one batch, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Outcome
from corpusmill.pipelines.sources.assembly.fields import COLUMNS
from corpusmill.pipelines.sources.datatrove_blocks.document_map import (
    columns_and_meta,
    metadata_of,
    to_document,
)
from corpusmill.pipelines.sources.datatrove_blocks.kept_state import KeptState, global_generators_kept
from corpusmill.pipelines.sources.datatrove_blocks.offline import offline

if TYPE_CHECKING:
    from datatrove.data import Document

    from corpusmill.pipelines.contract.documents import Documents

_REASON = 100  # characters of a reason at most
_UNSAID = "dropped"  # the reason of a filter that gives none
_REPLACED = 0.05  # share of undecodable characters, as in `extract`


class _Dropped:
    """datatrove's `exclusion_writer`: what a filter drops comes here with its reason."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def __enter__(self) -> _Dropped:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, document: Document, rank: int = 0) -> None:
        self.reason = str(document.metadata.pop("filter_reason", _UNSAID))[:_REASON]


class Runner:
    """A built block of one kind. `who`: its step's name, for messages."""

    def __init__(self, block: Any, kind: str, state: KeptState, who: str, *, network: bool) -> None:
        self._block = block
        self._kind = kind
        self._state = state
        self._who = who
        self._network = network

    def run(self, docs: Documents, *, raw: bool) -> Outcome:
        """The documents as the block leaves them; `raw`: it is given their raw pages, which are dropped."""
        import pyarrow as pa

        from corpusmill.pipelines.contract.documents import nothing

        texts: list[str | None] = []
        metas: list[str] = []
        columns: dict[str, list[str | None]] = {name: [] for name in COLUMNS}
        reasons: list[str | None] = []
        with global_generators_kept():
            for row in docs.table.select(["id", "text", "meta", *COLUMNS]).to_pylist():
                page = _page(docs, len(texts)) if raw else None
                text, reason = self._one(row, row["text"] if page is None else page)
                reasons.append(reason)
                texts.append(text)
                metas.append(row["meta"])
                for name, column in columns.items():
                    column.append(row[name])
        edited = docs.with_columns(
            {
                "text": pa.array(texts, pa.large_string()),
                "meta": pa.array(metas, pa.string()),
                **{name: pa.array(column, pa.string()) for name, column in columns.items()},
            }
        )
        edited = edited.drop("raw", "content_type") if raw else edited
        return Outcome(edited, pa.array(reasons, pa.string()), nothing(len(docs)))

    def _one(self, row: dict[str, Any], text: str | None) -> tuple[str | None, str | None]:
        """The text that one document has now and why it is removed; `row` takes what else changed."""
        document = to_document(text or "", row["id"], {name: row[name] for name in COLUMNS}, row["meta"])
        before = metadata_of(document)
        self._state.put_back(row["id"])
        try:
            with offline(self._who, allowed=self._network):
                kept, reason = self._apply(document)
        except ImportError as error:
            raise UserError(f"{self._who}: {error}") from error
        if kept is None:
            return row["text"], reason
        if not isinstance(kept.text, str):
            raise ValueError(f"the block left a text of the type {type(kept.text).__name__}")
        if "\0" in kept.text:
            raise ValueError("the block left a text that holds NUL")
        kept.text.encode()  # half a surrogate pair cannot become a document
        if metadata_of(kept) != before:
            changed, row["meta"] = columns_and_meta(kept)
            row.update(changed)
        return kept.text, None

    def _apply(self, document: Document) -> tuple[Document | None, str | None]:
        if self._kind == "extractor":
            document.text = self._block.extract(document.text) or ""
            return (document, None) if document.text else (None, "empty")
        dropped = _Dropped()
        if self._kind == "filter":
            self._block.exclusion_writer = dropped
        given: Sequence[Document] = list(self._block.run(iter([document])))
        if len(given) > 1:
            raise UserError(f"{self._who} makes {len(given)} documents of one; a step keeps their number")
        return (given[0], None) if given else (None, dropped.reason or _UNSAID)


def _page(docs: Documents, row: int) -> str | None:
    """The raw page of one row as text; None where it has none. Raises PageFault."""
    from corpusmill.pipelines.extraction.decode import decode

    raw = docs.column("raw")[row].as_py()
    return None if raw is None else decode(raw, docs.column("content_type")[row].as_py(), _REPLACED)[0]
