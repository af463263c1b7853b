"""A model of n-grams trained on trusted texts, by language, and how it takes those that are held out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.filters.rules.kneser_ney import Estimated, estimate
from corpusmill.filters.rules.ngram_model import (
    UNDETERMINED,
    LanguageModel,
    NgramModel,
    Ready,
    ready,
    seed_of_language,
)
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.contract.randomness import is_held_out
from corpusmill.pipelines.records.summary_table import SummaryTable

PERCENTILES = (10, 25, 50, 75, 90)


@dataclass(frozen=True)
class NgramTraining:
    """`held_out`: share of texts that are judged and not trained on; `most_bytes`: of text that is trained
    on, in all; `fewest_words`: of a language with a model of its own."""

    seed: int
    held_out: float
    order: int
    least: int
    most_bytes: int
    fewest_words: int


def train_ngrams(texts: pa.Table, training: NgramTraining) -> tuple[NgramModel, dict[str, Any]]:
    """The model, and figures, JSON-ready; `texts` are rows of `examples.EXAMPLES`.

    Where no language has `fewest_words`, all texts together make one model for all languages. Raises
    DataError where there is nothing to learn from.
    """
    from corpusmill.filters.kernels.language_model import SPLIT, line_words

    ordered = texts.sort_by([("draw", "ascending"), ("id", "ascending")]).combine_chunks()
    apart = is_held_out(ordered.column("id"), training.seed, training.held_out)
    sizes = np.asarray(pc.binary_length(ordered.column("text")).to_numpy(zero_copy_only=False), np.int64)
    within = np.cumsum(np.where(apart, 0, sizes)) <= training.most_bytes
    learnt = ordered.filter(pa.array(~apart & within))
    codes = np.array([code or UNDETERMINED for code in learnt.column("lang").to_pylist()], object)
    offsets, data = Documents(learnt).utf8()
    hashes, counts = line_words(offsets, data, SPLIT)
    languages = np.repeat(codes, counts)
    chosen = [code for code in sorted(set(codes)) if (languages == code).sum() >= training.fewest_words]
    if not chosen and len(hashes):
        chosen, languages = [UNDETERMINED], np.full(len(hashes), UNDETERMINED, object)
    if not chosen:
        raise DataError(
            f"perplexity: the trusted texts hold no words to learn from ({texts.num_rows:,} texts, "
            f"{int(apart.sum()):,} of them held out, {learnt.num_rows:,} within `trained_bytes`); name more "
            "in `trusted`, or change these options"
        )
    made = {
        code: estimate(hashes[languages == code], seed_of_language(code), training.order, training.least)
        for code in chosen
    }
    model = NgramModel(
        np.concatenate([one.keys for one in made.values()]),
        np.concatenate([one.values for one in made.values()]),
        training.order,
        {code: _language(code, one) for code, one in made.items()},
    )
    judged = _judged(ready(model), ordered.filter(pa.array(apart)))
    figures = {
        code: {
            "words_trained_on": one.predicted,
            "known_words": one.known,
            "rare_words": one.rare,
            "ngrams": len(one.keys),
            **judged.get(code, {"held_out": 0}),
        }
        for code, one in made.items()
    }
    return model, {"bytes": int(sizes[~apart & within].sum()), "languages": figures}


def language_table(figures: Mapping[str, Mapping[str, Any]]) -> SummaryTable:
    """What is known of each language's model, for people."""
    names = ("words_trained_on", "known_words", "ngrams", "held_out", "unknown_words")
    cuts = [f"p{number}" for number in PERCENTILES]
    rows = [
        (code, *(one.get(name) for name in names), *(one.get("perplexity", {}).get(cut) for cut in cuts))
        for code, one in figures.items()
    ]
    columns = ("language", *names, *(f"perplexity {cut}" for cut in cuts))
    return SummaryTable(
        "Language models, and percentiles of perplexity on texts held out", columns, tuple(rows)
    )


def _language(code: str, one: Estimated) -> LanguageModel:
    spread = math.log10(max(one.rare, 1))
    return LanguageModel(seed_of_language(code), spread, one.known, one.predicted)


def _judged(asked: Ready, rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Percentiles of the perplexities of texts held out, by the language whose model was asked."""
    perplexities, unknown = asked.perplexities(Documents(rows))
    values = np.asarray(perplexities.to_numpy(zero_copy_only=False), np.float64)
    share = np.asarray(unknown.to_numpy(zero_copy_only=False), np.float64)
    own = asked.model.languages
    codes = np.array(
        [code if code in own else UNDETERMINED for code in rows.column("lang").to_pylist()], object
    )
    found: dict[str, dict[str, Any]] = {}
    for code in sorted(set(codes)):
        here: npt.NDArray[np.bool_] = (codes == code) & ~np.isnan(values)
        if here.any():
            cuts = np.percentile(values[here], PERCENTILES)
            found[str(code)] = {
                "held_out": int(here.sum()),
                "perplexity": {
                    f"p{number}": round(float(cut), 1) for number, cut in zip(PERCENTILES, cuts, strict=True)
                },
                "unknown_words": round(float(share[here].mean()), 4),
            }
    return found
