"""`fasttext_score`: a plain-Python oracle, the installed reader of fastText's models, and bad files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.fasttext_score import FasttextScore
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.errors import DataError, UserError
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons

WORDS = ["</s>", "the", "word", "of", "中国", "été", "a", "don't", "and", "x"]
LABELS = ["__label__hq", "__label__lq", "__label__zz"]
DIM, BUCKETS = 5, 50
Kind = tuple[int, int, int, int]
Models = dict[Kind, Path]
KINDS = [(1, 0, 0, 3), (2, 0, 0, 3), (3, 2, 4, 3), (2, 1, 3, 4), (5, 0, 0, 3)]  # n-grams, characters, loss


def model_bytes(ngrams: int, least: int, most: int, loss: int, model: int = 3, quantized: int = 0) -> bytes:
    """A model as `FastText::saveModel` writes it, with vectors drawn."""
    rng = np.random.default_rng(ngrams)
    head = struct.pack("<2i", 793712314, 12)
    head += struct.pack("<12id", DIM, 5, 5, 1, 5, ngrams, loss, model, BUCKETS, least, most, 100, 1e-4)
    head += struct.pack("<3i2q", len(WORDS) + len(LABELS), len(WORDS), len(LABELS), 1000, -1)
    for kind, names in ((0, WORDS), (1, LABELS)):
        for count, name in enumerate(names):
            head += name.encode() + b"\0" + struct.pack("<qb", 100 - count, kind)
    rows = rng.normal(size=(len(WORDS) + BUCKETS, DIM)).astype("<f4")
    vectors = rng.normal(size=(len(LABELS), DIM)).astype("<f4")
    parts = [struct.pack("<b2q", quantized, *rows.shape), rows.tobytes()]
    parts += [struct.pack("<b2q", 0, *vectors.shape), vectors.tobytes()]
    return head + b"".join(parts)


def fnv(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = ((value ^ (byte - 256 if byte > 127 else byte) & 0xFFFFFFFF) * 16777619) & 0xFFFFFFFF
    return value


def rows_of(text: str, ngrams: int, least: int, most: int) -> Iterator[int]:
    """The rows that fastText adds up for a line."""
    hashes = []
    for word in [*text.translate(str.maketrans("\n\r\t\v\f\0", "      ")).split(" "), "</s>"]:
        if not word or word.startswith("__label__"):
            continue
        if word in WORDS:
            yield WORDS.index(word)
        framed = f"<{word}>"
        for i in range(len(framed)) if word != "</s>" else ():
            for n in range(least, most + 1):
                part = framed[i : i + n]
                if n > 0 and len(part) == n and not (n == 1 and (i == 0 or i + n == len(framed))):
                    yield len(WORDS) + fnv(part.encode()) % BUCKETS
        value = fnv(word.encode())
        hashes.append(value - 2**32 if value >= 2**31 else value)
        if word == "</s>":
            break
    for i, value in enumerate(hashes):
        total = value % 2**64
        for other in hashes[i + 1 : i + ngrams]:
            total = (total * 116049371 + other) % 2**64
            yield len(WORDS) + total % BUCKETS


def expected(text: str, ngrams: int, least: int, most: int, loss: int) -> list[float]:
    rng = np.random.default_rng(ngrams)
    rows = rng.normal(size=(len(WORDS) + BUCKETS, DIM)).astype("<f4").astype(float)
    vectors = rng.normal(size=(len(LABELS), DIM)).astype("<f4").astype(float)
    sums = vectors @ rows[list(rows_of(text, ngrams, least, most))].mean(axis=0)
    found = (
        np.exp(sums - sums.max()) / np.exp(sums - sums.max()).sum() if loss == 3 else 1 / (1 + np.exp(-sums))
    )
    return [float(value) for value in found]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for kind in KINDS:
        found[kind] = folder / f"{kind[0]}-{kind[2]}-{kind[3]}.bin"
        found[kind].write_bytes(model_bytes(*kind))
    return found


def scored(path: Path, text: str, label: str = LABELS[0]) -> float | None:
    stage = FasttextScore(model=path, label=label, at_least=None).prepare(Context())
    found: list[float | None] = stage.score(documents([text]))["score"].to_pylist()  # type: ignore[union-attr]
    return found[0]


PIECES = st.lists(
    st.sampled_from([*WORDS, " ", " ", "\n", "\0", "中", "__label__q", "日本", "!"]), max_size=25
)
LINES = PIECES.map("".join) | PIECES.map(" ".join) | TEXTS


@settings(max_examples=150, deadline=None)
@given(text=LINES, kind=st.sampled_from(KINDS))
def test_oracle(models: Models, text: str, kind: Kind) -> None:
    for label, value in zip(LABELS, expected(text, *kind), strict=True):
        assert scored(models[kind], text, label) == pytest.approx(value, abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(text=LINES, kind=st.sampled_from(KINDS))
def test_as_fasttext_predicts(models: Models, text: str, kind: Kind) -> None:
    import fasttext

    line = text.replace("\n", " ").replace("\0", " ")
    labels, values = fasttext.load_model(str(models[kind])).predict(line, k=len(LABELS))
    for label, value in zip(labels, values, strict=True):
        # Its sigmoid is a table of 512 steps from -8 to 8.
        near = 3e-5 if kind[3] == 3 else 0.009
        assert scored(models[kind], text, label) == pytest.approx(min(value, 1.0), abs=near)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(LINES | st.none(), max_size=5), cut=st.integers(0, 5))
def test_split_law(models: Models, texts: list[str | None], cut: int) -> None:
    stage = FasttextScore(model=models[KINDS[2]], label=LABELS[1]).prepare(Context())
    check_split_law(stage, texts, min(cut, len(texts)))


def test_thresholds(models: Models) -> None:
    path, text = models[KINDS[0]], "the word of 中国"
    value = scored(path, text)
    assert value is not None

    def told(**limits: float | None) -> str | None:
        stage = FasttextScore(model=path, label=LABELS[0], **limits).prepare(Context())
        return reasons(stage, [text])[0]

    assert told(at_least=value) is None
    assert told(at_least=value + 1e-6) == "low_score"
    assert told(at_least=None, at_most=value - 1e-6) == "high_score"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends in the middle, at byte 0 of 0; give a model"),
        (b"\0" * 100, "does not begin as a model of fastText"),
        (model_bytes(1, 0, 0, 1), "its loss is hs; train with `-loss softmax`"),
        (model_bytes(1, 0, 0, 3, model=2), "a model of word vectors"),
        (model_bytes(1, 0, 0, 3, quantized=1), "is quantized"),
        (model_bytes(2, 0, 0, 3)[:-10], "too short for 3 vectors"),
        (model_bytes(2, 0, 0, 3)[:400], "too short|ends"),
        (model_bytes(2, 0, 0, 3)[:120], "ends in"),
        (model_bytes(2, 0, 0, 3)[:-4] + b"\xff\xff\xff\xff", "no number"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "m.bin").write_bytes(data)
    with pytest.raises(DataError, match=said):
        FasttextScore(model=tmp_path / "m.bin", label="x").prepare(Context())


def test_a_wrong_file_is_told_when_the_recipe_is_checked(models: Models, tmp_path: Path) -> None:
    def told(path: Path, label: str = LABELS[0]) -> list[tuple[str, str]]:
        return FasttextScore(model=path, label=label).conflicts([])

    assert told(models[KINDS[0]]) == []
    ((option, wrong),) = told(models[KINDS[0]], "hq")
    assert option == "label"
    assert "has no label `hq`; it has __label__hq" in wrong
    cut = tmp_path / "cut.bin"
    cut.write_bytes(model_bytes(2, 0, 0, 3)[:-10])
    ((option, wrong),) = told(cut)
    assert (option, "too short for 3 vectors" in wrong) == ("model", True)
    assert told(tmp_path / "missing.bin") == []


def test_a_label_there_is_not(models: Models) -> None:
    with pytest.raises(UserError, match="has no label `hq`; it has __label__hq, __label__lq"):
        FasttextScore(model=models[KINDS[0]], label="hq").prepare(Context())
