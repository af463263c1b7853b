"""The documents that a run keeps, as a data set of the Hugging Face Hub: what `parquet` writes.

The card in README.md has the configs and splits, their columns and the numbers of their documents in the
front matter that `datasets` and the Hub read, so that `load_dataset(OUT)` gives the whole corpus and
`load_dataset(OUT, SOURCE)` a source.
"""

from __future__ import annotations

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.exports.documents import OPTIONS
from corpusmill.pipelines.exports.parquet import export_parquet

EXPORT = Export("documents", export_parquet, OPTIONS)
