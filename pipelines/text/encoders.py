"""Encoders of documents: `tokenizers` says what is right, `gigatoken` is fast.

Both work on the definition without added tokens (`documents_only`), on the calling thread: parallelism is
the engine's business.
"""

from __future__ import annotations

import json
import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.system.process import resident_bytes
from corpusmill.pipelines.text.tokenizer_json import UNICODE_FORMS, component_types, documents_only

CHECKED_BYTES = 16 * 2**20  # of text between two looks at gigatoken's memory
CACHE_BYTES = 512 * 2**20  # by which it may grow

Offsets = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.uint32]


class Encoder(Protocol):
    """From texts to tokens, never a special one."""

    def encode(self, texts: pa.Array) -> tuple[Offsets, Tokens]:
        """From large_string[n] to offsets int64[n + 1] and tokens uint32[offsets[n]]."""


class TokenizersEncoder:
    """The reference. About 2 MB/s of text a core. Has `tokenizers` start no threads in this process, unless
    the environment says otherwise (TOKENIZERS_PARALLELISM)."""

    def __init__(self, definition: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._tokenizer = Tokenizer.from_str(json.dumps(documents_only(definition), ensure_ascii=False))

    def encode(self, texts: pa.Array) -> tuple[Offsets, Tokens]:
        # For `encode` it fills a hash table with every byte of the text, to tell where each token stands.
        fast = self._tokenizer.encode_batch_fast
        ids = [
            np.array(fast([text.as_py() or ""], add_special_tokens=False)[0].ids, np.uint32) for text in texts
        ]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(one) for one in ids], out=offsets[1:])
        return offsets, np.concatenate(ids) if ids else np.zeros(0, np.uint32)

    def encode_symbols(self, spelling: str) -> list[int]:
        """Ids of a string of the vocabulary's own symbols (`Ċ` is a line break): merges alone."""
        return [token.id for token in self._tokenizer.model.tokenize(spelling)]

    def normalized(self, text: str) -> str:
        """The text in the Unicode form that the tokenizer encodes it in; itself where it has none."""
        normalizer = self._tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def decode(self, tokens: npt.NDArray[np.unsignedinteger[Any]]) -> str:
        return str(self._tokenizer.decode(tokens.tolist(), skip_special_tokens=False))


class GigatokenEncoder:
    """The fast one; reads Arrow's buffers in place. Raises RuntimeError for a tokenizer it does not know.

    Texts are put into the tokenizer's Unicode form by `tokenizers` before: gigatoken has the tables of
    another version of Unicode, and gave other ids for characters that are new in one of them.

    gigatoken remembers every pre-token it has met (some 80 bytes each) and forgets none: 60 million different
    ones took 4.8 GB. So after every CHECKED_BYTES of text this looks at the process's memory, and loads the
    tokenizer anew (about a second) where that has grown by CACHE_BYTES since it was loaded.
    """

    def __init__(self, definition: dict[str, Any]) -> None:
        plain = documents_only(definition)
        self._normalizer = _unicode_form(plain)
        if self._normalizer is not None:
            plain = {**plain, "normalizer": None}
        self._text = json.dumps(plain, ensure_ascii=False)
        self._load()

    def _load(self) -> None:
        import gigatoken

        self._tokenizer: Any = None  # the old one's memory goes first
        self._tokenizer = gigatoken.Tokenizer.from_json(self._text)
        self._unchecked = 0
        self._resting = resident_bytes()

    def _forget_where_too_much(self, size: int) -> None:
        self._unchecked += size
        if self._unchecked < CHECKED_BYTES:
            return
        self._unchecked = 0
        if resident_bytes() - self._resting > CACHE_BYTES:
            self._load()

    def encode(self, texts: pa.Array) -> tuple[Offsets, Tokens]:
        import awkward

        if len(texts) == 0:
            return np.zeros(1, np.int64), np.zeros(0, np.uint32)
        if self._normalizer is not None:
            texts = _in_form(texts, self._normalizer)
        starts, data = buffers(texts)
        # What awkward.from_arrow builds, without its cost a call, which counts in small batches.
        characters = awkward.contents.NumpyArray(data, parameters={"__array__": "char"})
        strings = awkward.contents.ListOffsetArray(
            awkward.index.Index64(starts), characters, parameters={"__array__": "string"}
        )
        layout = self._tokenizer.encode_batch(awkward.Array(strings), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        tokens = np.asarray(layout.content.data, np.uint32)
        self._forget_where_too_much(int(starts[-1] - starts[0]))
        return offsets - offsets[0], tokens[offsets[0] : offsets[-1]]


def _unicode_form(plain: dict[str, Any]) -> Any:
    """The normalizer of a definition; None where there is none, or one that only shows bytes.

    Raises ValueError for one that is no Unicode form, and for added white space that a form might change.
    """
    from tokenizers import normalizers

    kinds = component_types(plain, "normalizer")
    if not kinds or kinds == ["ByteLevel"]:
        return None
    if not set(kinds) <= set(UNICODE_FORMS):
        raise ValueError(f"its normalizer {', '.join(kinds)} is no Unicode form")
    if not all(token["content"].isascii() for token in plain["added_tokens"]):
        raise ValueError(f"it has a normalizer ({', '.join(kinds)}) and added white space that is not ASCII")
    return normalizers.Sequence([getattr(normalizers, kind)() for kind in kinds])


def _in_form(texts: pa.Array, normalizer: Any) -> pa.Array:
    """Texts large_string[n] in a Unicode form; those of ASCII alone are in every one."""
    ascii_n = pc.fill_null(pc.string_is_ascii(texts), True).to_pylist()
    if all(ascii_n):
        return texts
    changed = [
        text if plain or text is None else str(normalizer.normalize_str(text))
        for text, plain in zip(texts.to_pylist(), ascii_n, strict=True)
    ]
    return pa.array(changed, pa.large_string())
