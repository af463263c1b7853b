"""A text classifier in a folder: model.onnx, asked through onnxruntime, and its tokenizer.json."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import DataError, UserError

MODEL, TOKENIZER, CONFIG = "model.onnx", "tokenizer.json", "config.json"
KNOWN = ("input_ids", "attention_mask", "token_type_ids")
NOT_INSTALLED = "classifier_score needs onnxruntime, not installed here: pip install corpusmill[onnx]"
Kind = Literal["softmax", "sigmoid", "value"]


@dataclass(frozen=True)
class OnnxClassifier:
    """A session of onnxruntime and a tokenizer; `inputs` are those of `KNOWN` that the model has."""

    session: Any
    tokenizer: Any
    inputs: tuple[str, ...]
    label: int
    kind: Kind

    def score(self, text: str | None) -> float | None:
        """Of one text; None where it has no tokens."""
        if not text:
            return None
        encoded = self.tokenizer.encode(text)
        if not encoded.ids:
            return None
        return _score(self.numbers(encoded), self.label, self.kind)

    def numbers(self, encoded: Any) -> npt.NDArray[np.float64]:
        """float64[labels]: the first output of the model, for one encoded text.

        Raises ValueError for an output of another shape, or a number that is not finite: the text is
        quarantined."""
        told = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        given = {name: np.array([told[name]], np.int64) for name in self.inputs}
        found = np.asarray(self.session.run(None, given)[0], np.float64)
        if found.ndim > 2 or found.size == 0 or (found.ndim and found.size != found.shape[-1]):
            shape = "x".join(map(str, found.shape))
            raise ValueError(f"its output for one text is {shape} numbers, not one a label")
        if not np.isfinite(found).all():
            raise ValueError("its output holds a number that is not finite")
        return found.reshape(-1)


def _score(numbers: npt.NDArray[np.float64], label: int, kind: Kind) -> float:
    own = float(numbers[label])
    if kind == "value":
        return own
    if kind == "sigmoid":
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, own))))
    powers = np.exp(numbers - numbers.max())
    return float(powers[label] / powers.sum())


def load_classifier(folder: Path, label: str | None, kind: Kind | None, most: int) -> OnnxClassifier:
    """The classifier of a folder; texts are cut to `most` tokens.

    Raises UserError where onnxruntime is not installed, a file is missing, there is no such label, or the
    model takes fewer tokens; DataError for a file that cannot be read, or a model of another form.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(NOT_INSTALLED) from error
    from tokenizers import Tokenizer

    path = _complete(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # both libraries raise subclasses of Exception alone
        raise DataError(f"{folder}: no classifier: {error}; export the model again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    inputs = tuple(one.name for one in session.get_inputs())
    if other := [name for name in inputs if name not in KNOWN]:
        raise DataError(f"{path} asks for {', '.join(other)}; a text classifier has {', '.join(KNOWN)}")
    found = OnnxClassifier(session, tokenizer, inputs, 0, "value")
    try:
        labels = len(found.numbers(tokenizer.encode("a")))
    except Exception as error:  # of numpy, or onnxruntime's own
        said = " ".join(str(error).split())
        cure = "export one that takes int64 tokens of a text, any number of them, and gives a number a label"
        raise DataError(f"{path} cannot judge a text: {said}; {cure}") from error
    check_length(found, folder, most)
    names = _names(folder, labels)
    chosen = labels - 1 if label is None else _place(label, names, folder)
    usual: Kind = "softmax" if labels > 1 else "value"
    return OnnxClassifier(session, tokenizer, inputs, chosen, kind or usual)


def _complete(folder: Path) -> Path:
    """The model's file: in the folder, or in its folder `onnx`, as on the Hugging Face Hub."""
    paths = [folder / MODEL, folder / "onnx" / MODEL]
    model = next((path for path in paths if path.is_file()), None)
    if model is None or not (folder / TOKENIZER).is_file():
        missing = MODEL if model is None else TOKENIZER
        weights = any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))
        cure = (
            f"`optimum-cli export onnx --model {folder} --task text-classification OUT` makes a folder that "
            "has it from this one, which holds weights for transformers"
            if weights
            else "give a folder as `optimum-cli export onnx` writes it"
        )
        raise UserError(f"{folder} has no {missing}; {cure}")
    return model


def check_length(found: OnnxClassifier, folder: Path, most: int) -> None:
    """Raise UserError where config.json tells of fewer places than `most`, and a text of so many tokens
    cannot be judged. Some models with few places take longer texts, since they measure distances."""
    places = _config(folder).get("max_position_embeddings")
    if not isinstance(places, int) or places >= most:
        return
    text = found.tokenizer.encode("a " * most)
    try:
        found.numbers(text)
    except Exception as error:  # onnxruntime's own
        raise UserError(
            f"classifier_score.max_tokens: {folder} cannot judge {most} tokens: its config.json tells of "
            f"{places} places; write `max_tokens: {places}`, or fewer"
        ) from error


def check_folder(folder: Path, label: str | None) -> None:
    """Raises as `load_classifier` what can be told without the model's weights: whether the files are there
    and whole, the tokenizer is JSON, and config.json, if it names labels, has `label`."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError(NOT_INSTALLED)
    _check_fields(_complete(folder))
    try:
        json.loads((folder / TOKENIZER).read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / TOKENIZER}: {error}; export the model again") from error
    names = _names(folder, 0)
    if label is not None and names and not label.isdecimal():
        _place(label, names, folder)


def _check_fields(path: Path) -> None:
    """Raises DataError for a file that is no message of protobuf with a graph (field 7 of `ModelProto`,
    onnx.proto), whole to its end; passes over what the fields hold."""
    size, graph = path.stat().st_size, False
    with path.open("rb") as file:
        try:
            while file.tell() < size:
                number, kind = divmod(_varint(file), 8)
                if kind == 0:
                    _varint(file)
                elif kind == 2:
                    file.seek(_varint(file), 1)
                else:
                    raise ValueError("it is no ONNX model")
                graph = graph or (number == 7 and kind == 2)
            if file.tell() > size:
                raise ValueError("the file ends in the middle")
            if not graph:
                raise ValueError("it is no ONNX model: it has no graph")
        except ValueError as error:
            at = min(file.tell(), size)
            raise DataError(f"{path}: {error}, at byte {at:,} of {size:,}; export the model again") from error


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends in the middle")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no ONNX model")


def _names(folder: Path, labels: int) -> list[str]:
    """The names of the labels, where config.json has them, else their numbers; of 0 labels, all it has."""
    told = _config(folder).get("id2label") or {}
    if not isinstance(told, dict):
        raise DataError(f"{folder / CONFIG}: `id2label` is no object; export the model again")
    return [str(told.get(str(number), number)) for number in range(labels or len(told))]


def _config(folder: Path) -> dict[str, Any]:
    """What config.json says; nothing where there is none."""
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: {error}; export the model again") from error
    if not isinstance(told, dict):
        raise DataError(f"{path}: no JSON object; export the model again")
    return told


def _place(label: str, names: list[str], folder: Path) -> int:
    if label in names:
        return names.index(label)
    if label.isdecimal() and int(label) < len(names):
        return int(label)
    raise UserError(
        f"classifier_score.label: {folder} has no label `{label}`; it has {', '.join(names[:20])}"
    )
