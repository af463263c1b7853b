"""`learned_quality`: how likely a text is of the kind that the recipe gives as good examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.filters.rules.limits import ByLanguage, Languages, Limits, LimitsByLanguage, Share
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import under
from corpusmill.pipelines.contract.stage import Context

if TYPE_CHECKING:
    from corpusmill.filters.rules.word_model import WordModel


class LearnedQualityLimits(Limits):
    """The least score of documents that are kept."""

    at_least: Share | None = Field(
        0.5, description="Least score of a document that is kept, 0 to 1; null: only score."
    )


class LearnedQuality(LimitsByLanguage, LearnedQualityLimits):
    """Score texts by a classifier that the recipe trained on examples, and keep those that score enough.

    `score` is the probability, 0 to 1, that a text is one of `positives`, were positives and negatives
    equally many (without `balance`: as many as in training): the logistic function of a bias and the mean of
    the weights of the text's words and their n-grams (`kernels/word_weights.py` says what a word is).
    `train_quality` makes it, and tells how good it is on examples that it was not trained on. The whole text
    counts. One without words has no score and is kept. `by_language` gives other thresholds. Reason:
    low_score. Memory: 4 bytes a weight. Time: linear.
    """

    artefacts: ClassVar[tuple[str, ...]] = ("classifier",)

    languages: Languages = None
    by_language: ByLanguage[LearnedQualityLimits] = Field({})

    rules = (under("score", "at_least", "low_score"),)

    _model: WordModel | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        """With the classifier loaded. Raises DataError where its files are damaged."""
        from corpusmill.filters.rules.word_model import HEADER, read_word_model

        ready = self.model_copy()
        ready._model = read_word_model(context.artefact("classifier", HEADER).parent)
        return ready

    def warm(self) -> None:
        """Compile the kernel on no documents."""
        from corpusmill.filters.kernels.word_weights import weight_means
        from corpusmill.pipelines.contract.documents import SCHEMA

        weight_means(*Documents(SCHEMA.empty_table()).utf8(), np.zeros(2, np.float32), 2, 1)

    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """`score` double[n], null for a text without words."""
        from corpusmill.filters.kernels.word_weights import weight_means

        if self._model is None:
            raise RuntimeError("learned_quality needs prepare(context) before it can score")
        model = self._model
        means, counts = weight_means(*docs.utf8(), model.weights, model.ngrams, model.bits)
        return {"score": pa.array(model.chances(means), mask=counts == 0)}
