"""A run of maps over one unit's documents, with the ledger kept and poisonous documents isolated.

Rows that a stage removes never reach the next one. When a stage raises on a batch, the batch is halved
until the one document at fault is alone; it is quarantined and the rest goes on. In careful mode, after a
unit has crashed or run out of time, documents pass one by one and the one in hand is noted in a marker
file first, so that the scheduler can name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.rules import LIMITS, NOT_JUDGED
from corpusmill.pipelines.contract.stage import Filter, Map, Outcome
from corpusmill.pipelines.records.language_counts import add
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.operators.apart import STAGE_AT_FAULT, is_of_input
from corpusmill.pipelines.run.operators.causes import cause_of, words_of
from corpusmill.pipelines.run.operators.marker import Marker
from corpusmill.pipelines.run.operators.outcome_form import checked
from corpusmill.pipelines.storage.removed import quarantined_table, removal_rows, removed_table, thin
from corpusmill.pipelines.system.time_limit import naming


class FusedMaps:
    """Pushes batches through stages in order; collects the removed rows and the ledger of one unit.

    `limits`: where the document that limited time is spent on is noted. `first_stage`: the number of the
    first of `stages` in its step, for these notes. `cuts`: whether the caller
    cuts what the stages ask for (`contract.cutting`). Raises CorpusmillError for one that asks otherwise.
    """

    def __init__(
        self,
        stages: Sequence[Map],
        ledger: Ledger,
        *,
        poison: Mapping[int, tuple[str, str]] | None = None,
        marker: Marker | None = None,
        limits: Path | None = None,
        first_stage: int = 0,
        cuts: bool = False,
    ) -> None:
        for stage in () if cuts else stages:
            if isinstance(stage, Filter) and type(stage).cuts is not Filter.cuts:
                raise CorpusmillError(
                    f"stage {stage.name} cuts parts of documents, which is done where a section places it "
                    "(`Builder.mask`), not among the steps of a source"
                )
        self._first_stage = first_stage
        self.stages = list(stages)
        self.ledger = ledger
        self._poison = dict(poison or {})
        self._marker = marker
        self._limits = limits
        self._removed: list[tuple[npt.NDArray[np.int64], pa.Table]] = []  # ordinals and rows
        self._ordinal = 0
        self._kept: list[npt.NDArray[np.int64]] = []  # ordinals of the rows that survive every stage

    def push(self, docs: Documents) -> Documents:
        """The rows of `docs` that survive every stage, in order."""
        first = self._ordinal
        self._ordinal += len(docs)
        if self._marker is None or len(docs) == 0:
            return self._survivors(docs, np.arange(first, first + len(docs)))
        marker = self._marker
        if marker.skips_documents:
            return docs.slice(0, 0)
        chosen = [i for i in range(len(docs)) if not marker.skips(first + i)]
        kept = [self._survivors(docs.slice(i, 1), np.array([first + i])) for i in chosen]
        marker.rest(self._ordinal)
        if not kept:
            return docs.slice(0, 0)
        return _concatenate(kept, docs)

    def rows_before(self, ordinals: Sequence[int]) -> tuple[list[int], list[int]]:
        """Of all that was pushed before each of these numbers of documents, in order: how many survive every
        stage, and how many rows of `removed` there are."""
        none = np.zeros(0, np.int64)
        kept = np.concatenate([none, *self._kept])
        removed = np.sort(np.concatenate([none, *(numbers for numbers, _ in self._removed)]))
        ends = np.asarray(ordinals, np.int64)
        return np.searchsorted(kept, ends).tolist(), np.searchsorted(removed, ends).tolist()

    def removed(self) -> pa.Table:
        """Everything that left so far, as `REMOVED` rows in the order of the documents.

        That order, and so the bytes, is the same in careful mode and for any batches.
        """
        if not self._removed:
            return removed_table([])
        ordinals = np.concatenate([numbers for numbers, _ in self._removed])
        rows = pa.concat_tables([table for _, table in self._removed])
        return thin(rows.take(pa.array(np.argsort(ordinals, kind="stable"))))

    def note_removed(self, table: pa.Table) -> None:
        """Add rows lost outside the maps (by the reader) to the same file, before the documents to come."""
        self._removed.append((np.full(table.num_rows, self._ordinal), table))

    def _survivors(self, docs: Documents, ordinals: npt.NDArray[np.int64]) -> Documents:
        """The rows that survive every stage; their ordinals are noted."""
        for position, stage in enumerate(self.stages):
            sizes = docs.sizes()
            for source, mask in _by_source(docs):
                self.ledger.entry(stage.name, source).arrive(int(mask.sum()), int(sizes[mask].sum()))
            docs, ordinals, sizes = self._leave_out_poison(stage, docs, ordinals, sizes)
            if len(docs) == 0:
                # Later stages still see the empty batch, so that every unit ends with the same columns.
                docs = stage.apply(docs).documents
                continue
            if self._marker is not None:
                self._marker.note(int(ordinals[0]), self._first_stage + position)
            in_hand = partial(naming, self._limits, self._first_stage + position)
            outcome, faults, sound = _isolate(stage, docs, ordinals, in_hand)
            if faults:
                bad = _mask([index for index, _ in faults], len(docs))
                self._quarantine(stage, docs.keep(bad), ordinals[bad], [why for _, why in faults])
                ordinals, sizes = ordinals[sound], sizes[sound]
            docs, ordinals = self._sort_out(stage, outcome, ordinals, sizes)
        self._kept.append(ordinals)
        return docs.forget()  # the bounds of words and lines end with the run of maps

    def _leave_out_poison(
        self, stage: Map, docs: Documents, ordinals: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> tuple[Documents, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        bad = [
            index
            for index, ordinal in enumerate(ordinals.tolist())
            if self._poison.get(ordinal, ("", ""))[0] == stage.name
        ]
        if not bad:
            return docs, ordinals, sizes
        mask = _mask(bad, len(docs))
        causes = [self._poison[int(ordinals[index])][1] for index in bad]
        self._quarantine(stage, docs.keep(mask), ordinals[mask], causes)
        return docs.keep(~mask), ordinals[~mask], sizes[~mask]

    def _sort_out(
        self, stage: Map, outcome: Outcome, ordinals: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> tuple[Documents, npt.NDArray[np.int64]]:
        docs = outcome.documents
        faulty = outcome.faults.is_valid().to_numpy(zero_copy_only=False)
        removed = outcome.reasons.is_valid().to_numpy(zero_copy_only=False) & ~faulty
        if faulty.any():
            self._lose(stage, docs, ordinals, sizes, faulty, "quarantined", outcome.faults)
        if removed.any():
            self._lose(stage, docs, ordinals, sizes, removed, "removed", outcome.reasons)
        kept = ~(faulty | removed)
        if not kept.all():
            docs = docs.keep(kept)
        out = docs.sizes()
        cut = {reason: found[kept] for reason, found in outcome.cut.items()}
        came = sizes[kept] - sum(cut.values())
        for source, mask in _by_source(docs):
            entry = self.ledger.entry(stage.name, source)
            entry.keep(int(mask.sum()), int(came[mask].sum()), int(out[mask].sum()))
            for reason, found in cut.items():
                if size := int(found[mask].sum()):
                    entry.cut_out(reason, size)
            self._count_languages(stage, docs, mask, out)
        return docs, ordinals[kept]

    def _count_languages(
        self, stage: Map, docs: Documents, mask: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64]
    ) -> None:
        """Of the documents of a source that a stage kept: those it did not judge and, after the last stage,
        all, by language."""
        limits = f"{stage.name}.{LIMITS}"
        last, tells = stage is self.stages[-1], limits in docs.table.column_names
        if not (last or tells) or "lang" not in docs.table.column_names or not mask.any():
            return
        entry = self.ledger.entry(stage.name, docs.column("source")[int(np.flatnonzero(mask)[0])].as_py())
        languages = docs.column("lang").cast(pa.string()).dictionary_encode()
        codes = np.asarray(languages.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        passed = np.zeros(len(docs), np.bool_)
        if tells:
            found = pc.equal(docs.column(limits).cast(pa.string()), NOT_JUDGED).fill_null(False)
            passed = np.asarray(found.to_numpy(zero_copy_only=False))
        for number, code in enumerate(languages.dictionary.to_pylist()):
            mine = mask & (codes == number)
            if not code or not mine.any():
                continue
            if last:
                entry.language(code).keep(int(mine.sum()), int(sizes[mine].sum()))
            if unjudged := int((mine & passed).sum()):
                entry.language(code).unjudged += unjudged

    def _lose(
        self,
        stage: Map,
        docs: Documents,
        ordinals: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        mask: npt.NDArray[np.bool_],
        kind: str,
        why: pa.Array,
    ) -> None:
        lost, words, lost_sizes = docs.keep(mask), why.filter(pa.array(mask)), sizes[mask]
        if kind == "quarantined":
            rows = quarantined_table(lost, stage.name, words.to_pylist())
        else:
            rows = removal_rows(lost, stage=stage.name, kind=kind, reasons=words)
        position = rows.column_names.index("bytes")
        rows = rows.set_column(position, rows.field("bytes"), pa.array(lost_sizes, pa.int64()))
        self._removed.append((ordinals[mask], rows))
        self._count_lost(stage, lost, rows.column("reason"), lost_sizes, kind)

    def _quarantine(
        self, stage: Map, docs: Documents, ordinals: npt.NDArray[np.int64], causes: list[str]
    ) -> None:
        """Count documents that no outcome covers: the stage raised on them, or was never shown them."""
        rows = quarantined_table(docs, stage.name, causes)
        self._removed.append((ordinals, rows))
        self._count_lost(stage, docs, rows.column("reason"), docs.sizes(), "quarantined")

    def _count_lost(
        self, stage: Map, lost: Documents, why: pa.ChunkedArray, sizes: npt.NDArray[np.int64], kind: str
    ) -> None:
        n = len(lost)
        codes = lost.column("lang").to_pylist() if "lang" in lost.table.column_names else [None] * n
        for source, code, reason, size in zip(
            lost.column("source").to_pylist(), codes, why.to_pylist(), sizes.tolist(), strict=True
        ):
            entry = self.ledger.entry(stage.name, source)
            (entry.remove if kind == "removed" else entry.quarantine)(reason, 1, size)
            if code:
                count = entry.language(code)
                add(count.removed if kind == "removed" else count.quarantined, reason, 1, size)


def _mask(indices: Sequence[int], n: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(n, bool)
    mask[list(indices)] = True
    return mask


def _by_source(docs: Documents) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    sources = docs.column("source").dictionary_encode()
    codes = sources.indices.to_numpy(zero_copy_only=False)
    return [(name, codes == code) for code, name in enumerate(sources.dictionary.to_pylist())]


def _concatenate(parts: Sequence[Documents], like: Documents) -> Documents:
    tables = [part.table for part in parts if len(part)] or [part.table for part in parts[:1]]
    if not tables:
        return like
    return Documents(pa.concat_tables(tables, promote_options="permissive").combine_chunks())


def _isolate(
    stage: Map,
    docs: Documents,
    ordinals: npt.NDArray[np.int64],
    in_hand: Callable[[npt.NDArray[np.int64]], AbstractContextManager[None]],
) -> tuple[Outcome, list[tuple[int, str]], npt.NDArray[np.int64]]:
    """Apply `stage`; returns the outcome of the sound rows, (index, cause) of those it raised on, and the
    indices of the sound ones. Raises the stage's own error when the stage, not a document, is at fault.
    """
    outcomes: list[Outcome] = []
    faults: list[tuple[int, str]] = []
    sound: list[int] = []
    todo = [(0, len(docs))]
    while todo:
        start, length = todo.pop()
        try:
            with in_hand(ordinals[start : start + length]):
                outcomes.append(checked(stage, docs.slice(start, length)))
            sound.extend(range(start, start + length))
        except (Exception, SystemExit) as error:
            if not is_of_input(error):
                raise
            if length == 1:
                faults.append((start, cause_of(error)))
                if len(faults) >= STAGE_AT_FAULT and not sound:
                    raise CorpusmillError(
                        f"stage {stage.name} raised on each of the first {len(faults)} documents: "
                        f"{words_of(error)}"
                    ) from error
            else:
                half = length // 2
                todo += [(start + half, length - half), (start, half)]  # the first half comes off first
    if len(outcomes) == 1:
        return outcomes[0], faults, np.array(sound, np.int64)
    empty = docs.slice(0, 0)
    if not outcomes:
        outcomes = [checked(stage, empty)]
    joined = Outcome(
        _concatenate([outcome.documents for outcome in outcomes], empty),
        pa.concat_arrays([outcome.reasons for outcome in outcomes]),
        pa.concat_arrays([outcome.faults for outcome in outcomes]),
        _joined_cuts(outcomes),
    )
    return joined, faults, np.array(sound, np.int64)


def _joined_cuts(outcomes: Sequence[Outcome]) -> dict[str, npt.NDArray[np.int64]]:
    """Bytes cut by reason of the rows of all outcomes, one after the other."""
    reasons = dict.fromkeys(reason for outcome in outcomes for reason in outcome.cut)
    none = [np.zeros(len(outcome.reasons), np.int64) for outcome in outcomes]
    return {
        reason: np.concatenate(
            [outcome.cut.get(reason, zeros) for outcome, zeros in zip(outcomes, none, strict=True)]
        )
        for reason in reasons
    }
