"""`kenlm_perplexity`: the perplexity of texts under language models of KenLM that you have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.filters.rules.limits import ByLanguage, Languages, Limits, LimitsByLanguage
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.contract.rules import over, under
from corpusmill.pipelines.contract.stage import Context, Stage

if TYPE_CHECKING:
    from corpusmill.filters.rules.ngram_model import Ready

ANY = "*"
MAGIC = b"mmap lm http://kheafield.com/code"  # of KenLM's binary files (`lm/binary_format.cc`)
Score = Callable[[list[str]], tuple[list[float], list[int]]]


class KenlmPerplexityLimits(Limits):
    """Limits of perplexity; null switches one off."""

    at_least: float | None = Field(
        None, ge=1, description="Least perplexity of a document that is kept; null: no limit."
    )
    at_most: float | None = Field(
        None, ge=1, description="Largest perplexity of a document that is kept; null: no limit."
    )


class KenlmPerplexity(LimitsByLanguage, KenlmPerplexityLimits):
    """Score texts by their perplexity under models of KenLM, a file for each language, as CCNet does.

    `perplexity` is 10 ** (-log10 P / N) with N the words of the text and one for the end of each line
    (Wenzek et al. 2020, arXiv 1911.00359; cc_net, `perplexity.py`). `form: ccnet` brings a text to the form
    CCNet's models are of (`text_normalizer.normalize`: small letters, no accents, every digit 0, punctuation
    of ASCII; without control characters, so that a text is one line and words on both sides of a line's end
    become one), and `pieces` cut it into sentence pieces, where given. Without a form, words stand between
    white space of ASCII and a text is scored line by line; blank lines count for nothing (in cc_net each
    counts as an end).

    ARPA files are read by corpusmill itself (`rules/arpa.py`), with scores within 1e-4 of KenLM's, and their
    words `<s>`, `</s>` and `<unk>` in a text are unknown words. KenLM's own binary files need the extra
    `kenlm`. Nothing is fetched. A document in a language without a model, or without words, has no
    perplexity and is kept. Reasons: low_perplexity, high_perplexity.
    """

    single_files: ClassVar[tuple[str, ...]] = ("models", "pieces")

    languages: Languages = None
    by_language: ByLanguage[KenlmPerplexityLimits] = Field({})
    models: dict[str, Path] = Field(
        min_length=1,
        description="Models by language code, ARPA or KenLM's binary; `*`: of any other language.",
    )
    pieces: dict[str, Path] = Field(
        {}, description="SentencePiece models by language code, as CCNet's `.sp.model`; `*`: of any other."
    )
    form: Literal["ccnet"] | None = Field(
        None, description="Form that texts are brought to before: `ccnet`; null: as they are."
    )

    rules = (
        under("perplexity", "at_least", "low_perplexity"),
        over("perplexity", "at_most", "high_perplexity"),
    )

    _scores: Mapping[str, Score] = PrivateAttr(default_factory=dict)
    _cutters: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """Also languages that have pieces or limits and no model, and models of languages that no document
        can have, where a stage before this one identifies them."""
        from corpusmill.filters.rules.language_codes import unknown_codes

        found = super().conflicts(before)
        named = {"pieces": set(self.pieces), "by_language": set(self.by_language)}
        for option, codes in named.items():
            if ANY not in self.models and (useless := sorted(codes - {*self.models, ANY})):
                wrong = f"{', '.join(useless)}: there is no such model, so that it has no effect"
                found.append((option, f"{wrong}; add it to `models`, or take it out"))
        if any(stage.name == "language" for stage in before):
            for option, files in (("models", self.models), ("pieces", self.pieces)):
                found += [(option, wrong) for wrong in unknown_codes([c for c in files if c != ANY])]
        return [*found, *self._wrong_files()]

    def _wrong_files(self) -> Iterator[tuple[str, str]]:
        """What is wrong with files that are there, by option, as far as their beginnings and ends tell."""
        from corpusmill.filters.rules.arpa import check_arpa

        checked = (("models", self.models, check_arpa), ("pieces", self.pieces, _cutter))
        for option, files, check in checked:
            for code, path in files.items():
                try:
                    if not path.is_file():
                        continue
                    if option == "models" and _is_binary(path):
                        _kenlm(path)
                    else:
                        check(path)
                except (UserError, DataError) as error:
                    yield f"{option}.{code}", str(error)

    def prepare(self, context: Context) -> Self:
        """The models read. Raises DataError where one cannot be, UserError where KenLM is wanted and not
        installed."""
        found = self.model_copy()
        found._scores = {code: _score_of(path) for code, path in self.models.items()}
        found._cutters = {code: _cutter(path) for code, path in self.pieces.items()}
        return found

    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """`perplexity` double[n], null where there is none."""
        from corpusmill.filters.rules.ccnet_form import ccnet_form

        if not self._scores:
            raise RuntimeError("kenlm_perplexity needs prepare(context) before it can score")
        texts, codes = docs.text.to_pylist(), docs.column("lang").cast(pa.string()).to_pylist()
        wanted: dict[str, list[int]] = {}
        for row, (text, code) in enumerate(zip(texts, codes, strict=True)):
            name = code if code in self._scores else ANY
            if text and name in self._scores:
                wanted.setdefault(name, []).append(row)
        found: list[float | None] = [None] * len(texts)
        for name, rows in wanted.items():
            cutter = self._cutters.get(name, self._cutters.get(ANY))
            ready = []
            for row in rows:
                text = ccnet_form(texts[row]) if self.form else texts[row]
                ready.append(text if cutter is None else " ".join(cutter.encode(text, out_type=str)))
            logs, counts = self._scores[name](ready)
            for row, log, count in zip(rows, logs, counts, strict=True):
                if count:
                    found[row] = 10.0 ** min(-log / count, 300.0)
        return {"perplexity": pa.array(found, pa.float64())}


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _score_of(path: Path) -> Score:
    return _of_kenlm(path) if _is_binary(path) else _of_arpa(path)


def _of_arpa(path: Path) -> Score:
    from corpusmill.filters.rules.arpa import read_arpa
    from corpusmill.filters.rules.ngram_model import ready

    asked: Ready = ready(read_arpa(path, ANY))

    def score(texts: list[str]) -> tuple[list[float], list[int]]:
        docs = Documents(pa.table({"text": pa.array(texts, pa.large_string())}))
        sums = asked.sums(docs, [ANY] * len(texts))
        return sums.logs.tolist(), sums.predicted.tolist()

    return score


def _kenlm(path: Path) -> Any:
    """KenLM. Raises UserError where it is not installed, and `path` needs it."""
    try:
        import kenlm
    except ImportError as error:
        raise UserError(
            f"{path} is a binary model, which KenLM alone reads, not installed here: pip install "
            "corpusmill[kenlm], or give the ARPA file"
        ) from error
    return kenlm


def _of_kenlm(path: Path) -> Score:
    kenlm = _kenlm(path)
    try:
        model = kenlm.Model(str(path))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: KenLM cannot read it: {error}; give the ARPA file") from error

    def score(texts: list[str]) -> tuple[list[float], list[int]]:
        logs, counts = [], []
        for text in texts:
            lines = [words for line in text.split("\n") if (words := _words(line))]
            logs.append(sum(model.score(b" ".join(words).decode()) for words in lines))
            counts.append(sum(len(words) + 1 for words in lines))
        return logs, counts

    return score


def _words(line: str) -> list[bytes]:
    """The words of a line; KenLM's module for Python would end one with NUL there, so it is unknown."""
    return [word if b"\0" not in word else b"<unk>" for word in line.encode().split()]


def _cutter(path: Path) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: no SentencePiece model: {error}; give the `.model` file") from error
