"""Tokenizers to evaluate, opened from whatever form they come in."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.tokenizer_files import tokenizer_file
from corpusmill.pipelines.text.tokenizer_json import parsed
from corpusmill.tokenizer.bpe.definition_parts import without_additions
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary, vocabulary_of
from corpusmill.tokenizer.imports.read_tokenizer import read_tokenizer
from corpusmill.tokenizer.pretokenizer.patterns import NAMES
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

FORMS = (
    "a tokenizer's folder, a run or its step `tokenizer`, a tokenizer.json, a rank file (.tiktoken), "
    "GPT-2 merges (.txt) or a SentencePiece model (.model), the files also as .zst or .gz"
)


@dataclass(frozen=True)
class Opened:
    """A tokenizer: what to call it, where it was found, and its tokenizer.json, parsed.

    `ranks` is the text of the rank file it was made from and the name of its pattern, if it was. `dropped`:
    parts of the file that are not in `definition`, because they are random, cut texts or add tokens to them.
    """

    name: str
    path: Path
    definition: dict[str, Any]
    ranks: tuple[str, str] | None = None
    dropped: tuple[str, ...] = ()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.definition, self.name)


def open_tokenizer(path: Path, pattern: str | None = None, name: str | None = None) -> Opened:
    """The tokenizer at `path`, one of FORMS.

    `pattern` names the pre-tokenizer of a rank file, which does not say it (`cl100k`, `o200k`, ...; taken
    from `name` or the file's name where one of them holds it); of a file that says it, it must not be given.
    Raises UserError naming the file, the cause and the cure.
    """
    file = _file_in(path)
    bare = file.name.removesuffix(".zst").removesuffix(".gz")
    called = name or (path.name if path.is_dir() else bare.split(".")[0]) or str(path)
    if bare.endswith(".model"):
        if pattern is not None:
            raise UserError(f"{file}: a SentencePiece model has no pattern; leave `pattern` out")
        return Opened(called, file, json.loads(read_tokenizer(file, None, "sentencepiece").text))
    text = _text(file)
    if not text.strip():
        raise UserError(f"{file}: the file is empty; give {FORMS}")
    if bare.endswith(".tiktoken"):
        told = (known for word in (called, bare) for known in NAMES if known in word)
        chosen = pattern or next(told, None)
        if chosen is None:
            names = ", ".join(NAMES)
            raise UserError(f"{file}: a rank file does not say how text is split; name its pattern: {names}")
        definition = read_tokenizer(file, _pre_tokenizer(chosen, file), "tiktoken").text
        return Opened(called, file, json.loads(definition), (text, chosen))
    if bare.endswith(".txt"):
        definition = read_tokenizer(file, _pre_tokenizer(pattern or "gpt2", file), "merges").text
        return Opened(called, file, json.loads(definition))
    if pattern is not None:
        raise UserError(f"{file}: a tokenizer.json says its own pattern; leave `pattern` out")
    try:
        definition = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not a tokenizer.json ({error}); give {FORMS}") from error
    if not isinstance(definition, dict):
        raise UserError(f"{file}: not a tokenizer.json but a JSON {type(definition).__name__}; give {FORMS}")
    if "model" in definition:
        _check_loads(file, text)
    plain, dropped = without_additions(definition)
    return Opened(called, file, plain, dropped=tuple(dropped))


def _check_loads(file: Path, text: str) -> None:
    """Raise UserError where `tokenizers` cannot load a tokenizer.json: every part of it has its form then."""
    try:
        parsed(text)
    except ValueError as error:
        raise UserError(f"{file}: not a tokenizer.json ({error}); give {FORMS}") from error


def _pre_tokenizer(pattern: str, file: Path) -> PreTokenizer:
    from pydantic import ValidationError

    try:
        return PreTokenizer.model_validate({"pattern": pattern})
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise UserError(f"{file}: no pattern {pattern!r} ({why[0].lower()}{why[1:]})") from error


def _file_in(path: Path) -> Path:
    """The file that holds the tokenizer: `path`, or what its folder holds."""
    if not path.exists():
        raise UserError(f"{path}: does not exist; give {FORMS}")
    file = tokenizer_file(path)
    if file is None:
        raise UserError(f"{path}: no tokenizer.json in this folder; give {FORMS}")
    return file


def _text(file: Path) -> str:
    import gzip

    import zstandard

    try:
        content = file.read_bytes()
        if file.suffix == ".zst":
            content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
        elif file.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not text in UTF-8 ({error}); give {FORMS}") from error
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise UserError(f"{file}: cannot be read ({error}); it is damaged or something else") from error
