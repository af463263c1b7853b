"""Damage to documents, in one source or all, of shards that a real tokenizer encoded: each has its name."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tokenizers import Tokenizer

from corpusmill.training_hooks.evaluation.faults import check_shards
from tests.oracles.training_planted import (
    TEXT,
    TOKENS,
    Document,
    byte_level,
    encoded,
    text_of,
    write_documents,
)

SOURCES = ("code", "prose", "zh")
FACTS = {"pad_id": 2, "eos_id": 1, "bos_id": 0, "sources": list(SOURCES), "vocab_size": 400}
FACTS |= {"add_bos": False, "add_eos": True, "phase": {"number": 0, "name": None}}


class World(NamedTuple):
    """Sound shards of 3 x 2 x 80 documents, their tokenizer, and its file."""

    documents: list[list[Document]]
    tokenizer: Tokenizer
    definition: Path
    facts: dict[str, Any]


def chained(draw: random.Random, words: list[str], count: int) -> list[str]:
    """Words of which each is followed by one of two; every 20 are drawn from another eight."""
    found: list[str] = []
    topic = step = 0
    for number in range(count):
        if number % 20 == 0:
            topic = draw.randrange(len(words) - 8)
        found.append(words[topic + step])
        step = (3 * step + draw.choice((1, 2))) % 8
    return found


def texts(draw: random.Random) -> list[tuple[int, str]]:
    """One document of every source."""
    names = random.Random(1)
    words = ["".join(names.choices("aeioulnrst", k=names.randint(2, 8))) for _ in range(97)]
    characters = [chr(0x4E00 + 11 * k) for k in range(97)]
    line = iter(chained(draw, words, 200))
    code = "\n".join(f"    {' '.join(next(line) for _ in range(5))};" for _ in range(40))
    prose = " ".join(chained(draw, words, 200)) + "."
    chinese = "".join(chained(draw, characters, 200)) + "。"
    return [(0, code), (1, prose), (2, chinese)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    draw = random.Random(2)
    drawn = [[text for _ in range(80) for text in texts(draw)] for _ in range(2)]
    tokenizer = byte_level([text for shard in drawn for _, text in shard], 400, ["<s>", "</s>", "<pad>"])
    definition = tmp_path_factory.mktemp("world") / "tokenizer.json"
    tokenizer.save(str(definition))
    digest = hashlib.sha256(definition.read_bytes()).hexdigest()
    documents = []
    for number, shard in enumerate(drawn):
        named = [
            Document(source, f"{number:08}{k:08}".encode(), 0, False, np.zeros(0, np.int64), 0)
            for k, (source, _) in enumerate(shard)
        ]
        pairs = zip(named, shard, strict=True)
        documents.append([encoded(each, text, tokenizer, 1) for each, (_, text) in pairs])
    return World(documents, tokenizer, definition, {**FACTS, "tokenizer": digest})


def planted(world: World, folder: Path, damage: Callable[[Document], Document], where: str) -> list[Path]:
    """The shards with damage in one source, in the first shard alone, or in all of both."""
    paths = []
    for number, shard in enumerate(world.documents):
        made = []
        for each in shard:
            hit = SOURCES[each.source] == where or where == "all" or (where == "shard" and number == 0)
            made.append(damage(each) if hit else each)
        path = folder / f"shard-{number:05d}.arrow"
        paths.append(write_documents(path, world.facts, 256, made))
    return paths


def in_text(world: World, name: str) -> Callable[[Document], Document]:
    def damage(document: Document) -> Document:
        draw = random.Random(document.name)
        text = TEXT[name](text_of(document.ids, world.tokenizer), draw)
        return encoded(document, text, world.tokenizer, 1)

    return damage


def in_tokens(name: str) -> Callable[[Document], Document]:
    return lambda document: replace(document, ids=TOKENS[name](document.ids, FACTS["vocab_size"]))


def test_what_a_tokenizer_encoded_is_sound(world: World, tmp_path: Path) -> None:
    paths = planted(world, tmp_path, lambda document: document, "all")
    assert check_shards(paths, world.definition) == []
    assert check_shards(paths) == []


def test_documents_that_the_mixture_cut_have_no_end(world: World, tmp_path: Path) -> None:
    """Named in the metadata they raise no alarm; as many others without an end do, beside them or alone."""
    shard = world.documents[0]
    fewer = [replace(each, ids=each.ids[:-1]) if k % 20 == 0 else each for k, each in enumerate(shard)]
    cut = [
        {"document": each.name.hex(), "epoch": 0, "source": SOURCES[each.source], "tokens": 9, "of": 10}
        for each in fewer[::20]
    ]

    def kinds(named: list[dict[str, Any]], documents: list[Document]) -> list[str]:
        path = write_documents(tmp_path / "shard-00000.arrow", {**world.facts, "cut": named}, 256, documents)
        return [fault.kind for fault in check_shards([path], world.definition)]

    assert kinds(cut, fewer) == []
    assert kinds([], fewer) == ["misplaced ends"]
    assert kinds(cut[: len(cut) // 2], fewer) == ["misplaced ends"]
    assert kinds([{**one, "epoch": 1} for one in cut], fewer) == ["misplaced ends"]


TOLD = {  # of text that was damaged before it was encoded: (with the tokenizer at hand, without)
    "bytes shuffled": ({"shuffled tokens", "undecodable text"}, {"shuffled tokens"}),
    "characters shuffled": ({"shuffled tokens", "shuffled characters"}, {"shuffled tokens"}),
    "words shuffled": ({"shuffled words"}, set()),
    "noise": ({"shuffled tokens"}, {"shuffled tokens"}),
    "one text for all": ({"repeated documents"}, {"repeated documents"}),
    "one letter": ({"constant tokens", "repeated documents"}, set()),
    "no text": ({"empty documents"}, {"empty documents"}),
}


@pytest.mark.parametrize("source", ["code", "zh"])
@pytest.mark.parametrize("name", TEXT)
def test_a_source_whose_text_was_damaged(name: str, source: str, world: World, tmp_path: Path) -> None:
    if (name, source) == ("words shuffled", "zh"):
        pytest.skip("the text has no white space, so it is one word")
    kinds, without = TOLD[name]
    paths = planted(world, tmp_path, in_text(world, name), source)
    found = check_shards(paths, world.definition)
    odd_rows = name == "one letter" and source != "zh"  # told before sources are looked at by themselves
    named = [fault for fault in found if fault.detail.startswith(f"of {source}, ") or odd_rows]
    assert {fault.shard for fault in named} == set(paths)
    assert {fault.kind for fault in named} <= kinds | ({"repeated rows"} if odd_rows else set())
    for fault in found:
        assert not any(f"of {other}, " in fault.detail for other in SOURCES if other != source)
    if source != "zh" or "shuffled" not in name:  # there a token is less than a character
        assert without <= {fault.kind for fault in check_shards(paths)}


ENCODED = {  # tokens that were damaged after: (with the tokenizer at hand, without)
    "tokens shuffled": ({"shuffled tokens"}, {"shuffled tokens"}),
    "tokens reversed": ({"other encoding"}, set()),
    "tokens reversed, ends too": ({"other encoding", "misplaced ends"}, {"misplaced ends"}),
    "ids off by one": ({"padding inside", "misplaced ends", "wrong vocabulary"}, {"misplaced ends"}),
    "bytes of ids swapped": ({"wrong vocabulary", "misplaced ends"}, {"wrong vocabulary"}),
    "ids renamed": ({"misplaced ends", "wrong vocabulary"}, {"misplaced ends"}),
    "padding inside": ({"padding inside", "wrong vocabulary"}, {"padding inside"}),
}


@pytest.mark.parametrize("where", ["zh", "shard", "all"])
@pytest.mark.parametrize("name", TOKENS)
def test_tokens_that_were_damaged(name: str, where: str, world: World, tmp_path: Path) -> None:
    kinds, without = ENCODED[name]
    paths = planted(world, tmp_path, in_tokens(name), where)
    found = check_shards(paths, world.definition)
    assert kinds <= {fault.kind for fault in found}
    hit = paths[:1] if where == "shard" else paths
    assert {fault.shard for fault in found if "spread" not in fault.detail} == set(hit)
    assert without <= {fault.kind for fault in check_shards(paths)}


def test_the_ids_of_another_vocabulary_of_that_size(world: World, tmp_path: Path) -> None:
    """Trained on the same texts, its special tokens the same; only its merges are others."""
    texts_of = [text_of(each.ids, world.tokenizer) for shard in world.documents for each in shard]
    other = byte_level([text[::-1] for text in texts_of], 400, ["<s>", "</s>", "<pad>"])
    for where in ("prose", "shard", "all"):

        def damage(document: Document) -> Document:
            return encoded(document, text_of(document.ids, world.tokenizer), other, 1)

        found = check_shards(planted(world, tmp_path, damage, where), world.definition)
        assert {"other encoding", "wrong vocabulary"} <= {fault.kind for fault in found}


def test_boundary_splitting_and_frames_for_filling_in_are_no_fault(world: World, tmp_path: Path) -> None:
    """Every `;` is split from the line break after it, and documents are cut between control tokens."""
    tokenizer = world.tokenizer
    (both,) = tokenizer.encode(";\n").ids[-1:] if len(tokenizer.encode(";\n").ids) == 1 else (None,)

    def damage(document: Document) -> Document:
        parts = [
            [i] if i != both else tokenizer.encode(";").ids + tokenizer.encode("\n").ids
            for i in document.ids.tolist()
        ]
        ids = [i for part in parts for i in part]
        third = len(ids) // 3
        framed = [0, *ids[third:-1], 0, *ids[:third], ids[-1]]
        return replace(document, ids=np.array(framed, np.int64))

    assert check_shards(planted(world, tmp_path, damage, "code"), world.definition) == []
