"""The first documents of each source: encoders must agree on them, and they come back from their tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.text import encoders
from corpusmill.tokenizer.bpe import artefact
from corpusmill.tokenizer.bpe.first_documents import DOCUMENTS, LONGEST, FirstDocuments
from corpusmill.tokenizer.encode import Encode
from tests.oracles.tokenizer_texts import as_documents, made_texts


@pytest.fixture(scope="module")
def parts(
    tokenizer_folder: Any,
) -> tuple[dict[str, Any], encoders.TokenizersEncoder, encoders.GigatokenEncoder]:
    vocabulary = artefact.read_vocabulary(tokenizer_folder / "encoder.json")
    definition = artefact.read_definition(tokenizer_folder / "tokenizer.json", vocabulary)
    return definition, encoders.TokenizersEncoder(definition), encoders.GigatokenEncoder(definition)


class Counting:
    """An encoder that counts what it is asked, and may change the last token of a text."""

    def __init__(self, real: encoders.Encoder, wrong: str = "") -> None:
        self.real, self.wrong, self.asked = real, wrong, list[str]()

    def encode(self, texts: pa.Array) -> Any:
        offsets, tokens = self.real.encode(texts)
        self.asked += texts.to_pylist()
        if self.wrong in texts.to_pylist():
            tokens = tokens.copy()
            tokens[-1] += 1
        return offsets, tokens


def shown(texts: list[str | None], sources: list[str]) -> tuple[pa.Array, pa.Array, pa.Array]:
    ids = [f"{number:032x}" for number in range(len(texts))]
    return pa.array(ids), pa.array(sources), pa.array(texts, pa.large_string())


def test_the_first_of_each_source_are_compared_once(parts: Any) -> None:
    definition, reference, fast = parts
    other = Counting(fast)
    first = FirstDocuments(definition, reference, {"gigatoken": other})
    texts = [f"text {number}" for number in range(20)]
    long, nothing = "x" * (LONGEST + 1), None
    first.check(*shown([long, nothing, *texts], ["a"] * 12 + ["b"] * 10))
    assert other.asked == [*texts[:DOCUMENTS], *texts[10 : 10 + DOCUMENTS]]
    first.check(*shown(texts, ["a"] * 10 + ["c"] * 10))
    assert other.asked[2 * DOCUMENTS :] == texts[10 : 10 + DOCUMENTS]


def test_encoders_that_differ_stop_the_run_with_the_document_named(parts: Any) -> None:
    definition, reference, fast = parts
    first = FirstDocuments(definition, reference, {"gigatoken": Counting(fast, wrong="three")})
    with pytest.raises(
        CorpusmillError, match=rf"gigatoken and tokenizers encode document {2:032x} of source b differently"
    ):
        first.check(*shown(["one", "two", "three"], ["a", "a", "b"]))


@pytest.mark.parametrize("reader", ["tokenizers", "its own vocabulary"])
def test_a_text_that_does_not_come_back(parts: Any, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    definition, reference, _ = parts
    first = FirstDocuments(definition, reference, {})
    first.check(*shown(["one", "two"], ["a", "a"]))
    if reader == "tokenizers":
        monkeypatch.setattr(encoders.TokenizersEncoder, "decode", lambda self, tokens: "tw")
    else:
        token = int(reference.encode(pa.array(["two"], pa.large_string()))[1][-1])
        assert first._spelled is not None
        first._spelled[token] += b"?"
    with pytest.raises(
        CorpusmillError, match=rf"document {0:032x} of source z does not come back .*, read by {reader}: byte"
    ):
        first.check(*shown(["two"], ["z"]))


def test_encode_shows_it_every_source(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `verify_rate` is: an encoder that is wrong on one source alone is found on its first row."""
    texts = made_texts(30)
    real = encoders.GigatokenEncoder.encode

    def wrong(self: encoders.GigatokenEncoder, given: pa.Array) -> Any:
        offsets, tokens = real(self, given)
        return offsets, tokens + np.uint32(given.to_pylist() == [texts[20]])

    stage = Encode(verify_rate=0.0).prepare(context)
    docs = as_documents(texts)
    named = docs.with_columns({"source": pa.array(["a"] * 20 + ["b"] * 10)})
    stage.edit(named)
    monkeypatch.setattr(encoders.GigatokenEncoder, "encode", wrong)
    identity = docs.column("id")[20].as_py()
    with pytest.raises(CorpusmillError, match=f"encode document {identity} of source b differently"):
        Encode(verify_rate=0.0).prepare(context).edit(named)
