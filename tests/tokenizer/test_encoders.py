from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, pre_tokenizers, trainers

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text import encoders
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.bpe import artefact
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer
from corpusmill.tokenizer.bpe.probes import _Draws, probe_texts
from tests.oracles.released_tokenizers import released, shortened
from tests.oracles.tokenizer_texts import made_texts

NO_TEXTS = pa.array([], pa.large_string())


@pytest.fixture(scope="module")
def text() -> str:
    """A small trained tokenizer.json with two reserved tokens."""
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(made_texts(60), trainer)
    tokenizer.add_special_tokens(
        [AddedToken(f"<kept {i}>", special=True, normalized=False) for i in range(2)]
    )
    return str(tokenizer.to_str())


def large(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_facts_of_the_artefact(text: str, tmp_path: Path) -> None:
    verification = large(made_texts(5))
    facts = artefact.write_tokenizer(
        tmp_path,
        text,
        SPECIAL_TOKENS,
        verification,
        model_vocab_size=512,
        reserved=["<kept 0>", "<kept 1>"],
    )
    assert json.loads((tmp_path / "encoder.json").read_text(encoding="utf-8")) == facts
    assert facts["encoder"] == "gigatoken"
    assert (facts["mismatches"], facts["fault"], facts["first_mismatch"]) == (0, None, None)
    assert facts["verification_documents"] == 5
    probes = probe_texts([*SPECIAL_TOKENS.values(), "<kept 0>", "<kept 1>"])
    assert facts["documents"] == 5 + len(probes)
    assert facts["bytes"] == sum(len(t.encode()) for t in [*verification.to_pylist(), *probes])
    assert facts["reserved_tokens"] == {"<kept 0>": 500, "<kept 1>": 501}
    vocabulary = artefact.read_vocabulary(tmp_path / "encoder.json")
    assert (vocabulary.size, vocabulary.model_size) == (502, 512)
    assert artefact.read_definition(tmp_path / "tokenizer.json", vocabulary) == json.loads(text)


def test_the_model_vocabulary_is_the_tokenizers_unless_padded(text: str, tmp_path: Path) -> None:
    facts = artefact.write_tokenizer(tmp_path, text, SPECIAL_TOKENS, NO_TEXTS)
    assert facts["model_vocab_size"] == facts["vocab_size"] == 502
    with pytest.raises(UserError, match="502 ids, which do not fit a model vocabulary of 501"):
        artefact.write_tokenizer(tmp_path, text, SPECIAL_TOKENS, NO_TEXTS, model_vocab_size=501)


@pytest.mark.parametrize(
    ("size", "model_size", "dtype"),
    [
        (65536, 65536, np.uint16),
        (65537, 65537, np.uint32),
        (65000, 66560, np.uint32),
        (128815, 129280, np.uint32),
        (300, 65536, np.uint16),
    ],
)
def test_the_width_of_ids_follows_the_padded_size(size: int, model_size: int, dtype: type) -> None:
    assert artefact.Vocabulary(size, model_size, {}, "", "tokenizers").dtype is dtype


def test_spellings_that_are_no_added_tokens_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no added token '<nothing>'"):
        artefact.write_tokenizer(tmp_path, text, {"eos": "<nothing>"}, NO_TEXTS)
    with pytest.raises(UserError, match="no added token '<kept 7>'"):
        artefact.write_tokenizer(tmp_path, text, SPECIAL_TOKENS, NO_TEXTS, reserved=["<kept 7>"])


@pytest.mark.parametrize("spelling", ["the", "a"])
def test_a_control_token_that_merges_spell_is_refused(text: str, tmp_path: Path, spelling: str) -> None:
    tokenizer = Tokenizer.from_str(text)
    if spelling not in json.loads(text)["model"]["vocab"]:
        spelling = next(t for t in json.loads(text)["model"]["vocab"] if t.isalpha() and len(t) > 2)
    tokenizer.add_special_tokens([AddedToken(spelling, special=True, normalized=False)])
    with pytest.raises(UserError, match="is an ordinary entry of the vocabulary too"):
        artefact.write_tokenizer(tmp_path, str(tokenizer.to_str()), {"eos": spelling}, NO_TEXTS)


def test_one_difference_makes_tokenizers_the_encoder(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = encoders.GigatokenEncoder.encode

    def wrong(self: encoders.GigatokenEncoder, texts: pa.Array) -> tuple[encoders.Offsets, encoders.Tokens]:
        offsets, tokens = honest(self, texts)
        tokens = tokens.copy()
        tokens[offsets[1]] ^= 1  # the first token of the second document
        return offsets, tokens

    monkeypatch.setattr(encoders.GigatokenEncoder, "encode", wrong)
    texts = ["one", "two " * 100, "three"]
    facts = artefact.write_tokenizer(tmp_path, text, SPECIAL_TOKENS, large(texts))
    assert facts["encoder"] == "tokenizers"
    assert facts["mismatches"] == 1
    assert facts["first_mismatch"] == texts[1][: artefact.EXCERPT]
    assert artefact.read_vocabulary(tmp_path / "encoder.json").encoder == "tokenizers"


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_slices_encode_as_their_documents(text: str, texts: list[str], start: int, count: int) -> None:
    definition = json.loads(text)
    reference, fast = (
        encoders.TokenizersEncoder(definition),
        GIGATOKEN.setdefault("", encoders.GigatokenEncoder(definition)),
    )
    part = large(texts)[start : start + count]
    for expected, found in zip(reference.encode(part), fast.encode(part), strict=True):
        assert expected.dtype == found.dtype
        assert expected.tolist() == found.tolist()


GIGATOKEN: dict[str, encoders.GigatokenEncoder] = {}


def test_forgetting_changes_no_token(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoders.GigatokenEncoder(json.loads(text))
    texts = large(made_texts(20))
    before = encoder.encode(texts)[1]
    loads: list[int] = []
    honest = encoders.GigatokenEncoder._load

    def counted(self: encoders.GigatokenEncoder) -> None:
        loads.append(1)
        honest(self)

    monkeypatch.setattr(encoders.GigatokenEncoder, "_load", counted)
    monkeypatch.setattr(encoders, "CHECKED_BYTES", 1)
    assert encoder.encode(texts)[1].tolist() == before.tolist()
    assert loads == []
    monkeypatch.setattr(encoders, "CACHE_BYTES", -(2**40))
    for _ in range(2):
        assert encoder.encode(texts)[1].tolist() == before.tolist()
    assert loads == [1, 1]


def spelt(added: list[str]) -> list[str]:
    """Texts that spell added tokens: alone, in company, nested, cut, beside what a pre-tokenizer eats."""
    texts: list[str] = []
    for one in added:
        half = len(one) // 2
        texts += [
            one,
            f"a{one}b",
            f" {one} ",
            f"{one}\n{one}",
            one[:half] + one + one[half:],
            one[:-1],
            one[1:],
        ]
    return [*texts, "".join(added), " ".join(reversed(added)), "\n".join(added)]


@pytest.mark.parametrize("name", ["deepseek_v3", "qwen3", "llama3_1"])
def test_no_text_gives_an_added_token_of_a_released_tokenizer(name: str) -> None:
    """Its own patterns, flags and added tokens, with its first merges."""
    definition = shortened(released(name), 3000)
    added = {token["content"]: int(token["id"]) for token in definition["added_tokens"]}
    texts = spelt(sorted(added))
    naive = Tokenizer.from_str(json.dumps(definition, ensure_ascii=False))
    assert set(naive.encode(texts[0], add_special_tokens=False).ids) & set(added.values())
    reference = encoders.TokenizersEncoder(definition)
    for encoder in (reference, encoders.GigatokenEncoder(definition)):
        offsets, tokens = encoder.encode(large(texts))
        assert not set(tokens.tolist()) & set(added.values())
        assert len(offsets) == len(texts) + 1
        assert (np.diff(offsets) > 0).all()
    for text, start, end in zip(texts, offsets, offsets[1:], strict=False):
        assert reference.decode(tokens[start:end]) == text


def test_symbols_are_encoded_as_the_words_they_spell(text: str) -> None:
    encoder = encoders.TokenizersEncoder(json.loads(text))
    for word in ("time", ".\n\n", " =", "。\n"):
        symbols = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(word)[0][
            0
        ]
        assert encoder.encode_symbols(symbols) == encoder.encode(large([word]))[1].tolist()


def test_probes_spell_every_added_token_alone_and_inside_another() -> None:
    probes = probe_texts(["<one>", "<two>"])
    assert "<one>" in probes
    assert any("<o<one>ne>" in probe for probe in probes)
    assert probes == probe_texts(["<one>", "<two>"])


def test_draws_of_probes_are_numpys() -> None:
    ours, theirs = _Draws(key=7), np.random.Generator(np.random.Philox(key=7))
    for below in [1, 2, 3, 17, 300, 2**31 + 1] * 500:  # the last is drawn again half of the time
        assert ours.integer(below) == theirs.integers(0, below)
        assert ours.random() == theirs.random()
        assert ours.geometric(0.4) == theirs.geometric(0.4)


def test_documents_only_keeps_ids() -> None:
    definition = released("deepseek_v3")
    plain = documents_only(definition)["model"]["vocab"]
    assert plain == {t: i for t, i in definition["model"]["vocab"].items() if i > 2}
