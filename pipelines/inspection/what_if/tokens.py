"""Tokens of documents: counted where the run encoded them, estimated from their bytes elsewhere."""

from __future__ import annotations

from collections.abc import Set

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.given import ENCODED
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.storage.not_kept import not_kept

_MEASURED = 16  # units of a source that its bytes a token are measured on


class Tokens:
    """Tokens of one source's documents. `known`: whether the run encoded any of them, and kept that."""

    def __init__(self, record: RunRecord, source: SourceRecord) -> None:
        step = record.complete_giving(ENCODED)
        self.known = step is not None and not_kept(step.data.path) is None
        self._step, self._first = step, record.first_units.get(source.name, 0) if self.known else 0
        self._units = len(source.last.units)
        self._rate: float | None = None

    def of(self, unit: int, ids: Set[str]) -> dict[str, int]:
        """Tokens by id of the documents of one unit of the source that were encoded.

        Reads the unit's tokens. Documents of one id have one text.
        """
        if not self.known or not ids:
            return {}
        found: dict[str, int] = {}
        for identities, lengths, _ in self._batches(unit):
            wanted = pc.is_in(identities, value_set=pa.array(sorted(ids), pa.string()))
            found.update(
                zip(identities.filter(wanted).to_pylist(), lengths.filter(wanted).to_pylist(), strict=True)
            )
        return found

    @property
    def bytes_a_token(self) -> float | None:
        """Bytes of text a token of the source, measured on the first units that hold any; None where nothing
        was encoded."""
        if self._rate is None and self.known:
            size = tokens = 0
            for unit in range(min(self._units, _MEASURED)):
                for _, lengths, sizes in self._batches(unit):
                    size += pc.sum(sizes).as_py() or 0
                    tokens += pc.sum(lengths).as_py() or 0
            self._rate = size / tokens if tokens else None
        return self._rate

    def _batches(self, unit: int) -> list[tuple[pa.Array, pa.Array, pa.Array]]:
        assert self._step is not None
        path = self._step.data.file(f"{self._first + unit:05d}.arrow")
        return [
            (batch.column("id"), pc.list_value_length(batch.column("tokens")), batch.column("bytes"))
            for batch in arrow_batches(path, ["id", "bytes", "tokens"])
        ]
