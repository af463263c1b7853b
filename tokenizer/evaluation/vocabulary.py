"""A tokenizer's definition as arrays: the bytes of every entry, its added tokens, its merges.

Two families are known. Byte-level: every entry is written in GPT-2's alphabet, one character a byte. Byte
fallback (SentencePiece): entries are text with U+2581 for a space, and `<0x41>` for a single byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.pipelines.text.tokenizer_json import documents_only


@dataclass(frozen=True)
class Vocabulary:
    """Entries by id, `spellings[id]` being bytes, or None where an id has no entry or only an added token.

    `added` maps the spelling of every added token to its id; those of white space alone that are not special
    are literal text and have a spelling too. `merges` are pairs in order, as the file writes them.
    """

    family: Literal["byte-level", "byte fallback"]
    spellings: list[bytes | None]
    added: dict[str, int]
    specials: set[int]
    merges: list[tuple[str, str]]
    entries: dict[str, int]  # of the model, added tokens left out

    @property
    def size(self) -> int:
        """One more than the largest id, added tokens included."""
        return len(self.spellings)

    @cached_property
    def spelled(self) -> npt.NDArray[np.int64]:
        """Where each id's bytes start in `spelling`: int64[V + 1]."""
        sizes = [len(spelling or b"") for spelling in self.spellings]
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])

    @cached_property
    def spelling(self) -> npt.NDArray[np.uint8]:
        """The bytes of all entries, one after the other: uint8[...]."""
        return np.frombuffer(b"".join(spelling or b"" for spelling in self.spellings), np.uint8)

    @cached_property
    def byte_ids(self) -> dict[int, int]:
        """Byte -> id of the entry that is this byte alone."""
        found = {s[0]: i for i, s in enumerate(self.spellings) if s is not None and len(s) == 1}
        if self.family == "byte fallback":  # beside `<0x41>` there is the character `A`
            found.update(
                {b: self.entries[name] for b in range(256) if (name := _fallback(b)) in self.entries}
            )
        return found

    def text(self, index: int) -> str:
        """The entry as text for people; bytes that are no UTF-8 as `\\xe4`."""
        return (self.spellings[index] or b"").decode("utf-8", "backslashreplace")


def _fallback(byte: int) -> str:
    return f"<0x{byte:02X}>"


def vocabulary_of(definition: dict[str, Any], name: str) -> Vocabulary:
    """The vocabulary of a parsed tokenizer.json; `name` is what errors call it.

    Raises UserError for a model that is no BPE, is of neither family, or has entries that no merge makes.
    """
    model = definition.get("model")
    if not isinstance(model, dict) or "vocab" not in model:
        raise UserError(f"{name}: not a tokenizer.json (no model with a vocabulary); give a tokenizer's file")
    kind = model.get("type") or ("BPE" if "merges" in model else "unknown")
    if kind != "BPE":
        raise UserError(f"{name}: a {kind} tokenizer cannot be evaluated; give a byte-level BPE")
    stripped = documents_only(definition)["model"]
    entries: dict[str, int] = stripped["vocab"]
    merges = [_pair(merge, name) for merge in model.get("merges") or []]
    byte_level = "ByteLevel" in _kinds(definition.get("decoder"))
    if not byte_level and not model.get("byte_fallback"):
        raise UserError(
            f"{name}: neither byte-level nor with byte fallback, so some texts have no tokens; "
            "give a byte-level BPE"
        )
    if not entries:
        raise UserError(f"{name}: the vocabulary is empty; give a trained tokenizer")
    added = {str(token["content"]): int(token["id"]) for token in definition.get("added_tokens") or []}
    specials = {int(token["id"]) for token in definition.get("added_tokens") or [] if token.get("special")}
    spellings: list[bytes | None] = [None] * (max([*entries.values(), *added.values()]) + 1)
    spell = _byte_level if byte_level else _with_fallback
    for entry, index in entries.items():
        spellings[index] = entry.encode() if added.get(entry) == index else spell(entry, name)
    if not merges and any(spelling is not None and len(spelling) > 4 for spelling in spellings):
        raise UserError(
            f"{name}: the file has no merges, so its longer tokens are never made; "
            "give the whole tokenizer.json, or a rank file (.tiktoken)"
        )
    return Vocabulary(
        "byte-level" if byte_level else "byte fallback", spellings, added, specials, merges, entries
    )


def _pair(merge: Any, name: str) -> tuple[str, str]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if len(parts) != 2:
        raise UserError(f"{name}: {merge!r} is no merge of two entries; the file is damaged")
    return parts[0], parts[1]


def _kinds(part: Any) -> set[str]:
    """Names of all components of a decoder or pre-tokenizer, nested ones too."""
    if not isinstance(part, dict):
        return set()
    inner = [*(part.get("decoders") or []), *(part.get("pretokenizers") or [])]
    return {str(part.get("type"))}.union(*(_kinds(each) for each in inner))


@cache
def _bytes_of() -> dict[str, int]:
    return {character: byte for byte, character in enumerate(CHARACTERS.values())}


def _byte_level(entry: str, name: str) -> bytes:
    try:
        return bytes(map(_bytes_of().__getitem__, entry))
    except KeyError as error:
        raise UserError(
            f"{name}: entry {entry[:40]!r} holds {error.args[0]!r}, which stands for no byte in a byte-level "
            "vocabulary; the file is damaged or of another kind"
        ) from error


def _with_fallback(entry: str, name: str) -> bytes:
    if len(entry) == 6 and entry.startswith("<0x") and entry.endswith(">"):
        return bytes([int(entry[3:5], 16)])
    return entry.replace("\u2581", " ").encode()
