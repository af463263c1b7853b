"""SentencePiece's `.model` files, read without its library.

The file is one protocol-buffer message, `ModelProto` (google/sentencepiece, `sentencepiece_model.proto`). Of
its fields, those that decide how text becomes pieces are read; field numbers and defaults are that file's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from corpusmill.pipelines.contract.errors import UserError

Kind = Literal["normal", "unknown", "control", "user_defined", "unused", "byte"]
KINDS: dict[int, Kind] = {
    1: "normal",
    2: "unknown",
    3: "control",
    4: "user_defined",
    5: "unused",
    6: "byte",
}
ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary; U+2581 (`▁`) in `text` is a space. BPE: the higher `score`, the earlier."""

    text: str
    score: float
    kind: Kind


@dataclass(frozen=True)
class Model:
    """A model file. `ids` maps bos, eos, pad and unk to ids; roles that are switched off are left out.

    `normalizer`: name of the rules; `rewrites`: whether they change characters; `dummy_prefix`: a space is
    put before each text; `squeezes`: leading, trailing and repeated spaces go; `escapes`: spaces become `▁`.
    """

    pieces: tuple[Piece, ...]
    algorithm: str
    byte_fallback: bool
    ids: dict[str, int]
    normalizer: str
    rewrites: bool
    dummy_prefix: bool
    squeezes: bool
    escapes: bool


def read_model(content: bytes) -> Model:
    """Parse a model file. Raises UserError where the bytes are no such message."""
    try:
        fields = list(_fields(content))
        pieces = tuple(_piece(value) for number, value in fields if number == 1 and isinstance(value, bytes))
        trainer = dict(_fields(_last(fields, 2)))
        normalizer = dict(_fields(_last(fields, 3)))
        name = _text(normalizer.get(1, b""))
        algorithm = ALGORITHMS[_number(trainer.get(3, 1))]
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise UserError(f"the file is not a SentencePiece model, or it is cut short: {error}") from error
    if not pieces:
        raise UserError("the file holds no pieces, so it is not a SentencePiece model")
    defaults = {"unk": (40, 0), "bos": (41, 1), "eos": (42, 2), "pad": (43, -1)}
    ids = {role: _signed(_number(trainer.get(number, value))) for role, (number, value) in defaults.items()}
    return Model(
        pieces=pieces,
        algorithm=algorithm,
        byte_fallback=bool(_number(trainer.get(35, 0))),
        ids={role: value for role, value in ids.items() if 0 <= value < len(pieces)},
        normalizer=name,
        rewrites=bool(normalizer.get(2, b"")),
        dummy_prefix=bool(_number(normalizer.get(3, 1))),
        squeezes=bool(_number(normalizer.get(4, 1))),
        escapes=bool(_number(normalizer.get(5, 1))),
    )


def _piece(message: bytes) -> Piece:
    fields = dict(_fields(message))
    score = fields.get(2, b"\0\0\0\0")
    if not isinstance(score, bytes):
        raise ValueError("a score is no 32-bit number")
    (value,) = struct.unpack("<f", score)
    return Piece(_text(fields[1]), value, KINDS[_number(fields.get(3, 1))])


def _last(fields: list[tuple[int, int | bytes]], number: int) -> bytes:
    """The last message in field `number`; empty if it is not there (all its fields take their defaults)."""
    value = dict(fields).get(number, b"")
    if not isinstance(value, bytes):
        raise ValueError(f"field {number} is no message")
    return value


def _text(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise ValueError("a number where a string belongs")
    return value.decode("utf-8")


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a string where a number belongs")
    return value


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message as they stand: numbers of varints, bytes of everything else."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field number 0")
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _LENGTH:
            size, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("a field runs past the end")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 10 bytes")
