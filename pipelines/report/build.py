"""`build_report`: gather a run's figures, draw the pages, write all atomically.

The pages are self-contained: one script of our own, nothing fetched (a content security policy sees to it),
every word of a document escaped and its control characters shown as codes. The JSON twin holds every figure.
Memory: the manifests, bounded samples, one row group at a time, and what the shares of windows take
(`window_facts`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from corpusmill.pipelines.inspection.held_out_facts import held_out_facts
from corpusmill.pipelines.inspection.language_facts import languages_of
from corpusmill.pipelines.inspection.mixture_facts import mixture_facts, packing_facts
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.score_histograms import score_distributions
from corpusmill.pipelines.inspection.window_facts import run_windows
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.report.accounts import funnel, ledger_statement
from corpusmill.pipelines.report.classifier import classifiers
from corpusmill.pipelines.report.contamination import contamination
from corpusmill.pipelines.report.distributions import distributions
from corpusmill.pipelines.report.duplicates import duplicates, recall
from corpusmill.pipelines.report.figures import FORMAT, Report
from corpusmill.pipelines.report.findings import findings
from corpusmill.pipelines.report.kept_samples import kept_samples
from corpusmill.pipelines.report.long_context import long_context
from corpusmill.pipelines.report.overview import head, steps, totals
from corpusmill.pipelines.report.page import FIRST, REMOVED, render_pages
from corpusmill.pipelines.report.samples import duplicate_samples, removed_samples
from corpusmill.pipelines.report.tables import step_tables
from corpusmill.pipelines.report.tokenizer import tokenizer, tokenizer_parts
from corpusmill.pipelines.report.training import training
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.sealed import write_atomic, write_json


@dataclass(frozen=True)
class Written:
    """A report that was written: its figures, the first page, and the JSON of the figures."""

    report: Report
    page: Path
    twin: Path


def gather(folder: RunFolder) -> Report:
    """Every figure of the report, of whatever the run has done so far.

    Figures of steps that a run with --until left stale are kept, and `stale` names these steps. Equal runs
    give equal figures but for what the log says: times, memory, units done. Raises UserError
    where there is no run, IntegrityError for files that are damaged.
    """
    record = load_record(folder)
    ledger, trained = ledger_statement(record), training(record)
    mixture, packing = mixture_facts(record), packing_facts(record)
    report = Report(
        format=FORMAT,
        head=head(record, version("corpusmill")),
        funnel=funnel(record),
        languages={
            step.name: found
            for step in record.steps.values()
            if step.complete and (found := languages_of(step.ledger.record()))
        },
        ledger=ledger,
        held_out=held_out_facts(record),
        mixture=mixture,
        packing=packing,
        windows=run_windows(record),
        distributions=distributions(record),
        scores=score_distributions(record),
        duplicates=duplicates(record),
        recall=recall(record),
        contamination=contamination(record),
        classifiers=classifiers(record),
        removed_samples=removed_samples(record),
        kept_samples=kept_samples(record),
        duplicate_samples=duplicate_samples(record),
        tokenizer=tokenizer(record),
        tokenizer_parts=tokenizer_parts(record),
        training=trained,
        long_context=long_context(record),
        tables=step_tables(record),
        steps=steps(record),
        stale=tuple(record.stale),
        recipe=record.recipe,
        totals=totals(ledger, mixture, packing, trained),
        findings=(),
    )
    return replace(report, findings=findings(record, report))


def build_report(folder: RunFolder) -> Written:
    """Write `<run>/report/report.html`, pages beside it where sources are many, and `report.json`.

    Raises what `gather` does."""
    report = gather(folder)
    place = folder.path / "report"
    twin, pages = place / "report.json", render_pages(report)
    write_json(twin, encode(report))
    for name, page in reversed(pages.items()):  # what the first page links to is there before it
        write_atomic(place / name, page.encode())
    for old in (*place.glob("sources-*.html"), place / REMOVED):
        if old.name not in pages:
            old.unlink(missing_ok=True)
    if (store := folder.store) is not None:
        for file in (twin, *(place / name for name in pages)):
            store.keep(file)
    return Written(report, place / FIRST, twin)
