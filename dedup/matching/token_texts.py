"""Texts as the tokens of a given tokenizer, for stages that measure repeats in tokens."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.token_codes import CODE, MARKS, MOST_IDS, write_codes
from corpusmill.pipelines.contract.addresses import ASCENDING
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.encoders import Encoder, GigatokenEncoder, Offsets, TokenizersEncoder, Tokens
from corpusmill.pipelines.text.token_bytes import spellings
from corpusmill.pipelines.text.tokenizer_json import UNICODE_FORMS, component_types, parsed

PART = 2**20  # bytes of a text that are encoded at once
ENDS = pa.field("ends", pa.large_list(pa.uint32()), metadata={ASCENDING: b""})
_CURE = "give the tokenizer.json of a byte-level BPE, as GPT-2, Llama 3, Qwen and DeepSeek have"


class Speller:
    """A byte-level BPE that writes texts as codes of its tokens (`kernels.token_codes`).

    Its Unicode form, if it has one, is not applied: texts are compared as they are. The encoder is
    `gigatoken` where that knows the tokenizer, else `tokenizers`. What it gives is compared with the text, so
    equal codes are equal bytes. A text of over 1 MiB is encoded in parts of so much, which end behind a line
    break where they have one: no token stands across their bounds.
    """

    def __init__(self, path: Path, text: str) -> None:
        """Raises UserError for a file that is no tokenizer.json, or none of a byte-level BPE."""
        self._path = path
        definition = _definition(path, text)
        spelt = spellings(definition)
        if spelt is None:
            raise UserError(f"{path}: not every text has tokens of its own in this tokenizer; {_CURE}")
        if max(spelt) >= MOST_IDS:
            raise UserError(f"{path}: it has the token id {max(spelt):,}, and ids must be under {MOST_IDS:,}")
        sizes = np.zeros(max(spelt) + 1, np.int64)
        sizes[list(spelt)] = [len(one) for one in spelt.values()]
        self._spelt_at = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self._spelt = np.frombuffer(b"".join(spelt.get(i, b"") for i in range(len(sizes))), np.uint8).copy()
        self._encoder = _encoder(definition)

    def spelt(self, docs: Documents, chosen: npt.NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
        """Of n documents the codes, large_binary[n], and where tokens end in the text, of the type of `ENDS`;
        empty ones of those that are not chosen.

        Memory: 10 bytes a token. Raises UserError where a text is not what its tokens spell.
        """
        offsets, data = docs.utf8()
        starts, of = _parts(offsets, data, chosen)
        counts, tokens = self._encoded(starts, data)
        per_text = np.zeros(len(docs), np.int64)
        np.add.at(per_text, of, counts)
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_text)])
        marks = MARKS * np.concatenate([np.zeros(1, np.int64), np.cumsum(per_text > 0)])
        places = CODE * bounds + marks
        codes, ends = np.empty(int(places[-1]), np.uint8), np.empty(len(tokens), np.uint32)
        wrong = write_codes(offsets, data, bounds, tokens, self._spelt_at, self._spelt, codes, ends)
        if wrong >= 0:
            raise UserError(
                f"{self._path}: the tokens of document {docs.column('id')[wrong].as_py()} do not spell its "
                f"text: the tokenizer changes texts, as by a space before the first word; {_CURE}"
            )
        written = [None, pa.py_buffer(places), pa.py_buffer(codes)]
        made = pa.Array.from_buffers(pa.large_binary(), len(docs), written)
        return made, pa.LargeListArray.from_arrays(pa.array(bounds), pa.array(ends))

    def _encoded(
        self, starts: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], Tokens]:
        """How many tokens each of the parts has, whose bounds are `starts[:, 0]` and `starts[:, 1]`, and
        which."""
        sizes = np.diff(starts, axis=1)[:, 0]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        joined = np.concatenate([data[start:end] for start, end in starts.tolist()] or [data[:0]])
        whole = [None, pa.py_buffer(offsets), pa.py_buffer(joined)]
        texts = pa.Array.from_buffers(pa.large_string(), len(sizes), whole)
        found: tuple[Offsets, Tokens] = self._encoder.encode(texts)
        return np.diff(found[0]), np.array(found[1], np.uint32)


def speller(path: Path) -> Speller:
    """The speller of a file, read once a process as long as it does not change."""
    try:
        facts = path.stat()
        return _speller(path, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {_CURE}") from error


@lru_cache(maxsize=2)
def _speller(path: Path, size: int, modified: int) -> Speller:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: it is no UTF-8 at byte {error.start:,}; {_CURE}") from error
    return Speller(path, text)


def _definition(path: Path, text: str) -> dict[str, Any]:
    """A tokenizer.json without a Unicode form."""
    try:
        definition = json.loads(text)
        parsed(text)
    except ValueError as error:
        raise UserError(f"{path}: {error}; {_CURE}") from error
    made: dict[str, Any] = definition
    made.setdefault("added_tokens", [])
    forms = component_types(made, "normalizer")
    return {**made, "normalizer": None} if forms and set(forms) <= set(UNICODE_FORMS) else made


def _encoder(definition: dict[str, Any]) -> Encoder:
    try:
        return GigatokenEncoder(definition)
    except (RuntimeError, ValueError):  # one that it does not know
        return TokenizersEncoder(definition)


def _parts(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Bounds int64[k, 2] in `data` of the parts of the chosen texts, and the text of each."""
    bounds: list[tuple[int, int]] = []
    of: list[int] = []
    for i in np.flatnonzero(chosen).tolist():
        start, end = int(offsets[i]), int(offsets[i + 1])
        while start < end:
            stop = end if end - start <= PART else _part_end(data, start, start + PART)
            bounds.append((start, stop))
            of.append(i)
            start = stop
    return np.array(bounds, np.int64).reshape(-1, 2), np.array(of, np.int64)


def _part_end(data: npt.NDArray[np.uint8], start: int, most: int) -> int:
    """Behind the last line break between two places, else before the character that `most` lies in."""
    line = data[start:most].tobytes().rfind(b"\n")
    if line >= 0:
        return start + line + 1
    while data[most] & 0xC0 == 0x80:
        most -= 1
    return most
