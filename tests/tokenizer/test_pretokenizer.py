"""Which pre-tokenizers there are, their definitions, and the way through `tokenizers`."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from pydantic import ValidationError

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.pretokenizer.ends import pretoken_ends
from corpusmill.tokenizer.pretokenizer.general import general_ends
from corpusmill.tokenizer.pretokenizer.patterns import DIGITS, NAMES, split_patterns
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.tokenizer_pretokens import NAMED, VARIANTS, expected_ends

TEXT = "Total: 12345 items,\n\n  don't WE'LL getHTTPName //\r\n\tcafé 中文123カタ・カナ。\n x\n  "


def pieces(pre: PreTokenizer, text: str) -> list[str]:
    _, ends = pretoken_ends(pre, pa.array([text]))
    data = text.encode()
    return [data[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def released(folder: Path, name: str) -> dict[str, Any]:
    packed = folder / "tokenizers" / f"{name}.tokenizer.json.zst"
    loaded = json.loads(zstandard.ZstdDecompressor().stream_reader(packed.read_bytes()).read())
    assert isinstance(loaded, dict)
    return loaded


def test_each_pattern_cuts_as_its_definition_says() -> None:
    assert pieces(PreTokenizer(), TEXT) == [
        *("Total", ":", " ", "123", "45", " items", ",\n\n", " ", " don", "'t", " WE", "'LL", " getHTTPName"),
        *(" //\r\n", "\tcafé", " ", "中文", "123", "カタ", "・", "カナ", "。\n", " x", "\n", "  "),
    ]
    assert pieces(PreTokenizer(pattern="gpt2"), TEXT) == [
        *("Total", ":", " 12345", " items", ",", "\n\n ", " don", "'t", " WE", "'", "LL", " getHTTPName"),
        *(" //", "\r\n", "\t", "café", " 中文", "123", "カタ", "・", "カナ", "。", "\n", " x", "\n  "),
    ]
    assert pieces(PreTokenizer(pattern="cl100k"), TEXT) == [
        *("Total", ":", " ", "123", "45", " items", ",\n\n", " ", " don", "'t", " WE", "'LL", " getHTTPName"),
        *(" //\r\n", "\tcafé", " 中文", "123", "カタ", "・カナ", "。\n", " x", "\n  "),
    ]
    assert pieces(PreTokenizer(pattern="o200k"), TEXT) == [
        *("Total", ":", " ", "123", "45", " items", ",\n\n", " ", " don't", " WE'LL", " get", "HTTPName"),
        *(" //\r\n", "\tcafé", " 中文", "123", "カタ", "・カナ", "。\n", " x", "\n", "  "),
    ]
    assert pieces(PreTokenizer(pattern="llama3"), "a 1234\n  ") == ["a", " ", "123", "4", "\n", "  "]
    assert pieces(PreTokenizer(pattern="qwen"), "a 1234\n  ") == ["a", " ", "1", "2", "3", "4", "\n", "  "]


def test_options_change_digits_and_line_breaks() -> None:
    assert pieces(PreTokenizer(digits=1), "12a") == ["1", "2", "a"]
    assert pieces(PreTokenizer(pattern="gpt2", digits=2), " 12345") == [" 12", "34", "5"]
    assert pieces(PreTokenizer(pattern="qwen", digits=4), "12345") == ["1234", "5"]
    for name in NAMES:
        if name == "gpt2":
            continue
        cut = pieces(PreTokenizer(pattern=name, punctuation_line_breaks=False), "x).\n\ny")
        assert cut == ["x", ").", "\n\n", "y"]
        assert pieces(PreTokenizer(pattern=name), "x).\n\ny") == ["x", ").\n\n", "y"]


def test_deepseek_is_the_released_one(data_folder: Path) -> None:
    own = json.loads(PreTokenizer().hugging_face().__getstate__())
    assert own == released(data_folder, "deepseek_v3")["pre_tokenizer"]


@pytest.mark.parametrize("name", ["llama3", "qwen"])
def test_llama_and_qwen_are_the_released_ones(data_folder: Path, name: Any) -> None:
    file = {"llama3": "llama3_1", "qwen": "qwen3"}[name]
    split, _ = released(data_folder, file)["pre_tokenizer"]["pretokenizers"]
    assert PreTokenizer(pattern=name).regexes() == (split["pattern"]["Regex"],)
    assert split["behavior"] == "Isolated"
    assert PreTokenizer.of((split["pattern"]["Regex"],)) == PreTokenizer(pattern=name)


def test_gpt2_is_the_expression_of_byte_level() -> None:
    from tokenizers import pre_tokenizers

    of_library = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    gpt2 = PreTokenizer(pattern="gpt2")
    assert gpt2.hugging_face().__getstate__() == of_library.__getstate__()
    by_expression = expected_ends(gpt2)
    for text in (TEXT, "a's 'S  b\n \n  ", "\u0301 1½"):
        pieces_of_library = [piece for piece, _ in of_library.pre_tokenize_str(text)]
        assert np.cumsum([len(piece) for piece in pieces_of_library]).tolist() == by_expression(text)


@pytest.mark.parametrize("pre", [*NAMED, *VARIANTS], ids=str)
def test_expressions_name_their_pattern(pre: PreTokenizer) -> None:
    again = PreTokenizer.of(pre.regexes())
    assert again.regexes() == pre.regexes()
    as_list = PreTokenizer(pattern=pre.regexes())
    code, expected = as_list.code(), pre.code()
    assert code is not None
    assert expected is not None
    assert np.array_equal(code, expected)


def test_the_own_number_of_digits_is_no_other_expression() -> None:
    for name in NAMES:
        own = DIGITS[name]
        if own is not None:
            assert split_patterns(name) == split_patterns(name, own)


@pytest.mark.parametrize("pre", [*NAMED, *VARIANTS], ids=str)
def test_kernel_and_general_path_agree(pre: PreTokenizer) -> None:
    texts = pa.array(["left out", TEXT, None, "", "plain ASCII 123", "é", TEXT * 2]).slice(1)
    for column in (texts, texts.cast(pa.large_string())):
        starts, ends = pretoken_ends(pre, column)
        general_starts, general = general_ends(pre, column)
        assert np.array_equal(starts, general_starts)
        assert np.array_equal(ends, general)
        assert starts.dtype == ends.dtype == general_starts.dtype == general.dtype == np.int64


def test_no_documents_and_only_empty_ones() -> None:
    for pre in (PreTokenizer(), PreTokenizer(pattern=("x",))):
        for texts in (pa.array([], pa.string()), pa.array(["", None], pa.large_string())):
            starts, ends = pretoken_ends(pre, texts)
            assert starts.tolist() == [0] * (len(texts) + 1)
            assert len(ends) == 0


def test_own_expressions_apply_one_after_the_other() -> None:
    pre = PreTokenizer(pattern=(r"\d", "[a-z]+|é中"))
    assert pre.code() is None
    assert pieces(pre, "ab1cdé中EF2") == ["ab", "1", "cd", "é中", "EF", "2"]


def test_an_expression_that_matches_nothing_long_is_harmless() -> None:
    assert "".join(pieces(PreTokenizer(pattern=("x*",)), "axxb")) == "axxb"


def test_bad_options_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="no pre-tokenizer is called 'gpt5'; known are deepseek_v3"):
        PreTokenizer.model_validate({"pattern": "gpt5"})
    with pytest.raises(ValidationError, match=r"expression '\(a' cannot be used: .*parenthesis"):
        PreTokenizer(pattern=("a", "(a"))
    with pytest.raises(ValidationError, match=r"expression '(\(\?a){65}\(\?\.\.\.' cannot be used"):
        PreTokenizer(pattern=("(?a" * 30_000,))
    with pytest.raises(ValidationError, match="'' cannot be used: it is empty"):
        PreTokenizer(pattern=("",))
    with pytest.raises(ValidationError, match="list of regular expressions is empty"):
        PreTokenizer(pattern=())
    with pytest.raises(ValidationError, match="change named patterns"):
        PreTokenizer(pattern=("a",), digits=3)
    with pytest.raises(ValidationError, match="gpt2 never combines"):
        PreTokenizer(pattern="gpt2", punctuation_line_breaks=False)
    for digits in (0, 17):
        with pytest.raises(ValidationError, match="digits"):
            PreTokenizer(digits=digits)


def test_a_list_from_a_recipe_is_an_expression() -> None:
    assert PreTokenizer.model_validate({"pattern": [r"\w+"]}).regexes() == (r"\w+",)


def test_an_expression_out_of_attempts_is_a_named_error(capfd: pytest.CaptureFixture[str]) -> None:
    pre = PreTokenizer(pattern=("(a+)+b",))
    with pytest.raises(UserError, match=r"expression '\(a\+\)\+b' fails on document 1 .* 40 characters"):
        general_ends(pre, pa.array(["ab", "a" * 40]))
    pre = PreTokenizer(pattern=("-", "(a+)+b"))
    with pytest.raises(UserError, match=r"fails on document 0 .* a piece of 41 characters that begins 'éa"):
        general_ends(pre, pa.array(["ab-é" + "a" * 40 + "-aab"]))
    capfd.readouterr()  # the panic's own report
    assert gc.isenabled()
