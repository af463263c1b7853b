"""How well a deduplication finds pairs: by theory, and measured on a sample of the documents that it saw.

The sample: at most so many documents and `SAMPLE_BYTES` of text, none over `LONGEST`, of as many units as
have `UNITS` times the bytes, all chosen by draws under the run's seed. The stage compares them all with one
another (`Deduplicate.pairs_among`). Pairs are counted by the index that the chance follows from, beside the
sum of their chances; and of pairs that are duplicates, those of which the run kept both. Pairs of one file
are more frequent in a sample of few units than elsewhere; recall at an index does not depend on that.

Memory and time: the sample's texts and what the stage makes of them; reading of the units that it is of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, NotKeptError
from corpusmill.pipelines.contract.plugins import stages_of_plugins
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.contract.rooms import ROOMS, stage_files
from corpusmill.pipelines.contract.stage import Deduplicate
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.storage.datasets import DatasetView

SAMPLE = 20_000  # documents
SAMPLE_BYTES = 64 * 2**20
UNITS = 4
LONGEST = 4 * 2**20  # bytes of text
_MOST_UNITS = 10_000
_BINS = 20
_COLUMNS = ["id", "text", "source"]
_DRAWS = "sample of pairs"

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RecallBin:
    """Pairs of an index from `from` to `to`: how many there are, how many the search finds, and how many it
    finds by theory."""

    from_: float
    to: float
    pairs: int
    found: int
    expected: float


@dataclass(frozen=True)
class CurvePoint:
    """The chance by theory that a pair of this index is found."""

    index: float
    chance: float


@dataclass(frozen=True)
class Recall:
    """What was measured of a step. `documents`: compared, of `of_documents` that it saw; `duplicates`: pairs
    that the stage would hold to be duplicates, of which its search finds `duplicates_found`, and of which the
    run kept both documents in `both_kept`; `note`: why nothing was measured."""

    step: str
    stage: str
    documents: int
    of_documents: int
    bytes: int
    least: float
    bins: tuple[RecallBin, ...]
    curve: tuple[CurvePoint, ...]
    duplicates: int
    duplicates_found: int
    both_kept: int
    note: str | None = None


def recall_of(
    record: RunRecord, step: StepRecord, sample: int = SAMPLE, most_bytes: int = SAMPLE_BYTES
) -> Recall | None:
    """The recall of a complete step that removes duplicates; None where its stage has nothing to say."""
    name = step.stages[-1].name
    kind = stage_class(name)
    if kind is None:
        return _without(
            step, f"the code of the stage {name} is not at hand: a plugin of the run's recipe has it"
        )
    if not issubclass(kind, Deduplicate) or kind.pairs_among is Deduplicate.pairs_among:
        return None
    try:
        stage = kind.model_validate(dict(step.stages[-1].options))
    except ValueError:
        return _without(step, f"the stage {name} has other options in this version of corpusmill")
    try:
        docs, addresses, of = _sample(record, step, sample, most_bytes)
    except NotKeptError as error:
        return _without(step, str(error))
    pairs = stage.pairs_among(docs)
    if pairs is None:
        return None
    removed = _removed(step, addresses)
    missed = pairs.duplicate & ~removed[pairs.first] & ~removed[pairs.second]
    bars = np.minimum((pairs.index * _BINS + 1e-9).astype(np.int64), _BINS - 1)
    counts = [np.bincount(bars, weights, minlength=_BINS) for weights in (None, pairs.found, pairs.chance)]
    rows = zip(*(count.tolist() for count in counts), strict=True)
    bins = tuple(
        RecallBin(round(bar / _BINS, 3), round((bar + 1) / _BINS, 3), int(n), int(found), round(expected, 3))
        for bar, (n, found, expected) in enumerate(rows)
        if n
    )
    compared = docs.slice(0, pairs.documents)
    return Recall(
        step=step.name,
        stage=name,
        documents=pairs.documents,
        of_documents=of,
        bytes=int(compared.sizes().sum()),
        least=pairs.least,
        bins=bins,
        curve=tuple(CurvePoint(index, round(chance, 6)) for index, chance in pairs.curve),
        duplicates=int(pairs.duplicate.sum()),
        duplicates_found=int((pairs.duplicate & pairs.found).sum()),
        both_kept=int(missed.sum()),
    )


def _without(step: StepRecord, note: str) -> Recall:
    return Recall(step.name, step.stages[-1].name, 0, 0, 0, 0.0, (), (), 0, 0, 0, note)


def stage_class(name: str) -> type[object] | None:
    """The class of a stage, of a room or of a plugin that was loaded; None where there is none."""
    found = stages_of_plugins().get(name)
    if found is not None:
        return found
    room = next((room for room in ROOMS if name in stage_files(room)), None)
    try:
        return find(room, name) if room is not None else None
    except CorpusmillError:
        return None


def _sample(
    record: RunRecord, step: StepRecord, sample: int, most_bytes: int
) -> tuple[Documents, Index, int]:
    """Documents of the view that the step saw, in the order of their draws, their addresses int64[n] (unit
    times 2^32, and row), and how many there are in all."""
    view = record.view()
    before = record.masks[: [mask.name for mask in record.masks].index(step.name)]
    seen = DatasetView(view.datasets, [mask.data for mask in before])
    of = sum(entry.documents_in for entry in step.ledger if entry.stage == step.stages[-1].name)
    units = np.argsort(draws([str(unit) for unit in range(len(seen))], record.seed, _DRAWS), kind="stable")
    sizes = np.cumsum([seen.input_bytes(unit) for unit in units.tolist()[:_MOST_UNITS]])
    chosen = sorted(units[: int(np.searchsorted(sizes, UNITS * most_bytes)) + 1].tolist())
    rows = sum(seen.facts(unit).rows for unit in chosen)
    size = sum(seen.input_bytes(unit) for unit in chosen)
    rate = min(1.0, sample / max(1, rows), most_bytes / max(1, size))
    limit = np.uint64(min(rate * 2.0**64, 2.0**64 - 2**12))
    parts = list(_drawn(seen, chosen, record.seed, None if rate == 1.0 else limit))
    if not parts:
        return Documents(pa.table({"id": [], "text": [], "source": []})), np.zeros(0, np.int64), of
    drawn = np.concatenate([draw for _, _, draw in parts])
    by = np.argsort(drawn, kind="stable")
    table = pa.concat_tables([docs.table for docs, _, _ in parts], promote_options="permissive")
    addresses = np.concatenate([address for _, address, _ in parts])
    return Documents(table.take(pa.array(by)).combine_chunks()), addresses[by], of


def _drawn(
    view: DatasetView, units: list[int], seed: int, limit: np.uint64 | None
) -> Iterator[tuple[Documents, Index, npt.NDArray[np.uint64]]]:
    for unit in units:
        for docs, rows in view.batches(unit, _COLUMNS):
            drawn = draws(docs.column("id"), seed, _DRAWS)
            chosen = docs.sizes() <= LONGEST
            if limit is not None:
                chosen &= drawn < limit
            if chosen.any():
                yield docs.keep(chosen), (unit << 32) + rows[chosen].astype(np.int64), drawn[chosen]


def _removed(step: StepRecord, addresses: Index) -> npt.NDArray[np.bool_]:
    """Which of the documents at these addresses the step removed."""
    removed = np.zeros(len(addresses), np.bool_)
    for unit in np.unique(addresses >> 32).tolist():
        for batch in DatasetView([], [step.data]).mask_batches(unit):
            removed_here = (unit << 32) + batch.column("row").to_numpy().astype(np.int64)
            removed |= np.isin(addresses, removed_here)
    return removed
