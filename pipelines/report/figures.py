"""The report of a run as a record: every figure of the page, and of `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from corpusmill.pipelines.inspection.held_out_facts import HeldOutFacts
from corpusmill.pipelines.inspection.language_facts import LanguageRow
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, PackingFacts
from corpusmill.pipelines.inspection.recall import Recall
from corpusmill.pipelines.inspection.score_histograms import ScoreDistribution
from corpusmill.pipelines.inspection.window_facts import RunWindows
from corpusmill.pipelines.records.opaque import RawRecipe
from corpusmill.pipelines.report.accounts import Funnel, LedgerStatement
from corpusmill.pipelines.report.classifier import Classifier
from corpusmill.pipelines.report.contamination import Contamination
from corpusmill.pipelines.report.distributions import Distribution
from corpusmill.pipelines.report.duplicates import Duplicates
from corpusmill.pipelines.report.kept_samples import KeptSample
from corpusmill.pipelines.report.long_context import LongContextPhase
from corpusmill.pipelines.report.overview import Head, StepRow, Totals
from corpusmill.pipelines.report.samples import DuplicateSample, RemovedSample
from corpusmill.pipelines.report.tables import StepTables
from corpusmill.pipelines.report.tokenizer import TokenizerParts, TokenizerSection
from corpusmill.pipelines.report.training import TrainingFigures

FORMAT = "corpusmill-report-2"
Level = Literal["fault", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """What a reader of the report should not miss: how bad it is, what it is about, and what it is."""

    level: Level
    about: str
    text: str


@dataclass(frozen=True)
class Report:
    """All figures, by part (`languages`: by step and source); None is a part that the run has not come to.
    `stale`: steps that were made from other inputs or options than the run now has; `findings`: faults
    first."""

    format: str
    head: Head
    funnel: Funnel
    languages: Mapping[str, Mapping[str, tuple[LanguageRow, ...]]]
    ledger: LedgerStatement
    held_out: HeldOutFacts | None
    mixture: MixtureFacts | None
    packing: PackingFacts | None
    windows: RunWindows | None
    distributions: Mapping[str, Distribution]
    scores: tuple[ScoreDistribution, ...]
    duplicates: tuple[Duplicates, ...]
    recall: tuple[Recall, ...]
    contamination: Contamination | None
    classifiers: tuple[Classifier, ...]
    removed_samples: tuple[RemovedSample, ...]
    kept_samples: tuple[KeptSample, ...]
    duplicate_samples: tuple[DuplicateSample, ...]
    tokenizer: TokenizerSection | None
    tokenizer_parts: Mapping[str, TokenizerParts]
    training: TrainingFigures | None
    long_context: tuple[LongContextPhase, ...]
    tables: tuple[StepTables, ...]
    steps: tuple[StepRow, ...]
    stale: tuple[str, ...]
    recipe: RawRecipe
    totals: Totals
    findings: tuple[Finding, ...]
