"""A tokenizer as an artefact of a run: tokenizer.json, what libraries read beside it, and encoder.json.

`encoder.json` says which encoder its documents take, chosen by comparing both (`pipelines/text/encoders.py`)
on documents of the corpus and on `probe_texts`. One differing document and the choice is `tokenizers`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.text.encoders import GigatokenEncoder, Offsets, TokenizersEncoder, Tokens
from corpusmill.pipelines.text.tokenizer_json import documents_only, model_type
from corpusmill.tokenizer.bpe.definition_parts import refuse_lossy_parts
from corpusmill.tokenizer.bpe.probes import probe_texts
from corpusmill.tokenizer.exports.huggingface import write_hugging_face

EXCERPT = 80  # characters of a text that are quoted


@dataclass(frozen=True)
class Comparison:
    """Both encoders on the same texts. `fault`: why gigatoken could not take part, or null.

    `first_mismatch`: the beginning (EXCERPT characters) of the first text they differ on, or null.
    """

    documents: int
    bytes: int
    tokens: int
    mismatches: int
    fault: str | None
    first_mismatch: str | None = None

    @property
    def encoder(self) -> str:
        return "gigatoken" if self.mismatches == 0 and self.fault is None else "tokenizers"


def compare_encoders(
    definition: dict[str, Any], texts: pa.Array, reference: tuple[Offsets, Tokens] | None = None
) -> Comparison:
    """Encode `texts` (large_string[n]) with both and count the documents on which they differ.

    `reference`: what the TokenizersEncoder makes of `texts`, where the caller has it already.
    """
    offsets, tokens = reference or TokenizersEncoder(definition).encode(texts)
    size = int(np.diff(buffers(texts)[0]).sum())
    try:
        fast_offsets, fast = GigatokenEncoder(definition).encode(texts)
    except (RuntimeError, ValueError) as error:
        why = str(error).split("\n", 1)[0]
        return Comparison(len(texts), size, len(tokens), 0, f"gigatoken cannot load this tokenizer: {why}")
    different = [
        i
        for i in range(len(texts))
        if not np.array_equal(
            tokens[offsets[i] : offsets[i + 1]], fast[fast_offsets[i] : fast_offsets[i + 1]]
        )
    ]
    excerpt = texts[different[0]].as_py()[:EXCERPT] if different else None
    return Comparison(len(texts), size, len(tokens), len(different), None, excerpt)


@dataclass(frozen=True)
class Vocabulary:
    """What others need to know of a tokenizer artefact.

    `size` is one more than the largest id, special tokens included; `model_size` is the number of ids a model
    makes room for: `size`, or more where the vocabulary is padded (DeepSeek-V3: 129280). Ids from `size` on
    are never produced. `specials` maps roles (bos, eos, pad, fim_hole, fim_begin, fim_end) to ids, roles the
    tokenizer lacks left out; `sha256` is tokenizer.json's.
    """

    size: int
    model_size: int
    specials: dict[str, int]
    sha256: str
    encoder: str

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """The narrowest of uint16 and uint32 that holds every id of the model, padded ones too."""
        return np.uint16 if self.model_size <= 2**16 else np.uint32

    def need(self, roles: Sequence[str]) -> None:
        """Raise UserError naming every one of `roles` that the tokenizer has no token for."""
        missing = [role for role in roles if role not in self.specials]
        if missing:
            named = ", ".join(f"{role}: ..." for role in missing)
            raise UserError(
                f"the tokenizer has no token for {', '.join(missing)}; name them under `tokenizer: {{load: "
                f"{{special_tokens: {{{named}}}}}}}`, or do without what needs them"
            )

    def special(self, role: str) -> int:
        """The id of a role. Raises UserError naming the cure."""
        self.need([role])
        return self.specials[role]


def write_tokenizer(
    folder: Path,
    text: str,
    special_tokens: dict[str, str],
    verification: pa.Array,
    *,
    model_vocab_size: int | None = None,
    reserved: Sequence[str] = (),
    normalize: bool = False,
) -> dict[str, Any]:
    """Write `tokenizer.json` (its text), what `transformers` reads beside it, and `encoder.json`.

    `special_tokens` maps roles to spellings, each an added token of the tokenizer; `verification`
    (large_string[n]) are documents of the corpus to compare the encoders on, beside the probe texts, which
    spell every added token; `model_vocab_size`: ids a model makes room for (null: as many as there are);
    `reserved`: spellings of added tokens kept free for later; `normalize`: whether texts may be encoded in
    the Unicode form of the tokenizer's normalizer. Returns what encoder.json says. Raises
    UserError where a spelling is no added token, where text could produce an added token by merges, where
    `model_vocab_size` is too small, for a model that is no BPE, and where the tokenizer cannot give a text
    back as it was, naming the part that changes it (`definition_parts`).
    """
    definition = json.loads(text)
    if (kind := model_type(definition)) != "BPE":
        raise UserError(f"a {kind} tokenizer is not supported; give a BPE tokenizer.json")
    by_spelling = {token["content"]: int(token["id"]) for token in definition.get("added_tokens") or []}
    for spelling in (*special_tokens.values(), *reserved):
        if spelling not in by_spelling:
            raise UserError(f"the tokenizer has no added token {spelling!r}; correct its name or add it")
    refuse_spellable_controls(definition)
    size = _vocabulary_size(definition)
    model_size = size if model_vocab_size is None else model_vocab_size
    if model_size < size:
        raise UserError(
            f"the tokenizer has {size:,} ids, which do not fit a model vocabulary of {model_size:,}: "
            f"pad the vocabulary to {size:,} or more"
        )
    refuse_lossy_parts(definition, applied=normalize)
    texts = pa.concat_arrays([verification, pa.array(probe_texts(by_spelling), pa.large_string())])
    encoder = TokenizersEncoder(definition)
    encoded = encoder.encode(texts)
    _refuse_lossy(encoder, texts, *encoded, start=len(verification))
    compared = compare_encoders(definition, texts, encoded)
    facts = {
        "encoder": compared.encoder,
        "verification_documents": len(verification),
        **asdict(compared),
        "vocab_size": size,
        "model_vocab_size": model_size,
        "special_tokens": {role: by_spelling[spelling] for role, spelling in special_tokens.items()},
        "reserved_tokens": {spelling: by_spelling[spelling] for spelling in reserved},
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    (folder / "tokenizer.json").write_text(text, encoding="utf-8", newline="")
    write_hugging_face(folder, text, special_tokens)
    (folder / "encoder.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def read_vocabulary(path: Path) -> Vocabulary:
    """The facts of `encoder.json` at `path`."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Vocabulary(
        size=facts["vocab_size"],
        model_size=facts["model_vocab_size"],
        specials=facts["special_tokens"],
        sha256=facts["sha256"],
        encoder=facts["encoder"],
    )


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


def refuse_spellable_controls(definition: dict[str, Any]) -> None:
    """An added token that is a symbol, or a result of merges, could be produced from text."""
    model = definition["model"]
    alone = {token["content"] for token in definition.get("added_tokens") or []} & set(model["vocab"])
    alone -= {token["content"] for token in documents_only(definition)["added_tokens"]}
    if not alone:
        return
    merges = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model.get("merges") or [])
    results = {left + right for left, right in merges}
    for spelling in sorted(alone):
        if len(spelling) == 1 or spelling in results:
            raise UserError(
                f"the added token {spelling!r} is an ordinary entry of the vocabulary too, so text could "
                "produce it; give the control token a spelling of its own"
            )


def _refuse_lossy(
    encoder: TokenizersEncoder, texts: pa.Array, offsets: Offsets, tokens: Tokens, start: int
) -> None:
    """Decode the texts from `start` on: whatever changes them beside the parts that are known to."""
    for at in range(start, len(texts)):
        text = texts[at].as_py()
        if encoder.decode(tokens[offsets[at] : offsets[at + 1]]) != encoder.normalized(text):
            raise UserError(
                f"the tokenizer does not give back {text[:40]!r} as it was, so documents would change "
                "silently; give a byte-level BPE without normalisation"
            )
