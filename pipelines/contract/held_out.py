"""Which documents nothing is learnt from, so that what was learnt can be judged on them: whole families.

A document's family is its repository, else the host of its URL, else the document alone. Families have a draw
by their name and fall into `BINS` bins by its upper bits. Of each source the families of the first bins are
held out, up to the edge of a bin at which the documents held out come nearest to the share asked. A bin that
holds more than the smallest share asked of its source's documents is large (one site may be a whole source):
it is not held out as one; its documents are drawn one by one, by their ids. Whether text of a held-out
document stands elsewhere is for `dedup.hold_out` to find out.

The tokenizer holds out a share, and the model holds out a share; the larger holds out the same documents and
more. What the model is judged on the tokenizer is not trained on either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.context import Context, Marks
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.randomness import HELD_OUT, draws, is_held_out

ARTEFACT, FILE = "held_out", "families.json"
COLUMNS = ("id", "source", "url", "repo")  # of a document that decide
BINS = 65_536
TRAINED, TOKENIZER, MODEL = 0, 1, 2  # levels: held out from nothing, from the tokenizer alone, from both
For = Literal["tokenizer", "model"]
USES: tuple[For, ...] = ("tokenizer", "model")


def host_of(url: str) -> str | None:
    """The host of a URL in small letters, without user, port and a leading `www.`; None where there is
    none."""
    _, slashes, rest = url.partition("//")
    if not slashes:
        return None
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    host = rest.rpartition("@")[2].strip().lower()
    host = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return host.rstrip(".").removeprefix("www.") or None


def families(docs: Documents) -> list[str]:
    """The name of each document's family, by what the document itself says: the same in every source."""
    names: list[str] = docs.column("id").to_pylist()
    known = docs.table.column_names
    if "url" in known:
        for at, url in enumerate(docs.column("url").to_pylist()):
            if url is not None and (host := host_of(url)) is not None:
                names[at] = f"site\0{host}"
    if "repo" in known:
        for at, repo in enumerate(docs.column("repo").to_pylist()):
            if repo is not None:
                names[at] = f"repository\0{repo}"
    return names


def family_bins(docs: Documents, seed: int) -> npt.NDArray[np.int64]:
    """The bin of each document's family, int64[n] in 0..BINS-1."""
    return (draws(families(docs), seed, HELD_OUT) >> np.uint64(48)).astype(np.int64)


@dataclass(frozen=True)
class HeldOut:
    """The families that are held out. `shares`: what was asked, by use; `sources`: by source `thresholds`
    (families of bins below it are held out, by use) and `large` (bins). Without sources, in use outside a
    run, every document is a family."""

    seed: int
    shares: Mapping[str, float]
    sources: Mapping[str, Mapping[str, Any]] | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HeldOut:
        """What `as_json` gave."""
        return cls(value["seed"], value["shares"], value["sources"])

    def as_json(self) -> dict[str, Any]:
        return {"seed": self.seed, "shares": self.shares, "sources": self.sources}

    @classmethod
    def of(cls, context: Context, use: For, share: float) -> HeldOut:
        """The run's, from its artefact; where a stage is used by itself, a `share` of its documents."""
        if ARTEFACT not in context.artefacts:
            return cls(context.seed, {use: share})
        return read_held_out(context.artefact(ARTEFACT, FILE))

    def held(self, docs: Documents, use: For) -> npt.NDArray[np.bool_]:
        """Which documents this use may not learn from, bool[n]. The tokenizer's are all that are held out."""
        shares = self.shares.values() if use == "tokenizer" else [self.shares.get(use, 0.0)]
        share = max(shares, default=0.0)
        ids = docs.column("id")
        if self.sources is None or share == 0.0 or len(docs) == 0:
            return is_held_out(ids, self.seed, share)
        bins, alone = family_bins(docs, self.seed), is_held_out(ids, self.seed, share)
        found = np.zeros(len(docs), np.bool_)
        sources = np.asarray(docs.column("source").to_pylist(), object)
        for source in sorted(set(sources.tolist())):
            if source not in self.sources:
                raise IntegrityError(f"source {source} was not there when documents were held out; run again")
            one, mine = self.sources[source], sources == source
            thresholds = one["thresholds"]
            below = max(thresholds.values()) if use == "tokenizer" else thresholds.get(use, 0)
            large = np.isin(bins[mine], one["large"])
            found[mine] = np.where(large, alone[mine], bins[mine] < below)
        return found

    def levels(self, docs: Documents) -> npt.NDArray[np.int8]:
        """TRAINED, TOKENIZER or MODEL for each document, int8[n]."""
        model = self.held(docs, "model")
        any_ = self.held(docs, "tokenizer") | model
        return np.where(model, MODEL, np.where(any_, TOKENIZER, TRAINED)).astype(np.int8)


def marks_of_levels() -> Marks:
    """Of each document its level, for a stage that asks `HeldOut.levels` alone."""
    return Marks((ARTEFACT,), COLUMNS, lambda context, docs: _of(context).levels(docs))


def marks_for(use: For) -> Marks:
    """Of each document whether this use may learn from it, for a stage that asks `HeldOut.held` alone."""
    return Marks((ARTEFACT,), COLUMNS, lambda context, docs: _of(context).held(docs, use))


def _of(context: Context) -> HeldOut:
    return read_held_out(context.artefact(ARTEFACT, FILE))


def read_held_out(path: Path) -> HeldOut:
    """The families of a families.json."""
    return HeldOut.from_json(json.loads(path.read_text(encoding="utf-8")))
