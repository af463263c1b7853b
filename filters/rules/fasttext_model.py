"""Reads models of fastText (`.bin`, versions 11 and 12) that classify, without fastText.

Format: fastText 0.9.3, `FastText::saveModel`, `Dictionary::save`, `DenseMatrix::save`. Everything is checked
against the size of the file before memory is taken. A model of one linear layer over the mean of its rows
gives for each label a sum of one number a row; so each row is multiplied by the labels' vectors while it is
read, a block at a time, and only rows x labels numbers are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import DataError

MAGIC, VERSIONS = 793_712_314, (11, 12)
SUPERVISED, SOFTMAX, LOSSES = 3, 3, {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
LONGEST_WORD = 1 << 20  # bytes
_ARGUMENTS = struct.Struct("<12id")
_BLOCK = 1 << 22  # numbers read at once

Floats = npt.NDArray[np.float32]
Project = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class FasttextModel:
    """`words` and `labels` in the order of the file; `rows` float32[rows, labels], what a word (first) or a
    bucket of n-grams (behind the words) adds to each label. `softmax`: else each label has a sigmoid."""

    words: list[bytes]
    labels: list[str]
    rows: Floats
    word_ngrams: int
    min_characters: int
    max_characters: int
    buckets: int
    softmax: bool


def read_model(path: Path, project: Project) -> FasttextModel:
    """The model of a file; `project(block, vectors)` multiplies float32[k, dim] by float32[labels, dim].

    Raises DataError for what is no such model, is cut, or of a kind that is not supported.
    """
    with _reading(path) as (file, size):
        head = _head(file, size)
        vectors = _floats(file, head.vectors, (len(head.labels), head.dim))
        rows = np.empty((head.n, len(head.labels)), np.float32)
        step = max(1, _BLOCK // head.dim)
        file.seek(head.rows)
        for first in range(0, head.n, step):
            block = _floats(file, None, (min(step, head.n - first), head.dim))
            rows[first : first + step] = project(block, vectors)
    return FasttextModel(
        head.words, head.labels, rows, head.ngrams, head.least, head.most, head.buckets, head.loss == SOFTMAX
    )


def read_labels(path: Path) -> list[str]:
    """The labels of a model, of which all is checked but the numbers of its vectors; these are not read.

    Raises DataError as `read_model` does.
    """
    facts = path.stat()
    return list(_labels(path, facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=8)
def _labels(path: Path, size: int, modified: int) -> tuple[str, ...]:
    """Those of a file of this size and time: several sources may name one."""
    with _reading(path) as (file, _):
        return tuple(_head(file, size).labels)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size; what is wrong with it is told with its place."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            yield file, size
        except (struct.error, ValueError, EOFError, UnicodeDecodeError) as error:
            words = f"{path}: {error}, at byte {file.tell():,} of {size:,}"
            raise DataError(f"{words}; give a model that `fasttext supervised` wrote (.bin)") from error


@dataclass(frozen=True)
class _Head:
    """All of a model but its vectors: `n` rows of `dim` numbers from byte `rows` on, those of labels from
    byte `vectors`."""

    words: list[bytes]
    labels: list[str]
    dim: int
    n: int
    ngrams: int
    least: int
    most: int
    buckets: int
    loss: int
    rows: int
    vectors: int


def _take(file: BinaryIO, form: str) -> tuple[int, ...]:
    layout = struct.Struct(form)
    data = file.read(layout.size)
    if len(data) < layout.size:
        raise EOFError("the file ends in the middle")
    return layout.unpack(data)


def _head(file: BinaryIO, size: int) -> _Head:
    magic, version = _take(file, "<2i")
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError("it does not begin as a model of fastText of version 11 or 12 does")
    dim, _, _, _, _, ngrams, loss, model, buckets, least, most, _ = _take(file, "<12i")
    _take(file, "<d")
    if model != SUPERVISED:
        raise ValueError("it is a model of word vectors, not a classifier")
    if LOSSES.get(loss) not in ("softmax", "ova", "ns"):
        raise ValueError(f"its loss is {LOSSES.get(loss, loss)}; train with `-loss softmax` or `-loss ova`")
    if version == 11:
        most = 0  # as fastText reads such classifiers
    if not (0 < dim <= 1 << 16 and buckets >= 0 and 1 <= ngrams <= 64 and 0 <= most <= 64):
        raise ValueError("its sizes make no sense")
    entries, _, n_labels, _, pruned = _take(file, "<3i2q")
    if pruned >= 0:
        raise ValueError("its dictionary is pruned (.ftz); give the model before `fasttext quantize`")
    if entries < 0 or entries > size:
        raise ValueError("its dictionary is larger than the file")
    words, labels = _dictionary(file, entries)
    if len(labels) != n_labels or not labels:
        raise ValueError("it has other labels than it says")
    if _take(file, "<b")[0]:
        raise ValueError("it is quantized (.ftz); give the model before `fasttext quantize`")
    n, width = _shape(file, size, dim)
    if n < len(words) + (buckets if ngrams > 1 or most > 0 else 0):
        raise ValueError("it has fewer vectors than words and buckets")
    start = file.tell()
    file.seek(start + 4 * n * width)
    if _take(file, "<b")[0]:
        raise ValueError("its labels are quantized (.ftz); give the model before `fasttext quantize`")
    named, _ = _shape(file, size, dim)
    if named != len(labels):
        raise ValueError("it has other vectors than labels")
    behind = file.tell()
    return _Head(words, labels, dim, n, ngrams, least, most, buckets, loss, start, behind)


def _dictionary(file: BinaryIO, entries: int) -> tuple[list[bytes], list[str]]:
    words: list[bytes] = []
    labels: list[str] = []
    for _ in range(entries):
        word = _until_null(file)
        _, kind = _take(file, "<qb")
        if kind == 0:
            if labels:
                raise ValueError("a word stands behind the labels")
            words.append(word)
        else:
            labels.append(word.decode())
    return words, labels


def _until_null(file: BinaryIO) -> bytes:
    found = bytearray()
    while True:
        part = file.peek(4096) if hasattr(file, "peek") else b""
        if not part or len(found) > LONGEST_WORD:
            raise EOFError("the file ends in its dictionary, or has no end of a word")
        end = part.find(b"\0")
        found += file.read(len(part) if end < 0 else end + 1)
        if end >= 0:
            return bytes(found[:-1])


def _shape(file: BinaryIO, size: int, dim: int) -> tuple[int, int]:
    n, width = _take(file, "<2q")
    if width != dim or n < 0 or n > (size - file.tell()) // (4 * dim):
        raise EOFError(f"the file is too short for {n:,} vectors of {width:,} numbers")
    return n, width


def _floats(file: BinaryIO, at: int | None, shape: tuple[int, int]) -> Floats:
    """Vectors from byte `at` on, or from where the file stands."""
    if at is not None:
        file.seek(at)
    data = file.read(4 * shape[0] * shape[1])
    if len(data) < 4 * shape[0] * shape[1]:
        raise EOFError("the file ends in its vectors")
    found = np.frombuffer(data, "<f4").reshape(shape)
    if not np.isfinite(found).all():
        raise ValueError("a vector holds what is no number")
    return found
