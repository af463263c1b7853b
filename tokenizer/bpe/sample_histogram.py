"""What one pass over the documents learns for sampling them: a histogram of draws, and a few texts.

Every document has a uniform 64-bit draw. Documents of a stratum whose draw is at most a threshold are a
uniform sample of it, whatever else is in the corpus, so all that must be known to keep a sample within a
number of bytes is how many bytes have which draws. Draws are binned as a floating-point number of
`MANTISSA_BITS` bits is: whatever share of the documents is taken, some bin's edge is within 1/128 of it.

The texts, for verifying encoders, are the documents of smallest draw that make up a budget of bytes: sort
all by `(draw, id)` and keep each that has less than the budget before it. That is the same set however the
documents are divided: one kept of the whole is kept of its part, where no more stands before it.
Draws so large that of the whole corpus far more texts have smaller ones are left out from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents, buffers
from corpusmill.pipelines.contract.held_out import HeldOut
from corpusmill.tokenizer.boundary.document_draws import document_draws

SAMPLED = "tokenizer.sample"
VERIFICATION = "tokenizer.verification"
UNKNOWN = "und"  # an unknown language, as ISO 639-2 writes it

MANTISSA_BITS = 7
_DRAWN_BITS = 53  # of a draw that a float64 holds exactly
HELD_OUT_BIN = -1

# Rows of two sorts: a bin of a stratum (`documents` and `bytes` in it) or a text (`draw`, `id`, `text`).
PARTIAL = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("lang", pa.string()),
        pa.field("bin", pa.int16()),
        pa.field("documents", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("draw", pa.uint64()),
        pa.field("id", pa.string()),
        pa.field("text", pa.large_string()),
    ]
)
_BIN = ["source", "lang", "bin"]
_FEW = 2**16  # histogram rows waiting before they are added up


def bins_of(drawn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int16]:
    """The bin of each draw, int16[n], growing with the draw."""
    high = drawn >> np.uint64(64 - _DRAWN_BITS)
    bits = np.frexp(high.astype(np.float64))[1]  # significant bits of `high`
    exponent = np.maximum(bits - (MANTISSA_BITS + 1), 0)
    mantissa = (high >> exponent.astype(np.uint64)).astype(np.int64)
    numbers: npt.NDArray[np.int16] = ((exponent.astype(np.int64) << MANTISSA_BITS) + mantissa).astype(
        np.int16
    )
    return numbers


def largest_draw(bin_: int) -> int:
    """The largest draw of a bin."""
    exponent = max(0, (bin_ >> MANTISSA_BITS) - 1)
    mantissa = bin_ - (exponent << MANTISSA_BITS)
    return ((mantissa + 1) << exponent << (64 - _DRAWN_BITS)) - 1


@dataclass(frozen=True)
class Capture:
    """What is noted of the documents of a run.

    `longest`: bytes of a document that count; `held_out`: what is held out; `verification_bytes`: of texts
    kept, of each at most `verification_text` bytes; `most_drawn`: the largest draw of a text that is kept.
    """

    seed: int
    longest: int
    held_out: HeldOut
    verification_bytes: int
    verification_text: int
    most_drawn: int = 2**64 - 1

    def partial(self, batches: Iterator[Documents]) -> pa.Table:
        """PARTIAL rows of these documents."""
        waiting, few = [PARTIAL.empty_table()], 0
        for docs in batches:
            if len(docs) == 0:
                continue
            waiting += [self._histogram(docs), self._texts(docs)]
            few += sum(table.num_rows for table in waiting[-2:])
            if few > _FEW or sum(table.nbytes for table in waiting) > 2 * self.verification_bytes + 2**20:
                waiting, few = [self.combined(waiting)], 0
        return self.combined(waiting)

    def combined(self, parts: Sequence[pa.Table]) -> pa.Table:
        """PARTIAL rows of several together: sorted, bins added up, texts within the budget."""
        import pyarrow.compute as pc

        whole = pa.concat_tables(parts)
        is_bin = pc.is_valid(whole.column("bin"))
        bins = (
            whole.filter(is_bin)
            .select([*_BIN, "documents", "bytes"])
            .group_by(_BIN)
            .aggregate([("documents", "sum"), ("bytes", "sum")])
            .rename_columns([*_BIN, "documents", "bytes"])
            .sort_by([(name, "ascending") for name in _BIN])
        )
        texts = _smallest(whole.filter(pc.invert(is_bin)), self.verification_bytes)
        return pa.concat_tables([_padded(bins), texts]).combine_chunks()

    def _histogram(self, docs: Documents) -> pa.Table:
        ids, strata = docs.column("id"), strata_of(docs)
        bins = bins_of(document_draws(ids, self.seed, SAMPLED))
        bins[self.held_out.held(docs, "tokenizer")] = HELD_OUT_BIN
        return _padded(
            strata.append_column("bin", pa.array(bins, pa.int16()))
            .append_column("documents", pa.array(np.ones(len(docs), np.int64)))
            .append_column("bytes", pa.array(beginnings(docs.text, self.longest)))
        )

    def _texts(self, docs: Documents) -> pa.Table:
        drawn = document_draws(docs.column("id"), self.seed, VERIFICATION)
        order = np.argsort(drawn, kind="stable")
        order = order[drawn[order] <= np.uint64(self.most_drawn)]
        if not len(order):
            return PARTIAL.empty_table()
        stops = beginnings(docs.text, self.verification_text)[order]
        # Of equal draws all stay: which of them goes first is for their ids to say.
        kept = np.searchsorted(np.cumsum(stops) - stops, self.verification_bytes, side="left")
        order = order[drawn[order] <= drawn[order[kept - 1]]]
        rows = pa.table(
            {
                "draw": pa.array(drawn[order]),
                "id": docs.column("id").take(pa.array(order)),
                "text": first_bytes(docs.text.take(pa.array(order)), self.verification_text),
            }
        )
        return _padded(rows)


def strata_of(docs: Documents) -> pa.Table:
    """Columns source and lang of documents, neither null."""
    langs = docs.column("lang") if "lang" in docs.table.column_names else pa.nulls(len(docs), pa.string())
    sources = docs.column("source").cast(pa.string())
    return pa.table({"source": sources, "lang": langs.cast(pa.string()).fill_null(UNKNOWN)})


def beginnings(texts: pa.Array, longest: int) -> npt.NDArray[np.int64]:
    """Bytes of each text, int64[n]; of one longer than `longest`, of its beginning in whole characters."""
    texts = texts.fill_null("") if texts.null_count else texts
    offsets, data = buffers(texts)
    sizes = np.diff(offsets)
    for row in np.flatnonzero(sizes > longest):
        stop = int(offsets[row]) + longest
        while data[stop] & 0xC0 == 0x80:
            stop -= 1
        sizes[row] = stop - offsets[row]
    return sizes


def first_bytes(texts: pa.Array, longest: int) -> pa.Array:
    """`texts` (large_string[n]) cut to their `beginnings`; null becomes empty."""
    import pyarrow.compute as pc

    texts = texts.fill_null("") if texts.null_count else texts
    offsets, data = buffers(texts)
    cut = np.flatnonzero(np.diff(offsets) > longest)
    if len(cut) == 0:
        return texts
    stops = beginnings(texts, longest)
    mask = np.zeros(len(texts), np.bool_)
    mask[cut] = True
    short = [data[offsets[row] : offsets[row] + stops[row]].tobytes().decode() for row in cut]
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(short, pa.large_string()))


def texts_of(partial: pa.Table) -> pa.Array:
    """The texts kept, large_string[n], in order of their draws."""
    import pyarrow.compute as pc

    texts = partial.filter(pc.is_null(partial.column("bin"))).column("text")
    return texts.combine_chunks() if texts.num_chunks else pa.array([], pa.large_string())


def _smallest(texts: pa.Table, budget: int) -> pa.Table:
    """Text rows with less than `budget` bytes before them, sorted."""
    texts = texts.sort_by([("draw", "ascending"), ("id", "ascending"), ("text", "ascending")])
    texts = texts.combine_chunks()
    sizes = np.diff(buffers(Documents(texts).text)[0])
    return texts.slice(0, int(np.searchsorted(np.cumsum(sizes) - sizes, budget, side="left")))


def _padded(table: pa.Table) -> pa.Table:
    """`table` with PARTIAL's other columns null."""
    n = table.num_rows
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(n, field.type)
        for field in PARTIAL
    ]
    return pa.Table.from_arrays(columns, schema=PARTIAL)
