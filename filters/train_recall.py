"""`train_recall`: the classifier of one round of a recall loop."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.filters.rules.limits import Share
from corpusmill.pipelines.contract.stage import Context, Seeded, Task


class TrainRecall(Seeded, Task):
    """Train a classifier on the seed and what was found so far, against other pages of the pool.

    It learns as `train_quality` does. Examples of the first round are the seed and pages drawn from the pool,
    whatever they are, as nobody knows yet; those of later rounds the seed and what the round before found,
    against pages that it did not find. A share, chosen by id and so the same in all rounds, is held out:
    the seed's held-out documents are never learnt from. Once the loop has ended, the last classifier is
    handed on. Defaults are this project's; DeepSeekMath (arXiv 2402.03300, section 2.1) trains fastText with
    256 dimensions, a rate of 0.1, n-grams of up to 3 words and 3 epochs.

    Memory: the texts of the examples twice, and 8 bytes a weight. Artefact: classifier.json and weights.npy
    (`rules/word_model.py`), and trained.json, which is the step's summary.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("seed",)

    hit_at_least: Share = Field(0.5, description="Least score of a hit, at which the classifier is judged.")
    held_out_examples: float = Field(
        0.1, gt=0, lt=1, description="Share of examples that the classifier is judged on, not trained on."
    )
    word_ngrams: int = Field(2, ge=1, le=5, description="Most words of an n-gram (DeepSeekMath: 3).")
    bits: int = Field(20, ge=10, le=26, description="Weights are 2^bits, of 4 bytes each.")
    epochs: int = Field(5, ge=1, le=1000, description="Times that training reads all examples.")
    balance: bool = Field(True, description="Let both sides weigh the same, however many examples each has.")
    rate: float = Field(1.0, gt=0, le=100, description="Learning rate of AdaGrad in the first step.")

    _seed_file: Path | None = PrivateAttr(default=None)
    _others: Path | None = PrivateAttr(default=None)  # of the first round
    _before: Path | None = PrivateAttr(default=None)  # the round before, a folder
    _classifier: Path | None = PrivateAttr(default=None)  # that of the round before, a folder

    def prepare(self, context: Context) -> Self:
        from corpusmill.filters.rules.examples import FILE
        from corpusmill.filters.rules.recall_rounds import FILE as ROUNDS
        from corpusmill.filters.rules.word_model import HEADER

        ready = super().prepare(context)
        ready._seed_file = context.artefact("seed", FILE)
        if "before" in context.artefacts:
            ready._before = context.artefact("before", ROUNDS).parent
            ready._classifier = context.artefact("classifier", HEADER).parent
        else:
            ready._others = context.artefact("others", FILE)
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Train, judge, and write the artefact; returns what trained.json holds."""
        from corpusmill.filters.rules.recall_rounds import FILE, NEGATIVES, POSITIVES, Rounds
        from corpusmill.filters.rules.recall_training import Trained, train_round
        from corpusmill.filters.rules.word_model import HEADER, WEIGHTS, write_word_model
        from corpusmill.filters.rules.word_training import Training
        from corpusmill.pipelines.records.codec import encode

        if self._seed_file is None:
            raise RuntimeError("train_recall needs its examples: call prepare first")
        if self._before is not None and (ended := Rounds.read(self._before / FILE)).stopped:
            assert self._classifier is not None
            for name in (HEADER, WEIGHTS, Trained.FILE):
                shutil.copyfile(self._classifier / name, folder / name)
            return {"ended_in_round": len(ended.rounds)}
        if self._before is not None:
            found, others = [self._before / POSITIVES], self._before / NEGATIVES
        else:
            assert self._others is not None
            found, others = [], self._others
        training = Training(
            self.known_seed(),
            self.held_out_examples,
            self.word_ngrams,
            self.bits,
            self.epochs,
            self.rate,
            self.balance,
        )
        model, trained = train_round(self._seed_file, found, others, training, self.hit_at_least)
        write_word_model(model, folder)
        trained.write(folder)
        return encode(trained)
