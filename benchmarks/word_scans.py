"""What finding and hashing words alone takes, for `minhash.py`: by the project's kernel, and by a loop over
bytes that is not tuned, which hashes every run of ASCII letters and digits by FNV-1a and folds nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.word_hashes import folded_ascii, rooms, some_word_hashes
from corpusmill.dedup.matching.normal_forms import normal_forms
from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address
from corpusmill.pipelines.text.mixing import FNV_PRIME, FNV_START


@compiled
def hashed_words(offsets: Any, data: Any, table: Any, hash_W: Any) -> int:
    """How many words the texts have, each of which is hashed into `hash_W`."""
    total = 0
    ascii_C = folded_ascii(table, False)
    code_C, raw_W = rooms()
    for i in range(len(offsets) - 1):
        at, last = address(data) + offsets[i], address(data) + offsets[i + 1]
        n, _, _, inside, _ = some_word_hashes(
            at, last, np.uint64(0), np.uint64(0), False, table, ascii_C, False, code_C, raw_W, hash_W, 0
        )
        total += n + (inside != 0)
    return total


def with_words_alone(texts: list[str]) -> object:
    offsets, data = buffers(pa.array(texts, pa.large_string()))
    return hashed_words(offsets, data, normal_forms(True), _room(offsets))


@compiled
def scanned(offsets: Any, data: Any, is_word: Any, hash_W: Any) -> int:
    """How many runs of bytes in `is_word` the texts have, each hashed into `hash_W`; nothing is tuned."""
    total = 0
    for i in range(len(offsets) - 1):
        n, inside, h = 0, False, FNV_START
        for at in range(offsets[i], offsets[i + 1]):
            byte = data[at]
            if is_word[byte]:
                h = (h ^ np.uint64(byte)) * FNV_PRIME
                inside = True
            elif inside:
                hash_W[n] = h
                n, inside, h = n + 1, False, FNV_START
        if inside:
            hash_W[n] = h
            n += 1
        total += n
    return total


def with_plain_scan(texts: list[str]) -> object:
    offsets, data = buffers(pa.array(texts, pa.large_string()))
    is_word = np.array([chr(byte).isalnum() and byte < 128 for byte in range(256)])
    return scanned(offsets, data, is_word, _room(offsets))


def _room(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    return np.empty(int(np.diff(offsets).max()) // 2 + 2, np.uint64)
