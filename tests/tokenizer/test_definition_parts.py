"""What is random in a foreign tokenizer.json is not used, what is lossy is refused by name, in every use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.text.encoders import TokenizersEncoder
from corpusmill.pipelines.text.token_bytes import token_lengths
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.bpe.definition import added_token
from corpusmill.tokenizer.bpe.definition_parts import lossy_parts, without_additions
from corpusmill.tokenizer.commands.inspect_tokenizer import inspect_tokenizer
from corpusmill.tokenizer.evaluation.open_tokenizer import open_tokenizer
from corpusmill.tokenizer.export.exported import export_tokenizer
from corpusmill.tokenizer.export.source import open_source
from corpusmill.tokenizer.exports.huggingface import write
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from tests.oracles.tokenizer_texts import made_texts

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
}
TRUNCATION = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 9},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 2,
    "pad_type_id": 0,
    "pad_token": "<pad>",
}


@pytest.fixture(scope="module")
def plain(tokenizer_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tokenizer_folder / "tokenizer.json").read_text(encoding="utf-8"))
    return found


def altered(plain: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**plain, **parts, "model": {**plain["model"], **parts.pop("model", {})}}


def saved(definition: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    return path


def spaces(plain: dict[str, Any], *spellings: str, **flags: bool) -> dict[str, Any]:
    """`plain` with added tokens of white space."""
    first = len(plain["model"]["vocab"])
    tokens = [
        {**added_token(spelling, first + at, special=False), **flags} for at, spelling in enumerate(spellings)
    ]
    return altered(plain, added_tokens=[*plain["added_tokens"], *tokens])


DROPPED: list[tuple[dict[str, Any], str]] = [
    ({"model": {"dropout": 0.4}}, "model.dropout 0.4"),
    ({"truncation": TRUNCATION}, "truncation"),
    ({"padding": PADDING}, "padding"),
    ({"post_processor": TEMPLATE}, "post_processor TemplateProcessing"),
    (
        {"post_processor": {"type": "Sequence", "processors": [{**BYTE_LEVEL}, TEMPLATE]}},
        "post_processor TemplateProcessing",
    ),
    (
        {
            "post_processor": {
                "type": "RobertaProcessing",
                "sep": ["</s>", 1],
                "cls": ["<s>", 0],
                "trim_offsets": True,
                "add_prefix_space": True,
            }
        },
        "post_processor RobertaProcessing",
    ),
]


@pytest.mark.parametrize(("parts", "name"), DROPPED, ids=[name for _, name in DROPPED])
def test_what_is_random_or_adds_tokens_is_dropped_with_a_word(
    plain: dict[str, Any], tmp_path: Path, parts: dict[str, Any], name: str
) -> None:
    definition = altered(plain, **parts)
    without, (said,) = without_additions(definition)
    assert said.startswith(name)
    assert without_additions(without) == (without, [])
    assert documents_only(without) == documents_only(definition) == documents_only(plain)
    assert open_tokenizer(saved(definition, tmp_path)).dropped == (said,)


def test_dropout_plays_no_part_in_documents(plain: dict[str, Any], tmp_path: Path) -> None:
    definition = altered(plain, model={"dropout": 0.4}, post_processor=TEMPLATE)
    facts = LoadTokenizer(path=saved(definition, tmp_path / "in")).run({}, tmp_path)
    assert [said.split(" ")[0] for said in facts["dropped"]] == ["model.dropout", "post_processor"]
    assert json.loads((tmp_path / "loading.json").read_text(encoding="utf-8"))["dropped"] == facts["dropped"]
    written = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert (written["model"]["dropout"], written["post_processor"]) == (None, None)
    texts = pa.array(made_texts(12, seed=3), pa.large_string())
    expected = TokenizersEncoder(plain).encode(texts)[1].tolist()
    for held in (definition, definition, written):
        assert TokenizersEncoder(held).encode(texts)[1].tolist() == expected


def test_inspection_names_what_is_not_used_and_what_changes_texts(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    definition = altered(plain, model={"dropout": 0.4}, normalizer={"type": "NFC"})
    found = inspect_tokenizer(saved(definition, tmp_path / "in"))
    (figures,) = found.tokenizers.values()
    assert figures.dropped == ("model.dropout 0.4 (merges are left out at random)",)
    (lossy,) = figures.lossy
    assert lossy.startswith("normalizer NFC rewrites texts; under `load` set `normalizer: apply`")
    shown = render_inspection(found)
    assert "not used: model.dropout 0.4" in shown
    assert "changes texts: normalizer NFC" in shown


def test_an_export_is_made_without_what_is_dropped(plain: dict[str, Any], tmp_path: Path) -> None:
    path = saved(altered(plain, model={"dropout": 0.4}, post_processor=TEMPLATE), tmp_path / "in")
    source = open_source(path)
    assert [said.split(" ")[0] for said in source.dropped] == ["model.dropout", "post_processor"]
    write(tmp_path, source)
    written = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert (written["model"]["dropout"], written["post_processor"]) == (None, None)


def test_a_definition_without_such_parts_stays_as_it_is(plain: dict[str, Any]) -> None:
    assert without_additions(plain) == (plain, [])
    assert lossy_parts(plain) == []


def test_unigram_draws_are_dropped_too() -> None:
    model = {"type": "Unigram", "alpha": 0.1, "nbest_size": 8, "vocab": [["a", 0.0]], "unk_id": 0}
    definition, dropped = without_additions({"model": model})
    assert len(dropped) == 2
    assert definition["model"] == {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}


LOSSY: list[tuple[dict[str, Any], str]] = [
    ({"normalizer": {"type": "NFKC"}}, "normalizer NFKC"),
    ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}}, "normalizer Lowercase"),
    (
        {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
        "normalizer Strip",
    ),
    ({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}}, "Replace"),
    ({"pre_tokenizer": BYTE_LEVEL}, "add_prefix_space"),
    ({"decoder": {"type": "BPEDecoder", "suffix": "</w>"}}, "decoder BPEDecoder"),
    ({"decoder": None}, "decoder null does not turn bytes into text"),
    ({"model": {"end_of_word_suffix": "</w>"}}, "model.end_of_word_suffix '</w>'"),
    ({"pre_tokenizer": {"type": "WhitespaceSplit"}}, "pre_tokenizer WhitespaceSplit removes white space"),
    ({"pre_tokenizer": None}, "neither byte-level"),
]


@pytest.mark.parametrize(("parts", "name"), LOSSY, ids=[name for _, name in LOSSY])
def test_what_changes_texts_is_refused_by_name(
    plain: dict[str, Any], tmp_path: Path, parts: dict[str, Any], name: str
) -> None:
    path = saved(altered(plain, **parts), tmp_path / "in")
    with pytest.raises(UserError, match="does not give back texts") as raised:
        LoadTokenizer(path=path).run({}, tmp_path)
    assert name in str(raised.value)


def test_a_byte_without_an_entry_is_refused(plain: dict[str, Any], tmp_path: Path) -> None:
    """A rare one, which no probe text holds: its characters would vanish."""
    alone = "\u0105"  # GPT-2's character for the byte 0x05
    vocabulary = {token: number for token, number in plain["model"]["vocab"].items() if alone not in token}
    merges = [pair for pair in plain["model"]["merges"] if alone not in "".join(pair)]
    path = saved(altered(plain, model={"vocab": vocabulary, "merges": merges}), tmp_path / "in")
    with pytest.raises(UserError, match=r"lacks 1 of the 256 bytes \(the first: 0x05\)"):
        LoadTokenizer(path=path).run({}, tmp_path)


@pytest.mark.parametrize("flag", ["lstrip", "rstrip"])
def test_flags_that_eat_white_space_are_refused_with_token_and_flag(
    plain: dict[str, Any], tmp_path: Path, flag: str
) -> None:
    path = saved(spaces(plain, "    ", **{flag: True}), tmp_path / "in")
    message = rf"the added token '    ' \(id 700\) has {flag}: true.*set its {flag} to false"
    with pytest.raises(UserError, match=message):
        LoadTokenizer(path=path).run({}, tmp_path)
    with pytest.raises(UserError, match=message):
        export_tokenizer(path, "gguf", tmp_path / "out")


FLAGS = ("lstrip", "rstrip", "single_word")


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("flag", FLAGS)
def test_flags_of_control_tokens_change_no_document(
    plain: dict[str, Any], tmp_path: Path, flag: str, special: bool
) -> None:
    """The ids are those of `tokenizers` with the flag in force; a token spelt in a document is text."""
    token = {**added_token("<mask>", 700, special=special), flag: True}
    definition = altered(plain, added_tokens=[*plain["added_tokens"], token])
    assert lossy_parts(definition) == []
    LoadTokenizer(path=saved(definition, tmp_path / "in")).run({}, tmp_path)
    held = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert held["added_tokens"] == definition["added_tokens"]
    encoder, library = TokenizersEncoder(held), Tokenizer.from_str(json.dumps(definition))
    texts = [*made_texts(40), "a  < mask>  b", "a  <mask  >"]
    offsets, ids = encoder.encode(pa.array(texts, pa.large_string()))
    for text, start, end in zip(texts, offsets, offsets[1:], strict=False):
        assert ids[start:end].tolist() == library.encode(text, add_special_tokens=False).ids
    spelt = encoder.encode(pa.array(["a  <mask>  b"], pa.large_string()))[1]
    assert 700 not in spelt
    assert encoder.decode(spelt) == "a  <mask>  b"


@pytest.mark.parametrize("flag", FLAGS)
def test_an_export_without_a_place_for_a_flag_names_token_and_flag(
    plain: dict[str, Any], tmp_path: Path, flag: str
) -> None:
    token = {**added_token("<mask>", 700), flag: True}
    path = saved(altered(plain, added_tokens=[*plain["added_tokens"], token]), tmp_path / "in")
    for to in ("tiktoken", "gguf"):
        facts = export_tokenizer(path, to, tmp_path / to)
        (said,) = facts["dropped"]
        assert said.startswith(f"{flag} of the added token '<mask>' (id 700) (a {to} file has no place")
    facts = export_tokenizer(path, "huggingface", tmp_path / "out")
    assert "dropped" not in facts
    held = json.loads((tmp_path / "out" / "tokenizer.json").read_text(encoding="utf-8"))
    assert held["added_tokens"][-1] == token


@pytest.mark.usefixtures("whole_checks")
def test_gguf_keeps_added_tokens_of_spaces(plain: dict[str, Any], tmp_path: Path) -> None:
    path = saved(spaces(plain, "  ", "    ", "\t\t"), tmp_path / "in")
    facts = export_tokenizer(path, "gguf", tmp_path / "out")
    assert facts["verified"]["texts"] > 400
    written = json.loads((tmp_path / "out" / "gguf_metadata.json").read_text(encoding="utf-8"))
    assert written["tokenizer.ggml.tokens"]["value"][700:] == ["  ", "    ", "\t\t"]
    assert written["tokenizer.ggml.token_type"]["value"][700:] == [4, 4, 4]


def test_gguf_refuses_added_tokens_it_would_take_otherwise(plain: dict[str, Any], tmp_path: Path) -> None:
    path = saved(spaces(plain, "\n ", " \n\n"), tmp_path / "in")
    with pytest.raises(UserError, match=r"the added tokens '\\n ' and ' \\n\\n' can overlap"):
        export_tokenizer(path, "gguf", tmp_path / "out")
    path = saved(spaces(plain, "  ", single_word=True), tmp_path / "in")
    with pytest.raises(UserError, match=r"added token '  ' \(id 700\) has single_word: true"):
        export_tokenizer(path, "gguf", tmp_path / "out")


def test_added_tokens_of_spaces_have_their_bytes(plain: dict[str, Any], tmp_path: Path) -> None:
    lengths = token_lengths(saved(spaces(plain, "    ", "\u3000"), tmp_path / "in"))
    assert lengths is not None
    assert lengths[700:].tolist() == [4, 3]
    assert not lengths[:6].any()


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"model": {"vocab": {"a": 0}}, "added_tokens": [{}]}', "{}"]
)
def test_files_that_are_no_tokenizer_are_not_exported(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer\.json is not a tokenizer\.json"):
        open_source(path)


def test_a_definition_at_which_the_library_panics_is_a_fault_of_its_file(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    """A prefix of subwords that is longer than the second half of a merge: a panic is no Exception."""
    path = saved(altered(plain, model={"continuing_subword_prefix": "####"}), tmp_path / "in")
    with pytest.raises(UserError, match=r"tokenizer\.json .*tokenizers cannot read it"):
        LoadTokenizer(path=path).run({}, tmp_path)
    with pytest.raises(UserError, match=r"tokenizer\.json.*tokenizers cannot read it.*; give"):
        open_tokenizer(path)
    with pytest.raises(UserError, match=r"tokenizer\.json .*tokenizers cannot read it"):
        open_source(path)
