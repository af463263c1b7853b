"""Encoders of documents: `tokenizers` says what is right, `gigatoken` is fast and must agree with it.

A tokenizer artefact holds `encoder.json`: which encoder its documents take, chosen by comparing both on
the documents the tokenizer was trained on and on `probe_texts`. One differing document and the choice is
`tokenizers`. Both encoders work on the definition without added tokens (`documents_only`), on the calling
thread: parallelism is the engine's business.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.errors import IntegrityError, UserError
from corpusmill.tokenizer.bpe.definition import documents_only
from corpusmill.tokenizer.bpe.probes import probe_texts

Offsets = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.uint32]


class Encoder(Protocol):
    """From texts to tokens, never a special one."""

    def encode(self, texts: pa.Array) -> tuple[Offsets, Tokens]:
        """From large_string[n] to offsets int64[n + 1] and tokens uint32[offsets[n]]."""


class TokenizersEncoder:
    """The reference. About 3 MB/s of text a core."""

    def __init__(self, definition: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(json.dumps(documents_only(definition), ensure_ascii=False))

    def encode(self, texts: pa.Array) -> tuple[Offsets, Tokens]:
        ids = [
            np.array(self._tokenizer.encode(text.as_py() or "", add_special_tokens=False).ids, np.uint32)
            for text in texts
        ]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(one) for one in ids], out=offsets[1:])
        return offsets, np.concatenate(ids) if ids else np.zeros(0, np.uint32)

    def decode(self, tokens: npt.NDArray[np.unsignedinteger[Any]]) -> str:
        return str(self._tokenizer.decode(tokens.tolist(), skip_special_tokens=False))


class GigatokenEncoder:
    """The fast one; reads Arrow's buffers in place. Raises RuntimeError for a tokenizer it does not know."""

    def __init__(self, definition: dict[str, Any]) -> None:
        import gigatoken

        self._tokenizer = gigatoken.Tokenizer.from_json(
            json.dumps(documents_only(definition), ensure_ascii=False)
        )

    def encode(self, texts: pa.Array) -> tuple[Offsets, Tokens]:
        import awkward

        if len(texts) == 0:
            return np.zeros(1, np.int64), np.zeros(0, np.uint32)
        layout = self._tokenizer.encode_batch(awkward.from_arrow(texts), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        tokens = np.asarray(layout.content.data, np.uint32)
        return offsets - offsets[0], tokens[offsets[0] : offsets[-1]]


@dataclass(frozen=True)
class Comparison:
    """Both encoders on the same texts. `fault`: why gigatoken could not take part, or null."""

    documents: int
    bytes: int
    tokens: int
    mismatches: int
    fault: str | None

    @property
    def encoder(self) -> str:
        return "gigatoken" if self.mismatches == 0 and self.fault is None else "tokenizers"


def compare_encoders(definition: dict[str, Any], texts: pa.Array) -> Comparison:
    """Encode `texts` (large_string[n]) with both and count the documents on which they differ."""
    reference = TokenizersEncoder(definition)
    offsets, tokens = reference.encode(texts)
    size = sum(len(text.as_py().encode()) for text in texts)
    try:
        fast_offsets, fast = GigatokenEncoder(definition).encode(texts)
    except (RuntimeError, ValueError) as error:
        why = str(error).split("\n", 1)[0]
        return Comparison(len(texts), size, len(tokens), 0, f"gigatoken cannot load this tokenizer: {why}")
    mismatches = sum(
        not np.array_equal(tokens[a:b], fast[c:d])
        for a, b, c, d in zip(offsets, offsets[1:], fast_offsets, fast_offsets[1:], strict=False)
    )
    return Comparison(len(texts), size, len(tokens), mismatches, None)


@dataclass(frozen=True)
class Vocabulary:
    """What others need to know of a tokenizer artefact.

    `size` is one more than the largest id, special tokens included; `specials` maps roles (bos, eos, pad,
    fim_hole, fim_begin, fim_end) to ids, roles the tokenizer lacks left out; `sha256` is tokenizer.json's.
    """

    size: int
    specials: dict[str, int]
    sha256: str
    encoder: str

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """The narrowest of uint16 and uint32 that holds every id."""
        return np.uint16 if self.size <= 2**16 else np.uint32

    def special(self, role: str) -> int:
        """The id of a role. Raises UserError naming the cure."""
        if role not in self.specials:
            raise UserError(
                f"the tokenizer has no {role} token; name it under `tokenizer: {{load: {{special_tokens: "
                f"{{{role}: ...}}}}}}`, or do without what needs it"
            )
        return self.specials[role]


def write_tokenizer(
    folder: Path, text: str, special_tokens: dict[str, str], verification: pa.Array
) -> dict[str, Any]:
    """Write `tokenizer.json` (its text), `tokenizer_config.json` and `encoder.json` into `folder`.

    `special_tokens` maps roles to spellings, each an added token of the tokenizer; `verification`
    (large_string[n]) are documents to compare the encoders on, beside the probe texts. Returns what
    encoder.json says. Raises UserError where the tokenizer cannot give a text back as it was.
    """
    definition = json.loads(text)
    by_spelling = {token["content"]: int(token["id"]) for token in definition.get("added_tokens") or []}
    specials = {role: by_spelling[spelling] for role, spelling in special_tokens.items()}
    probes = pa.array(probe_texts(by_spelling), pa.large_string())
    texts = pa.concat_arrays([verification, probes])
    _refuse_lossy(definition, probes)
    compared = compare_encoders(definition, texts)
    facts = {
        "encoder": compared.encoder,
        "documents": compared.documents,
        "bytes": compared.bytes,
        "tokens": compared.tokens,
        "mismatches": compared.mismatches,
        "fault": compared.fault,
        "vocab_size": _vocabulary_size(definition),
        "special_tokens": specials,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    (folder / "tokenizer.json").write_text(text, encoding="utf-8", newline="")
    (folder / "tokenizer_config.json").write_text(_transformers_config(special_tokens), encoding="utf-8")
    (folder / "encoder.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def read_vocabulary(path: Path) -> Vocabulary:
    """The facts of `encoder.json` at `path`."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Vocabulary(facts["vocab_size"], facts["special_tokens"], facts["sha256"], facts["encoder"])


def read_definition(path: Path, vocabulary: Vocabulary) -> dict[str, Any]:
    """tokenizer.json at `path`, parsed. Raises IntegrityError where it is not the file that was verified."""
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != vocabulary.sha256:
        raise IntegrityError(
            f"{path} is not the tokenizer that encoder.json beside it was written for; run again"
        )
    definition: dict[str, Any] = json.loads(text)
    return definition


def _vocabulary_size(definition: dict[str, Any]) -> int:
    vocabulary: dict[str, int] = definition["model"]["vocab"]
    added = [int(token["id"]) for token in definition.get("added_tokens") or []]
    return max([*vocabulary.values(), *added]) + 1


def _refuse_lossy(definition: dict[str, Any], probes: pa.Array) -> None:
    if definition["model"].get("type") != "BPE":
        raise UserError(
            f"a {definition['model'].get('type')} tokenizer is not supported; give a BPE tokenizer.json"
        )
    encoder = TokenizersEncoder(definition)
    offsets, tokens = encoder.encode(probes)
    for text, start, end in zip(probes.to_pylist(), offsets, offsets[1:], strict=False):
        if encoder.decode(tokens[start:end]) != text:
            raise UserError(
                f"the tokenizer does not give back {text[:40]!r} as it was, so documents would change "
                "silently; give a byte-level BPE without normalisation"
            )


def _transformers_config(special_tokens: dict[str, str]) -> str:
    named = {
        f"{role}_token": special_tokens[role] for role in ("bos", "eos", "pad") if role in special_tokens
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **named,
    }
    return json.dumps(config, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
