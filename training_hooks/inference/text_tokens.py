"""Between text and tokens, by the model's own tokenizer. Control tokens go by number and are never spelt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.encoders import TokenizersEncoder
from corpusmill.tokenizer.bpe.artefact import read_definition, read_vocabulary
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
from corpusmill.training_hooks.inference.locate import Framing


class TextTokens:
    """The tokenizer in `folder` for a model of `vocab_size` tokens, and its documents' framing.

    Roles of control tokens come from encoder.json beside tokenizer.json; without one, from the spellings in
    tokenizer_config.json and DeepSeek-V3's. Raises UserError for a tokenizer that cannot be read or has
    tokens that the model lacks.
    """

    def __init__(self, folder: Path, vocab_size: int, framing: Framing) -> None:
        self.folder, self.framing = folder, framing
        path = folder / "tokenizer.json"
        try:
            if (folder / "encoder.json").is_file():
                vocabulary = read_vocabulary(folder / "encoder.json")
                definition = read_definition(path, vocabulary)
                self.specials = dict(vocabulary.specials)
            else:
                definition = json.loads(path.read_text(encoding="utf-8"))
                self.specials = _roles(folder, definition)
            self._encoder = TokenizersEncoder(definition)
            added = [int(token["id"]) for token in definition.get("added_tokens") or []]
            largest = max([*map(int, definition["model"]["vocab"].values()), *added])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{folder}: the tokenizer here cannot be read ({type(error).__name__}: {error}); it is "
                "broken, or another version of corpusmill wrote it: make it again"
            ) from error
        self._controls = {
            int(t["id"]) for t in definition.get("added_tokens") or [] if t["special"] or t["content"].strip()
        }
        if largest >= vocab_size:
            raise UserError(
                f"{path}: has a token {largest}, the model a vocabulary of {vocab_size}; "
                "give the tokenizer that the model was trained with"
            )

    def encode(self, text: str) -> list[int]:
        """Tokens of `text`, none of them a control token."""
        try:
            texts = pa.array([text], pa.large_string())
        except UnicodeEncodeError as error:
            raise UserError(f"the prompt is not valid Unicode: {error}") from error
        return [int(token) for token in self._encoder.encode(texts)[1]]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, control tokens left out. A character that was cut short shows as U+FFFD."""
        return self._encoder.decode(np.array([t for t in tokens if t not in self._controls], np.uint32))

    def special(self, role: str) -> int:
        """The number of a control token. Raises UserError where the tokenizer lacks it."""
        if role not in self.specials:
            raise UserError(f"{self.folder / 'tokenizer.json'}: has no {role} token ({SPECIAL_TOKENS[role]})")
        return self.specials[role]

    def prompt(self, text: str) -> list[int]:
        """`text` as the start of a document. An empty one starts with the token that documents begin with or,
        where they begin with none, the one that ends the document before."""
        tokens = self._start() + self.encode(text)
        return tokens or [self.special("eos")]

    def infill(self, prefix: str, suffix: str) -> list[int]:
        """A document framed for fill-in-the-middle as far as its middle, which is to come. See
        `tokenizer.fim.options.Fim`. Raises UserError where the model was trained on none."""
        if self.framing.fim is None:
            raise UserError(
                "the model cannot infill: its documents were packed without (`pack: {fim: {rate: 0}}`)"
            )
        begin, hole, end = (self.special(role) for role in ("fim_begin", "fim_hole", "fim_end"))
        before, after = self.encode(prefix), self.encode(suffix)
        if self.framing.fim == "psm":
            return [*self._start(), begin, *before, hole, *after, end]
        return [*self._start(), begin, hole, *after, end, *before]

    def _start(self) -> list[int]:
        return [self.special("bos")] if self.framing.bos else []


def _roles(folder: Path, definition: dict[str, object]) -> dict[str, int]:
    added = definition.get("added_tokens") or []
    if not isinstance(added, list):
        raise TypeError("added_tokens is not a list")
    numbers = {str(token["content"]): int(token["id"]) for token in added}
    found = {role: numbers[spelling] for role, spelling in SPECIAL_TOKENS.items() if spelling in numbers}
    config = folder / "tokenizer_config.json"
    named = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    for role in ("bos", "eos", "pad"):
        token = named.get(f"{role}_token")
        spelling = token.get("content") if isinstance(token, dict) else token
        if spelling in numbers:
            found[role] = numbers[spelling]
    return found
