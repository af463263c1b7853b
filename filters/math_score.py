"""How mathematical a text is."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from corpusmill.pipelines.contract.stage import Filter

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Columns, Documents


@cache
def _vocabulary() -> tuple[Any, Any, Any]:
    """The kernel's tables of commands, environments and terms (English ones also with a capital)."""
    import numpy as np

    from corpusmill.filters.kernels import mathematics as kernel
    from corpusmill.filters.kernels.characters import character_table
    from corpusmill.filters.kernels.math_vocabulary import CHINESE_TERMS, COMMANDS, ENVIRONMENTS, TERMS
    from corpusmill.filters.kernels.words import split_words

    words = sorted({*TERMS, *(term.capitalize() for term in TERMS), *CHINESE_TERMS})
    hashes = [split_words(character_table(), np.frombuffer(word.encode(), np.uint8))[0] for word in words]
    terms = np.unique(np.array([kernel.term_hash(h) for h in hashes], np.uint64))
    return kernel.names_table(COMMANDS), kernel.names_table(ENVIRONMENTS), terms


class MathScore(Filter):
    """Score how mathematical each text is, from 0 to 1, and keep those of at least `at_least`.

    The score is our own definition; the idea of finding mathematics in crawls by its notation and vocabulary
    is that of OpenWebMath (Paster et al. 2023, arXiv 2310.06786), whose learned MathScore it does not
    reproduce. Per token of the text (`kernels.words`), evidence is counted
    (names and words: `kernels.math_vocabulary`):

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

    def score(self, docs: Documents) -> Columns:
        """`score` double[n] and the counts of evidence and tokens int64[n]."""
        import numpy as np

        from corpusmill.filters.kernels import mathematics as kernel
        from corpusmill.filters.kernels.characters import character_table
        from corpusmill.filters.kernels.lines import with_line_feeds

        c = kernel.math_counts(character_table(), *with_line_feeds(*docs.utf8()), *_vocabulary()).T
        counts = {
            "commands": c[kernel.COMMANDS],
            "spans": c[kernel.SPANS],
            "displays": c[kernel.DISPLAYS],
            "signs": c[kernel.SIGNS],
            "equations": c[kernel.EQUATIONS],
            "terms": c[kernel.TERMS],
        }
        evidence = sum(counts.values()) + counts["spans"] + 2 * counts["displays"]
        density = evidence / np.maximum(c[kernel.TOKENS], 50)
        return {"score": -np.expm1(-density / 0.05), **counts, "tokens": c[kernel.TOKENS]}

    def judge(self, scores: Columns) -> pa.Array:
        """`not_mathematical` under `at_least`."""
        import numpy as np

        from corpusmill.filters.rules.limits import floats
        from corpusmill.pipelines.contract.documents import reason_where

        least = np.nan if self.at_least is None else self.at_least
        return reason_where((floats(scores["score"]) < least, "not_mathematical"))

    def warm(self) -> None:
        """Compile the kernels."""
        from corpusmill.filters.rules.sample import sample_documents

        self.score(sample_documents())
