"""Split points of fill-in-the-middle: which documents, and where, from the seed and their ids alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.text.clusters import cluster_classes
from corpusmill.pipelines.text.grammars import GRAMMARS
from corpusmill.tokenizer.boundary.document_draws import document_draws
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.syntax_places import syntax_place
from corpusmill.tokenizer.fim.views import View
from corpusmill.tokenizer.kernels.fim_parts import CLUSTERS, LINES, fim_parts

SYNTAX = 2  # a kind beside those of the kernel
_KINDS = {"characters": CLUSTERS, "lines": LINES, "syntax": SYNTAX}

Offsets = npt.NDArray[np.int64]


def chosen_for_fim(
    ids: pa.Array, sources: pa.Array, domains: pa.Array, view: View, seed: int
) -> npt.NDArray[np.bool_]:
    """bool[n]: the documents to frame. A document's draw must lie below 2**64 times its source's rate."""
    n, fim = len(ids), view.fim
    if not fim.frames() or n == 0:
        return np.zeros(n, np.bool_)
    draw_D = document_draws(ids, seed, _purpose("fim", view.draw))
    source_D = np.asarray(sources.to_pylist(), object) if fim.rates else np.zeros(n, object)
    chosen = np.zeros(n, np.bool_)
    for source in sorted(set(source_D.tolist()), key=str):
        mine = source_D == source
        rate = fim.rate_of(source)
        chosen[mine] = True if rate >= 1.0 else draw_D[mine] < np.uint64(rate * 2.0**64)
    if fim.domains is not None:
        chosen &= np.isin(np.asarray(domains.to_pylist(), object), fim.domains)
    return chosen


def split_kinds(
    sources: pa.Array, fim: Fim, files: Sequence[str | None] | None = None
) -> npt.NDArray[np.uint8]:
    """The kind of places at which each document may be split, uint8[n]: of `kernels.fim_parts`, or SYNTAX
    where there is a grammar of its language. `files`: languages as `text.grammars.file_kinds` gives them."""
    source_D = np.asarray(sources.to_pylist(), object)
    kinds = np.full(len(source_D), _KINDS[fim.split], np.uint8)
    for source, split in fim.splits.items():
        kinds[source_D == source] = _KINDS[split]
    for doc in np.flatnonzero(kinds == SYNTAX).tolist():
        if files is None or files[doc] not in GRAMMARS:
            kinds[doc] = LINES
    return kinds


def framed_alike(one: View, other: View) -> bool:
    """Whether a document that both views frame has the same tokens in both."""
    same = {"rate": 0.0, "rates": {}, "domains": None}
    return one.draw == other.draw and one.fim.model_copy(update=same) == other.fim.model_copy(update=same)


def _purpose(what: str, draw: int) -> str:
    """The purpose of a draw (`contract.randomness`): one of its own for each number."""
    return what if draw == 0 else f"{what}.{draw}"


def split_parts(
    offsets: Offsets,
    data: npt.NDArray[np.uint8],
    ids: pa.Array,
    chosen: npt.NDArray[np.bool_],
    seed: int,
    draw: int = 0,
    kinds: npt.NDArray[np.uint8] | None = None,
    files: Sequence[str | None] = (),
) -> Offsets:
    """Boundaries int64[parts + 1] into `data`: one part a document; prefix, middle, suffix where chosen.

    Parts follow one another in `data` as the documents do (PSM is an order of the framed tokens, not of
    the parts), so encoding them needs no copy of the text. `kinds`, uint8[n], as `split_kinds` gives them
    for `files`; None: between clusters.
    """
    n = len(offsets) - 1
    first, second = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    which = np.flatnonzero(chosen)
    if len(which):
        names = ids.take(pa.array(which))
        first[which] = document_draws(names, seed, _purpose("fim.first", draw))
        second[which] = document_draws(names, seed, _purpose("fim.second", draw))
    kinds = np.full(n, CLUSTERS, np.uint8) if kinds is None else kinds
    of_kernel = np.where(kinds == SYNTAX, CLUSTERS, kinds).astype(np.uint8)
    bounds = np.asarray(fim_parts(offsets, data, chosen, first, second, of_kernel, cluster_classes()))
    part_D = np.concatenate([[0], np.cumsum(np.where(chosen, 3, 1))])
    for doc in np.flatnonzero(chosen & (kinds == SYNTAX)).tolist():
        start, cuts = int(offsets[doc]), slice(part_D[doc] + 1, part_D[doc] + 3)
        text = data[start : offsets[doc + 1]].tobytes()
        bounds[cuts] = sorted(
            start + syntax_place(text, int(cut) - start, str(files[doc])) for cut in bounds[cuts]
        )
    return bounds
