"""A tokenizer to export."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.bpe.definition_parts import without_additions

MODEL = "tokenizer.model"


@dataclass(frozen=True)
class Source:
    """`text`: its tokenizer.json; `roles`: ids of bos, eos, pad and the FIM tokens, those it has;
    `model_size`: ids a model makes room for; `model`: the SentencePiece model it was made from, if any;
    `dropped`: parts of the file that are not in `text`, because they are random, cut texts or add tokens.
    """

    text: str
    roles: dict[str, int]
    model_size: int
    model: bytes | None
    dropped: tuple[str, ...] = ()

    @property
    def definition(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


def open_source(path: Path) -> Source:
    """The tokenizer in the artefact folder `path`, or in a tokenizer file; UserError if there is none."""
    from corpusmill.tokenizer.bpe.artefact import read_definition, read_vocabulary

    if not path.is_dir():
        return _open_file(path)
    if not (path / "tokenizer.json").exists() or not (path / "encoder.json").exists():
        raise UserError(
            f"{path} is no tokenizer: it has no tokenizer.json and encoder.json; name the tokenizer's folder"
        )
    vocabulary = read_vocabulary(path / "encoder.json")
    read_definition(path / "tokenizer.json", vocabulary)
    model = (path / MODEL).read_bytes() if (path / MODEL).exists() else None
    text = (path / "tokenizer.json").read_bytes().decode("utf-8")
    text, dropped = _plain(text)
    return Source(text, dict(vocabulary.specials), vocabulary.model_size, model, dropped)


def _open_file(path: Path) -> Source:
    from corpusmill.pipelines.text.tokenizer_json import parsed
    from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
    from corpusmill.tokenizer.imports.read_tokenizer import read_tokenizer

    imported = read_tokenizer(path)
    try:
        definition = json.loads(imported.text)
        added = {token["content"]: int(token["id"]) for token in definition.get("added_tokens") or []}
        size = max([*definition["model"]["vocab"].values(), *added.values()]) + 1
        text, dropped = _plain(imported.text)
        parsed(text)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a tokenizer.json: {error}") from error
    spellings = {**SPECIAL_TOKENS, **imported.special_tokens}
    roles = {role: added[spelling] for role, spelling in spellings.items() if spelling in added}
    return Source(text, roles, size, imported.model, dropped)


def _plain(text: str) -> tuple[str, tuple[str, ...]]:
    definition, dropped = without_additions(json.loads(text))
    return (json.dumps(definition, ensure_ascii=False, indent=1) + "\n" if dropped else text), tuple(dropped)
