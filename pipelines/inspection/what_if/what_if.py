"""`what-if`: what a run would keep under other thresholds, from the scores it stored.

No text is read but those of the examples. What the run does not know is not guessed: a document that a filter
would let pass was judged by no stage behind it, and the answer says how many there are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
from corpusmill.pipelines.inspection.what_if.answer import (
    Amount,
    Answer,
    ChangedOption,
    SideReason,
    SourceAnswer,
)
from corpusmill.pipelines.inspection.what_if.changes import Asked, asked_of, commands, settings_of
from corpusmill.pipelines.inspection.what_if.displaced import displaced
from corpusmill.pipelines.inspection.what_if.examples import Chosen, with_texts
from corpusmill.pipelines.inspection.what_if.tokens import Tokens
from corpusmill.pipelines.inspection.what_if.verdicts import Judged, judged_units, names_of
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

UNKNOWN = "(unknown)"
EXAMPLES = 2  # of each source and direction, unless asked otherwise


def what_if(
    folder: RunFolder, settings: Sequence[str], recipe: Recipe | None = None, examples: int = EXAMPLES
) -> Answer:
    """What would change with `settings`, as `--set` takes them.

    `recipe`: the run's, to read removed documents again and to know its plugins. Raises UserError for what
    cannot be asked of the run, with the nearest valid names; IntegrityError for damaged files.
    """
    started = time.perf_counter()
    if not settings:
        raise UserError(
            "nothing to change: give --set SOURCE.FILTER.OPTION=VALUE, or --sweep SOURCE.FILTER.OPTION=..."
        )
    if examples < 0:
        raise UserError(f"--examples {examples}: give 0 or more")
    record = load_record(folder)
    asked = asked_of(record, settings_of(settings, record))
    sources: dict[str, SourceAnswer] = {}
    removed_ids: dict[str, dict[str, int]] = {}
    chosen: list[Chosen] = []
    for one in asked:
        found = _Source(record, one, examples)
        for judged in judged_units(record, one):
            found.add(judged)
        name = one.chain.source.name
        sources[name], removed_ids[name] = found.answer(), found.removed_ids
        chosen += found.chosen.values()
    changes = {
        setting.key: ChangedOption(setting.key, before, setting.value)
        for one in asked
        for change in one.changes
        for setting, before in change.settings
    }
    named = str(recipe.path) if recipe is not None else "RECIPE"
    return Answer(
        run=folder.location,
        changes=tuple(changes.values()),
        sources=sources,
        displaced=displaced(record, {one.chain.source.name: one.chain for one in asked}, removed_ids),
        examples=with_texts(record, recipe, chosen),
        not_known=not_known(asked, [name for name, found in sources.items() if found.unlike]),
        command=commands(asked, named),
        seconds=time.perf_counter() - started,
    )


def not_known(asked: Sequence[Asked], unlike: Sequence[str] = ()) -> tuple[str, ...]:
    """What cannot be told of a run, and why."""
    found = []
    for one in asked:
        source = one.chain.source.name
        if (left := one.chain.left_out) is not None:
            found.append(
                f"{source}: its documents and their scores were not kept (`keep: {left.keep}`), so it is not "
                "known which of them would go; `--set keep=all` of a run keeps them"
            )
        found += [
            f"{source}: the code of {change.link.name} is not that of the run; its scores may differ now"
            for change in one.changes
            if not change.same_code
        ]
        if source in unlike:
            found.append(
                f"{source}: not all verdicts of the run follow from its stored scores (`unlike`, --json)"
            )
    return tuple(found)


@dataclass
class _Source:
    """What is found of one source. Memory: 100 bytes for each document that would go."""

    record: RunRecord
    asked: Asked
    examples: int
    removed_ids: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, Chosen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.record, self.asked.chain.source)
        names = ("came", "kept", "removed", "removed_before_a_mask", "passed")
        self.sums = {name: Sum(self.tokens) for name in names}
        self.by: dict[str, dict[tuple[int, str, str], tuple[int, int]]] = {"removed": {}, "passed": {}}
        self.otherwise = self.unlike = 0
        for direction in ("removed", "passed"):
            self.chosen[direction] = Chosen(self.record, self.asked, direction, self.examples)

    def add(self, judged: Judged) -> None:
        """Count one unit."""
        unit, kept = judged.scored, judged.scored.left == self.asked.chain.kept
        going = judged.removed & kept
        masks = np.array([link.mask for link in self.asked.chain.links] + [False])
        masked = judged.removed & masks[unit.left]
        sizes = unit.table.column("bytes").to_numpy()
        self.sums["came"].add(sizes, np.ones(len(kept), np.bool_))
        self.sums["kept"].add(sizes, kept)
        self.sums["removed_before_a_mask"].add(sizes, masked)
        self.sums["passed"].add(sizes, judged.passed)
        ids = unit.table.column("id")
        counted = {}
        if going.any():
            counted = self.tokens.of(unit.unit, set(ids.filter(pa.array(going)).to_pylist()))
        self.sums["removed"].add(sizes, going, ids, counted)
        self._tally("removed", judged, going, judged.at, judged.reasons)
        self._tally("passed", judged, judged.passed, unit.left, contiguous(unit.table.column("reason")))
        self.otherwise += int(judged.moved.sum())
        self.unlike += judged.unlike
        names = ids.filter(pa.array(judged.removed)).to_pylist()
        self.removed_ids |= dict(zip(names, judged.at[judged.removed].tolist(), strict=True))
        self.chosen["removed"].add(judged, going, judged.at, judged.reasons)
        self.chosen["passed"].add(judged, judged.passed, unit.left, contiguous(unit.table.column("reason")))

    def _tally(
        self,
        direction: str,
        judged: Judged,
        mask: npt.NDArray[np.bool_],
        links: npt.NDArray[np.int64],
        reasons: pa.Array,
    ) -> None:
        table = judged.scored.table
        rows = pa.table(
            {
                "link": pa.array(links),
                "reason": reasons,
                "lang": pc.fill_null(table.column("lang"), UNKNOWN),
                "bytes": table.column("bytes"),
            }
        ).filter(pa.array(mask))
        keys = ["link", "reason", "lang"]
        sums = rows.group_by(keys, use_threads=False).aggregate([("bytes", "sum"), ("bytes", "count")])
        tally = self.by[direction]
        for row in sums.to_pylist():
            key = row["link"], row["reason"], row["lang"]
            documents, size = tally.get(key, (0, 0))
            tally[key] = documents + row["bytes_count"], size + row["bytes_sum"]

    def answer(self) -> SourceAnswer:
        """All of it."""
        first = self.asked.changes[0].number
        changing = [change.number for change in self.asked.changes]
        behind = [number for number in range(first + 1, self.asked.chain.kept) if number not in changing]
        return SourceAnswer(
            **{name: found.amount() for name, found in self.sums.items()},
            last=not behind,
            unjudged_by=tuple(names_of(behind, self.asked)),
            otherwise=self.otherwise,
            removed_by=self._reasons("removed"),
            passed_by=self._reasons("passed"),
            unlike=self.unlike,
        )

    def _reasons(self, direction: str) -> tuple[SideReason, ...]:
        ordered = sorted(self.by[direction].items(), key=lambda item: (-item[1][0], item[0]))
        return tuple(
            SideReason(names_of([link], self.asked)[0], reason, lang, documents, size)
            for (link, reason, lang), (documents, size) in ordered
        )


@dataclass
class Sum:
    """Documents, bytes and tokens that are added up. Tokens are counted where they are given, and estimated
    from the bytes of the others."""

    tokens: Tokens
    documents: int = 0
    bytes: int = 0
    counted: int = 0
    exact: int = 0
    guessed_bytes: int = 0

    def add(
        self,
        sizes: npt.NDArray[np.int64],
        mask: npt.NDArray[np.bool_],
        ids: pa.ChunkedArray | None = None,
        counted: dict[str, int] | None = None,
    ) -> None:
        """Add the rows of `mask`; `counted`: tokens by id."""
        n, size = int(mask.sum()), int(sizes[mask].sum())
        self.documents += n
        self.bytes += size
        known = counted or {}
        if known and ids is not None:
            chosen = zip(ids.filter(pa.array(mask)).to_pylist(), sizes[mask].tolist(), strict=True)
            for identity, one in chosen:
                if identity in known:
                    self.counted, self.exact, size = (
                        self.counted + 1,
                        self.exact + known[identity],
                        size - one,
                    )
        self.guessed_bytes += size

    def amount(self) -> Amount:
        """The sums."""
        tokens = self.exact if self.counted else None
        if self.guessed_bytes and (rate := self.tokens.bytes_a_token) is not None:
            tokens = self.exact + round(self.guessed_bytes / rate)
        elif not self.documents and self.tokens.known:
            tokens = 0
        elif self.guessed_bytes:
            tokens = None
        return Amount(self.documents, self.bytes, tokens, self.counted)
