"""Tokenizers that people bring: small ones built as Qwen3's, Llama 3's, Gemma's, GPT-2's and o200k.

Each is trained by `tokenizers`; ids of documents must be those of the library of its kind on hostile texts.
"""

from __future__ import annotations

import base64
import importlib
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, normalizers

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.text.byte_characters import bytes_of
from corpusmill.pipelines.text.encoders import GigatokenEncoder, TokenizersEncoder
from corpusmill.tokenizer.bpe.artefact import read_vocabulary
from corpusmill.tokenizer.export.exported import export_tokenizer
from corpusmill.tokenizer.exports.tiktoken import read_ranks
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from corpusmill.tokenizer.shards.reader import open_shard
from tests.oracles.brought_tokenizers import MARK, byte_level, gemma, gpt2, llama3, qwen3, trained
from tests.oracles.released_tokenizers import released, shortened
from tests.oracles.tokenizer_texts import made_texts

NEEDED = {"eos": "", "pad": ""}
FRAMED = {**NEEDED, "fim_begin": "no FIM", "fim_hole": "no FIM", "fim_end": "no FIM"}


def hostile() -> list[str]:
    """Every character of the Basic Multilingual Plane, many others, and runs that make parts of tokens."""
    every = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, 97))]
    blocks = ["".join(every[at : at + 1024]) for at in range(0, len(every), 1024)]
    spaces = [" " * n + "x" for n in range(1, 20)] + [
        "\t" * 9,
        " \n" * 9,
        "\r\n" * 5,
        " \u3000\u2003\u00a0 \n x",
    ]
    marks = [
        "e\u0301" * 5,
        "\u1100\u1161\u11a8",
        "\u212b\u2126\ufb01\u00bd",
        "o\u0302\u0323",
        "\u0344 \u0374",
    ]
    runs = ["a" * 3000, "ab" * 500, "1234567890" * 20, "\u0000\u0001\ufffd\ufeff", "don't DON'T we'Ll"]
    words = [" unreachable", " thecatanddog", "a unreachable thecatanddog", "\n\n\n\n", "<table>x"]
    return ["", " ", *blocks, *spaces, *marks, *runs, *words, *made_texts(40, seed=2)]


def spelled(definition: dict[str, Any]) -> list[str]:
    """Texts that spell special tokens."""
    names = [token["content"] for token in definition["added_tokens"] if token["special"]][:12]
    return [f"a{name} b {name}{name}" for name in names]


FAMILIES: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    "gpt2": (gpt2, {"special_tokens": {"pad": "<|pad|>"}, "add_missing": True}),
    "llama3": (llama3, {"special_tokens": {"pad": "<|reserved_special_token_0|>"}}),
    "qwen3": (qwen3, {"special_tokens": {"pad": "<|fim_pad|>"}, "normalizer": "apply"}),
    "gemma": (gemma, {}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("brought")
    found = {}
    for name, (make, _) in FAMILIES.items():
        found[name] = folder / f"{name}.json"
        found[name].write_text(json.dumps(make(), ensure_ascii=False))
    return found


def loaded(path: Path, folder: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    facts = LoadTokenizer(path=path, **options).run({}, folder)
    return facts, json.loads((folder / "tokenizer.json").read_text("utf-8"))


def reference(definition: dict[str, Any]) -> Tokenizer:
    """The library's own, which leaves special tokens that a text spells as text."""
    library = Tokenizer.from_str(json.dumps(definition))
    library.encode_special_tokens = True
    return library


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_ids_are_those_of_the_library_on_hostile_texts(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    original = json.loads(made[name].read_text())
    options = FAMILIES[name][1]
    assert LoadTokenizer(path=made[name], **options).faults(NEEDED) == []
    facts, ours = loaded(made[name], tmp_path / "out", **options)
    library = reference(original)
    texts = [*hostile(), *spelled(original)]
    if name == "gemma":
        texts = [text.replace(MARK, "") for text in texts if "<table>" not in text]
    encoders: list[Any] = [TokenizersEncoder(ours)]
    if facts["encoder"]["encoder"] == "gigatoken":
        encoders.append(GigatokenEncoder(ours))
    else:
        assert facts["dropped"][-1].startswith("gigatoken, the fast encoder (")
        assert "at about 2 MB of text a second" in facts["dropped"][-1]
    expected = [library.encode(text, add_special_tokens=False).ids for text in texts]
    for encoder in encoders:
        offsets, ids = encoder.encode(pa.array(texts, pa.large_string()))
        for number, (text, wanted) in enumerate(zip(texts, expected, strict=True)):
            assert ids[offsets[number] : offsets[number + 1]].tolist() == wanted, text[:80]
    controls = {token["id"] for token in original["added_tokens"] if token["special"]}
    assert controls.isdisjoint(ids.tolist())
    back = [encoders[0].decode(np.array(one, np.uint32)) for one in expected]
    form = normalizers.NFC().normalize_str
    assert back == [form(text) if name == "qwen3" else text for text in texts]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("qwen3", {"normalizer": "apply", "special_tokens": {"pad": "<|fim_pad|>"}}),
        ("llama3_1", {"special_tokens": {"pad": "<|reserved_special_token_0|>"}}),
    ],
)
def test_released_tokenizers_load_by_one_line(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """The first merges of the released files, with all of their other parts."""
    definition = shortened(released(name), 3000)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(definition, ensure_ascii=False))
    assert LoadTokenizer(path=path, **options).faults(NEEDED) == []
    facts, ours = loaded(path, tmp_path / "out", **options)
    assert facts["encoder"]["encoder"] == "gigatoken"
    library, texts = reference(definition), [*made_texts(60, seed=4), *hostile()[:30], *spelled(definition)]
    for encoder in (TokenizersEncoder(ours), GigatokenEncoder(ours)):
        offsets, ids = encoder.encode(pa.array(texts, pa.large_string()))
        for number, text in enumerate(texts):
            expected = library.encode(text, add_special_tokens=False).ids
            assert ids[offsets[number] : offsets[number + 1]].tolist() == expected, text[:80]


def test_a_mark_of_a_text_is_kept_where_the_library_makes_a_space_of_it(
    made: dict[str, Path], tmp_path: Path
) -> None:
    facts, ours = loaded(made["gemma"], tmp_path / "out")
    encoder = TokenizersEncoder(ours)
    text = f"a{MARK}b {MARK}{MARK} <table>"
    _, ids = encoder.encode(pa.array([text], pa.large_string()))
    assert encoder.decode(ids) == text
    library = reference(json.loads(made["gemma"].read_text()))
    assert library.decode(library.encode(text).ids, skip_special_tokens=False) == text.replace(MARK, " ")
    assert facts["dropped"][0].startswith("normalizer Replace of spaces by U+2581")
    assert facts["special_tokens"] == {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}
    told = export_tokenizer(tmp_path / "out", "huggingface", tmp_path / "exported")
    assert told["verified"]["texts"] > 50


def test_a_unicode_form_is_refused_applied_or_left_out(made: dict[str, Path], tmp_path: Path) -> None:
    path, pad = made["qwen3"], {"special_tokens": {"pad": "<|fim_pad|>"}}
    (fault,) = LoadTokenizer(path=path, **pad).faults(FRAMED)
    assert "normalizer NFC rewrites texts; under `load` set `normalizer: apply`" in fault
    assert "or `normalizer: drop`" in fault
    with pytest.raises(UserError, match="normalizer NFC rewrites texts; under `load` set"):
        loaded(path, tmp_path / "refused", **pad)
    facts, ours = loaded(path, tmp_path / "dropped", normalizer="drop", **pad)
    assert ours["normalizer"] is None
    assert facts["dropped"][0].startswith("normalizer NFC (documents are encoded as they are")
    encoder, library = TokenizersEncoder(ours), reference(json.loads(path.read_text()))
    for text in hostile():
        _, ids = encoder.encode(pa.array([text], pa.large_string()))
        assert encoder.decode(ids) == text
        if normalizers.NFC().normalize_str(text) == text:
            assert ids.tolist() == library.encode(text, add_special_tokens=False).ids
    assert facts["special_tokens"]["fim_hole"] == "<|fim_suffix|>"
    assert facts["special_tokens"]["eos"] == "<|endoftext|>"


def test_other_normalizers_are_refused_whatever_the_option(made: dict[str, Path], tmp_path: Path) -> None:
    definition = json.loads(made["qwen3"].read_text())
    definition["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}
    path = tmp_path / "lower.json"
    path.write_text(json.dumps(definition))
    for option in (None, "apply", "drop"):
        faults = LoadTokenizer(path=path, normalizer=option).faults({})
        assert any("normalizer Lowercase rewrites texts" in fault for fault in faults)


def ranks(definition: dict[str, Any]) -> bytes:
    tokens = sorted(definition["model"]["vocab"], key=definition["model"]["vocab"].__getitem__)
    return b"".join(base64.b64encode(bytes_of(token)) + b" %d\n" % rank for rank, token in enumerate(tokens))


def test_o200k_comes_from_a_rank_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    public = importlib.import_module("tiktoken_ext.openai_public")
    path = tmp_path / "o200k_base.tiktoken"
    path.write_bytes(ranks(trained(byte_level("o200k"))))
    asked = {"eos": "<|endoftext|>", "pad": "<|pad|>"}
    options: dict[str, Any] = {"pre_tokenizer": "o200k", "special_tokens": asked, "add_missing": True}
    (fault,) = LoadTokenizer(path=path, special_tokens=asked, add_missing=True).faults(NEEDED)
    assert "a rank file does not say how text is split; give `pre_tokenizer` (one of " in fault
    assert LoadTokenizer(path=path, **options).faults(NEEDED) == []
    _, ours = loaded(path, tmp_path / "out", **options)
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda *_a, **_o: read_ranks(path.read_bytes()))
    encoding = tiktoken.Encoding(**public.o200k_base())
    texts = [*hostile(), "<|endoftext|> <|pad|>"]
    offsets, ids = TokenizersEncoder(ours).encode(pa.array(texts, pa.large_string()))
    for number, text in enumerate(texts):
        found = ids[offsets[number] : offsets[number + 1]].tolist()
        assert found == encoding.encode_ordinary(text), text[:80]


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("gpt2", {"eos": "<|endoftext|>"}),
        ("llama3", {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>"}),
        ("gemma", {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}),
    ],
)
def test_special_tokens_of_known_families_are_known(
    made: dict[str, Path], tmp_path: Path, name: str, roles: dict[str, str]
) -> None:
    assert loaded(made[name], tmp_path / "out")[0]["special_tokens"] == roles


def test_all_that_is_missing_is_told_at_once_and_no_more(made: dict[str, Path]) -> None:
    faults = LoadTokenizer(path=made["qwen3"], special_tokens={"bos": "<start>"}).faults(FRAMED)
    assert len(faults) == 3
    assert "normalizer NFC" in faults[0]
    assert "has no added token '<start>'" in faults[1]
    assert "names no token for pad, which `pack` needs" in faults[2]
    assert 'special_tokens: {bos: "<start>", pad: "<|fim_pad|>"}, add_missing: true}`' in faults[2]
    (alone,) = LoadTokenizer(path=made["qwen3"], normalizer="apply").faults(FRAMED)
    assert alone.endswith('`load: {path: qwen3.json, special_tokens: {pad: "<|fim_pad|>"}}`')
    (missing,) = LoadTokenizer(path=made["gpt2"]).faults(FRAMED)
    assert "no token for pad, fim_begin, fim_hole, fim_end" in missing
    assert "add_missing: true" in missing
    assert LoadTokenizer(path=made["gpt2"]).faults({"eos": ""}) == []  # without FIM none is asked for


RECIPE = """
name: brought
output: run
seed: 1
engine: {{kind: inline}}
sources:
  a: {{read: {{jsonl: a.jsonl}}}}
tokenizer: {{load: {load}}}
pack: {{sequence_length: 64, held_out: 0{fim}}}
"""


def written(folder: Path, load: str, fim: str = "") -> Path:
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(TEXTS)]
    (folder / "a.jsonl").write_text("\n".join(lines))
    (folder / "r.yaml").write_text(RECIPE.format(load=load, fim=fim))
    return folder / "r.yaml"


TEXTS = [f"the cat {MARK} sat  on\n\n  <eos> <table> e\u0301 \u212b {n} \U0001f642" for n in range(30)]


def test_a_recipe_tells_it_before_anything_runs(made: dict[str, Path], tmp_path: Path) -> None:
    fim = ", fim: {rate: 0.5}"
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(written(tmp_path, f"{made['llama3']}", fim), inputs=True)
    (line,) = caught.value.lines
    assert "names no token for pad, fim_begin, fim_hole, fim_end, which `pack` needs" in line
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(written(tmp_path, f"{made['llama3']}"), inputs=True)
    assert "names no token for pad, which `pack` needs" in caught.value.lines[0]
    phases = "\nmixture: {phases: [{tokens: 0.5, fim: {rate: 0.5}}, {tokens: 0.5}]}\n"
    path = written(tmp_path, f"{made['llama3']}")
    path.write_text(path.read_text() + phases)
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(path, inputs=True)
    assert "names no token for pad, fim_begin, fim_hole, fim_end, which `pack` needs" in caught.value.lines[0]
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(written(tmp_path, f"{made['qwen3']}"), inputs=True)
    assert len(caught.value.lines) == 2


@pytest.mark.parametrize("name", ["gemma", "qwen3"])
def test_shards_hold_the_documents(made: dict[str, Path], tmp_path: Path, name: str) -> None:
    """Gemma's kind has no tokens for fill-in-the-middle; Qwen's has, and there it is switched off."""
    options = json.dumps({"path": str(made[name]), **FAMILIES[name][1]})
    run_recipe(load_recipe(written(tmp_path, options, ", fim: {rate: 0}" if name == "qwen3" else "")))
    (folder,) = (tmp_path / "run" / "steps" / "encode").glob("*/data")
    tables = [pa.ipc.open_file(path).read_all() for path in sorted(folder.glob("*.arrow"))]
    ids = [tokens for table in tables for tokens in table.column("tokens").to_pylist()]
    (tokenizer,) = (tmp_path / "run" / "steps" / "tokenizer").glob("*/data/tokenizer.json")
    encoder = TokenizersEncoder(json.loads(tokenizer.read_text()))
    controls = set(read_vocabulary(tokenizer.parent / "encoder.json").specials.values())
    assert len(controls & {token for one in ids for token in one}) == 1  # the end of a document
    texts = {encoder.decode(np.array(one[:-1], np.uint32)) for one in ids}
    assert texts == {unicodedata.normalize("NFC", t) if name == "qwen3" else t for t in TEXTS}
    (shard,) = (tmp_path / "run" / "steps" / "pack").glob("*/data/shard-*.arrow")
    open_shard(shard).verify()
