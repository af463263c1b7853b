"""Small tokenizers built as Qwen3's, Llama 3's, Gemma's and GPT-2's are, trained by `tokenizers`."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from corpusmill.tokenizer.bpe.definition import added_token
from corpusmill.tokenizer.pretokenizer.patterns import split_patterns
from tests.oracles.tokenizer_texts import made_texts

MARK = "\u2581"


def sample() -> list[str]:
    texts = made_texts(60, seed=8)
    return [*texts, *("the cat and the dog  sat\n\n\tdef f(x):\n    return x + 1\n" * 3 for _ in range(20))]


def trained(pre: Any, model: Any = None, **parts: Any) -> dict[str, Any]:
    tokenizer = Tokenizer(model or models.BPE())
    tokenizer.pre_tokenizer = pre
    for name, value in parts.items():
        setattr(tokenizer, name, value)
    alphabet = pre_tokenizers.ByteLevel.alphabet() if model is None else []
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=sorted(alphabet), show_progress=False)
    tokenizer.train_from_iterator(sample(), trainer)
    found: dict[str, Any] = json.loads(tokenizer.to_str())
    return found


def with_added(definition: dict[str, Any], *spellings: str, **flags: Any) -> dict[str, Any]:
    """`definition` with special tokens behind its ids."""
    added = list(definition["added_tokens"])
    first = 1 + max([*definition["model"]["vocab"].values(), *(token["id"] for token in added)])
    added += [{**added_token(text, first + at), **flags} for at, text in enumerate(spellings)]
    return {**definition, "added_tokens": added}


def byte_level(pattern: str) -> Any:
    shown = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    (regex,) = split_patterns(pattern)  # type: ignore[arg-type]
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), shown])


def gpt2() -> dict[str, Any]:
    made = trained(pre_tokenizers.ByteLevel(add_prefix_space=False), decoder=decoders.ByteLevel())
    return with_added(made, "<|endoftext|>")


def llama3() -> dict[str, Any]:
    """With words that no merges lead to, merges as text, 250 reserved tokens, and a beginning by template."""
    made = trained(byte_level("llama3"), decoder=decoders.ByteLevel())
    vocabulary = made["model"]["vocab"]
    for word in ("Ġunreachable", "Ġthecatanddog"):
        vocabulary[word] = len(vocabulary)
    made["model"]["ignore_merges"] = True
    made["model"]["merges"] = [" ".join(pair) for pair in made["model"]["merges"]]
    reserved = [f"<|reserved_special_token_{n}|>" for n in range(247)]
    made = with_added(made, "<|begin_of_text|>", "<|end_of_text|>", *reserved, "<|eot_id|>")
    bos = made["added_tokens"][0]
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    start = {"SpecialToken": {"id": bos["content"], "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [start, sequence],
        "pair": [start, sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            bos["content"]: {"id": bos["content"], "ids": [bos["id"]], "tokens": [bos["content"]]}
        },
    }
    return {**made, "post_processor": template}


def qwen3() -> dict[str, Any]:
    made = trained(byte_level("qwen"), decoder=decoders.ByteLevel(), normalizer=normalizers.NFC())
    made["model"] |= {"continuing_subword_prefix": "", "end_of_word_suffix": ""}
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>")
    return with_added(made, *names, "<|fim_suffix|>", "<|fim_pad|>")


def gemma() -> dict[str, Any]:
    """Spaces written as marks, bytes behind characters, and added tokens of marks, breaks and markup."""
    made = trained(
        pre_tokenizers.Split("\n\n", "isolated"),
        models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True),
        normalizer=normalizers.Replace(" ", MARK),
        decoder=decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]),
    )
    controls = ["<pad>", "<eos>", "<bos>", "<unk>"]
    first = [*controls, *(f"<0x{byte:02X}>" for byte in range(256)), MARK * 7, "<table>", "\n\n"]
    learned = [token for token in made["model"]["vocab"] if token not in first]
    made["model"]["vocab"] = {token: index for index, token in enumerate([*first, *learned])}
    vocabulary = made["model"]["vocab"]
    made["added_tokens"] = [
        {**added_token(text, vocabulary[text], special=text in controls)}
        for text in (*controls, MARK * 7, MARK * 2, "<table>", "\n\n")
    ]
    assert MARK * 2 in learned
    made["pre_tokenizer"] = {
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False,
    }  # fmt: skip
    return made
