from __future__ import annotations

import base64
import importlib
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
import zstandard
from pydantic import ValidationError
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.byte_characters import bytes_of
from corpusmill.pipelines.text.encoders import TokenizersEncoder
from corpusmill.tokenizer.bpe.artefact import read_vocabulary
from corpusmill.tokenizer.bpe.definition import new_tokenizer
from corpusmill.tokenizer.bpe.probes import probe_texts
from corpusmill.tokenizer.exports.tiktoken import read_ranks
from corpusmill.tokenizer.imports.read_tokenizer import read_tokenizer
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.released_tokenizers import first_ranks, reference, unpacked
from tests.oracles.tokenizer_texts import DATA


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


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(zstandard.ZstdCompressor().compress(content))
    return path


def ranks_of(definition: dict[str, Any]) -> bytes:
    """The rank file of a tokenizer.json, its special tokens left out, ranks from 0."""
    added = {token["content"] for token in definition["added_tokens"]}
    ordinary = [token for token in definition["model"]["vocab"] if token not in added]
    lines = [base64.b64encode(bytes_of(token)) + b" %d\n" % rank for rank, token in enumerate(ordinary)]
    return b"".join(lines)


@pytest.mark.parametrize("pack", [False, True])
def test_a_rank_file_becomes_the_tokenizer_it_was(tokenizer_folder: Path, tmp_path: Path, pack: bool) -> None:
    original = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    path, content = tmp_path / "x.tiktoken", ranks_of(original)
    _ = packed(path, content) if pack else path.write_bytes(content)
    facts = loaded(path, tmp_path, pre_tokenizer="deepseek_v3")
    assert facts["format"] == "tiktoken"
    assert facts["encoder"]["encoder"] == "gigatoken"
    made = json.loads((tmp_path / "tokenizer.json").read_text())
    assert made["model"]["merges"] == original["model"]["merges"]
    assert made["pre_tokenizer"] == original["pre_tokenizer"]
    ordinary = {token: i - 6 for token, i in original["model"]["vocab"].items() if i >= 6}
    assert made["model"]["vocab"] == ordinary


def test_special_tokens_are_added_to_a_rank_file(tokenizer_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.tiktoken"
    path.write_bytes(ranks_of(json.loads((tokenizer_folder / "tokenizer.json").read_text())))
    options = {
        "pre_tokenizer": {"pattern": "cl100k", "digits": 1},
        "special_tokens": {"eos": "<|endoftext|>"},
    }
    with pytest.raises(UserError, match="set `add_missing: true`"):
        loaded(path, tmp_path, **options)
    facts = loaded(path, tmp_path, **options, add_missing=True)
    assert facts["encoder"]["special_tokens"] == {"eos": 694}
    split = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).pre_tokenizer
    assert [word for word, _ in split.pre_tokenize_str("12 a")] == ["1", "2", "Ġa"]


def test_merges_become_gpt2s_form(tokenizer_folder: Path, tmp_path: Path) -> None:
    original = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    lines = [" ".join(pair) for pair in original["model"]["merges"]]
    path = packed(tmp_path / "merges.txt.zst", "\n".join(["#version: 0.2", *lines, ""]).encode())
    facts = loaded(path, tmp_path)
    assert facts["format"] == "merges"
    made = json.loads((tmp_path / "tokenizer.json").read_text())
    assert made["model"]["merges"] == original["model"]["merges"]
    assert made["model"]["vocab"] == {t: i - 6 for t, i in original["model"]["vocab"].items() if i >= 6}
    assert made["pre_tokenizer"]["use_regex"] is True
    loaded(path, tmp_path, pre_tokenizer={"pattern": [r"\p{L}+"]})
    made = json.loads((tmp_path / "tokenizer.json").read_text())
    assert made["pre_tokenizer"]["pretokenizers"][0]["pattern"] == {"Regex": r"\p{L}+"}


def test_a_packed_tokenizer_json_is_unpacked(tmp_path: Path) -> None:
    whole = byte_level(tmp_path / "in.json").read_bytes()
    loaded(packed(tmp_path / "in.json.zst", whole), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == whole
    (tmp_path / "cut.json.zst").write_bytes((tmp_path / "in.json.zst").read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot unpack the tokenizer"):
        loaded(tmp_path / "cut.json.zst", tmp_path)


BYTES = b"".join(base64.b64encode(bytes([b])) + b" %d\n" % b for b in range(256))
ABCD = b"".join(base64.b64encode(t) + b" %d\n" % r for r, t in ((256, b"bc"), (257, b"abcd")))


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (BYTES, {}, "does not say how text is split; give `pre_tokenizer`"),
        (BYTES[: BYTES.index(b"/w==")], {"pre_tokenizer": "gpt2"}, "lacks 1 of the 256 bytes"),
        (BYTES + ABCD, {"pre_tokenizer": "gpt2"}, "no merges lead to the token 'abcd'"),
        (BYTES + b"junk\n", {"pre_tokenizer": "gpt2"}, "line 257"),
        (b"a b\nab c\nxy z\n", {}, "line 3 of the merges"),
        (b"a b\nab c d\n", {}, "line 2 of the merges"),
        (b'{"model": 1}', {"pre_tokenizer": "gpt2"}, "says itself how text is split"),
        (b"\xff\xfe\x00", {}, r"cannot read the tokenizer .*in\.file"),
    ],
)
def test_faults_of_other_formats(
    tmp_path: Path, content: bytes, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "in.file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        loaded(path, tmp_path, **options)
    assert "in.file" in str(raised.value)


def test_an_unknown_pre_tokenizer_is_refused_with_the_recipe() -> None:
    with pytest.raises(ValidationError, match="gpt5"):
        LoadTokenizer(path="x", pre_tokenizer="gpt5")


def real_texts(count: int) -> list[str]:
    """Some texts of each file of the data, and made ones of every odd character."""
    texts = probe_texts(["<|endoftext|>"], count=150)
    for path in sorted((DATA / "text").glob("*.jsonl.zst")) + sorted((DATA / "code").glob("*.jsonl.zst")):
        with path.open("rb") as packed_file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed_file), "utf-8")
            texts.extend(
                json.loads(line)["text"][:4000] for line in itertools.islice(lines, 0, count * 20, 20)
            )
    return texts


@pytest.mark.parametrize(("name", "ranks"), [("cl100k_base", None), ("o200k_base", 50_000)])
def test_openais_rank_files_give_tiktokens_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ranks: int | None
) -> None:
    """All ranks of one file, the first of the other."""
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    public = importlib.import_module("tiktoken_ext.openai_public")
    path, content = reference(f"{name}.tiktoken.zst"), unpacked(f"{name}.tiktoken.zst")
    if ranks is not None:
        content = first_ranks(path.name, ranks)
        path = packed(tmp_path / path.name, content)
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda *_args, **_options: read_ranks(content))
    encoding = tiktoken.Encoding(**getattr(public, name)())
    imported = read_tokenizer(path, PreTokenizer.model_validate({"pattern": name.removesuffix("_base")}))
    tokenizer = Tokenizer.from_str(imported.text)
    for text in real_texts(12):
        assert tokenizer.encode(text).ids == encoding.encode_ordinary(text)


def test_gpt2s_merges_give_gpt2s_ids(tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    facts = loaded(
        reference("gpt2_merges.txt.zst"), tmp_path, special_tokens={"eos": "<|endoftext|>"}, add_missing=True
    )
    assert facts["encoder"]["special_tokens"] == {"eos": 50256}
    assert facts["encoder"]["encoder"] == "gigatoken"
    tokenizer = Tokenizer.from_str(read_tokenizer(reference("gpt2_merges.txt.zst")).text)
    assert tokenizer.encode("Hello world").ids == [15496, 995]
    # tiktoken's expression of GPT-2 and the ranks that its loader makes of the merges
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    lines = unpacked("gpt2_merges.txt.zst").decode()
    merged = ["".join(line.split()) for line in lines.split("\n")[1:] if line]
    ranks = {bytes_of(token): rank for rank, token in enumerate([*alphabet, *merged])}
    expression = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
    encoding = tiktoken.Encoding("gpt2", pat_str=expression, mergeable_ranks=ranks, special_tokens={})
    for text in real_texts(12):
        assert tokenizer.encode(text).ids == encoding.encode_ordinary(text)


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


NEEDED = {"eos": "do without an end", "pad": "", "fim_hole": "no FIM", "fim_end": "no FIM"}


def test_every_special_token_that_is_needed_is_asked_for_at_once(tmp_path: Path) -> None:
    path = byte_level(tmp_path / "in.json")
    (message,) = LoadTokenizer(path=path).faults(NEEDED)
    assert "names no token for eos, pad, fim_hole, fim_end" in message
    assert "its added tokens are '    ', '<s>', '<|user|>'" in message
    assert 'special_tokens: {eos: "<|endoftext|>", pad: "<|pad|>", fim_hole: ' in message
    assert message.endswith("add_missing: true}`; or do without an end; or no FIM")
    assert LoadTokenizer(path=path).faults({}) == []
    given = {"eos": "<s>", "pad": "<|user|>"}
    assert LoadTokenizer(path=path, special_tokens=given).faults({"eos": "", "pad": ""}) == []
    (less,) = LoadTokenizer(path=path, special_tokens=given).faults({"eos": "", "bos": ""})
    assert 'special_tokens: {eos: "<s>", pad: "<|user|>", bos: "<s>"}}`' in less  # nothing to add


def test_what_is_written_as_the_cure_is_one(tmp_path: Path) -> None:
    path = byte_level(tmp_path / "in.json")
    (message,) = LoadTokenizer(path=path).faults(NEEDED)
    written = message.split("such as `load: ")[1].split("`;")[0]
    options = {**yaml.safe_load(written), "path": path}
    assert LoadTokenizer.model_validate(options).faults(NEEDED) == []
    facts = loaded(**options, folder=tmp_path)
    assert set(facts["encoder"]["special_tokens"]) >= set(NEEDED)


def test_absent_spellings_and_unreadable_files_are_told_before_the_work(tmp_path: Path) -> None:
    path = byte_level(tmp_path / "in.json")
    (message,) = LoadTokenizer(path=path, special_tokens={"eos": "</s>", "pad": "<pad>"}).faults({})
    assert "has no added token '</s>', '<pad>'" in message
    path.write_text("not a tokenizer")
    (message,) = LoadTokenizer(path=path).faults({})
    assert str(path) in message
