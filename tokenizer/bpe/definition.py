"""What a trained tokenizer is, as tokenizer.json: byte-level BPE, its pre-tokenizer and its special tokens.

Ids: the special tokens from 0, the 256 bytes in order of the character each is shown as, one for each merge
that made a new token, in order, and last the reserved tokens.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.text.byte_characters import CHARACTERS, shown

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
