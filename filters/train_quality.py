"""`train_quality`: a classifier of good and other texts, trained on examples and judged on held-out ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Seeded, Task


class TrainQuality(Seeded, Task):
    """Train a linear classifier over hashed words and n-grams, as fastText's classifiers are, on examples.

    The examples are those of two `quality_examples`. A text that is there twice is taken once, and one that
    stands on both sides is left out. A `held_out_examples` share, chosen by id, is judged on and not trained
    on. Training is AdaGrad on the logistic loss, one example after the other, in an order drawn anew each
    round from the seed and the ids, with a rate that goes down to 0: what comes out depends neither on the
    order of documents nor on how they are divided or on workers. It may differ in the last bits between
    machines whose `exp` differ.

    fastText (Joulin et al. 2016, arXiv 1607.01759) gives each word a vector and each label another, and
    their product is what a word adds to a label; with two labels one number a word says the same, so that is
    what is learnt. There are no tables of words: places collide, seldom where 2^`bits` is several times the
    distinct n-grams.

    Memory: the texts of the examples twice, and 8 bytes a weight. Artefact: classifier.json and weights.npy
    (`rules/word_model.py`), and figures.json, which is the step's summary: examples, `digest` of the
    classifier, precision, recall and F1 on held-out examples at 0.5 and at other thresholds, in all and by
    language, and calibration. Raises DataError for a side without examples to learn from or to judge on.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("positives", "negatives")

    held_out_examples: float = Field(
        0.1, gt=0, lt=1, description="Share of examples that the classifier is judged on, not trained on."
    )
    word_ngrams: int = Field(2, ge=1, le=5, description="Most words of an n-gram (fastText: 1).")
    bits: int = Field(20, ge=10, le=26, description="Weights are 2^bits, of 4 bytes each.")
    rounds: int = Field(5, ge=1, le=1000, description="Rounds of training over all examples (fastText: 5).")
    balance: bool = Field(True, description="Let both sides weigh the same, however many examples each has.")
    rate: float = Field(1.0, gt=0, le=100, description="Learning rate of AdaGrad in the first step.")

    _sides: tuple[Path, Path] | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        from corpusmill.filters.rules.examples import FILE

        ready = super().prepare(context)
        ready._sides = (context.artefact("positives", FILE), context.artefact("negatives", FILE))
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Train, judge, and write the artefact; returns what figures.json says."""
        import json

        from corpusmill.filters.rules.examples import joined
        from corpusmill.filters.rules.word_model import write_word_model
        from corpusmill.filters.rules.word_training import Training, train_and_judge

        if self._sides is None:
            raise RuntimeError("train_quality needs its examples: call prepare first")
        training = Training(
            self.known_seed(),
            self.held_out_examples,
            self.word_ngrams,
            self.bits,
            self.rounds,
            self.rate,
            self.balance,
        )
        model, figures = train_and_judge(joined(*self._sides), training)
        summary = {"digest": write_word_model(model, folder), **figures}
        (folder / "figures.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
        return summary
