from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, pre_tokenizers

from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.text.byte_characters import CHARACTERS, bytes_of, shown
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
from corpusmill.tokenizer.export import verify
from corpusmill.tokenizer.export.byte_level import read_byte_level
from corpusmill.tokenizer.export.exported import export_tokenizer
from corpusmill.tokenizer.export.one_pattern import one_pattern
from corpusmill.tokenizer.exports.huggingface import write_hugging_face
from corpusmill.tokenizer.exports.tiktoken import open_tiktoken, read_ranks, write_tiktoken
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.released_tokenizers import shortened
from tests.oracles.tokenizer_texts import made_texts

ALPHABETS = (
    "abcXYZéß'sſ",
    "0123٣²Ⅷ",
    "  \t\u00a0\u3000\u0085\u2028",
    "\n\r",
    '.,;!-"()$+<>|~^`/',
    "，。…—€∞",
    "的一龥龦㐀",
    "ひカー・ヽ\u3099\u309b\u30a0\u3040\u3097\u30ff",
    "\u0301\u0308\u0903",
    "\x00\x01\u200b\u200d\ufeff\ue000\u0378\U000e0001",
    "한국🙂",
)


def texts_of(seed: int, count: int) -> list[str]:
    random_ = random.Random(seed)
    return [
        "".join(random_.choice(random_.choice(ALPHABETS)) for _ in range(random_.randint(1, 14)))
        for _ in range(count)
    ]


def assert_same_pieces(pre: PreTokenizer, texts: list[str]) -> None:
    """tiktoken, which looks whole pieces up first, gives exactly the expected pieces.

    Tokens are all expected pieces, and any two neighbours joined, so that a missing cut shows.
    """
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    split = pre_tokenizers.Sequence(pre.splits())
    expected = [[piece.encode() for piece, _ in split.pre_tokenize_str(text)] for text in texts]
    ranks = {bytes([byte]): byte for byte in range(256)}
    for piece in sorted({piece for pieces in expected for piece in pieces}):
        ranks.setdefault(piece, len(ranks))
    for joined in sorted({a + b for pieces in expected for a, b in itertools.pairwise(pieces)}):
        ranks.setdefault(joined, len(ranks))
    pattern = one_pattern(pre.regexes())
    encoding = tiktoken.Encoding("pieces", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    for text, pieces in zip(texts, expected, strict=True):
        assert encoding.decode_tokens_bytes(encoding.encode_ordinary(text)) == pieces, repr(text)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"digits": 1},
        {"digits": 5, "punctuation_line_breaks": False},
        {"pattern": "gpt2"},
        {"pattern": "cl100k"},
        {"pattern": "o200k"},
        {"pattern": "qwen"},
        {"pattern": "llama3", "punctuation_line_breaks": False},
        {"pattern": (r"\p{L}+|[0-9]",)},
    ],
)
def test_one_pattern_cuts_as_several(options: dict[str, Any]) -> None:
    assert_same_pieces(PreTokenizer(**options), texts_of(7, 800))


def test_one_pattern_cuts_code_points_of_every_class_as_several() -> None:
    """All of them but for the inside of large blocks of one category, of which every eighth."""
    random_ = random.Random(5)
    neighbours = ["a", " ", "1", "一", "\n", ".", "\u0301", "\x00", "  ", "・", " a"]
    categories = [category(chr(c)) for c in range(0x32401)]
    points = [
        c
        for c in range(0x32400)
        if not 0xD800 <= c < 0xE000
        and (
            c < 0x3400
            or c % 8 == 0
            or 0x9F00 <= c < 0xA000
            or len({categories[c - 1], categories[c], categories[c + 1]}) > 1
        )
    ]
    texts = [
        "".join(chr(c) + random_.choice(neighbours) for c in points[at : at + 60])
        for at in range(0, len(points), 60)
    ]
    assert_same_pieces(PreTokenizer(), texts)


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("".join(ALPHABETS)), min_size=1, max_size=30))
def test_one_pattern_cuts_any_text_as_several(text: str) -> None:
    assert_same_pieces(PreTokenizer(), [text])


def test_several_patterns_of_ones_own_are_refused() -> None:
    with pytest.raises(UserError, match="tiktoken takes one"):
        one_pattern((r"\p{L}+", r"\d"))
    for regex in (r"a$|b", r"\w+", r"\h+|a", r"a{1,2}+", r"^a", r"(?m)a.", r"[[:alpha:]]+"):
        with pytest.raises(UserError, match="in another way"):
            one_pattern((regex,))


def test_bytes_are_shown_as_gpt2_shows_them() -> None:
    assert sorted(CHARACTERS.values()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    every = bytes(range(256))
    assert bytes_of(shown(every)) == every
    assert shown(" \n中".encode()) == "ĠĊä¸Ń"
    with pytest.raises(ValueError, match="stand for no byte"):
        bytes_of("中")


@pytest.mark.usefixtures("whole_checks")
def test_tiktoken_gives_the_same_ids(tokenizer_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    facts = export_tokenizer(tokenizer_folder, "tiktoken", tmp_path / "out")
    assert facts["verified"]["library"].startswith("tiktoken ")
    assert facts["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").iterdir()
    }
    encoding = open_tiktoken(tmp_path / "out")
    definition = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    documents = Tokenizer.from_str(json.dumps(documents_only(definition)))
    for text in [*made_texts(60, seed=9), *texts_of(3, 600)]:
        assert encoding.encode_ordinary(text) == documents.encode(text).ids
    eos = SPECIAL_TOKENS["eos"]
    assert encoding.encode(eos, allowed_special="all") == [1]
    assert 1 not in encoding.encode_ordinary(eos)
    assert encoding.n_vocab == 700
    assert json.loads((tmp_path / "out" / "tiktoken.json").read_text())["roles"]["fim_hole"] == 3


def test_the_rank_file_has_a_line_for_each_token(tokenizer_folder: Path, tmp_path: Path) -> None:
    definition = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    write_tiktoken(tmp_path, definition, {})
    ranks = read_ranks((tmp_path / "tokenizer.tiktoken").read_bytes())
    assert list(ranks.values()) == list(range(6, 700))
    expected = {t: i for t, i in definition["model"]["vocab"].items() if i >= 6}
    assert {shown(token): rank for token, rank in ranks.items()} == expected


def test_a_changed_rank_file_does_not_open(tokenizer_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    write_tiktoken(tmp_path, json.loads((tokenizer_folder / "tokenizer.json").read_text()), {})
    path = tmp_path / "tokenizer.tiktoken"
    path.write_bytes(path.read_bytes() + base64.b64encode(b"new token") + b" 900\n")
    with pytest.raises(UserError, match="export again"):
        open_tiktoken(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"YQ== 1\nYg==\n", "line 2"),
        (b"YQ== 1\n!!! 2\n", "line 2"),
        (b"YQ== 1\nYQ== 2\n", "token of its own"),
        (b"YQ== 1\nYg== 1\n", "same rank"),
        (b"YQ== 1 3\n", "token of its own"),
    ],
)
def test_rank_files_that_are_wrong(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_ranks(content)


@pytest.mark.usefixtures("whole_checks")
def test_transformers_gives_the_same_ids(tokenizer_folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    facts = export_tokenizer(tokenizer_folder, "huggingface", tmp_path / "out")
    assert facts["verified"]["library"].startswith("transformers ")
    loaded = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "out"), local_files_only=True)
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (0, 1, 2)
    assert loaded.convert_tokens_to_ids(loaded.fim_begin_token) == 4
    assert set(SPECIAL_TOKENS.values()) <= set(loaded.all_special_tokens)
    assert len(loaded) == 700
    reference = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    for text in [" a  b ,  don't !\r\n\t\x00é", *made_texts(30, seed=9), *texts_of(3, 300)]:
        ids = loaded(text)["input_ids"]
        assert ids == reference.encode(text).ids
        assert loaded.decode(ids) == text
    spelt = "a" + SPECIAL_TOKENS["eos"]
    assert 1 in loaded(spelt)["input_ids"]
    assert 1 not in loaded(spelt, split_special_tokens=True)["input_ids"]
    batch = loaded(["a b", "water"], padding=True)
    assert {2} >= set(batch["input_ids"][0][sum(batch["attention_mask"][0]) :])


def test_the_artefact_itself_loads_in_transformers(tokenizer_folder: Path, tmp_path: Path) -> None:
    """With the writer's two files beside tokenizer.json, as training leaves them."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    text = (tokenizer_folder / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text)
    names = write_hugging_face(tmp_path, text, {"eos": SPECIAL_TOKENS["eos"]})
    assert names == ("tokenizer_config.json", "special_tokens_map.json")
    loaded = transformers.AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    assert (loaded.bos_token, loaded.eos_token_id) == (None, 1)
    assert loaded("water ")["input_ids"] == Tokenizer.from_str(text).encode("water ").ids


def test_datatrove_gives_the_same_ids(tokenizer_folder: Path, tmp_path: Path) -> None:
    tokenization = pytest.importorskip("datatrove.utils.tokenization", reason="datatrove is not installed")
    export_tokenizer(tokenizer_folder, "huggingface", tmp_path / "out")
    loaded = tokenization.load_tokenizer(str(tmp_path / "out" / "tokenizer.json"))
    reference = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    for text in texts_of(3, 200):
        assert loaded.encode(text).ids == reference.encode(text).ids


@pytest.mark.usefixtures("whole_checks")
def test_gguf_metadata_say_the_whole_tokenizer(tokenizer_folder: Path, tmp_path: Path) -> None:
    facts = export_tokenizer(tokenizer_folder, "gguf", tmp_path)
    assert facts["verified"]["texts"] > 400
    written = json.loads((tmp_path / "gguf_metadata.json").read_text())
    value = {key.removeprefix("tokenizer.ggml."): entry["value"] for key, entry in written.items()}
    definition = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    assert (value["model"], value["pre"]) == ("gpt2", "deepseek-v3")
    assert {token: i for i, token in enumerate(value["tokens"])} == definition["model"]["vocab"]
    assert value["token_type"] == [3] * 6 + [1] * 694
    assert [pair.split(" ") for pair in value["merges"]] == definition["model"]["merges"]
    ids = ("bos", "eos", "padding", "fim_pre", "fim_suf", "fim_mid")
    assert [value[f"{name}_token_id"] for name in ids] == [0, 1, 2, 4, 3, 5]
    assert (value["add_bos_token"], value["add_eos_token"]) == (False, False)
    assert written["tokenizer.ggml.token_type"]["type"] == "ARRAY[INT32]"


def altered(folder: Path, out: Path, **parts: Any) -> Path:
    """The tokenizer.json of `folder` with parts replaced, as a file."""
    definition = json.loads((folder / "tokenizer.json").read_text())
    model = {**definition["model"], **parts.pop("model", {})}
    out.write_text(json.dumps({**definition, "model": model, **parts}))
    return out


def test_gguf_has_no_name_for_other_pre_tokenizers(tokenizer_folder: Path, tmp_path: Path) -> None:
    for options in ({"digits": 1}, {"pattern": "cl100k"}, {"pattern": ("a+",)}):
        pre = json.loads(PreTokenizer(**options).hugging_face().__getstate__())
        path = altered(tokenizer_folder, tmp_path / "in.json", pre_tokenizer=pre)
        with pytest.raises(UserError, match=r"llama\.cpp has no pre-tokenizer"):
            export_tokenizer(path, "gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_keep_its_ids_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    definition = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    vocabulary, merges = definition["model"]["vocab"], definition["model"]["merges"]
    swapped = {**vocabulary}
    first, second = "".join(merges[0]), "".join(merges[1])
    swapped[first], swapped[second] = swapped[second], swapped[first]
    lacking = {token: number for token, number in vocabulary.items() if token != "Ġ"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"normalizer": {"type": "NFC"}}, "normalizer NFC"),
        ({"model": {"vocab": swapped}}, "ids cannot serve as ranks|no merges lead"),
        ({"model": {"vocab": lacking, "merges": []}}, "lacks 1 of the 256 bytes"),
        ({"model": {"dropout": 0.1}}, "drops merges"),
        ({"model": {"byte_fallback": True}}, "falls back to bytes"),
        ({"model": {"end_of_word_suffix": "</w>"}}, "marks parts of words"),
        ({"pre_tokenizer": None}, "does not end in bytes"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "does not end in bytes"),
    ]
    for parts, message in cases:
        path = altered(tokenizer_folder, tmp_path / "in.json", **parts)
        with pytest.raises(UserError, match=message):
            write_tiktoken(tmp_path, json.loads(path.read_text()), {})
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("    ", normalized=False)])
    with pytest.raises(UserError, match="of white space"):
        write_tiktoken(tmp_path, json.loads(tokenizer.to_str()), {})


def test_gpt2s_form_of_the_pre_tokenizer_is_read(tokenizer_folder: Path) -> None:
    definition = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    read = read_byte_level({**definition, "pre_tokenizer": level})
    assert read.regexes == PreTokenizer(pattern="gpt2").regexes()
    with pytest.raises(UserError, match="without a space put before"):
        read_byte_level({**definition, "pre_tokenizer": {**level, "add_prefix_space": True}})


def test_nothing_is_written_where_the_library_disagrees(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = verify._documents

    def wrong(text: str) -> Any:
        definition = json.loads(text)
        definition["model"]["merges"] = definition["model"]["merges"][:-1]
        return honest(json.dumps(definition))

    pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    monkeypatch.setattr(verify, "_documents", wrong)
    monkeypatch.setattr(verify, "_long_texts", lambda: made_texts(200, seed=1))
    with pytest.raises(CorpusmillError, match="other ids"):
        export_tokenizer(tokenizer_folder, "tiktoken", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_absent_library_is_said(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "find_spec", lambda name: None)
    facts = export_tokenizer(tokenizer_folder, "tiktoken", tmp_path / "out")
    assert (facts["verified"], facts["unverified"]) == (None, "tiktoken is not installed")
    assert (tmp_path / "out" / "tokenizer.tiktoken").exists()


def test_commands_that_make_no_sense(tokenizer_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no export format 'onnx'; there are of a model"):
        export_tokenizer(tokenizer_folder, "onnx", tmp_path / "out")
    with pytest.raises(UserError, match="is no tokenizer: it has no"):
        export_tokenizer(tmp_path, "tiktoken", tmp_path / "out")
    with pytest.raises(UserError, match="only a tokenizer trained or loaded as a SentencePiece model"):
        export_tokenizer(tokenizer_folder, "sentencepiece", tmp_path / "out")
    (tmp_path / "file").write_text("{}")
    with pytest.raises(UserError, match="is a file"):
        export_tokenizer(tokenizer_folder, "tiktoken", tmp_path / "file")
    with pytest.raises(UserError, match=r"file is not a tokenizer\.json"):
        export_tokenizer(tmp_path / "file", "tiktoken", tmp_path / "out")
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        export_tokenizer(tmp_path / "absent", "tiktoken", tmp_path / "out")


def test_an_export_replaces_the_one_before(tokenizer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tiktoken.json").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    export_tokenizer(tokenizer_folder / "tokenizer.json", "tiktoken", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"tiktoken.json", "tokenizer.tiktoken", "notes.txt"}
    assert json.loads((tmp_path / "tiktoken.json").read_text())["roles"]["eos"] == 1


def test_deepseeks_own_tokenizer_becomes_tiktokens(deepseek_json: Path, tmp_path: Path) -> None:
    pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    definition = shortened(json.loads(deepseek_json.read_text()), 30_000)
    write_tiktoken(tmp_path, definition, {})
    encoding = open_tiktoken(tmp_path)
    assert encoding.n_vocab == len(definition["model"]["vocab"]) > 30_000
    documents = Tokenizer.from_str(json.dumps(documents_only(definition)))
    for text in [*made_texts(60, seed=2), *texts_of(4, 600)]:
        assert encoding.encode_ordinary(text) == documents.encode(text, add_special_tokens=False).ids
