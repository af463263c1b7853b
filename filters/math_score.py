"""How mathematical a text is."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import under
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.text.bounds import bounds_of

if TYPE_CHECKING:
    from corpusmill.filters.kernels.mathematics import Vocabulary


@cache
def _vocabulary() -> Vocabulary:
    """What the kernel looks up; English terms also with a capital."""
    from corpusmill.filters.kernels.mathematics import vocabulary
    from corpusmill.filters.rules.math_vocabulary import CHINESE_TERMS, COMMANDS, ENVIRONMENTS, TERMS

    return vocabulary(
        COMMANDS, ENVIRONMENTS, (*TERMS, *(term.capitalize() for term in TERMS), *CHINESE_TERMS)
    )


class MathScore(Filter):
    """Score how mathematical each text is, from 0 to 1, and keep those of at least `at_least`.

    The score is our own definition; the idea of finding mathematics in crawls by its notation and vocabulary
    is that of OpenWebMath (Paster et al. 2023, arXiv 2310.06786), whose learned MathScore it does not
    reproduce. Per token of the text (`text.kernels.words`), evidence is counted
    (names and words: `rules.math_vocabulary`):

    | evidence    | what                                                                        | weight |
    | ----------- | --------------------------------------------------------------------------- | ------ |
    | `commands`  | TeX commands of mathematics (`COMMANDS`)                                    | 1      |
    | `spans`     | `$...$` and `$$...$$` with mathematics inside                               | 2      |
    | `displays`  | `\\(`, `\\[`, and `\\begin` of an environment of `ENVIRONMENTS`             | 3      |
    | `signs`     | mathematical operators, arrows, alphabets, lone Greek letters (not ASCII's) | 1      |
    | `equations` | `= + * × ÷` between a number and a number                                   | 1      |
    | `terms`     | English and Chinese words of mathematics (`TERMS`, `CHINESE_TERMS`)         | 1      |

    `density` is the weighted sum over max(tokens, 50), and score = 1 - exp(-density / 0.05): one piece of
    evidence in 20 tokens scores 0.63, one in 200 tokens 0.1. A document under `at_least` goes
    (not_mathematical); null only scores. Numbers alone are no evidence: tables, logs and prices hold as many.
    """

    produces: ClassVar[tuple[str, ...]] = tuple(
        f"math_score.{score}"
        for score in ("score", "commands", "spans", "displays", "signs", "equations", "terms", "tokens")
    )

    at_least: float | None = Field(
        0.3, ge=0.0, le=1.0, description="Least score of a document that is kept, 0 to 1; null: only score."
    )

    rules = (under("score", "at_least", "not_mathematical"),)

    def score(self, docs: Documents) -> Columns:
        """`score` double[n] and the counts of evidence and tokens int64[n]."""
        from corpusmill.filters.kernels.mathematics import MathCounts, notation_counts, term_counts

        bounds, known = bounds_of(docs), _vocabulary()
        ordinary = bounds.ordinary.words
        terms = term_counts(ordinary, known, np.zeros(len(docs), np.uint64))
        for text in bounds.large:
            last = np.zeros(1, np.uint64)
            terms[text.row] = sum(int(term_counts(part.words, known, last)[0]) for part in text.words())
        commands, spans, displays, signs, equations = notation_counts(bounds.texts, known)
        c = MathCounts(commands, spans, displays, signs, equations, terms, bounds.token_counts())
        evidence = c.commands + 2 * c.spans + 3 * c.displays + c.signs + c.equations + c.terms
        density = evidence / np.maximum(c.tokens, 50)
        return {"score": -np.expm1(-density / 0.05), **c._asdict()}
