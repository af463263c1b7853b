"""How good a classifier is on examples it was not trained on: `figures.json` of what gives `CLASSIFIER`.

The room of filters measures and writes; the report shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sides:
    """Different texts of each side."""

    positive: int
    negative: int


@dataclass(frozen=True)
class ExampleCounts:
    """What the classifier was trained on, and what it is judged on."""

    trained_on: Sides
    held_out: Sides


@dataclass(frozen=True)
class AtThreshold:
    """Precision, recall and F1 where `threshold` and more is taken for positive; None where undefined."""

    threshold: float
    examples: int
    precision: int | float | None
    recall: int | float | None
    f1: int | float | None


@dataclass(frozen=True)
class CalibrationBar:
    """Examples whose score is in the tenth that begins at `from_`: their mean score, and the share of
    positives among them."""

    from_: float
    examples: int
    mean_score: int | float
    positive: int | float


@dataclass(frozen=True)
class Calibration:
    """`error`: how far mean score and share of positives are apart, on average (expected calibration error);
    None without examples."""

    error: int | float | None
    bars: tuple[CalibrationBar, ...]


@dataclass(frozen=True)
class ClassifierFigures:
    """`digest`: SHA-256 of all that its scores depend on; `losses`: the mean loss of each round of training;
    `languages`: figures at 0.5 of languages with enough examples, by code, `und` without one."""

    digest: str
    examples: ExampleCounts
    losses: tuple[float, ...]
    thresholds: tuple[AtThreshold, ...]
    languages: Mapping[str, AtThreshold]
    calibration: Calibration
