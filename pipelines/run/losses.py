"""A source that keeps nothing, documents that are all lost later, and a source of which an exchange takes out
more than it may: a fault, told with what was seen.

Judged as each step completes, from its ledger, whether it ran now or before. Nothing that needs a step with
such a loss is begun; independent steps go on, so that all of them are told together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.first_records import first_fault
from corpusmill.pipelines.recipe.messages import Path
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.manifest import Manifest
from corpusmill.pipelines.run.ceilings import above_ceilings
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.run_folder import StepFolder

_TOP = 3


class Losses:
    """The losses of one run. `graph`: its steps; `files`: those of the source whose reading step is given;
    `run`: its folder or URL, for people; `ceilings`: whether exchanges keep to their `max_removed`."""

    def __init__(
        self,
        recipe: Recipe,
        graph: Iterable[Step],
        files: Callable[[Step], Mapping[str, str]],
        run: str,
        *,
        ceilings: bool,
    ) -> None:
        self._recipe, self._files, self._run, self._ceilings = recipe, files, run, ceilings
        self._sources: dict[str, tuple[Path, Source]] = {
            source.name: (("sources", source.name), source) for source in recipe.sources
        }
        self._sources |= {source.name: (place, source) for place, source in recipe.sources_beside}
        self._read: Counter[str] = Counter()
        self._quarantined: dict[str, Counter[str]] = {}
        self._removed: dict[str, Counter[str]] = {}
        self._seen: dict[str, Mapping[str, str]] = {}
        self._judged: set[str] = set()
        # Exchange -> the earlier runs it is compared with.
        self._known = {step.name.rpartition(".")[0]: step.known for step in graph if step.known}
        self.found: dict[str, str] = {}  # step -> what is wrong

    def judge(self, step: Step, folder: StepFolder) -> None:
        """Take in the ledger of a complete step, once."""
        if step.name in self._judged:
            return
        self._judged.add(step.name)
        manifest = folder.need_manifest()
        if step.operator.writes == "documents":
            self._judge_source(step, manifest)
        elif step.operator.writes in ("removals", "encoded"):
            self._judge_all(step, manifest)
            above = above_ceilings(step, folder, self._run) if self._ceilings else []
            if above and step.name not in self.found:
                self.found[step.name] = "\n".join(above)

    def _judge_source(self, step: Step, manifest: Manifest) -> None:
        name = step.options.need_source
        place, source = self._sources[name]
        quarantined = self._quarantined.setdefault(name, Counter())
        removed = self._removed.setdefault(name, Counter())
        if step.operator.reads == "splits":
            self._seen[name] = self._files(step)
        for entry in Ledger.total([manifest.ledger]):
            if entry.stage == "read":
                self._read[name] += entry.documents_in
            for reason, (documents, _) in entry.quarantined.items():
                quarantined[f"{entry.stage}.{reason}"] += documents
            for reason, (documents, _) in entry.removed.items():
                removed[f"{entry.stage}.{reason}"] += documents
        message = self._loss(source, manifest.rows, self._read[name], quarantined, removed)
        if message is not None:
            self.found[step.name] = str(self._recipe.error(place, message))

    def _loss(
        self,
        source: Source,
        kept: int,
        read: int,
        quarantined: Counter[str],
        removed: Counter[str],
    ) -> str | None:
        allow = ", or set `allow_loss: 1` to go on" if source in self._recipe.sources else ""
        if source.allow_loss == 1:
            return None
        lost = quarantined.total()
        over = read > 0 and lost / read > source.allow_loss
        if kept and not over:
            return None
        if not read:
            return f"its files hold no record; correct the pattern{allow}" + " without it" * bool(allow)
        head = (
            f"keeps none of its {read:,} records" if not kept else f"loses {lost:,} of its {read:,} records"
        )
        parts = [f"{what} {_top(counts)}" for what, counts in
                 (("quarantined", quarantined), ("removed", removed)) if counts]  # fmt: skip
        seen = first_fault(source.reader, dict(self._seen.get(source.name, {}))) if lost else None
        limit = source.allow_loss
        cure = (
            f"in {seen}" if seen is not None
            else "mend the input or the reader's options" if lost * 2 > read
            else "loosen the steps that remove them"
        )  # fmt: skip
        allow += f" (it is {limit:g})" if over and allow else ""
        return f"{head}: {'; '.join(parts)}; {cure}{allow}"

    def _judge_all(self, step: Step, manifest: Manifest) -> None:
        came, kept, quarantined = 0, 0, 0
        reasons: Counter[str] = Counter()
        stage = step.stages[-1].name
        for entry in Ledger.total([manifest.ledger]):
            if entry.stage != stage:
                continue
            came += entry.documents_in
            kept += entry.documents_kept
            for lost in (entry.removed, entry.quarantined):
                reasons.update({reason: documents for reason, (documents, _) in lost.items()})
            quarantined += sum(documents for documents, _ in entry.quarantined.values())
        if came and not kept and not quarantined and (earlier := self._known.get(step.name)):
            self._judge_known(step, came, earlier)
        elif came and not kept:
            message = f"step {step.name}: {stage} leaves none of {came:,} documents: {_top(reasons)}"
            self.found[step.name] = f"{message}; loosen it, or take it out of the recipe"

    def _judge_known(self, step: Step, came: int, earlier: tuple[str, ...]) -> None:
        """All documents are removed in favour of others, in the end of earlier runs': a run has one that is
        better than its others. A run that is there to be remembered is then complete; one that makes
        something of what is new cannot be."""
        mine, written = step.name.partition(".")[0], self._recipe.raw
        others = [name for name in self._recipe.sections if name != mine and name in written]
        if others:
            runs = ", ".join(FilePath(run).name for run in earlier[:_TOP])
            more = f" and {len(earlier) - _TOP} more" if len(earlier) > _TOP else ""
            self.found[step.name] = (
                f"step {step.name}: all {came:,} documents are known to earlier runs ({runs}{more}): nothing "
                f"is new, so that there is nothing for {', '.join(others)}; take these sections out of the "
                "recipe, which then ends well with nothing new, or add input that earlier runs have not read"
            )

    def check(self) -> None:
        """Raise UserError with a line for every loss, if there is one."""
        if self.found:
            raise UserError("\n".join(self.found.values()))


def _top(counts: Counter[str]) -> str:
    shown = ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common(_TOP))
    return shown + (f", {len(counts) - _TOP} more reasons" if len(counts) > _TOP else "")
