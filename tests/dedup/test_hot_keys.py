"""Very many documents under one key: copies of one, a star, a chain, a bucket of all.

What is removed is what all pairs at once give, in any number of partitions.
"""

from __future__ import annotations

import random

import pytest

from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.resolution import Resolution
from tests.dedup.test_minhash import brute_force, known_by, near_duplicates, same
from tests.oracles.dedup_exchange import documents, pairs_and_removals, removals
from tests.oracles.dedup_near import pairs_in_buckets
from tests.pipelines.run.test_resolution import in_rounds

WORDS = 60


def words(seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefgh", k=5)) for _ in range(WORDS)]


def copies(count: int) -> list[str]:
    """One text again and again."""
    return [" ".join(words(1))] * count


def star(count: int) -> list[str]:
    """Versions of one text, each with a word of its own at the end: like the first, and like one another."""
    return [" ".join([*words(2)[:-1], f"own{number}"]) for number in range(count)]


def scattered(count: int) -> list[str]:
    """Versions of one text, each with a word of its own anywhere: most share buckets, and few are alike."""
    draw, texts = random.Random(3), []
    for number in range(count):
        text = words(3)
        text[draw.randrange(WORDS)] = f"own{number}"
        texts.append(" ".join(text))
    return texts


def chain(count: int) -> list[str]:
    """Each text with a word more changed than the one before."""
    text, texts = words(4), []
    for number in range(count):
        text = [*text[1:], f"new{number}"]
        texts.append(" ".join(text))
    return texts


SHAPES = {"copies": copies, "star": star, "scattered": scattered, "chain": chain}


def shaped(shape: str, count: int) -> Documents:
    texts = SHAPES[shape](count)
    random.Random(5).shuffle(texts)
    return documents(texts)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_partitions_and_rounds_change_nothing(shape: str) -> None:
    docs = shaped(shape, 50 if shape == "chain" else 120)
    stage = Minhash()
    found, removed = pairs_and_removals(stage, docs, 50, 20, 1)
    assert 0 < removed.num_rows < len(docs)
    assert same(removals(stage, docs), brute_force(stage, docs))
    for partitions in (2, 7, 16):
        assert removals(stage, docs, 50, 20, partitions) == removals(stage, docs)
        rounds, _ = in_rounds(found, Resolution("direct", "near_duplicate"), partitions)
        assert rounds.to_pylist() == removed.to_pylist()


@pytest.mark.parametrize("shape", ["copies", "star", "scattered"])
def test_a_crowded_bucket_is_the_same_in_any_partitions(shape: str) -> None:
    """More sets than each is measured against: leaders stand for the others."""
    docs = shaped(shape, 200)
    stage = Minhash(max_bucket=8)
    whole = removals(stage, docs)
    assert whole
    assert all(removals(stage, docs, 30, 30, partitions) == whole for partitions in (3, 11))


@pytest.mark.parametrize("max_bucket", [2, 3, 5, 9])
def test_a_pair_is_found_by_any_bucket_that_it_shares(max_bucket: int) -> None:
    """A crowd in the first bucket of a pair hides it in no other; copies of some documents are in it too."""
    texts = near_duplicates(6, 3, 40, length=300) + near_duplicates(7, 3, 4)
    docs = documents(texts + texts[::11])
    stage = Minhash(max_bucket=max_bucket)
    found, _ = pairs_and_removals(stage, docs, 30, 10, 3)
    keys = stage.sketch(*docs.utf8())[2].tolist()
    wanted = pairs_in_buckets(known_by(stage, docs), keys, 0.8, max_bucket)
    ends = (found.column(name).to_pylist() for name in ("id", "survivor_id"))
    assert set(zip(*ends, strict=True)) == wanted
    assert found.num_rows < 7 * len(wanted), "not once for each of 7 bands that such a pair shares"


def test_pairs_of_a_crowd_grow_with_its_documents() -> None:
    """Not with their square: copies make one pair each, others at most `max_bucket` a bucket."""
    for shape, most in (("copies", 1), ("star", 8 + 20)):
        small, large = (
            pairs_and_removals(Minhash(max_bucket=8), shaped(shape, count), 100, 100, 3)[0].num_rows
            for count in (200, 800)
        )
        assert large <= 4.5 * small, shape
        assert large <= most * 800
