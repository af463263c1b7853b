"""What a reader of the report should not miss, in words: what went wrong, and what looks wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.given import (
    JUDGEMENT,
    MIXTURE,
    MODEL,
    SHARDS,
    TOKENIZER,
)
from corpusmill.pipelines.contract.held_out import USES
from corpusmill.pipelines.contract.rules import LIMITS
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.inspection.held_out_facts import HeldOutFacts
from corpusmill.pipelines.inspection.language_facts import unjudged
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, PackingFacts
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.inspection.scored import Link, filter_of
from corpusmill.pipelines.inspection.window_facts import RunWindows, broken
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.records.training_files import Score, TrainingSummary
from corpusmill.pipelines.report.accounts import FunnelRow
from corpusmill.pipelines.report.distributions import Distribution
from corpusmill.pipelines.report.figures import Finding, Level, Report
from corpusmill.pipelines.report.tokenizer import TokenizerParts, TokenizerSection
from corpusmill.pipelines.report.training import TrainingFigures
from corpusmill.pipelines.storage.datasets import unit_file
from corpusmill.pipelines.storage.not_kept import not_kept

HEAVY_REMOVAL = 0.9  # of a source's documents by one stage
HEAVY_PADDING = 0.1
TELLING = 20  # documents; that a stage removes nothing of fewer is no surprise
# Parts of the report, and what gives them: stale with any of these steps.
PARTS = {
    "mixture": {MIXTURE},
    "tokenizer": {TOKENIZER, JUDGEMENT},
    "packing": {SHARDS},
    "windows": {SHARDS, MODEL},
    "training": {MODEL},
}
MANY_EPOCHS = 4.0  # beyond this, repeated tokens teach measurably less (Muennighoff et al. 2023)
FAR_FROM_ASKED = 2.0  # times the share of documents asked to be held out, or its inverse
_ORDER: Mapping[Level, int] = {"fault": 0, "warning": 1, "note": 2}
_LANGUAGES = 8  # named in a line
_ALL = "*"  # all sources together


def findings(record: RunRecord, report: Report) -> tuple[Finding, ...]:
    """What is found in the figures, faults first."""
    found = [*_run(report), *_not_kept(record), *_funnel(record, report), *_families(report.held_out)]
    fresh = without_stale(record, report)
    found += [*mixture_findings(fresh.mixture), *_packing(fresh.packing)]
    found += window_findings(fresh.windows)
    found += [*_languages(record, fresh.distributions), *_unjudged(report)]
    found += tokenizer_findings(fresh.tokenizer, fresh.tokenizer_parts)
    if fresh.training is not None:
        found += training_findings(fresh.training, fresh.packing)
    for phase in fresh.long_context:
        found += _targets(phase.summary, phase.step)
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.level]))


def without_stale(record: RunRecord, report: Report) -> Report:
    """The report without figures of stale steps: what they showed was said when they were made."""
    old = {step.gives for step in record.graph.steps if step.name in report.stale}
    left_out: dict[str, Any] = {part: None for part, words in PARTS.items() if old & words}
    if TOKENIZER in old:
        left_out["tokenizer_parts"] = {}
    phases = tuple(phase for phase in report.long_context if phase.step not in report.stale)
    return replace(report, **left_out, long_context=phases)


def _not_kept(record: RunRecord) -> list[Finding]:
    """What the report lacks since its run did not keep it."""
    gone = [step.name for step in record.steps.values() if step.folder is not None and _lacks(step)]
    if not gone:
        return []
    more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
    text = (
        f"files of {', '.join(gone[:3])}{more} were removed after use, as the recipe's `keep` says; what is "
        "measured of them and texts of samples are left out, and a run with `--set keep=all` brings them back"
    )
    return [Finding("note", "run", text)]


def _lacks(step: StepRecord) -> bool:
    return step.manifest is not None and not_kept(step.data.path) is not None


def _run(report: Report) -> list[Finding]:
    found = [Finding("fault", "ledger", fault) for fault in report.ledger.faults]
    for step in report.steps:
        if step.state in ("outdated", "unfinished"):
            found.append(Finding("warning", f"step {step.name}", step.meaning))
        elif step.repeated_units:
            text = f"{step.repeated_units:,} unit(s) needed more than one attempt; see log/workers.log"
            found.append(Finding("note", f"step {step.name}", text))
    stale = [step.name for step in report.steps if step.state == "stale"]
    if stale:
        text = (
            f"made from other inputs or options than the run now has, and not asked for (--until "
            f"{' '.join(report.head.until)}): {', '.join(stale)}; run the recipe without --until to "
            "make them again"
        )
        found.append(Finding("note", "stale steps", text))
    waiting = [step.name for step in report.steps if step.state == "not_reached"]
    if waiting:
        text = f"not begun, though the recipe asks for them: {', '.join(waiting)}; run the recipe again"
        found.append(Finding("warning", "steps", text))
    return found


def _funnel(record: RunRecord, report: Report) -> list[Finding]:
    found: list[Finding] = []
    seen: dict[tuple[str, str], tuple[int, int]] = {}  # documents in, and documents and bytes taken
    for source, rows in report.funnel.items():
        for row in rows:
            found += _heavy(source, row)
            # A stage that changed texts did something, whether or not it removed any.
            if row.judges and row.bytes_out == row.bytes_kept:
                came, taken = seen.get((row.step, row.stage), (0, 0))
                taken += row.documents_removed + row.documents_quarantined + row.bytes_cut
                seen[row.step, row.stage] = came + row.documents_in, taken
    judging = _judging(record)
    if report.contamination is not None and report.contamination.documents:  # it may mark them only
        judging -= {(report.contamination.step, report.contamination.stage)}
    for (step, stage), (came, taken) in seen.items():
        if came and not taken and (step, stage) in judging:
            text = f"removed nothing of {came:,} document{'s' * (came != 1)}; is it set up as you meant?"
            level: Level = "warning" if came >= TELLING else "note"
            found.append(Finding(level, f"step {step}: {stage}", text))
    return found


def _heavy(source: str, row: FunnelRow) -> list[Finding]:
    """What one stage quarantined, and where it removed or cut nearly everything."""
    found = []
    where = f"{source}: {row.stage}"
    if row.documents_quarantined:
        names = ", ".join(reason.reason or "no reason given" for reason in row.quarantined[:4])
        found.append(Finding("warning", where, f"{row.documents_quarantined:,} quarantined ({names})"))
    if not row.drawing and row.documents_in and row.documents_removed / row.documents_in > HEAVY_REMOVAL:
        text = f"removed {row.documents_removed / row.documents_in:.1%} of {row.documents_in:,} documents"
        found.append(Finding("warning", where, text))
    if not row.drawing and row.bytes_cut > HEAVY_REMOVAL * row.bytes_in:
        text = f"cut {row.bytes_cut / row.bytes_in:.1%} of {row.bytes_in:,} bytes"
        found.append(Finding("warning", where, text))
    return found


def _judging(record: RunRecord) -> set[tuple[str, str]]:
    """Steps and stages that judge: deduplication, masks, and stages that left scores in their dataset; not
    filters that only score."""
    links = [Link(step, step.stages[-1].name, step.stages[-1], True) for step in record.masks]
    for source in record.sources:
        scored = _scored(source)
        links += [
            Link(step, stage.name, stage, False)
            for step in source.steps
            for stage in step.stages
            if stage.name in scored
        ]
    return {(link.step.name, link.name) for link in links if not _only_scores(link)}


def _only_scores(link: Link) -> bool:
    """Whether no limit of a filter is set, as the run had it; of one whose code is not at hand, no."""
    try:
        kind = filter_of(link)
        return issubclass(kind, Filter) and kind.model_validate(dict(link.key.options)).only_scores()
    except (CorpusmillError, ValidationError):
        return False


def _scored(source: SourceRecord) -> set[str]:
    return {name.split(".")[0] for name in _columns(source) if "." in name}


def _with_limits(source: SourceRecord) -> list[str]:
    """Stages that have limits by language."""
    ending = f".{LIMITS}"
    return [name.removesuffix(ending) for name in _columns(source) if name.endswith(ending)]


def _columns(source: SourceRecord) -> list[str]:
    """Columns of a source's documents; none where they were not kept."""
    if not source.last.units or not_kept(source.last.data.path) is not None:
        return []
    names: list[str] = pq.read_schema(unit_file(source.last.data, source.last.units[0].unit)).names
    return names


def mixture_findings(mixture: MixtureFacts | None) -> list[Finding]:
    """Shares that are missed, and sources that are read very often."""
    found = []
    for missed in mixture.shortfalls if mixture is not None else ():
        found.append(Finding("warning", f"mixture: {missed.name}", missed.text))
    for name, source in mixture.sources.items() if mixture is not None else ():
        if source.epochs is not None and source.epochs > MANY_EPOCHS:
            text = f"read {source.epochs:.1f} times over; beyond four epochs repeated tokens teach less"
            found.append(Finding("note", f"mixture: {name}", text))
    return found


def window_findings(windows: RunWindows | None) -> list[Finding]:
    """Sources of which windows of the training order hold more or less than a shuffled order may."""
    if windows is None or windows.measured is None:
        return []
    return [Finding("warning", f"{windows.step}: windows", line) for line in broken(windows.measured)]


def _packing(packing: PackingFacts | None) -> list[Finding]:
    if packing is None or (packing.padding_share or 0.0) <= HEAVY_PADDING:
        return []
    text = f"{packing.padding_share:.1%} of all places are padding; shorten `sequence_length`"
    return [Finding("warning", packing.step, text)]


def _families(held_out: HeldOutFacts | None) -> list[Finding]:
    """Where families are too large to be held out as one, and shares held out far from what was asked."""
    if held_out is None:
        return []
    found = []
    for use in USES:
        asked, rate = held_out.of(use).asked, held_out.of(use).rate
        if asked and rate is not None and not asked / FAR_FROM_ASKED <= rate <= asked * FAR_FROM_ASKED:
            text = f"{rate:.2%} of the documents are held out from the {use}, {asked:.2%} asked"
            found.append(Finding("note", "held out", text))
    for name, source in held_out.sources.items():
        if source.in_large_families:
            text = (
                f"{source.in_large_families:,} of {source.documents:,} documents are of repositories or "
                "sites too large to be held out whole; of these, documents are held out one by one"
            )
            found.append(Finding("note", f"held out: {name}", text))
    return found


def _languages(record: RunRecord, distributions: Mapping[str, Distribution]) -> list[Finding]:
    """Documents without a language, and filters that judged them by limits meant for one."""
    found: list[Finding] = []
    without: list[str] = []
    sources = {source.name: source for source in record.sources}
    for name, source in distributions.items():
        if source.documents and source.unknown_language == source.documents:
            without.append(name)
            if stages := _with_limits(sources[name]):
                text = (
                    "no document has a language, so that texts in Latin letters, whatever their language, "
                    f"were judged by the limits of {', '.join(stages)} for the languages in `languages`; "
                    "identify the language before"
                )
                found.append(Finding("warning", name, text))
        elif source.unknown_language:
            text = f"{source.unknown_language:,} of {source.documents:,} documents have no language"
            found.append(Finding("note", name, text))
    if without:
        steps = "` or `".join(registry.steps_filling("lang"))
        text = f"no document has a language in {', '.join(without)}; the step `{steps}` identifies it"
        found.append(Finding("note", "languages", text))
    return found


def _unjudged(report: Report) -> list[Finding]:
    """Languages that a filter let pass since it has no limits for them."""
    found = []
    for sources in report.languages.values():
        for name, rows in sources.items():
            for stage, pairs in unjudged(rows).items():
                shown = ", ".join(f"{code} {documents:,}" for code, documents in pairs[:_LANGUAGES])
                more = f" and {len(pairs) - _LANGUAGES} more" if len(pairs) > _LANGUAGES else ""
                text = (
                    f"{stage} has no limits for some languages and kept their documents without judging "
                    f"them: {shown}{more}; `by_language` takes limits for them"
                )
                found.append(Finding("note", name, text))
    return found


def tokenizer_findings(
    tokenizer: TokenizerSection | None, parts: Mapping[str, TokenizerParts]
) -> list[Finding]:
    """Parts of tokenizers that are not used or change texts, and entries that look wrong."""
    found = []
    for name, of_file in parts.items():
        about = "tokenizer" if name == "tokenizer" else f"tokenizer: reference {name}"
        found += [Finding("warning", about, f"not used: {part}") for part in of_file.dropped]
        found += [Finding("warning", about, f"changes texts: {part}") for part in of_file.lossy]
    if tokenizer is None:
        return found
    if tokenizer.verdict.documents == 0:
        text = "no document was held out, so it was judged without text; raise `held_out`"
        return [*found, Finding("warning", "tokenizer", text)]
    traces = tokenizer.suspicious.traces
    if traces.count:
        kinds = ", ".join(f"{kind} {count}" for kind, count in traces.kinds.items())
        text = f"{traces.count:,} entries look like traces of persons or secrets ({kinds})"
        found.append(Finding("warning", "tokenizer", text))
    unreachable = tokenizer.suspicious.unreachable.count
    if unreachable:
        text = f"{unreachable:,} entries are never what encoding their own text gives"
        found.append(Finding("note", "tokenizer", text))
    return found


def training_findings(training: TrainingFigures, packing: PackingFacts | None) -> list[Finding]:
    """Where a model learnt nothing, shards that look broken, and bars that it does not beat."""
    summary, evaluation = training.summary, training.evaluation
    found = _targets(summary, training.step)
    last, entropy = summary.last_loss, summary.unigram_entropy
    if last is not None and entropy is not None and last >= entropy:
        text = (
            f"the last loss, {last:.3f}, is not below the unigram entropy, "
            f"{entropy:.3f}: the model uses no context yet; train longer"
        )
        found.append(Finding("warning", training.step, text))
    if evaluation is None:
        return found
    for fault in evaluation.faults:
        found.append(Finding("warning", "token shards", f"{fault.shard}: {fault.kind}: {fault.detail}"))
    return [*found, *_bars(training.step, evaluation.scores, packing)]


def _targets(summary: TrainingSummary, about: str) -> list[Finding]:
    """Steps of a training that had nothing to predict."""
    without = summary.steps_without_targets
    if not without:
        return []
    text = (
        f"{without:,} of {summary.steps:,} steps had no target: their windows are padding alone, so they "
        "have no loss and teach nothing; pack rows fuller, raise `batch_size`, or raise `context`"
    )
    return [Finding("warning", about, text)]


def _bars(
    step: str, scores: Mapping[str, Mapping[str, Score]] | None, packing: PackingFacts | None
) -> list[Finding]:
    """Where the model knows held-out documents no better than a baseline, and sources without any."""
    if scores is None:
        return [Finding("note", step, "no document was held out, so the model is judged on none")]
    found = []
    levels: Mapping[str, Level] = {"unigram": "warning", "bigram": "note"}
    for bar, level in levels.items():
        behind = [
            source
            for source, score in scores["model"].items()
            if source != _ALL and not _beats(score, scores[bar][source])
        ]
        if behind:
            where = ", ".join(behind)
            text = f"the model does not beat the {bar} on held-out documents of {where}; train longer"
            found.append(Finding(level, step, text))
    trained = packing.sources if packing is not None else {}
    without = [name for name, source in trained.items() if source.tokens and name not in scores["model"]]
    if without:
        text = f"no document of {', '.join(without)} was held out; raise `held_out`"
        found.append(Finding("note", step, text))
    return found


def _beats(score: Score, bar: Score) -> bool:
    """Whether a score is better than the bar's; also where there is nothing to compare."""
    if score.bits_per_byte is None or bar.bits_per_byte is None:
        return True
    return score.bits_per_byte < bar.bits_per_byte
