"""Where a token of a shard is from: its document, and the record, file or page that this was read from.

The shard says which document and which of its tokens; of the source's last dataset only the column of ids is
read until the document is found (16 to 40 bytes a document of that one source), then its own row group. No
text and no other shard is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection import trails
from corpusmill.pipelines.inspection.explain import described
from corpusmill.pipelines.inspection.identities import in_dataset
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
from corpusmill.pipelines.inspection.shard_files import metadata
from corpusmill.pipelines.inspection.shard_rows import raw_rows, row_range
from corpusmill.pipelines.inspection.story import Instance
from corpusmill.pipelines.inspection.story_rendering import origin_facts
from corpusmill.pipelines.storage.run_folder import RunFolder


@dataclass(frozen=True)
class PlacedPiece:
    """A piece of a row: its document, and the tokens `first` to `last` (without it) of the document's copy
    that it holds; or, where one place was asked for, that token alone. `document` is null where `untold` says
    why."""

    start: int
    length: int
    source: str
    id: str
    epoch: int
    fim: bool
    first: int
    last: int
    document: Instance | None
    untold: str | None = None


@dataclass(frozen=True)
class FoundPlaces:
    """What stands in a row of a shard, or at one place of it; nothing where that is padding."""

    KIND: ClassVar[str] = "places in a token shard"

    path: str
    row: int
    offset: int | None
    pieces: tuple[PlacedPiece, ...]


def places_in(path: Path, asked: str) -> FoundPlaces:
    """What stands at `asked`, ROW or ROW:OFFSET (a token of the row), of the shard at `path`.

    Raises UserError for a place that the shard does not have.
    """
    about = metadata(path)
    first, colon, last = asked.partition(":")
    (row,) = row_range(first, int(about["rows"]), "--at")
    ((_, ids, pieces),) = raw_rows(path, about, range(row, row + 1))
    offset: int | None = None
    if colon:
        if not last.isdecimal() or int(last) >= len(ids):
            raise UserError(f"--at {asked}: a row of the shard has the tokens 0 to {len(ids) - 1}")
        offset = int(last)
        pieces = [one for one in pieces if one["start"] <= offset < one["start"] + one["length"]]
    record, untold = _run_of(path)
    found = []
    for piece in pieces:
        source, name = about["sources"][piece["source"]], piece["document"].hex()
        document, why = (None, untold) if record is None else _document(record, source, name)
        begin = piece["offset"] if offset is None else piece["offset"] + offset - piece["start"]
        found.append(
            PlacedPiece(
                start=piece["start"],
                length=piece["length"],
                source=source,
                id=name,
                epoch=piece["epoch"],
                fim=bool(piece["fim"]),
                first=begin,
                last=begin + (piece["length"] if offset is None else 1),
                document=document,
                untold=why,
            )
        )
    return FoundPlaces(str(path), row, offset, tuple(found))


def _run_of(path: Path) -> tuple[RunRecord | None, str | None]:
    """The run that the shard lies in, or why there is none."""
    parents = path.resolve().parents
    if len(parents) < 5 or parents[3].name != "steps" or not RunFolder(parents[4]).begun:
        return None, "where it was read is in its run: give the shard's path there"
    return load_record(RunFolder(parents[4])), None


def _document(record: RunRecord, source_name: str, identity: str) -> tuple[Instance | None, str | None]:
    for source in record.sources:
        if source.name != source_name:
            continue
        try:
            for place in in_dataset(source.last, identity):
                unit = record.first_units[source.name] + place.unit
                events = trails.mask_events(record, unit, place.row) if source.whole else []
                if not events or events[-1].verdict == "kept":
                    return described(record, source, place)[0], None
        except NotKeptError as error:
            return None, str(error)
    return None, "the run has no such document now; the shard is of another version of its steps"


def render_places(found: FoundPlaces) -> str:
    """The same for a terminal."""
    at = "" if found.offset is None else f", token {found.offset:,}"
    lines = [text.printable(found.path, 400), f"row {found.row}{at}"]
    if not found.pieces:
        return "\n".join([*lines, "", "  padding"])
    for piece in found.pieces:
        tokens = f"{piece.first:,}" if found.offset is not None else f"{piece.first:,} to {piece.last:,}"
        facts: list[tuple[str, object]] = [
            ("document", piece.id),
            ("its tokens", f"{tokens} of the copy of epoch {piece.epoch}{', framed' if piece.fim else ''}"),
            ("piece", f"{piece.start:,} to {piece.start + piece.length:,} of the row"),
        ]
        if piece.document is None:
            facts += [("source", piece.source), ("read", piece.untold)]
        else:
            facts += [(name, value) for name, value in piece.document.facts if value is not None]
            facts += origin_facts(piece.document.origin)
        lines += ["", text.facts(facts, "  ")]
    return "\n".join(lines)
