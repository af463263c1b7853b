"""`fasttext_score`: what a classifier of fastText, a `.bin` of your own, says of each text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, DataError, UserError
from corpusmill.pipelines.contract.rules import over, under
from corpusmill.pipelines.contract.stage import Context, Filter, Stage

if TYPE_CHECKING:
    from corpusmill.filters.kernels.fasttext import Dictionary
    from corpusmill.filters.rules.fasttext_model import FasttextModel


class _Loaded(NamedTuple):
    model: FasttextModel
    words: Dictionary
    label: int
    end_row: int


class FasttextScore(Filter):
    """Score texts by a classifier that `fasttext supervised` trained, and keep those that score enough.

    `score` is the probability of `label`, 0 to 1. The model is read by corpusmill itself, from the file the
    recipe names, without network or fastText; its content is part of the step's fingerprint. Losses softmax,
    ova and ns; not hs, and not quantized models (.ftz).

    A text is one line: line ends count as white space, as where others replace them by spaces. Probabilities
    are fastText 0.9.3's within 2e-5, since that adds 1e-5 to each and sums vectors, not their products with
    the labels, which is what makes a row 4 bytes a label here; its sigmoid (ova, ns) is a table that errs by
    up to 0.008. A text without any known word or n-gram has no score and is kept. Reasons: low_score,
    high_score. Memory: 4 bytes a row and label, and the words.
    """

    rules = (under("score", "at_least", "low_score"), over("score", "at_most", "high_score"))

    single_files: ClassVar[tuple[str, ...]] = ("model",)

    model: Path = Field(description="The model, a .bin that `fasttext supervised` wrote.")
    label: str = Field(min_length=1, description="Label whose probability is the score, such as __label__hq.")
    at_least: float | None = Field(
        0.5, ge=0.0, le=1.0, description="Least score of a document that is kept, 0 to 1; null: no limit."
    )
    at_most: float | None = Field(
        None, ge=0.0, le=1.0, description="Largest score of a document that is kept, 0 to 1; null: no limit."
    )

    _loaded: _Loaded | None = PrivateAttr(default=None)

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """A model that cannot be read or has no such label, told without its vectors."""
        from corpusmill.filters.rules.fasttext_model import read_labels

        if not self.model.is_file():
            return []
        try:
            labels = read_labels(self.model)
        except DataError as error:
            return [("model", str(error))]
        return [] if self.label in labels else [("label", self._unknown(labels))]

    def _unknown(self, labels: Sequence[str]) -> str:
        return f"{self.model} has no label `{self.label}`; it has {', '.join(sorted(labels)[:20])}"

    def prepare(self, context: Context) -> Self:
        """The model read. Raises DataError where it cannot be, UserError where it has no such label."""
        from corpusmill.filters.kernels.fasttext import dictionary, project
        from corpusmill.filters.rules.fasttext_model import read_model

        model = read_model(self.model, project)
        if self.label not in model.labels:
            raise UserError(f"{self.name}.label: {self._unknown(model.labels)}")
        starts = np.cumsum([0, *map(len, model.words)], dtype=np.int64)
        words = dictionary(starts, np.frombuffer(b"".join(model.words) or b"\0", np.uint8))
        end_row = model.words.index(b"</s>") if b"</s>" in model.words else -1
        ready = self.model_copy()
        ready._loaded = _Loaded(model, words, model.labels.index(self.label), end_row)
        return ready

    def score(self, docs: Documents) -> Columns:
        """`score` double[n], null without a known word or n-gram."""
        from corpusmill.filters.kernels.fasttext import label_sums

        if self._loaded is None:
            raise CorpusmillError(f"{self.name} is not ready: call prepare first")
        model, words, label, end_row = self._loaded
        offsets, data = docs.utf8()
        sizes = (model.word_ngrams, model.min_characters, model.max_characters, model.buckets)
        sums, counts = label_sums(offsets, data, words, model.rows, end_row, *sizes)
        if model.softmax:
            powers = np.exp(sums - sums.max(axis=1, keepdims=True))
            found = powers[:, label] / powers.sum(axis=1)
        else:
            found = 1 / (1 + np.exp(-sums[:, label]))
        return {"score": pa.array(found, mask=counts == 0)}
