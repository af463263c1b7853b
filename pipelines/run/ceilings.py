"""An exchange that took more of a source than its option `max_removed` allows: what the run stops with.

Judged as the step completes, from its ledger, before anything that reads its documents is begun. The step
stays complete, so the same command with a larger limit goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from corpusmill.pipelines.contract.stage import Exchange
from corpusmill.pipelines.records.ledger import Entry, Ledger
from corpusmill.pipelines.run.operators.job import build_stage
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.clusters import clusters_of
from corpusmill.pipelines.storage.run_folder import StepFolder

_CLUSTERS = 3  # told of a source


def above_ceilings(step: Step, folder: StepFolder, run: str) -> list[str]:
    """A message for each source of which a complete step took out more than it may. `run`: the run's folder
    or URL, for commands."""
    stage = build_stage(step.stages[-1]) if step.stages else None
    if not isinstance(stage, Exchange) or stage.max_removed is None:
        return []
    found = []
    for entry in Ledger.total([folder.need_manifest().ledger]):
        limit = stage.ceiling(entry.source)
        if entry.stage != stage.name or limit is None:
            continue
        documents, size = _taken_out(entry)
        share = max(_share(documents, entry.documents_in), _share(size, entry.bytes_in))
        if share > limit:
            by_source = isinstance(stage.max_removed, Mapping)
            found.append(_message(step, entry, share, limit, by_source, folder, run))
    return found


def _taken_out(entry: Entry) -> tuple[int, int]:
    """Documents removed, and bytes removed and cut; what is quarantined is no judgement."""
    removed = entry.removed.values()
    return sum(n for n, _ in removed), sum(size for _, size in removed) + entry.bytes_cut


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _message(
    step: Step, entry: Entry, share: float, limit: float, by_source: bool, folder: StepFolder, run: str
) -> str:
    documents, size = _taken_out(entry)
    said = (
        f"step {step.name}: {entry.stage} takes out {documents:,} of {entry.documents_in:,} documents "
        f"({_share(documents, entry.documents_in):.1%}) and {size:,} of {entry.bytes_in:,} bytes "
        f"({_share(size, entry.bytes_in):.1%}) of source {entry.source}, more than its `max_removed` of "
        f"{limit:g} allows"
    )
    told = "; ".join(_clusters(folder, entry.source))
    if told:
        said += f". Largest clusters: {told}. Compare them: corpusmill explain ID --run {run}"
    allowed = f"{min(1.0, int(share * 100 + 1) / 100):g}"
    allowed = f"{{{entry.source}: {allowed}}}" if by_source else allowed
    return (
        f"{said}. Where these removals are right, set `max_removed: {allowed}` and run again (the step is "
        f"kept); else make {entry.stage} stricter about what is equal, or mend what comes before it"
    )


def _clusters(folder: StepFolder, source: str) -> Iterator[str]:
    for one in clusters_of(folder, _CLUSTERS, source).largest:
        such = ", ".join(dict.fromkeys(one.examples))  # equal records have one id
        yield f"{one.documents:,} for {one.survivor_id} ({one.survivor_source}), such as {such}"
