"""What a trained tokenizer is, as tokenizer.json: byte-level BPE, its pre-tokenizer and its special tokens.

Ids: the special tokens from 0, the 256 bytes in order of the character each is shown as, one for each merge
that made a new token, in order, and last the reserved tokens.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from corpusmill.tokenizer.bpe.byte_characters import CHARACTERS, shown

if TYPE_CHECKING:
    from corpusmill.tokenizer.bpe.learn import Learned
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

# Role -> spelling, in the order of the ids 0, 1, ... of a trained tokenizer.
SPECIAL_TOKENS = {
    "bos": "<｜begin▁of▁sentence｜>",
    "eos": "<｜end▁of▁sentence｜>",
    "pad": "<｜▁pad▁｜>",
    "fim_hole": "<｜fim▁hole｜>",
    "fim_begin": "<｜fim▁begin｜>",
    "fim_end": "<｜fim▁end｜>",
}

BYTES = 256  # the byte alphabet every trained vocabulary holds
FIXED = len(SPECIAL_TOKENS) + BYTES  # entries no training changes


def reserved_spellings(count: int) -> list[str]:
    """Spellings of `count` reserved tokens, as DeepSeek-V3's place holders are spelt."""
    return [f"<｜place▁holder▁no▁{number}｜>" for number in range(count)]


def new_tokenizer(pre: PreTokenizer | None = None) -> Any:
    """A `tokenizers.Tokenizer` of this definition without vocabulary; `pre`: DeepSeek-V3's where None."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = (PreTokenizer() if pre is None else pre).hugging_face()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def definition_json(pre: PreTokenizer, learned: Learned, reserved: int = 0) -> str:
    """The text of tokenizer.json: as `tokenizers` would write it after the same training.

    `reserved` special tokens without a use stand behind the merges. Like the other special tokens their
    spellings are entries of the vocabulary that no text produces.
    """
    spelt = [*sorted(CHARACTERS.values()), *map(shown, learned.tokens)]
    kept = learned.last_of_each()
    merges = [[spelt[left], spelt[right]] for left, right in learned.pairs[kept].tolist()]
    tokens = [*SPECIAL_TOKENS.values(), *spelt, *reserved_spellings(reserved)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    assert len(vocabulary) == len(tokens)
    definition = json.loads(new_tokenizer(pre).to_str())
    definition["added_tokens"] = [
        added_token(spelling, vocabulary[spelling])
        for spelling in (*SPECIAL_TOKENS.values(), *reserved_spellings(reserved))
    ]
    definition["model"]["vocab"] = vocabulary
    definition["model"]["merges"] = merges
    return json.dumps(definition, ensure_ascii=False, indent=1)


def documents_only(definition: dict[str, Any]) -> dict[str, Any]:
    """`definition` (a parsed tokenizer.json) without any token that text could spell but not mean.

    Added tokens go, special or not (DeepSeek marks `<｜User｜>` as not special), so that a literal
    `<｜end▁of▁sentence｜>` in a document is ordinary text. Kept are added tokens of white space alone,
    which some code tokenizers use for indentation. Entries of the vocabulary that only served as added
    tokens are left out with them; ids of all others stay. Dropout, truncation, padding and post-processing
    are left out too: the same text gives the same tokens every time, all of them and no others.
    """
    added = definition.get("added_tokens") or []
    kept = [token for token in added if token["content"].strip() == "" and not token["special"]]
    dropped = {token["content"] for token in added} - {token["content"] for token in kept}
    model = dict(definition["model"])
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {token: index for token, index in model["vocab"].items() if token not in dropped}
        # An added token takes its id from the vocabulary; outside of it, the next free one: not its own.
        model["vocab"].update({token["content"]: token["id"] for token in kept})
    if "dropout" in model:
        model["dropout"] = None
    stripped = {"added_tokens": kept, "model": model}
    return {**definition, **stripped, "post_processor": None, "truncation": None, "padding": None}


def added_token(spelling: str, index: int, *, special: bool = True) -> dict[str, Any]:
    """An added token as tokenizer.json writes it, which takes nothing but its own spelling from a text."""
    return {
        "id": index,
        "content": spelling,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def parsed(text: str) -> Any:
    """The `tokenizers.Tokenizer` of a tokenizer.json. Raises ValueError for whatever it cannot parse.

    The library raises bare Exception, and panics where parts contradict one another (a prefix of
    continuing subwords longer than a merge's second half): no Exception, which would end the process.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the library tokenizers cannot read it: {error}") from error
