"""What is wrong with a tokenizer file, all at once, and its tokenizer in the form that corpusmill uses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.tokenizer_json import model_type, parsed
from corpusmill.tokenizer.bpe.definition_parts import (
    Normalizer,
    lossy_parts,
    without_additions,
    without_unicode_form,
)
from corpusmill.tokenizer.imports.read_tokenizer import format_of_file, read_tokenizer
from corpusmill.tokenizer.imports.spaces import WHAT, with_spaces, writes_spaces_as_marks

if TYPE_CHECKING:
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

MOST_IDS = 2**24


@dataclass(frozen=True)
class Found:
    """`faults` of a file, with cures; `unreadable`: whether nothing else can be told of it.

    `added`: spellings of its added tokens; `roles`: role -> spelling, where the file itself names them."""

    faults: list[str]
    unreadable: bool = False
    added: frozenset[str] = frozenset()
    roles: Mapping[str, str] = field(default_factory=dict)


def in_our_form(
    definition: Mapping[str, Any], normalizer: Normalizer | None
) -> tuple[dict[str, Any], list[str]]:
    """A parsed tokenizer.json without what is random or adds tokens, with real spaces, and without its
    Unicode form where that is to be dropped; and what was dropped or rewritten, in words."""
    found, dropped = without_additions(definition)
    if writes_spaces_as_marks(found):
        found, dropped = with_spaces(found), [*dropped, WHAT]
    if normalizer == "drop":
        found, form = without_unicode_form(found)
        dropped += form
    return found, dropped


def faults_of(path: Path, pre: PreTokenizer | None, normalizer: Normalizer | None) -> Found:
    """All that is wrong with a tokenizer file. A rank file or merges are read no further than their kind."""
    try:
        form = format_of_file(path)
        if form == "tiktoken" and pre is None:
            read_tokenizer(path, None)  # raises with the pre-tokenizers there are
        if form in ("tiktoken", "merges"):
            return Found([])
        imported = read_tokenizer(path, pre)
    except UserError as error:
        return Found([_without_path(error, path)], unreadable=True)
    try:
        library = parsed(imported.text)
        definition = json.loads(imported.text)
        kind = model_type(definition)
        if kind != "BPE":
            return Found([f"a {kind} tokenizer is not supported; give a BPE tokenizer.json"], unreadable=True)
        added = frozenset(str(token["content"]) for token in definition.get("added_tokens") or [])
        faults = list(odd_ids(library, definition))
        ours, _ = in_our_form(definition, normalizer)
        faults += lossy_parts(ours, applied=normalizer == "apply")
    except UserError as error:
        return Found([str(error)], unreadable=True)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        return Found([f"is not a tokenizer.json: {error}"], unreadable=True)
    return Found(faults, added=added, roles=imported.special_tokens)


def _without_path(error: UserError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def odd_ids(library: Any, definition: Mapping[str, Any]) -> Iterator[str]:
    """Ids that are none, that two entries have, or that the library `tokenizers` reads otherwise."""
    vocabulary: dict[str, Any] = definition["model"]["vocab"]
    seen: dict[int, str] = {}
    for token, index in vocabulary.items():
        if not 0 <= index < MOST_IDS:
            yield f"the entry {token!r} has the id {index}; ids lie from 0 to {MOST_IDS - 1:,}"
            return
        if index in seen:
            yield (
                f"the entries {seen[index]!r} and {token!r} have the same id {index}; give the file as its "
                "makers released it"
            )
            return
        seen[index] = token
    spelled: dict[str, int] = {}
    for one in definition.get("added_tokens") or []:
        text, index = str(one["content"]), int(one["id"])
        if not 0 <= index < MOST_IDS:
            yield f"the added token {text!r} has the id {index}; ids lie from 0 to {MOST_IDS - 1:,}"
        elif spelled.setdefault(text, index) != index:
            yield f"the added token {text!r} is there with the ids {spelled[text]} and {index}; leave one"
        elif seen.setdefault(index, text) != text:
            yield f"the added token {text!r} has the id {index}, which is that of {seen[index]!r}; change it"
        elif (taken := library.token_to_id(text)) != index:
            yield (
                f"the added token {text!r} has the id {index}, but the library `tokenizers` gives it "
                f"{taken}, the next free one; give ids without a gap before it"
            )
            return


def refuse_odd_ids(library: Any, definition: Mapping[str, Any], path: Path) -> None:
    """Raise UserError for the ids that `odd_ids` tells."""
    faults = list(odd_ids(library, definition))
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}")
