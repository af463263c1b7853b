"""Rows of a token shard as text: where documents begin and end, their sources, and the parts of those framed
for fill-in-the-middle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.given_tables import SHARD_COLUMNS
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.shard_facts import shard_tokenizer
from corpusmill.pipelines.inspection.shard_files import metadata
from corpusmill.pipelines.records.opaque import Row, Summary

TEXT, PREFIX, SUFFIX, MIDDLE, CONTROL = "text", "prefix", "suffix", "middle", "control"
PREFIX_AND_MIDDLE, FRAMED = "prefix and middle", "part of a framed document"
_AFTER = {"fim_begin": PREFIX, "fim_hole": SUFFIX, "fim_end": MIDDLE}
_BEFORE = {"fim_hole": PREFIX, "fim_end": SUFFIX, "eos": MIDDLE}


@dataclass(frozen=True)
class ShownPart:
    """A stretch of a piece: `kind` says what of its document it is; `text` is the tokens' text, the role of a
    control token, or None where no tokenizer is at hand."""

    kind: str
    start: int
    length: int
    text: str | None


@dataclass(frozen=True)
class DecodedPiece:
    """A piece of a row: tokens `start` to `start + length`, from `offset` of the copy `epoch` of a document.
    `begins` and `ends`: whether the document does so in it; `ends` is None where only its other pieces tell.
    """

    start: int
    length: int
    source: str
    document: str
    epoch: int
    offset: int
    fim: bool
    begins: bool
    ends: bool | None
    parts: tuple[ShownPart, ...]


@dataclass(frozen=True)
class DecodedRow:
    """A row of a shard and its padding, in tokens."""

    row: int
    padding: int
    pieces: tuple[DecodedPiece, ...]


@dataclass(frozen=True)
class FoundRows:
    """Rows of a token shard; `decoded` says with which tokenizer, or why with none."""

    KIND: ClassVar[str] = "rows of a token shard"

    path: str
    sources: tuple[str, ...]
    decoded: str
    rows: tuple[DecodedRow, ...]


def row_range(asked: str, rows: int, option: str = "--rows") -> range:
    """The rows that `asked` names: N, FIRST:LAST (without LAST), FIRST: or :LAST. Raises UserError else."""
    first, colon, last = asked.partition(":")
    try:
        begin = int(first) if first else 0
        end = (int(last) if last else rows) if colon else begin + 1
    except ValueError:
        raise UserError(f"{option} {asked}: give a row, such as 7, or some, such as 7:10") from None
    if not 0 <= begin < end <= rows:
        there = f"rows 0 to {rows - 1}" if rows else "no rows"
        raise UserError(f"{option} {asked}: the shard has {there}")
    return range(begin, end)


def shard_rows(path: Path, asked: str) -> FoundRows:
    """The rows of the shard at `path` that `asked` names (see `row_range`), decoded where its tokenizer is at
    hand. Reads the record batches that they lie in."""
    about = metadata(path)
    tokenizer, said = shard_tokenizer(path, about)
    wanted = row_range(asked, int(about["rows"]))
    found = [
        _row(number, tokens, pieces, about, tokenizer)
        for number, tokens, pieces in raw_rows(path, about, wanted)
    ]
    return FoundRows(str(path), tuple(about["sources"]), said, tuple(found))


def raw_rows(path: Path, about: Summary, wanted: range) -> Iterator[tuple[int, list[int], list[Row]]]:
    """Number, ids and pieces of rows; only record batches of theirs are read."""
    size = int(about["rows_per_batch"])
    for number, batch in enumerate(arrow_batches(path, SHARD_COLUMNS)):
        for row in range(max(wanted.start, number * size), min(wanted.stop, number * size + batch.num_rows)):
            at = row - number * size
            yield row, batch.column("tokens")[at].as_py(), batch.column("pieces")[at].as_py()
        if (number + 1) * size >= wanted.stop:
            return


def _row(row: int, ids: Sequence[int], pieces: Sequence[Row], about: Summary, tokenizer: Any) -> DecodedRow:
    filled = sum(piece["length"] for piece in pieces)
    shown = tuple(_piece(piece, ids, filled, about, tokenizer) for piece in pieces)
    return DecodedRow(row, len(ids) - filled, shown)


def _piece(piece: Row, ids: Sequence[int], filled: int, about: Summary, tokenizer: Any) -> DecodedPiece:
    start, length = piece["start"], piece["length"]
    end = start + length
    cut = any(
        one["document"] == piece["document"].hex() and one["epoch"] == piece["epoch"]
        for one in about.get("cut", ())
    )
    inside = end < filled or filled < len(ids)
    roles: Mapping[str, int] = about.get("special_tokens", {})
    names = {number: role for role, number in roles.items()}
    parts = _parts(ids[start:end], start, bool(piece["fim"]), piece["offset"] == 0, names, tokenizer)
    return DecodedPiece(
        start=start,
        length=length,
        source=about["sources"][piece["source"]],
        document=piece["document"].hex(),
        epoch=piece["epoch"],
        offset=piece["offset"],
        fim=bool(piece["fim"]),
        begins=piece["offset"] == 0,
        ends=not cut if inside else (True if ids[end - 1] == about.get("eos_id") else None),
        parts=tuple(parts),
    )


def _parts(
    ids: Sequence[int], start: int, framed: bool, begins: bool, names: Mapping[int, str], tokenizer: Any
) -> list[ShownPart]:
    """The piece between its control tokens, which name what lies between them."""
    controls = [at for at, token in enumerate(ids) if token in names]
    found: list[ShownPart] = []
    kind = TEXT
    if framed and not begins:
        kind = _BEFORE.get(names[ids[controls[0]]], FRAMED) if controls else FRAMED
    at, spm = 0, False  # nothing before the hole: the prefix stands before the middle
    for control in [*controls, len(ids)]:
        if control > at:
            text = tokenizer.decode(list(ids[at:control]), skip_special_tokens=False) if tokenizer else None
            found.append(ShownPart(kind, start + at, control - at, text))
        if control < len(ids):
            role = names[ids[control]]
            found.append(ShownPart(CONTROL, start + control, 1, role))
            if framed and role in _AFTER:
                empty = control > 0 and names.get(ids[control - 1]) == "fim_begin"
                spm = spm or (role == "fim_hole" and empty)
                kind = PREFIX_AND_MIDDLE if spm and role == "fim_end" else _AFTER[role]
        at = control + 1
    return found
