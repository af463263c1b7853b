"""The kernels' character classes against those of Oniguruma in `tokenizers`, code point by code point."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Regex, pre_tokenizers

from corpusmill.tokenizer.kernels import pretokenize
from corpusmill.tokenizer.kernels.pretokenize_characters import (
    BYTES,
    CASELESS,
    LOWER,
    MARK,
    NON_ASCII,
    NUMBER,
    SPACE,
    SYMBOL,
    UPPER,
)
from corpusmill.tokenizer.pretokenizer.character_classes import class_table
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.tokenizer_pretokens import NAMED, expected_ends, joined

# Every one that stands for a character, and some of the planes that hold none.
CODES = np.array([*range(0xD800), *range(0xE000, 0x33480), *range(0x33480, 0x110000, 61), 0x10FFFF])
CODES = np.union1d(CODES, np.arange(0xE0000, 0xE0200))
EXPRESSIONS = {
    r"[\p{Lu}\p{Lt}]": UPPER,
    r"\p{Ll}": LOWER,
    r"[\p{Lm}\p{Lo}]": CASELESS,
    r"\p{L}": UPPER | LOWER | CASELESS,
    r"\p{M}": MARK,
    r"\p{N}": NUMBER,
    r"[\p{P}\p{S}]": SYMBOL,
    r"\s": SPACE,
    r"[^\s\p{L}\p{M}\p{N}\p{P}\p{S}]": 0,
}


def matched(expression: str) -> npt.NDArray[np.bool_]:
    """For every code point of CODES, whether `tokenizers` matches it."""
    others = pre_tokenizers.Split(Regex(expression), "removed")
    found = np.full(len(CODES), True)
    for at in range(0, len(CODES), 2**16):
        text = "".join(map(chr, CODES[at : at + 2**16]))
        for _, (start, end) in others.pre_tokenize_str(text):
            found[at + start : at + end] = False
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_classes_of_all_code_points_are_those_of_tokenizers(expression: str) -> None:
    classes = class_table()[BYTES:][CODES]
    mask = EXPRESSIONS[expression]
    own = (classes & mask) != 0 if mask else classes == 0
    expected = matched(expression)
    differing = [hex(code) for code in CODES[own != expected]]
    assert not differing
    assert 0 < expected.sum() < len(CODES)


def test_the_table_is_in_two_parts() -> None:
    table = class_table()
    assert len(table) == BYTES + 0x110000
    assert table[:0x80].tobytes() == table[BYTES : BYTES + 0x80].tobytes()
    assert set(table[0x80:BYTES].tolist()) == {NON_ASCII}
    assert not table.flags.writeable


CONTEXTS = ("{}", " {}a", "a{} ", "'{}", "A{}{}1", "\n {}\n", ".{}'s", "中{}中")


@pytest.mark.parametrize("pre", NAMED, ids=str)
def test_code_points_of_every_class_in_context(pre: PreTokenizer) -> None:
    """A third of them in one context each, in turn; some beside the border of a class in every one, alone."""
    table = class_table()
    classes = table[BYTES:][CODES]
    borders = np.flatnonzero(np.diff(classes, prepend=classes[0]))[::8]
    chosen = np.flatnonzero((classes != 0) & (np.arange(len(CODES)) % 3 == 0))
    texts = [
        "".join(CONTEXTS[i % len(CONTEXTS)].replace("{}", chr(CODES[i])) for i in part)
        for part in np.array_split(chosen, 200)
    ]
    near = [chr(CODES[i - back]) for i in borders for back in (0, 1)]
    texts += [context.replace("{}", character) for character in near for context in CONTEXTS]
    code = pre.code()
    assert code is not None
    offsets, data = joined(texts)
    before = pretokenize.count_pretokens(code, offsets, data, table)
    ends = np.empty(before[-1], np.int64)
    pretokenize.pretoken_ends(code, offsets, data, table, ends)
    expected = expected_ends(pre)
    for number, text in enumerate(texts):
        assert ends[before[number] : before[number + 1]].tolist() == expected(text), ascii(text[:200])
