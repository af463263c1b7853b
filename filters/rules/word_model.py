"""The file of a classifier over hashed words: classifier.json, which people can read, beside weights.npy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import DataError

FORMAT = "corpusmill-word-classifier-1"
HEADER, WEIGHTS = "classifier.json", "weights.npy"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordModel:
    """`weights` float32[2^bits]: what each place adds; `bias`: what every text begins with.

    A text's margin is the bias and the mean of its words' and n-grams' weights; 1 / (1 + exp(-margin)) is how
    likely it is a positive one.
    """

    weights: Floats
    bias: float
    ngrams: int
    bits: int

    def chances(self, means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """float64[n] from the means of weights, float64[n]."""
        return np.asarray(1 / (1 + np.exp(-np.clip(means + self.bias, -500, 500))))

    def digest(self) -> str:
        """SHA-256 of all that scores depend on."""
        head = f"{FORMAT} {self.ngrams} {self.bits} {self.bias.hex()}\n"
        return hashlib.sha256(head.encode() + self.weights.astype("<f4").tobytes()).hexdigest()


@dataclass(frozen=True)
class _Header:
    format: str
    ngrams: int
    bits: int
    bias: float
    digest: str


def write_word_model(model: WordModel, folder: Path) -> str:
    """Write both files into `folder`; the digest."""
    header = _Header(FORMAT, model.ngrams, model.bits, model.bias, model.digest())
    (folder / HEADER).write_text(json.dumps(asdict(header), indent=1) + "\n", "utf-8")
    np.save(folder / WEIGHTS, model.weights.astype("<f4"), allow_pickle=False)
    return header.digest


def read_word_model(folder: Path) -> WordModel:
    """The classifier of a folder. Raises DataError where it is not what its header says."""
    try:
        header = _Header(**json.loads((folder / HEADER).read_text("utf-8")))
        if header.format != FORMAT:
            raise ValueError(f"its format is {header.format}, not {FORMAT}")
        weights = np.load(folder / WEIGHTS, allow_pickle=False)
        if weights.dtype != np.dtype("<f4") or weights.shape != (1 << header.bits,):
            raise ValueError(f"{WEIGHTS} does not hold 2^{header.bits} weights of 32 bits")
        model = WordModel(weights.astype(np.float32), header.bias, header.ngrams, header.bits)
        if model.digest() != header.digest:
            raise ValueError(f"{WEIGHTS} and {HEADER} are not of one classifier")
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{folder}: no classifier: {error}; run the recipe again with --repair") from error
    return model
