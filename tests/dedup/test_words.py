"""Kernels of words, characters and shingle sets against plain Python, on any text."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.kernels import signatures, words
from corpusmill.dedup.kernels import word_hashes as alone
from corpusmill.dedup.kernels.signatures import rolling_shingles, word_shingles
from corpusmill.dedup.matching import normal_forms as forms
from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.text.mixing import MURMUR3, mixed
from tests.oracles import dedup_words as oracle
from tests.oracles import unicode

TEXTS = st.text(
    st.one_of(
        st.sampled_from("abcXYZ 019.,;:-\n\t\u0301\u00ad é É ﬁ Ａ ß İ 中文かナ๑กข한국 ٣ 😀 _"),
        st.characters(codec="utf-8"),
    ),
    max_size=60,
)
NORMALIZE = st.sampled_from(["fold", "numbers", "none"])


def word_hashes(text: str, normalize: str) -> tuple[list[int], list[int]]:
    data = np.frombuffer(text.encode(), np.uint8)
    hash_W, end_W = np.empty(len(data) // 2 + 2, np.uint64), np.empty(len(data) // 2 + 2, np.int64)
    n = words.words(
        data, 0, len(data), forms.normal_forms(normalize != "none"), normalize == "numbers", hash_W, end_W
    )
    return hash_W[:n].tolist(), end_W[:n].tolist()


@pytest.mark.parametrize("fold", [True, False])
def test_table_is_its_definition(fold: bool) -> None:
    table = forms.normal_forms(fold)
    for code in [*range(0x3000), *range(0x3000, 0x110000, 97), 0x1F600, 0x20000, 0xE0100]:
        assert table[code] == entry(chr(code), fold), hex(code)


def entry(char: str, fold: bool) -> int:
    """The entry of one character, by the words of the module's docstring."""
    category = unicode.category(char)
    if fold and category in ("Mn", "Me", "Cf"):
        return forms.SKIP
    if char.isspace() or ord(char) < 2 or (fold and category[0] in "PSZC"):
        return forms.SEPARATOR
    value = ord(unicode.fold(char)) if fold else ord(char)
    value |= forms.DIGIT if category == "Nd" else 0
    return value | (forms.SINGLE if oracle.is_single(char) else 0)


@settings(deadline=None, max_examples=100)
@given(TEXTS, NORMALIZE)
def test_words_equal_the_oracle(text: str, normalize: str) -> None:
    hashes, ends = word_hashes(text, normalize)
    assert hashes == [oracle.word_hash(word) for word in oracle.words(text, normalize)]
    assert ends == sorted(ends)
    assert all(0 < end <= len(text.encode()) for end in ends)


@pytest.mark.parametrize("normalize", ["fold", "numbers", "none"])
def test_hashes_alone_are_those_of_words_with_bounds(normalize: str) -> None:
    """Of texts of all lengths around a block, cut anywhere, with words longer than one."""
    kinds = [
        "plain words, of ASCII alone; " * 3,
        "中文かナ 한국 é\u0301 ﬁ x\u00ad ",
        "1,234.5 ",
        "x" * 1500,
        " \n",
        "a1,2 ",
    ]
    draw = random.Random(0)
    table, zero_digits = forms.normal_forms(normalize != "none"), normalize == "numbers"
    ascii_C = alone.folded_ascii(table, zero_digits)
    code_C, raw_W = alone.rooms()
    for size in [*range(12), 50, *(draw.randrange(alone.BLOCK * 4) for _ in range(200))]:
        text = ""
        while len(text) < size:
            text += draw.choice(kinds)[draw.randrange(6) :]
        data = np.frombuffer(("é" + text[:size] + "é").encode(), np.uint8)[2:-2]
        expected = word_hashes(text[:size], normalize)[0]
        hash_W = np.zeros(len(data) // 2 + 2, np.uint64)
        last = data.ctypes.data + len(data)
        rest = (table, ascii_C, zero_digits, code_C, raw_W, hash_W)
        begins = np.uint64(0), np.uint64(0), False
        n, at, h, inside, _ = alone.some_word_hashes(data.ctypes.data, last, *begins, *rest, 0)
        found = [
            *hash_W[:n].tolist(),
            *([int(mixed(np.array([h], np.uint64), MURMUR3)[0])] if inside else []),
        ]
        assert (found, at) == (expected, last)
        assert not hash_W[(len(data) + 1) // 2 :].any()
        width = draw.randrange(1, 8)
        every, some = np.zeros(size + 2, np.uint32), np.zeros(size + 2, np.uint32)
        n = rolling_shingles(np.array(expected, np.uint64), len(expected), width, every)
        few_W = np.zeros(min(len(data) // 2 + 2, alone.BLOCK_WORDS + 20), np.uint64)
        given = (table, ascii_C, zero_digits, width, code_C, raw_W, few_W)
        assert word_shingles(data, 0, len(data), *given, some) == n
        assert (some == every).all()


def test_no_letter_folds_to_white_space() -> None:
    table = forms.normal_forms(True)
    assert not np.isin(table, [ord(" "), 0xA0, 9, 10, 13]).any()
    assert table[0xFC5E] == 0xFC5E


@settings(deadline=None, max_examples=100)
@given(TEXTS, NORMALIZE)
def test_characters_equal_the_oracle(text: str, normalize: str) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    out = np.empty(len(data) + 1, np.uint32)
    n = words.characters(
        data, 0, len(data), forms.normal_forms(normalize != "none"), normalize == "numbers", out
    )
    assert "".join(map(chr, out[:n])) == oracle.characters(text, normalize)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, WORLD!", ["hello", "world"]),
        ("Cafe\u0301 café CAFÉ", ["cafe", "cafe", "cafe"]),
        ("soft\u00adhyphen", ["softhyphen"]),
        ("我爱Python编程", ["我", "爱", "python", "编", "程"]),
        ("パソコン", ["ハ", "ソ", "コ", "ン"]),
        ("한국어 문서", ["한국어", "문서"]),
        ("don't a_b", ["don", "t", "a", "b"]),
        ("", []),
        (" \n—…", []),
    ],
)
def test_known_words(text: str, expected: list[str]) -> None:
    assert oracle.words(text) == expected
    assert word_hashes(text, "fold")[0] == [oracle.word_hash(word) for word in expected]


def test_numbers_read_as_zero() -> None:
    assert oracle.words("In 1,234.5 years, 7.", "numbers") == ["in", "0", "years", "0"]
    same = {tuple(word_hashes(t, "numbers")[0]) for t in ("pay 5 now", "pay 1,000.25 now", "pay ٣٤ now")}
    assert len(same) == 1


@settings(deadline=None, max_examples=100)
@given(
    st.lists(TEXTS, max_size=5),
    st.sampled_from(["word", "char"]),
    st.integers(1, 7),
    NORMALIZE,
    st.sampled_from(["exact", "keep"]),
)
def test_shingle_sets_equal_the_oracle(
    texts: list[str], shingle: str, width: int, normalize: str, short: str
) -> None:
    stage = Minhash.model_validate(
        {"shingle": shingle, "width": width, "normalize": normalize, "short": short, "bands": 2, "rows": 2}
    )
    ends, values, keys, digest = stage.sketch(*buffers(pa.array(texts, pa.large_string())))
    assert len(keys) == len(digest) == len(texts) == len(ends) - 1
    for i, text in enumerate(texts):
        expected = oracle.shingle_set(text, shingle == "word", width, normalize, short)
        assert values[ends[i] : ends[i + 1]].tolist() == expected
        assert bool(keys[i].any()) == bool(expected)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=300), st.integers(1, 5))
def test_sort_distinct(numbers: list[int], repeat: int) -> None:
    values = np.array(numbers * repeat, np.uint32)
    n = signatures.sort_distinct(values, len(values), np.empty_like(values))
    assert values[:n].tolist() == sorted(set(numbers))


def test_sort_distinct_of_very_many() -> None:
    values = np.random.default_rng(7).integers(0, 2**32, signatures.MANY + 1, dtype=np.uint32)
    values[1::2] >>= np.uint32(12)  # half of them repeat
    expected = np.unique(values)
    n = signatures.sort_distinct(values, len(values), np.empty_like(values))
    assert np.array_equal(values[:n], expected)


def test_a_large_document_of_one_word_is_one_shingle() -> None:
    text = pa.array(["word " * 300_000], pa.large_string())
    ends, _, _, _ = Minhash().sketch(*buffers(text))
    assert ends.tolist() == [0, 1]
