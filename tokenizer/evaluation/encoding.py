"""Encoders for evaluation, and the texts they are given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.text.encoders import Encoder, GigatokenEncoder, TokenizersEncoder
from corpusmill.tokenizer.bpe.probes import probe_texts
from corpusmill.tokenizer.evaluation.open_tokenizer import Opened
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary

COMPARED_BYTES = 2**20  # of the texts at hand, on which two encoders must agree
RELOAD_BYTES = 2**28


@dataclass(frozen=True)
class Encoders:
    """The `reference` (tokenizers), which also decodes, and the one to `use`, called `name`."""

    reference: TokenizersEncoder
    use: Encoder
    name: str


def fitting_encoder(opened: Opened, texts: pa.Array) -> Encoders:
    """gigatoken where it agrees with `tokenizers` on the first of `texts` and on the probe texts, else that.

    `texts` is large_string[n].
    """
    ends = np.cumsum([len(text.as_buffer()) if text.is_valid else 0 for text in texts[:4096]])
    few = texts.slice(0, int(np.searchsorted(ends, COMPARED_BYTES, side="right")))
    few = pa.concat_arrays([few, pa.array(probe_texts(), pa.large_string())])
    reference = TokenizersEncoder(opened.definition)
    expected = reference.encode(few)
    for fast in _fast(opened):
        ends_and_tokens = fast.encode(few)
        if all(np.array_equal(ends_and_tokens[k], expected[k]) for k in (0, 1)):
            return Encoders(reference, fast, "gigatoken")
    return Encoders(reference, reference, "tokenizers")


def _fast(opened: Opened) -> Iterator[Encoder]:
    """The forms in which gigatoken can load the tokenizer; it refuses what it does not know."""
    with suppress(RuntimeError, ValueError):
        yield GigatokenEncoder(opened.definition)
    if opened.ranks is not None:
        with suppress(RuntimeError, ValueError):
            yield RankEncoder(*opened.ranks)


class RankEncoder:
    """gigatoken on a rank file, for patterns that it knows by name but not by their expressions.

    It remembers every pre-token it has met, so the file is loaded anew after every RELOAD_BYTES of text.
    """

    def __init__(self, ranks: str, pattern: str) -> None:
        self._ranks, self._pattern = ranks, pattern
        self._load()

    def _load(self) -> None:
        import gigatoken

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "ranks.tiktoken"
            file.write_text(self._ranks, encoding="ascii")
            self._tokenizer = gigatoken.Tokenizer.from_tiktoken(file, self._pattern)
        self._encoded = 0

    def encode(self, texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """From large_string[n] to offsets int64[n + 1] and tokens uint32[offsets[n]]."""
        import awkward

        if len(texts) == 0:
            return np.zeros(1, np.int64), np.zeros(0, np.uint32)
        if self._encoded > RELOAD_BYTES:
            self._load()
        self._encoded += texts.nbytes
        layout = self._tokenizer.encode_batch(awkward.from_arrow(texts), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        tokens = np.asarray(layout.content.data, np.uint32)
        return offsets - offsets[0], tokens[offsets[0] : offsets[-1]]


class Speller:
    """Encodes single strings into their pieces, for probes and for what a decoded token gives back."""

    def __init__(self, encoder: Encoder, vocabulary: Vocabulary) -> None:
        self._encoder = encoder
        self._vocabulary = vocabulary

    def ids(self, texts: list[str]) -> list[npt.NDArray[np.uint32]]:
        """The tokens of each text."""
        offsets, tokens = self._encoder.encode(pa.array(texts, pa.large_string()))
        return [tokens[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]

    def entries(self) -> list[str]:
        """All entries that are whole UTF-8, as text."""
        found = []
        for spelling in self._vocabulary.spellings:
            with suppress(UnicodeDecodeError):
                found.append((spelling or b"").decode())
        return found

    def pieces(self, texts: list[str]) -> list[list[str]]:
        """The tokens of each text, as text."""
        return [[self._vocabulary.text(int(token)) for token in ids] for ids in self.ids(texts)]
