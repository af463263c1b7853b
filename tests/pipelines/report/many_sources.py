"""The report of a run of many sources and reasons, made of the figures of a small one."""

from __future__ import annotations

from dataclasses import replace

from corpusmill.pipelines.inspection.language_facts import LanguageLoss, LanguageRow
from corpusmill.pipelines.inspection.score_histograms import (
    ScoreBar,
    ScoreDistribution,
    ScoreGroup,
    ScoreLine,
)
from corpusmill.pipelines.report.accounts import FunnelRow, ReasonCount, SourceAccount
from corpusmill.pipelines.report.distributions import Distribution, LengthBar
from corpusmill.pipelines.report.figures import Finding, Report
from corpusmill.pipelines.report.kept_samples import KeptSample
from corpusmill.pipelines.report.overview import StepRow
from corpusmill.pipelines.report.samples import RemovedSample

STAGES = ("read", "language", "gopher", "repetition", "lists", "quality", "addresses")
LANGUAGES = ("en", "zh", "de", "fr", "es", "ja", "pt", "it", "nl", "pl", "ru", "ko")


def many_sources(report: Report, sources: int, reasons: int) -> Report:
    """`report` as if its run had so many sources, which lose documents for so many reasons in all, each of a
    name of its own."""
    names = [f"source-of-the-web-{k:04d}" for k in range(sources)]
    every = [f"reason_{k:05d}_of_a_rule_with_a_name" for k in range(reasons)]
    funnel = {name: _rows(k, every[k::sources]) for k, name in enumerate(names)}
    accounts = {name: _account(rows) for name, rows in funnel.items()}
    return replace(
        report,
        funnel=funnel,
        steps=tuple(map(made_step, names)),
        ledger=replace(report.ledger, sources=accounts),
        distributions={name: _distribution(k) for k, name in enumerate(names)},
        languages={
            name: {name: tuple(_language(k, code) for code in LANGUAGES)} for k, name in enumerate(names)
        },
        scores=tuple(_score(name, stage) for name in names for stage in STAGES[1:]),
        removed_samples=tuple(
            RemovedSample(
                name,
                row.stage,
                "removed",
                one.reason,
                name,
                f"{k:032x}",
                None,
                900,
                {"words": 3},
                None,
                "word " * 80,
            )
            for k, (name, rows) in enumerate(list(funnel.items())[:60])
            for row in rows
            for one in row.removed[:1]
        ),
        kept_samples=tuple(
            KeptSample(name, f"{k:032x}", "en", 900, {}, "word " * 80) for k, name in enumerate(names)
        ),
        findings=tuple(Finding("warning", name, "removed 95.0% of 1,000 documents") for name in names),
    )


def made_step(name: str) -> StepRow:
    """A step that is complete and removes documents."""
    return StepRow(name, "complete", "", "mask", (), None, 1, 1, False, None, 0, None, 0, 0)


def _rows(k: int, reasons: list[str]) -> tuple[FunnelRow, ...]:
    documents, rows = 10_000 + 37 * k, []
    for number, stage in enumerate(STAGES):
        lost = [
            ReasonCount(one, 100 - at, (100 - at) * 900)
            for at, one in enumerate(reasons[number :: len(STAGES)])
        ]
        kept = documents - sum(one.documents for one in lost)
        rows.append(
            FunnelRow(
                step=f"source-of-the-web-{k:04d}",
                stage=stage,
                judges=True,
                drawing=False,
                documents_in=documents,
                documents_kept=kept,
                bytes_in=documents * 900,
                bytes_kept=kept * 900,
                bytes_cut=0,
                bytes_out=kept * 900,
                cut=(),
                removed=tuple(lost),
                quarantined=(),
            )
        )
        documents = kept
    return tuple(rows)


def _account(rows: tuple[FunnelRow, ...]) -> SourceAccount:
    read, left = rows[0].documents_in, rows[-1].documents_kept
    return SourceAccount("web", read, read * 900, read - left, (read - left) * 900, 0, 0, left, left * 900)


def _distribution(k: int) -> Distribution:
    bars = tuple(LengthBar(2**power, 1 + abs((k + power) % 17)) for power in range(6, 20))
    documents = sum(bar.documents for bar in bars)
    return Distribution(
        documents=documents,
        units=1,
        of_units=1,
        languages={code: documents // len(LANGUAGES) for code in LANGUAGES},
        unknown_language=0,
        mean_bytes=900.0,
        bytes=bars,
        mean_tokens=200.0,
        tokens=bars,
        bytes_per_token=4.5,
        language_tokens=dict.fromkeys(LANGUAGES, 1000 + k),
    )


def _language(k: int, code: str) -> LanguageRow:
    lost = (LanguageLoss("gopher", "removed", "gopher_short_doc", 50, 45_000),)
    return LanguageRow(code, 900 + k, 900_000, 850 + k, 855_000, 50, 45_000, 0, 0, {}, lost)


def _score(name: str, stage: str) -> ScoreDistribution:
    bars = tuple(ScoreBar(k / 40, (k + 1) / 40, 10 + k % 7, k % 3) for k in range(40))
    line = ScoreLine("under", 0.5, f"{stage}.least", "too_low")
    groups = tuple(ScoreGroup(code, 500, 0, 0.5, (line,), bars) for code in (None, "en", "zh"))
    return ScoreDistribution(name, name, stage, "share", 1, 1, "linear", True, groups)
