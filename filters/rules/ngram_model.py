"""The file of a model of word n-grams: model.json, which people can read, beside keys.npy and values.npy.

One file holds models of several languages. Documents of a language without one are asked of the model of
texts without a language, where there is one; those without a language of that, or of the only one there is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusmill.filters.kernels.language_model import SPLIT, Sums, Table, score_texts, table_of
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError

FORMAT = "corpusmill-ngram-model-1"
HEADER, KEYS, VALUES = "model.json", "keys.npy", "values.npy"
UNDETERMINED = "und"  # of texts without a language


@dataclass(frozen=True)
class LanguageModel:
    """What is known of one language: its `seed`, by which its keys are made; `spread`, log10 of how many
    words share the probability of UNKNOWN; words known, and predicted in training."""

    seed: int
    spread: float
    known: int
    predicted: int


@dataclass(frozen=True)
class NgramModel:
    """`keys` uint64[n] and `values` float32[n, 2] as in `kernels/language_model.py`, n-grams of up to `order`
    words, and the languages they are of. `way`: what a word is (`SPLIT` or `SPACED`)."""

    keys: npt.NDArray[np.uint64]
    values: npt.NDArray[np.float32]
    order: int
    languages: Mapping[str, LanguageModel]
    way: int = SPLIT

    def digest(self) -> str:
        """SHA-256 of all that scores depend on."""
        found = hashlib.sha256(f"{FORMAT} {self.order} {self.way}\n".encode())
        for code, one in sorted(self.languages.items()):
            found.update(f"{code} {one.seed} {one.spread.hex()}\n".encode())
        found.update(self.keys.astype("<u8").tobytes())
        found.update(self.values.astype("<f4").tobytes())
        return found.hexdigest()


@dataclass(frozen=True)
class Ready:
    """A model with its table: 24 to 48 bytes an n-gram."""

    model: NgramModel
    table: Table

    def perplexities(self, docs: Documents) -> tuple[pa.Array, pa.Array]:
        """double[n] each, null for a document without words or a model: 10 ** (-log10 probability / number
        of words and ends of lines), and the share of words that the model does not know."""
        sums = self.sums(docs, docs.column("lang").cast(pa.string()).to_pylist())
        none = sums.predicted == 0
        counts = np.maximum(sums.predicted, 1)
        found = np.power(10.0, np.minimum(-sums.logs / counts, 300.0))
        return pa.array(found, mask=none), pa.array(sums.unknown / counts, mask=none)

    def sums(self, docs: Documents, codes: Sequence[str | None]) -> Sums:
        """What is summed over each document, of the language that `codes` say."""
        models = [self._of(code) for code in codes]
        seeds = np.array([0 if one is None else one.seed for one in models], np.uint64)
        spread = np.array([0.0 if one is None else -one.spread for one in models])
        offsets, data = docs.utf8()
        return score_texts(offsets, data, seeds, spread, self.table, self.model.order, self.model.way)

    def _of(self, code: str | None) -> LanguageModel | None:
        models = self.model.languages
        if code is None and UNDETERMINED not in models and len(models) == 1:
            return next(iter(models.values()))
        return models.get(code or UNDETERMINED, models.get(UNDETERMINED))


def seed_of_language(code: str) -> int:
    """Never 0."""
    return xxhash.xxh3_64_intdigest(code.encode()) | 1


def ready(model: NgramModel) -> Ready:
    """The model with its table."""
    return Ready(model, table_of(model.keys, model.values))


@dataclass(frozen=True)
class _Header:
    format: str
    order: int
    way: int
    languages: dict[str, dict[str, float | int]]
    digest: str


def write_model(model: NgramModel, folder: Path) -> str:
    """Write the three files into `folder`; the digest."""
    languages = {code: asdict(one) for code, one in sorted(model.languages.items())}
    header = _Header(FORMAT, model.order, model.way, languages, model.digest())
    (folder / HEADER).write_text(json.dumps(asdict(header), indent=1) + "\n", "utf-8")
    np.save(folder / KEYS, model.keys.astype("<u8"), allow_pickle=False)
    np.save(folder / VALUES, model.values.astype("<f4"), allow_pickle=False)
    return header.digest


def read_model(folder: Path) -> NgramModel:
    """The model of a folder. Raises DataError where it is not what its header says."""
    try:
        header = _Header(**json.loads((folder / HEADER).read_text("utf-8")))
        if header.format != FORMAT:
            raise ValueError(f"its format is {header.format}, not {FORMAT}")
        keys = np.load(folder / KEYS, allow_pickle=False)
        values = np.load(folder / VALUES, allow_pickle=False)
        if keys.dtype != np.dtype("<u8") or values.dtype != np.dtype("<f4") or keys.ndim != 1:
            raise ValueError(f"{KEYS} and {VALUES} do not hold numbers of 64 and 32 bits")
        if values.shape != (len(keys), 2):
            raise ValueError(f"{VALUES} does not hold two numbers a key")
        languages = {code: _language(one) for code, one in header.languages.items()}
        model = NgramModel(
            keys.astype(np.uint64), values.astype(np.float32), header.order, languages, header.way
        )
        if model.digest() != header.digest:
            raise ValueError(f"{KEYS}, {VALUES} and {HEADER} are not of one model")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise DataError(
            f"{folder}: no model of n-grams: {error}; run the recipe again with --repair"
        ) from error
    return model


def _language(told: Mapping[str, float | int]) -> LanguageModel:
    return LanguageModel(int(told["seed"]), float(told["spread"]), int(told["known"]), int(told["predicted"]))
