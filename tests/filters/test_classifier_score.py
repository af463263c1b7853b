"""`classifier_score`: a tiny ONNX model made here against numpy, labels, limits, damaged folders."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.filters.classifier_score import ClassifierScore
from corpusmill.filters.rules.onnx_classifier import OnnxClassifier, check_length
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.errors import DataError, UserError
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons

WORDS = ["[UNK]", "good", "bad", "proof", "buy", "the"]
ROWS = np.array([[0.1, -0.1], [2.0, -1.0], [-1.0, 2.5], [1.5, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
NEEDED = "makes and runs a model, of the onnx extra and the package onnx"


def made(folder: Path, labels: int = 2, tokens: str = "INT64", **config: Any) -> Path:
    """A classifier whose numbers are the means of its words' rows; `tokens`: the type it takes them as."""
    onnx = pytest.importorskip("onnx", reason=NEEDED)
    pytest.importorskip("onnxruntime", reason=NEEDED)
    from tokenizers import Tokenizer, models, pre_tokenizers

    make, kinds = onnx.helper, onnx.TensorProto
    table = onnx.numpy_helper.from_array(ROWS[:, :labels], "table")
    axes = onnx.numpy_helper.from_array(np.array([1], np.int64), "axes")
    nodes = [
        make.make_node("Gather", ["table", "input_ids"], ["rows"]),
        make.make_node("ReduceMean", ["rows", "axes"], ["logits"], keepdims=0),
    ]
    shape = ["batch", "tokens"]
    graph = make.make_graph(
        nodes,
        "means",
        [
            make.make_tensor_value_info(name, getattr(kinds, tokens), shape)
            for name in ("input_ids", "attention_mask")
        ],
        [make.make_tensor_value_info("logits", kinds.FLOAT, ["batch", labels])],
        [table, axes],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    if config:
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("model"), id2label={"0": "hq", "1": "lq"})


def stage(folder: Path, **options: Any) -> ClassifierScore:
    return ClassifierScore(model=folder, **options).prepare(Context())


def scored(judge: ClassifierScore, texts: list[str | None]) -> list[float | None]:
    found: list[float | None] = judge.score(documents(texts))["score"].to_pylist()  # type: ignore[union-attr]
    return found


def numbers(text: str, most: int = 512) -> np.ndarray:
    ids = [WORDS.index(word) if word in WORDS else 0 for word in text.split()[:most]]
    return ROWS[ids].astype(float).mean(axis=0)


def test_scores_are_those_of_the_model(model: Path) -> None:
    texts = ["good the", "bad buy the the", "what is this", "good " * 40]
    for text, value in zip(texts, scored(stage(model, label="hq"), list(texts)), strict=True):
        own, other = numbers(text)
        assert value == pytest.approx(1 / (1 + np.exp(other - own)), abs=1e-5)
    (value,) = scored(stage(model, label="1", kind="sigmoid"), ["bad"])
    assert value == pytest.approx(1 / (1 + np.exp(-2.5)), abs=1e-5)
    assert scored(stage(model, kind="value"), ["bad", "", None, " "])[1:] == [None] * 3


def test_one_label_gives_its_number(tmp_path: Path) -> None:
    judge = stage(made(tmp_path, labels=1), at_least=1.2)
    values = scored(judge, ["good proof", "the"])
    assert values == [pytest.approx(1.75), pytest.approx(0.0)]
    assert reasons(judge, ["good proof", "the", ""]) == [None, "low_score", None]
    assert reasons(stage(tmp_path, at_least=None, at_most=1.0), ["good"]) == ["high_score"]


def test_only_the_first_tokens_count(model: Path) -> None:
    text = "good " * 5 + "bad " * 100
    assert scored(stage(model, label="hq", max_tokens=5), [text]) == scored(
        stage(model, label="hq"), ["good " * 5]
    )


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXTS | st.sampled_from(WORDS) | st.none(), max_size=5), cut=st.integers(0, 5))
def test_split_law(model: Path, texts: list[str | None], cut: int) -> None:
    check_split_law(stage(model), texts, min(cut, len(texts)))


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"not installed here: pip install corpusmill\[onnx\]"):
        stage(tmp_path)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ([[[1.0, 2.0]]], "1x1x2 numbers, not one a label"),
        ([[1.0], [2.0]], "2x1 numbers"),
        ([[]], "1x0 numbers"),
        ([[float("nan"), 1.0]], "not finite"),
    ],
)
def test_an_output_that_is_no_number_a_label_is_a_fault(output: object, said: str) -> None:
    session = SimpleNamespace(run=lambda names, given: [np.array(output)])
    with pytest.raises(ValueError, match=said):
        OnnxClassifier(session, None, (), 0, "value").numbers(
            SimpleNamespace(ids=[], attention_mask=[], type_ids=[])
        )


def test_a_model_of_another_form_is_told(tmp_path: Path) -> None:
    folder = made(tmp_path, tokens="INT32")
    with pytest.raises(
        DataError, match=r"model\.onnx cannot judge a text: .*int32.*; export one that takes int64"
    ):
        stage(folder)


def test_a_model_may_lie_as_on_the_hub(model: Path, tmp_path: Path) -> None:
    folder = made(tmp_path, id2label={"0": "hq", "1": "lq"})
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert ClassifierScore(model=folder, label="hq").conflicts([]) == []
    assert scored(stage(folder, label="hq"), ["good the"]) == scored(stage(model, label="hq"), ["good the"])


def test_a_folder_of_weights_is_told_how_to_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "tokenizer.json").write_text("{}")
    ((option, wrong),) = ClassifierScore(model=tmp_path).conflicts([])
    assert option == "model"
    assert f"has no model.onnx; `optimum-cli export onnx --model {tmp_path} --task" in wrong


@pytest.mark.parametrize(
    ("places", "most", "refused"),
    [(128, 512, True), (128, 128, False), (512, 300, False), (None, 512, False)],
)
def test_a_model_of_few_places_is_told_before_texts_are_lost(
    tmp_path: Path, places: int | None, most: int, refused: bool
) -> None:
    """A model as BERT's, which fails on longer texts; each would be quarantined by itself."""
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": places}))

    def run(names: object, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        if given["input_ids"].shape[1] > (places or most):
            raise RuntimeError("indices element out of data bounds")
        return [np.zeros((1, 2))]

    def encode(text: str) -> SimpleNamespace:
        ids = [1] * len(text.split())
        return SimpleNamespace(ids=ids, attention_mask=ids, type_ids=ids)

    session, tokenizer = SimpleNamespace(run=run), SimpleNamespace(encode=encode)
    found = OnnxClassifier(session, tokenizer, ("input_ids",), 0, "value")
    if refused:
        with pytest.raises(UserError, match=r"cannot judge 512 tokens: .* write `max_tokens: 128`"):
            check_length(found, tmp_path, most)
    else:
        check_length(found, tmp_path, most)


def test_a_limit_is_a_number() -> None:
    with pytest.raises(ValidationError, match="finite number"):
        ClassifierScore(model=Path("m"), at_least=float("nan"))


def test_a_wrong_folder_is_told_when_the_recipe_is_checked(model: Path, tmp_path: Path) -> None:
    def told(folder: Path, **options: Any) -> str:
        found = ClassifierScore(model=folder, **options).conflicts([])
        assert {option for option, _ in found} <= {"model"}
        return "; ".join(wrong for _, wrong in found)

    assert told(model) == told(model, label="lq") == told(model, label="0") == ""
    assert told(tmp_path / "missing") == ""
    assert "has no label `zq`; it has hq, lq" in told(model, label="zq")
    assert "has no model.onnx" in told(tmp_path)
    folder = made(tmp_path / "damaged")
    whole = (folder / "model.onnx").read_bytes()
    for content, said in (
        (b"\x80\x04cPickle", "no ONNX model"),
        (b"", "no graph"),
        (whole[:-5], "ends in the middle, at byte"),
    ):
        (folder / "model.onnx").write_bytes(content)
        assert said in told(folder)
    (folder / "model.onnx").write_bytes(whole)
    (folder / "tokenizer.json").write_text("{", "utf-8")
    assert "tokenizer.json" in told(folder)


def test_what_is_missing_or_damaged_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no label `zq`; it has hq, lq"):
        stage(model, label="zq")
    with pytest.raises(UserError, match=r"has no model\.onnx; give a folder"):
        stage(tmp_path)
    folder = made(tmp_path / "damaged")
    (folder / "model.onnx").write_bytes(b"\x80\x04cPickle")
    with pytest.raises(DataError, match="no classifier: "):
        stage(folder)
