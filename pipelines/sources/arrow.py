"""Arrow IPC files and streams, and data sets that the library `datasets` saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.pipelines.sources.assembly.record_reader import DECODED_BYTES, RecordReader
from corpusmill.pipelines.sources.reader import Batch, Label, Lost, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.arrow_batches import Decoded
    from corpusmill.pipelines.sources.looking.look import Look


class Arrow(RecordReader):
    """Reads Arrow IPC files (.arrow, Feather version 2) and streams (the cache files of `datasets`), one row
    a document.

    A folder is one that `save_to_disk` of `datasets` wrote: the files that its `state.json` names, or of a
    dictionary of data sets those of each of `split` (null: of the only one there is). Fields are mapped as by
    `parquet`.

    `index` proves that every message lies inside the file, that its metadata can be read, and that the footer
    of a file, or the end mark of a stream, is there and leaves nothing out. Batches are decoded and validated
    one at a time; the rows of one that fails are quarantined one by one as `bad_arrow`. The format has no
    checksums: values that changed and still decode cannot be told from sound ones by anybody. A batch that
    unpacks to over 64 MiB (or `max_record_bytes`) and 64 times its stored bytes is not unpacked.

    Quarantined rows besides: `no_text`, `bad_utf8`, `binary`, `too_large`, as by `parquet`.
    """

    libraries: ClassVar[tuple[str, ...]] = ("pyarrow",)

    split: list[str] | str | None = Field(
        None, description="Splits to read of a folder that `save_to_disk` wrote; null: the only one."
    )

    def expand(self, path: Path) -> list[Path]:
        """The files of a saved data set; a file stands for itself. Raises RecipeError."""
        from corpusmill.pipelines.sources.looking.saved_datasets import saved_files

        return saved_files(path, self.split) if path.is_dir() else [path]

    def index(self, path: Path) -> list[Split]:
        """Ranges of record batches, by their stored bytes; reads the metadata alone."""
        from corpusmill.pipelines.sources.framing.arrow_messages import index_batches

        return index_batches(path, self.split_bytes)

    def look(self, path: Path) -> Look:
        """The columns of a file, from its schema."""
        from corpusmill.pipelines.sources.looking.look import look_at_arrow

        return look_at_arrow(path, self._field_map())

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the record batches `split.start` to `split.end`."""
        from corpusmill.pipelines.sources.assembly.arrow_batches import decoded, schema_of
        from corpusmill.pipelines.sources.assembly.tables import TableMapper

        mapper = TableMapper(self._field_map(), label, name, self.max_record_bytes, schema_of(path))
        for one in decoded(path, split, max(DECODED_BYTES, self.max_record_bytes)):
            place = f"batch {one.number}"
            given = 0
            if one.batch is not None:
                for batch in mapper.bounded_batches(one.batch, place, DECODED_BYTES, self._row_bytes):
                    given += len(batch.documents) + len(batch.quarantined)
                    yield batch
            yield from self._lost(one, given, f"{name}, {place}")

    def _lost(self, one: Decoded, given: int, position: str) -> Iterator[Batch]:
        from corpusmill.pipelines.sources.assembly.batches import Collector

        for lost in _lost_rows(one.rows, one.stored, given, position, one.fault):
            yield Batch(Collector(Label("", "")).take().documents, [], lost)

    def divide(self, split: Split) -> list[Split]:
        """One split a batch."""
        size = split.size // max(1, split.end - split.start)
        return [Split(number, number + 1, size, split.hint) for number in range(split.start, split.end)]

    def lose(self, path: Path, name: str, split: Split, cause: str) -> Iterator[list[Lost]]:
        """Every row that the batches of a split count."""
        from corpusmill.pipelines.sources.assembly.arrow_batches import messages_of
        from corpusmill.pipelines.sources.framing.arrow_messages import BATCH

        with path.open("rb") as file:
            _, messages = messages_of(file, split, batches_alone=True)
        for number, message in messages:
            if message.kind == BATCH:
                position = f"{name}, batch {number}"
                yield from _lost_rows(message.rows, message.end - message.start, 0, position, cause)


def _lost_rows(rows: int, stored: int, given: int, position: str, cause: str) -> Iterator[list[Lost]]:
    """The rows of a batch from `given` on as lost, in lists of bounded length."""
    from corpusmill.pipelines.sources.assembly.batches import BATCH_ROWS

    size = stored // max(1, rows)
    for start in range(given, rows, BATCH_ROWS):
        yield [
            Lost("bad_arrow", size, f"{position}, row {row}", cause)
            for row in range(start, min(rows, start + BATCH_ROWS))
        ]
