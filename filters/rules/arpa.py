"""Reads language models of KenLM, SRILM and others from ARPA files (uncompressed text), without them.

An ARPA file lists n-grams by length, each with the log10 of its probability and, if longer ones follow it, of
its backoff weight. Words are kept byte for byte. Scores are those of KenLM, which sums the same numbers in
32 bits: an n-gram whose last words do not stand in the file by themselves (as pruning leaves them) has them
added as KenLM adds them, with what backing off would give; `<unk>`, where there is none, has -100.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from corpusmill.filters.rules.ngram_model import LanguageModel, NgramModel
from corpusmill.pipelines.contract.errors import DataError

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
SEED, MISSING = 1, -100.0
MOST_ORDER = 10
LEAST_BYTES = 4  # of an n-gram's line: a digit, white space, a letter, the line's end


def read_arpa(path: Path, language: str) -> NgramModel:
    """The model of a file, for texts of `language` whose words stand between white space.

    Raises DataError for what is no such file, is cut, has other numbers of n-grams than it says, a
    probability over 1, an n-gram twice, or one whose first words or single words it does not list.
    Memory: about 300 bytes an n-gram while it is read, 40 afterwards.
    """
    from corpusmill.filters.kernels.language_model import SPACED

    with path.open("rb") as file:
        try:
            size = path.stat().st_size
            levels = [_level(file, length, count) for length, count in _counts(file, size)]
            keys, values = _joined(levels)
        except (ValueError, EOFError) as error:
            words = f"{path}: no ARPA file: {error}, at byte {file.tell():,}"
            raise DataError(f"{words}; give one that `lmplz` or SRILM wrote, uncompressed") from error
    known = len(levels[0][0])
    return NgramModel(keys, values, len(levels), {language: LanguageModel(SEED, 0.0, known, 0)}, SPACED)


def check_arpa(path: Path) -> None:
    """Raises DataError for a file whose head is that of no ARPA file, or which ends before \\end\\. Reads its
    counts and its end."""
    with path.open("rb") as file:
        try:
            size = path.stat().st_size
            next(_counts(file, size))
            file.seek(max(0, size - 4096))
            if not file.read().rstrip().endswith(b"\\end\\"):
                raise EOFError("the file ends before \\end\\")
        except (ValueError, EOFError) as error:
            words = f"{path}: no ARPA file: {error}, at byte {file.tell():,}"
            raise DataError(f"{words}; give one that `lmplz` or SRILM wrote, uncompressed") from error


def _line(file: BinaryIO) -> bytes:
    """The next line that is not blank, stripped."""
    while line := file.readline():
        if stripped := line.strip():
            return stripped
    raise EOFError("the file ends before \\end\\")


def _counts(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Lengths and how many n-grams of each a file of `size` bytes says that there are; each is read before
    the next is asked for."""
    if _line(file) != b"\\data\\":
        raise ValueError("it does not begin with \\data\\")
    found: list[int] = []
    while (line := _line(file)).startswith(b"ngram "):
        length, _, number = line.removeprefix(b"ngram ").partition(b"=")
        if int(length) != len(found) + 1 or int(number) < 0 or int(length) > MOST_ORDER:
            raise ValueError(f"{_shown(line)} is out of order, or too long")
        if int(number) * LEAST_BYTES > size:
            raise ValueError(f"{_shown(line)} is more than its {size:,} bytes can hold")
        found.append(int(number))
    if not found:
        raise ValueError("it does not say how many n-grams it has")
    if not found[0]:
        raise ValueError("it has no words")
    for at, count in enumerate(found):
        if line != b"\\%d-grams:" % (at + 1):
            wanted = f"\\{at + 1}-grams: should stand where {_shown(line)} does"
            raise ValueError(wanted + (f"; it says {found[at - 1]:,} {at}-grams" if at else ""))
        yield at + 1, count
        line = _line(file)
    if line != b"\\end\\":
        wanted = f"\\end\\ should stand where {_shown(line)} does"
        raise ValueError(f"{wanted}; it says {found[-1]:,} {len(found)}-grams")


def _shown(line: bytes) -> str:
    """The start of a line, for a message."""
    return repr(line[:60].decode("utf-8", "replace"))


def _level(file: BinaryIO, length: int, count: int) -> tuple[Keys, Floats]:
    """Hashes of the words uint64[count, length], and log10 of probability and weight float32[count, 2]."""
    from corpusmill.filters.kernels.language_model import BEGIN, END, SPACED, UNKNOWN, line_words

    lines, values = [], np.zeros((count, 2), np.float32)
    for row in range(count):
        line = _line(file)
        parts = line.split()
        if line.startswith(b"\\"):
            raise ValueError(f"it says {count:,} {length}-grams and has {row:,}")
        if not length + 1 <= len(parts) <= length + 2:
            raise ValueError(f"{_shown(line)} is no {length}-gram: it has {len(parts)} fields")
        values[row, 0] = float(parts[0])
        values[row, 1] = float(parts[length + 1]) if len(parts) > length + 1 else 0.0
        if not (values[row, 0] <= 0 and np.isfinite(values[row]).all()):
            raise ValueError(f"{_shown(line)} has a number that is not finite, or a probability over 1")
        lines.append(b" ".join(parts[1 : length + 1]))
    named = (b"<s>", b"</s>", b"<unk>", b"<UNK>")
    texts = np.frombuffer(b"\n".join([*named, *lines]), np.uint8)
    found, _ = line_words(np.array([0, len(texts)]), texts, SPACED)
    marks, words = found[: 3 * len(named)][1::3], found[3 * len(named) :].reshape(count, length + 2)[:, 1:-1]
    replaced = words.copy()
    for mark, number in zip(marks, (BEGIN, END, UNKNOWN, UNKNOWN), strict=True):
        replaced[words == mark] = number
    return replaced, values


def _joined(levels: list[tuple[Keys, Floats]]) -> tuple[Keys, Floats]:
    """Keys and values of all n-grams, and of those that are missing at the end of others."""
    from corpusmill.filters.kernels.language_model import UNKNOWN, keys_of

    seed = np.uint64(SEED)
    table: dict[int, tuple[float, float]] = {}
    words_of = [
        np.column_stack([keys_of(np.ascontiguousarray(words[:, k]), seed) for k in range(words.shape[1])])
        for words, _ in levels
    ]
    keys_by_length: list[Keys] = []
    for words, (_, values) in zip(words_of, levels, strict=True):
        keys = _keys(words)
        if twice := len(keys) - len(np.unique(keys)):
            raise ValueError(f"{twice:,} of its {words.shape[1]}-grams stand there twice")
        if words.shape[1] > 1:
            prefixes = _keys(words[:, :-1])
            if lost := int((~np.isin(prefixes, keys_by_length[-1])).sum()):
                raise ValueError(
                    f"{lost:,} of its {words.shape[1]}-grams have first words that it does not list"
                )
        keys_by_length.append(keys)
        table.update(zip(keys.tolist(), map(tuple, values.tolist()), strict=True))
    unknown = int(keys_of(np.array([UNKNOWN], np.uint64), seed)[0])
    table.setdefault(unknown, (MISSING, 0.0))
    for words in reversed(words_of[1:]):
        for row in words[~np.isin(_keys(words[:, 1:]), keys_by_length[words.shape[1] - 2])]:
            _fill(row[1:], table)
    keys = np.fromiter(table, np.uint64, len(table))
    order = np.argsort(keys)
    return keys[order], np.array(list(table.values()), np.float32)[order]


def _keys(words: Keys) -> Keys:
    """uint64[n]: the keys of n-grams, rows of keys of words."""
    from corpusmill.filters.kernels.language_model import longer_keys

    keys = np.ascontiguousarray(words[:, -1])
    for k in range(words.shape[1] - 2, -1, -1):
        keys = np.asarray(longer_keys(keys, np.ascontiguousarray(words[:, k])))
    return keys


def _fill(words: Keys, table: dict[int, tuple[float, float]]) -> float:
    """The log10 of the probability of an n-gram, a row of keys of words, added where it is missing."""
    key = int(_keys(words[None, :])[0])
    if key not in table:
        if len(words) == 1:
            raise ValueError("a word of an n-gram is not among the single words")
        _, passed = table.get(int(_keys(words[None, :-1])[0]), (0.0, 0.0))
        table[key] = (float(np.float32(_fill(words[1:], table) + passed)), 0.0)
    return table[key][0]
