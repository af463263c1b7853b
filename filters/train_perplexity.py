"""`train_perplexity`: a language model of word n-grams, trained on texts that the user trusts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Seeded, Task


class TrainPerplexity(Seeded, Task):
    """Train a model of word n-grams by interpolated Kneser-Ney smoothing, one for each language.

    The texts are those of a `quality_examples`. A language of at least `fewest_words` has a model of its own,
    made of its texts alone; texts without a language make one that is asked for documents of any language
    without a model of its own. Where no language has that many words, all texts make one model together.
    `rules/kneser_ney.py` has the definition, `kernels/word_weights.py` what a word is. A share of the texts,
    chosen by id, is judged and not trained on.

    What comes out depends neither on the order of texts nor on workers. Memory: about 50 bytes a word and
    order. Artefact: model.json, keys.npy and values.npy (`rules/ngram_model.py`,
    16 bytes an n-gram), and figures.json, which is the step's summary: `digest` of the model, and by language
    words and n-grams, and percentiles of perplexity on the texts held out. Raises DataError where there are
    no words to learn from.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("trusted",)

    held_out_texts: float = Field(
        0.05, ge=0, lt=1, description="Share of trusted texts that are judged, not trained on."
    )
    order: int = Field(3, ge=1, le=6, description="Most words of an n-gram (CCNet: 5, of sentence pieces).")
    least_count: int = Field(
        2, ge=1, le=1000, description="Fewest occurrences of a word that the model knows by itself."
    )
    trained_bytes: int = Field(
        2**25, ge=2**10, le=2**32, description="Bytes of trusted text that are trained on, at most, in all."
    )
    fewest_words: int = Field(
        10_000, ge=1, description="Fewest words of a language that has a model of its own."
    )

    _texts: Path | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        from corpusmill.filters.rules.examples import FILE

        ready = super().prepare(context)
        ready._texts = context.artefact("trusted", FILE)
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Train, judge, and write the artefact; returns what figures.json says."""
        import json

        from corpusmill.filters.rules.examples import read_examples
        from corpusmill.filters.rules.ngram_model import write_model
        from corpusmill.filters.rules.ngram_training import NgramTraining, language_table, train_ngrams
        from corpusmill.pipelines.records.summary_table import summary_of

        if self._texts is None:
            raise RuntimeError("train_perplexity needs its texts: call prepare first")
        training = NgramTraining(
            self.known_seed(),
            self.held_out_texts,
            self.order,
            self.least_count,
            self.trained_bytes,
            self.fewest_words,
        )
        model, figures = train_ngrams(read_examples(self._texts), training)
        tables = summary_of(language_table(figures["languages"]))
        summary = {"digest": write_model(model, folder), **figures, **tables}
        (folder / "figures.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
        return summary
