"""`classifier_score`: what a text classifier of your own, as an ONNX file, says of each text."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, cast

import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, DataError, UserError
from corpusmill.pipelines.contract.rules import over, under
from corpusmill.pipelines.contract.stage import Context, Filter, Stage

if TYPE_CHECKING:
    from corpusmill.filters.rules.onnx_classifier import OnnxClassifier


class _Libraries:
    """Those whose versions scores follow from; without onnxruntime, which `prepare` tells of, the other."""

    def __get__(self, step: ClassifierScore | None, owner: type[ClassifierScore]) -> tuple[str, ...]:
        installed = importlib.util.find_spec("onnxruntime") is not None
        return ("onnxruntime", "tokenizers") if installed else ("tokenizers",)


class ClassifierScore(Filter):
    """Score texts by a classifier that was exported to ONNX, and keep those that score enough.

    `model` is a folder with model.onnx (or onnx/model.onnx) and tokenizer.json, and config.json where labels
    have names, as `optimum-cli export onnx --task text-classification` writes it. Its inputs are `input_ids`
    and, where it has them, `attention_mask` and `token_type_ids`; its first output holds a number a label.
    `score` is, by `kind`: the probability of `label` among all (`softmax`), of the label by itself
    (`sigmoid`), or the number as it is (`value`), which is what classifiers with one label give that grade
    texts from 0 to 5, such as FineWeb-Edu's and FineMath's (3+: `at_least: 2.5`, since they round; 4+: 3.5).

    Runs on the CPU with onnxruntime and tokenizers (extra `onnx`), one thread a worker, without network or
    pickle. A document is asked by itself: with others beside it, its sums would differ in their last bits.
    Only its first `max_tokens` tokens count. A text without tokens has no score and is kept. Reasons:
    low_score, high_score. Memory: the model, once a worker.
    """

    libraries: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Libraries())

    rules = (under("score", "at_least", "low_score"), over("score", "at_most", "high_score"))

    model: Path = Field(description="Folder with model.onnx and tokenizer.json, read as it is.")
    label: str | None = Field(
        None,
        description="Label whose score is taken, by its name in config.json or its number; null: the last.",
    )
    kind: Literal["softmax", "sigmoid", "value"] | None = Field(
        None, description="What is made of the model's numbers; null: softmax, with one label value."
    )
    max_tokens: int = Field(
        512, ge=2, le=2**17, description="Tokens at the start of a text that count (BERT's models: 512)."
    )
    at_least: float | None = Field(0.5, description="Least score of a document that is kept; null: no limit.")
    at_most: float | None = Field(
        None, description="Largest score of a document that is kept; null: no limit."
    )

    _classifier: OnnxClassifier | None = PrivateAttr(default=None)

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """A folder that is no classifier, as far as its files tell without the model's weights being read."""
        from corpusmill.filters.rules.onnx_classifier import check_folder

        if not self.model.is_dir():
            return []
        try:
            check_folder(self.model, self.label)
        except (DataError, UserError) as error:
            return [("model", str(error))]
        return []

    def prepare(self, context: Context) -> Self:
        """The model loaded. Raises UserError where onnxruntime is not installed, the folder lacks a file, or
        the model has no such label, DataError where a file cannot be read."""
        from corpusmill.filters.rules.onnx_classifier import load_classifier

        ready = self.model_copy()
        ready._classifier = load_classifier(self.model, self.label, self.kind, self.max_tokens)
        return ready

    def score(self, docs: Documents) -> Columns:
        """`score` double[n], null without tokens."""
        if self._classifier is None:
            raise CorpusmillError(f"{self.name} is not ready: call prepare first")
        return {"score": pa.array(map(self._classifier.score, docs.text.to_pylist()), pa.float64())}
