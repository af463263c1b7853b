from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from corpusmill.pipelines.errors import UserError
from corpusmill.tokenizer.bpe.definition import new_tokenizer
from corpusmill.tokenizer.bpe.encoders import TokenizersEncoder, read_vocabulary
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer


def byte_level(path: Path, **parts: Any) -> Path:
    """A tokenizer.json of the 256 bytes, `<s>` and a run of spaces as added tokens, and `parts` replaced."""
    tokenizer = new_tokenizer()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.model = models.BPE({letter: i for i, letter in enumerate(alphabet)}, [])
    tokenizer.add_special_tokens([AddedToken("<s>", special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("    ", normalized=False), AddedToken("<|user|>", normalized=False)])
    for name, value in parts.items():
        setattr(tokenizer, name, value)
    tokenizer.save(str(path))
    return path


def loaded(path: Path, folder: Path, **options: Any) -> dict[str, Any]:
    return LoadTokenizer(path=path, **options).run({}, folder)


def test_deepseeks_own_loads_and_gigatoken_agrees(deepseek_json: Path, deepseek_folder: Path) -> None:
    assert (deepseek_folder / "tokenizer.json").read_bytes() == deepseek_json.read_bytes()
    vocabulary = read_vocabulary(deepseek_folder / "encoder.json")
    assert vocabulary.encoder == "gigatoken"
    assert vocabulary.size == 128815
    assert vocabulary.specials == {
        "bos": 0,
        "eos": 1,
        "pad": 2,
        "fim_hole": 128800,
        "fim_begin": 128801,
        "fim_end": 128802,
    }


def test_special_tokens_by_other_names(tmp_path: Path) -> None:
    path = byte_level(tmp_path / "in.json")
    facts = loaded(path, tmp_path, special_tokens={"eos": "<s>"})
    assert facts["encoder"]["special_tokens"] == {"eos": 256}
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["eos_token"] == "<s>"


def test_missing_special_tokens_are_refused_or_added(tmp_path: Path) -> None:
    path = byte_level(tmp_path / "in.json")
    with pytest.raises(UserError, match="no added token '</s>'"):
        loaded(path, tmp_path, special_tokens={"eos": "</s>"})
    facts = loaded(path, tmp_path, special_tokens={"bos": "<s>", "eos": "</s>"}, add_missing=True)
    assert facts["encoder"]["special_tokens"] == {"bos": 256, "eos": 259}
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).token_to_id("</s>") == 259
    with pytest.raises(ValidationError):
        LoadTokenizer(path=path, special_tokens={"end": "<s>"})


def test_white_space_tokens_stay_and_control_tokens_do_not(tmp_path: Path) -> None:
    definition = json.loads(byte_level(tmp_path / "in.json").read_text())
    _, tokens = TokenizersEncoder(definition).encode(pa.array(["a    b<s><|user|>"], pa.large_string()))
    assert 257 in tokens
    assert 256 not in tokens
    assert 258 not in tokens


def test_an_unknown_pre_tokenizer_falls_back_and_says_why(tmp_path: Path) -> None:
    split = pre_tokenizers.Split(Regex("[aeiou]+"), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    path = byte_level(tmp_path / "in.json", pre_tokenizer=pre_tokenizers.Sequence([split, level]))
    facts = loaded(path, tmp_path)["encoder"]
    assert facts["encoder"] == "tokenizers"
    assert facts["fault"].startswith("gigatoken cannot load this tokenizer")


def test_a_tokenizer_that_changes_text_is_refused(tmp_path: Path) -> None:
    path = byte_level(tmp_path / "in.json", normalizer=normalizers.Lowercase())
    with pytest.raises(UserError, match="does not give back"):
        loaded(path, tmp_path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    words = tmp_path / "words.json"
    Tokenizer(models.WordLevel({"a": 0, "?": 1}, "?")).save(str(words))
    with pytest.raises(UserError, match="WordLevel tokenizer is not supported"):
        loaded(words, tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError, match=r"bad\.json is not a tokenizer\.json"):
        loaded(tmp_path / "bad.json", tmp_path)
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        loaded(tmp_path / "absent.json", tmp_path)
