"""Percentiles of perplexity by language (`percentiles.json`), and where a document stands among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.filters.rules.ngram_model import UNDETERMINED
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.contract.randomness import draws

SAMPLE = pa.schema(
    [
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("perplexity", pa.float64(), nullable=False),
    ]
)
FILE = "percentiles.json"
PURPOSE = "sample of perplexities"
Cuts = Mapping[str, npt.NDArray[np.float64]]


def sample_of(docs: Documents, perplexities: pa.Array, seed: int) -> pa.Table:
    """The documents that have a perplexity, as `SAMPLE`."""
    lang = pc.fill_null(docs.column("lang").cast(pa.string()), UNDETERMINED)
    drawn = pa.array(draws(docs.column("id").cast(pa.string()), seed, PURPOSE), pa.uint64())
    known = pc.is_valid(perplexities)
    columns = [drawn, lang.combine_chunks() if isinstance(lang, pa.ChunkedArray) else lang, perplexities]
    return pa.table([column.filter(known) for column in columns], schema=SAMPLE)


def fewest(parts: Sequence[pa.Table], most: int) -> pa.Table:
    """The `most` rows of smallest draw, in one order."""
    rows = pa.concat_tables(parts) if parts else SAMPLE.empty_table()
    order = pc.sort_indices(rows, [(name, "ascending") for name in SAMPLE.names])
    return rows.take(order.slice(0, most)).combine_chunks()


def write_percentiles(rows: pa.Table, least: int, folder: Path) -> dict[str, Any]:
    """Write percentiles.json: of each language with at least so many documents, cuts at 0, 1 to 100 percent.
    Returns documents and median by language."""
    codes = np.array(rows.column("lang").to_pylist(), object)
    values = rows.column("perplexity").to_numpy(zero_copy_only=False)
    cuts, told = {}, {}
    for code in sorted(set(codes)):
        here = values[codes == code]
        told[str(code)] = {"documents": len(here), "median": round(float(np.median(here)), 1)}
        if len(here) >= least:
            cuts[str(code)] = [float(value) for value in np.percentile(here, np.arange(101))]
    (folder / FILE).write_text(json.dumps(cuts) + "\n", "utf-8")
    return {"languages": told}


def read_percentiles(path: Path) -> Cuts:
    """Cuts float64[101] by language. Raises DataError for a file that is damaged."""
    try:
        cuts = {
            code: np.asarray(one, np.float64) for code, one in json.loads(path.read_text("utf-8")).items()
        }
        if any(one.shape != (101,) for one in cuts.values()):
            raise ValueError("a language has other than 101 cuts")
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"{path}: no percentiles: {error}; run the recipe again with --repair") from error
    return cuts


def shares_below(perplexities: pa.Array, codes: Sequence[str | None], cuts: Cuts) -> pa.Array:
    """double[n]: about what share of the language's documents have a smaller perplexity, 0 to 1, straight
    between the cuts; null where there is no perplexity, or the language has no cuts. Of equal cuts the first
    counts."""
    values = np.asarray(perplexities.to_numpy(zero_copy_only=False), np.float64)
    names = np.array([code or UNDETERMINED for code in codes], object)
    found = np.full(len(values), np.nan)
    for code, one in cuts.items():
        here = (names == code) & ~np.isnan(values)
        cuts_here, first = np.unique(one, return_index=True)
        found[here] = np.interp(values[here], cuts_here, first / 100)
    return pa.array(found, mask=np.isnan(found))
