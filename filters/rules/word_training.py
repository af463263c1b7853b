"""A classifier trained on examples of two sides, and how good it is on those that are held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.filters.rules.word_model import WordModel
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.contract.randomness import draws, is_held_out

THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
BARS = 10  # of calibration
FEWEST = 20  # examples of a language for figures of its own
FEWEST_TO_LEARN_FROM = 10
"""Examples of a side to learn from, at least. Wikipedia, LaTeX and school problems told from web pages, mean
F1 of five draws on held-out texts: 0.00 to 0.57 with one positive, 0.68 to 1.00 with five (the worst draw
0.31), 0.97 to 1.00 with ten (the worst 0.95), and hardly more with a hundred."""
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """`held_out`: share of examples that are judged on; `rounds` over the others, the rate going down from
    `rate` to 0; `balance`: examples count so that both sides have the same weight."""

    seed: int
    held_out: float
    ngrams: int
    bits: int
    rounds: int
    rate: float
    balance: bool

    def weighs(self, positive: Flags) -> Floats:
        """float64[n]: how much each example counts, 1 on average."""
        n = len(positive)
        if not self.balance:
            return np.ones(n)
        many = max(1, int(positive.sum()))
        return np.where(positive, n / (2 * many), n / (2 * max(1, n - many)))


def train_and_judge(examples: pa.Table, training: Training) -> tuple[WordModel, dict[str, Any]]:
    """The classifier, and figures on the examples held out, JSON-ready.

    `examples`: rows of `examples.EXAMPLES` in an order that only depends on them. Raises DataError where a
    side has under `FEWEST_TO_LEARN_FROM` examples to learn from, or none to judge on.
    """
    from corpusmill.filters.kernels.word_weights import weight_means

    positive = _flags(examples, "positive")
    apart = is_held_out(examples.column("id"), training.seed, training.held_out)
    counts = {
        name: {"positive": int((chosen & positive).sum()), "negative": int((chosen & ~positive).sum())}
        for name, chosen in (("trained_on", ~apart), ("held_out", apart))
    }
    for name, words in (("trained_on", "to learn from"), ("held_out", "held out to judge on")):
        for side, many in counts[name].items():
            if many < (FEWEST_TO_LEARN_FROM if name == "trained_on" else 1):
                raise DataError(
                    f"learned_quality: there are {too_few(many)} {side} examples {words} (different texts: "
                    f"{int(positive.sum())} positive, {int((~positive).sum())} negative); name more files or "
                    "sources, or change `held_out_examples`"
                )
    model, losses = train(examples.filter(pa.array(~apart)), training)
    judged = examples.filter(pa.array(apart))
    means, words_of = weight_means(*Documents(judged).utf8(), model.weights, model.ngrams, model.bits)
    known = words_of > 0
    weighs = training.weighs(_flags(judged, "positive"))[known]
    figures = _figures(judged.filter(pa.array(known)), model.chances(means)[known], weighs)
    return model, {"examples": counts, "losses": losses, **figures}


def too_few(examples: int) -> str:
    """How many there are, for people."""
    return f"only {examples} of at least {FEWEST_TO_LEARN_FROM}" if examples else "no"


def _flags(rows: pa.Table, name: str) -> Flags:
    return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), np.bool_)


def train(rows: pa.Table, training: Training) -> tuple[WordModel, list[float]]:
    """The classifier of `rows` (`examples.EXAMPLES` with the column `positive`), and the mean loss of each
    round."""
    from corpusmill.filters.kernels.word_weights import descend

    offsets, data = Documents(rows).utf8()
    positive = _flags(rows, "positive")
    weights = np.zeros(1 << training.bits, np.float32)
    squares, bias = np.zeros_like(weights), np.zeros(2)
    n, losses, weighs = len(positive), [], training.weighs(positive)
    for number in range(training.rounds):
        drawn = draws(rows.column("id"), training.seed, f"order of examples in round {number}")
        order = np.argsort(drawn, kind="stable").astype(np.int64)
        rates = training.rate * (1 - (number * n + np.arange(n)) / (training.rounds * n))
        state = (weights, squares, bias, training.ngrams, training.bits)
        losses.append(round(float(descend(offsets, data, order, positive, weighs, *state, rates)), 6))
    return WordModel(weights, float(bias[0]), training.ngrams, training.bits), losses


def _figures(rows: pa.Table, chances: Floats, weighs: Floats) -> dict[str, Any]:
    positive = _flags(rows, "positive")
    languages = np.array([code or "und" for code in rows.column("lang").to_pylist()], object)
    return {
        "at_0.5": _at(0.5, positive, chances),
        "thresholds": [_at(threshold, positive, chances) for threshold in THRESHOLDS],
        "languages": {
            str(code): _at(0.5, positive[languages == code], chances[languages == code])
            for code in sorted(set(languages))
            if (languages == code).sum() >= FEWEST
        },
        "calibration": _calibration(positive, chances, weighs),
    }


def _at(threshold: float, positive: Flags, chances: Floats) -> dict[str, float | int | None]:
    """Precision, recall and F1 where `threshold` and more is taken for positive; null where undefined."""
    taken = chances >= threshold
    right, named, there = int((taken & positive).sum()), int(taken.sum()), int(positive.sum())
    return {
        "threshold": threshold,
        "examples": len(positive),
        "precision": _share(right, named),
        "recall": _share(right, there),
        "f1": _share(2 * right, named + there),
    }


def _share(part: float, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _calibration(positive: Flags, chances: Floats, weighs: Floats) -> dict[str, Any]:
    """Of each tenth of scores the mean score and the share of positives, counted as in training, and how far
    the two are apart on average (expected calibration error, Naeini et al. 2015; bars of equal width)."""
    bar = np.minimum((chances * BARS).astype(np.int64), BARS - 1)
    bars, apart = [], 0.0
    for number in range(BARS):
        here = bar == number
        if here.any():
            mean = float(np.average(chances[here], weights=weighs[here]))
            share = float(np.average(positive[here], weights=weighs[here]))
            apart += float(weighs[here].sum()) * abs(mean - share)
            bars.append(
                {
                    "from": number / BARS,
                    "examples": int(here.sum()),
                    "mean_score": round(mean, 4),
                    "positive": round(share, 4),
                }
            )
    return {"error": round(apart / float(weighs.sum()), 4) if bars else None, "bars": bars}
