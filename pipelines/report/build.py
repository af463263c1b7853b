"""`build_report`: gather a run's figures, draw the page, write both atomically.

The page is self-contained: no script, nothing fetched (a content security policy says so), every word of
a document escaped and its control characters shown as codes. The JSON twin holds every figure of the page.
Memory: the manifests, bounded samples, one row group at a time.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from corpusmill.pipelines.inspection.held_out_facts import held_out_facts
from corpusmill.pipelines.inspection.mixture_facts import mixture_facts, packing_facts
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.records.codec import Json, encode
from corpusmill.pipelines.report.accounts import funnel, ledger_statement
from corpusmill.pipelines.report.distributions import distributions
from corpusmill.pipelines.report.duplicates import duplicates
from corpusmill.pipelines.report.findings import findings
from corpusmill.pipelines.report.long_context import long_context
from corpusmill.pipelines.report.overview import head, steps, totals
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.report.samples import duplicate_samples, removed_samples
from corpusmill.pipelines.report.tokenizer import tokenizer, tokenizer_parts
from corpusmill.pipelines.report.training import training
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.sealed import write_atomic, write_json

FORMAT = "corpusmill-report-1"


def gather(folder: RunFolder) -> Json:
    """Every figure of the report, JSON-ready, of whatever the run has done so far.

    Figures of steps that a run with --until left stale are kept, and `stale` names these steps. Equal runs
    give equal figures but for what the log says: times, memory, units done. Raises UserError
    where there is no run, IntegrityError for files that are damaged.
    """
    record = load_record(folder)
    figures: Json = {
        "format": FORMAT,
        "head": head(record, version("corpusmill")),
        "funnel": funnel(record),
        "ledger": ledger_statement(record),
        "held_out": _encoded(held_out_facts(record)),
        "mixture": _encoded(mixture_facts(record)),
        "packing": _encoded(packing_facts(record)),
        "distributions": distributions(record),
        "duplicates": duplicates(record),
        "removed_samples": removed_samples(record),
        "duplicate_samples": duplicate_samples(record),
        "tokenizer": tokenizer(record),
        "tokenizer_parts": tokenizer_parts(record),
        "training": training(record),
        "long_context": long_context(record),
        "steps": steps(record),
        "stale": record.stale,
        "recipe": record.recipe,
    }
    figures["totals"] = totals(figures)
    figures["findings"] = findings(record, figures)
    return figures


def _encoded(facts: object) -> Json | None:
    return None if facts is None else encode(facts)


def build_report(folder: RunFolder) -> tuple[Path, Path]:
    """Write `<run>/report/report.html` and `report.json`; returns their paths. Raises what `gather` does."""
    figures = gather(folder)
    page, twin = folder.path / "report" / "report.html", folder.path / "report" / "report.json"
    write_json(twin, figures)
    write_atomic(page, render_page(figures).encode())
    return page, twin
