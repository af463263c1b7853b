"""From the edits of an exchange to cuts: spans of the text as its dataset holds it, each byte in one of them.

An exchange gives spans of the text that it was shown. Each is narrowed to the whole characters in it. A byte
that several spans cover belongs to the one that begins first; of those that begin together to the longest,
then by reason and survivor in the order of their code points. A span over what earlier masks cut becomes one
before it and one after it. A document is emptied where nothing is left of it but white space (`str.isspace`).
Memory: one row group of text, without a copy of a large document, and the cuts of one unit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents, buffers
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.storage.cuts import CUTS, Spans, cut, narrowed
from corpusmill.pipelines.storage.datasets import DatasetView
from corpusmill.pipelines.storage.removed import EXCERPT_CHARACTERS, EXCERPTS, REMOVED, removal_rows, thin

EMPTIED = "emptied"  # the reason for which a document of which nothing is left is removed
LARGE = 2**22  # bytes of a document of which no copy is made
_NAMED = 3  # documents that a removal names which keep what was cut
_COLUMNS = ("id", "text", "source", "url", "path")
_SURVIVOR = ("survivor_id", "survivor_source")
_FIRST = ("first", "longest", "reason", *_SURVIVOR, "survivor_unit", "survivor_row")


def cut_unit(view: DatasetView, unit: int, edits: pa.Table, stage: str) -> tuple[pa.Table, pa.Table]:
    """`CUTS` and `REMOVED` rows of the documents of one unit, from `EDITS` rows of it in any order.

    Raises CorpusmillError where a span does not lie in its text, or its document is not there any more.
    """
    edits = edits.sort_by("row").combine_chunks()
    wanted = edits.column("row").to_numpy()
    earlier = view.cuts(unit) if len(wanted) else Spans.of([])
    cuts, emptied = [CUTS.empty_table()], [REMOVED.empty_table()]
    found = 0
    for docs, rows in view.batches(unit, _COLUMNS) if len(wanted) else ():
        if not len(rows):
            continue
        at = np.searchsorted(rows, wanted)
        here = np.flatnonzero(rows[np.minimum(at, len(rows) - 1)] == wanted)
        if not len(here):
            continue
        found += len(here)
        part = edits.take(pa.array(here))
        made, without_text = _Batch(docs, rows, unit, stage).cut(part, at[here], earlier.among(rows))
        cuts.append(made)
        emptied.append(without_text)
    if found < len(wanted):
        raise CorpusmillError(
            f"{stage} cuts {len(wanted) - found} spans of documents of unit {unit} that are not there: they "
            "were removed before, or never were"
        )
    return thin(pa.concat_tables(cuts).combine_chunks()), pa.concat_tables(emptied).combine_chunks()


def cut_bytes(cuts: pa.Table | pa.RecordBatch) -> Iterator[tuple[str, str, int]]:
    """(source, reason, bytes) of `CUTS` rows."""
    sizes = pc.subtract(cuts.column("end"), cuts.column("start")).cast(pa.int64())
    table = pa.table({"source": cuts.column("source"), "reason": cuts.column("reason"), "bytes": sizes})
    sums = table.group_by(["source", "reason"]).aggregate([("bytes", "sum")])
    for row in sums.sort_by([("source", "ascending"), ("reason", "ascending")]).to_pylist():
        yield row["source"], row["reason"], row["bytes_sum"]


class _Batch:
    """One row group of documents as the exchange saw them, and their row addresses."""

    def __init__(self, docs: Documents, rows: npt.NDArray[np.uint32], unit: int, stage: str) -> None:
        self.docs, self.rows, self.unit, self.stage = docs, rows, unit, stage
        self.text = docs.text
        self.sizes = docs.sizes()
        self.first = np.cumsum(self.sizes) - self.sizes  # byte of the row group at which each text begins

    def cut(self, edits: pa.Table, at: npt.NDArray[np.int64], earlier: Spans) -> tuple[pa.Table, pa.Table]:
        """Cuts, and the documents emptied. `at` int64[k]: places of the edits' documents in the row group;
        `earlier`: what masks cut of them before, by place, as written."""
        edits, seen = self._once(edits, self._checked(edits, at))
        emptied = self._emptied(seen)
        stays = ~np.isin(seen.row, emptied)
        which, written, shown = _as_written(
            Spans(seen.row[stays], seen.start[stays], seen.end[stays]), self.first, earlier
        )
        made = self._rows(edits.filter(pa.array(stays)).take(pa.array(which)), written, shown)
        return made, self._removed(edits, seen, emptied)

    def _checked(self, edits: pa.Table, at: npt.NDArray[np.int64]) -> Spans:
        """The spans, each within its text and of whole characters."""
        start, end = (edits.column(name).to_numpy().astype(np.int64) for name in ("start", "end"))
        wrong = np.flatnonzero((start < 0) | (start > end) | (end > self.sizes[at]))
        if len(wrong):
            k = int(wrong[0])
            raise CorpusmillError(
                f"{self.stage} cuts bytes {edits.column('start')[k]} to {edits.column('end')[k]} of document "
                f"{self.docs.column('id')[int(at[k])]}, which has {self.sizes[at[k]]}; `start` is at most "
                "`end`, and both count bytes of the text as `emit` saw it"
            )
        return narrowed(self.text, Spans(at, start, end))

    def _once(self, edits: pa.Table, spans: Spans) -> tuple[pa.Table, Spans]:
        """Spans that share no byte, in order, and the edit that each comes from."""
        first, last = self.first[spans.row] + spans.start, self.first[spans.row] + spans.end
        keys = edits.append_column("first", pa.array(first)).append_column("longest", pa.array(-last))
        by = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in _FIRST]).to_numpy()
        first, last = first[by], last[by]
        covered = np.maximum.accumulate(last) if len(last) else last
        first[1:] = np.maximum(first[1:], covered[:-1])
        some = np.flatnonzero(first < last)
        by, first, last = by[some], first[some], last[some]
        row = spans.row[by]
        return edits.take(pa.array(by)), Spans(row, first - self.first[row], last - self.first[row])

    def _emptied(self, seen: Spans) -> npt.NDArray[np.int64]:
        """Places of the documents of which nothing is left but white space."""
        touched, first, place = np.unique(seen.row, return_index=True, return_inverse=True)
        large = self.sizes[touched] > LARGE
        small = ~large[place]
        which = np.cumsum(~large) - 1
        left = cut(
            self.text.take(pa.array(touched[~large])),
            Spans(which[place[small]], seen.start[small], seen.end[small]),
        )
        empty = np.ones(len(touched), bool)
        spaces = pc.or_(pc.equal(pc.binary_length(left), 0), pc.utf8_is_space(left))
        empty[~large] = spaces.to_numpy(zero_copy_only=False)
        last = np.append(first[1:], len(place))
        for one in np.flatnonzero(large).tolist():
            spans = slice(int(first[one]), int(last[one]))
            empty[one] = self._is_blank(int(touched[one]), seen.start[spans], seen.end[spans])
        places: npt.NDArray[np.int64] = touched[empty]
        return places

    def _is_blank(self, place: int, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> bool:
        """Whether nothing but white space lies beside these spans of a document, looked at in pieces."""
        ends, data = buffers(self.text)
        text = data[ends[place] : ends[place + 1]]
        before = 0
        for first, after in zip([*start.tolist(), len(text)], [*end.tolist(), len(text)], strict=True):
            while before < first:
                stop = min(first, before + LARGE)
                while stop < first and text[stop] & 0xC0 == 0x80:  # within a character
                    stop -= 1
                if not pc.utf8_is_space(text[before:stop].tobytes().decode()).as_py():
                    return False
                before = stop
            before = after
        return True

    def _rows(self, edits: pa.Table, written: Spans, shown: Spans) -> pa.Table:
        count = len(written)
        place = pa.array(written.row)
        columns = {
            "unit": pa.array(np.full(count, self.unit, np.uint32)),
            "row": pa.array(self.rows[written.row]),
            "start": pa.array(written.start.astype(np.uint64)),
            "end": pa.array(written.end.astype(np.uint64)),
            "id": self.docs.column("id").take(place),
            "source": self.docs.column("source").take(place),
            "stage": pa.repeat(self.stage, count),
            **{name: edits.column(name) for name in ("reason", *_SURVIVOR)},
            "excerpt": pa.array(self._excerpts(edits, shown), pa.string()),
        }
        return pa.table([columns[field.name] for field in CUTS], schema=CUTS)

    def _excerpts(self, edits: pa.Table, shown: Spans) -> list[str | None]:
        """Beginnings of what is cut, of the `EXCERPTS` smallest draws of each reason."""
        found: list[str | None] = [None] * len(shown)
        ends, data = buffers(self.text)
        documents, of = np.unique(shown.row, return_inverse=True)
        drawn = draws(self.docs.column("id").take(pa.array(documents)), 0, "excerpt")[of]
        reasons = edits.column("reason").combine_chunks().dictionary_encode()
        code = reasons.indices.to_numpy(zero_copy_only=False)
        for reason in range(len(reasons.dictionary)):
            mine = np.flatnonzero(code == reason)
            for k in mine[np.argsort(drawn[mine], kind="stable")[:EXCERPTS]].tolist():
                first = ends[shown.row[k]]
                end = min(shown.end[k], shown.start[k] + 4 * EXCERPT_CHARACTERS)
                text = data[first + shown.start[k] : first + end].tobytes()
                found[k] = text.decode(errors="ignore")[:EXCERPT_CHARACTERS]  # the last one may be cut
        return found

    def _removed(self, edits: pa.Table, seen: Spans, emptied: npt.NDArray[np.int64]) -> pa.Table:
        mask = np.isin(np.arange(len(self.docs)), emptied)
        lost = self.docs.keep(mask)
        reasons = pa.array([EMPTIED] * len(lost), pa.string())
        table = removal_rows(lost, stage=self.stage, kind="removed", reasons=reasons)
        detail = self._details(edits, seen, emptied)
        columns = {
            "unit": pa.array(np.full(len(lost), self.unit, np.uint32)),
            "row": pa.array(self.rows[mask]),
            "detail": pa.array(detail, pa.string()),
        }
        for name, values in columns.items():
            table = table.set_column(table.column_names.index(name), REMOVED.field(name), values)
        return table

    def _details(self, edits: pa.Table, seen: Spans, emptied: npt.NDArray[np.int64]) -> list[str]:
        """Of each document that is emptied, what was cut for which reason, and which documents keep it."""
        mine = np.isin(seen.row, emptied)
        lengths = (seen.end - seen.start)[mine].tolist()
        cut_for = edits.select(["reason", "survivor_id"]).filter(pa.array(mine)).to_pylist()
        sums: dict[int, dict[str, int]] = {place: {} for place in emptied.tolist()}
        keeping: dict[int, dict[str, None]] = {place: {} for place in emptied.tolist()}
        for place, edit, size in zip(seen.row[mine].tolist(), cut_for, lengths, strict=True):
            sums[place][edit["reason"]] = sums[place].get(edit["reason"], 0) + size
            if edit["survivor_id"] is not None:
                keeping[place][edit["survivor_id"]] = None
        found = []
        for place, by_reason in sums.items():
            said = ", ".join(f"{size:,} bytes as {reason}" for reason, size in sorted(by_reason.items()))
            kept = _kept_in(list(keeping[place]))
            found.append(f"{said} of {self.sizes[place]:,}{kept}; nothing but white space is left")
        return found


def _kept_in(survivors: list[str]) -> str:
    """Which documents keep what was cut, by id, in the order of the spans; the first few by name."""
    if not survivors:
        return ""
    more = f" and {len(survivors) - _NAMED:,} more" if len(survivors) > _NAMED else ""
    return f", kept in {', '.join(survivors[:_NAMED])}{more}"


def _as_written(
    seen: Spans, first: npt.NDArray[np.int64], earlier: Spans
) -> tuple[npt.NDArray[np.int64], Spans, Spans]:
    """Spans of texts as shown, as spans of the texts as written, which `earlier` cut before.

    A span that spans an earlier cut becomes several. Returns for each the number of the span it is of, the
    span as written, and the same bytes as shown. `first` int64[n]: where each text as shown begins.
    """
    length = earlier.end - earlier.start
    total = np.concatenate([[0], np.cumsum(length)])  # bytes of the first k earlier cuts
    mine = np.searchsorted(earlier.row, np.arange(len(first) + 1))  # first earlier cut of each document
    before = total[: len(earlier)] - total[mine[earlier.row]]
    point = first[earlier.row] + earlier.start - before  # where each earlier cut was, in the texts as shown
    low, high = mine[seen.row], mine[seen.row + 1]
    start, end = first[seen.row] + seen.start, first[seen.row] + seen.end
    begins = np.clip(np.searchsorted(point, start, "right"), low, high)
    ends = np.clip(np.searchsorted(point, end, "left"), low, high)
    parts = np.maximum(ends - begins, 0) + 1
    which = np.repeat(np.arange(len(seen)), parts)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts)
    cuts_before = begins[which] + nth
    bounds = np.append(point, 0)  # the last is never used
    starts = np.where(nth == 0, start[which], bounds[np.minimum(cuts_before - 1, len(point))])
    stops = np.where(nth == parts[which] - 1, end[which], bounds[np.minimum(cuts_before, len(point))])
    row = seen.row[which]
    shift = total[cuts_before] - total[low[which]]
    begin, stop = starts - first[row], stops - first[row]
    some = begin < stop  # between two earlier cuts that touch there is nothing
    which, row, begin, stop, shift = which[some], row[some], begin[some], stop[some], shift[some]
    return which, Spans(row, begin + shift, stop + shift), Spans(row, begin, stop)
