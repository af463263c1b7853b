from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.merge_order import check_merges_are_ranks, merges_of_ranks
from corpusmill.tokenizer.export.rank_parts import heaped_parts, scanned_parts
from tests.oracles.tokenizer_ranks import by_merges, by_ranks


def rank_table(seed: int) -> dict[str, int]:
    """Two or three letters and some tokens: most made of two others, as in training, some by accident."""
    random_ = random.Random(seed)
    alphabet = "ab" if random_.random() < 0.7 else "abc"
    tokens = list(alphabet)
    for _ in range(random_.randint(2, 8)):
        joined = random_.choice(tokens) + random_.choice(tokens)
        if random_.random() < 0.1:
            joined = "".join(random_.choices(alphabet, k=random_.randint(2, 5)))
        if joined not in tokens and len(joined) <= 8:
            tokens.append(joined)
    if random_.random() < 0.2:
        made = tokens[len(alphabet) :]
        random_.shuffle(made)
        tokens[len(alphabet) :] = made
    return {token: rank for rank, token in enumerate(tokens)}


def test_accepted_ranks_and_their_merges_agree_on_every_text() -> None:
    accepted = refused = 0
    for seed in range(250):
        ranks = rank_table(seed)
        try:
            merges = merges_of_ranks(ranks)
        except UserError:
            refused += 1
            continue
        accepted += 1
        alphabet = [token for token in ranks if len(token) == 1]
        # Further merges to the same tokens, as converters from ranks write them, change nothing.
        spare = [(t[:k], t[k:]) for t in ranks for k in range(1, len(t)) if {t[:k], t[k:]} <= set(ranks)]
        for letters in itertools.product(alphabet, repeat=8 if len(alphabet) == 2 else 5):
            text = "".join(letters)
            expected = by_ranks(text, ranks)
            assert by_merges(text, merges) == expected
            assert by_merges(text, merges + spare) == expected
        check_merges_are_ranks(ranks, merges)
    assert accepted > 50
    assert refused > 20


def test_the_parts_are_those_that_lower_ranks_leave() -> None:
    ranks = {"a": 0, "b": 1, "c": 2, "bc": 3, "ab": 4, "abc": 5, "abcc": 6}
    assert merges_of_ranks(ranks) == [("b", "c"), ("a", "b"), ("a", "bc"), ("abc", "c")]
    unreachable = {"a": 0, "b": 1, "c": 2, "d": 3, "bc": 4, "abcd": 5}
    assert by_ranks("abcd", unreachable) == ["a", "bc", "d"]
    with pytest.raises(UserError, match="no merges lead to the token 'abcd'"):
        merges_of_ranks(unreachable)
    with pytest.raises(UserError, match="no merges lead to the token 'ab'"):
        merges_of_ranks({"a": 0, "ab": 1})  # `b` is no token


def test_merges_in_another_order_than_ids_are_refused() -> None:
    ranks = {"a": 0, "b": 1, "ab": 2, "ba": 3}
    check_merges_are_ranks(ranks, [("a", "b"), ("b", "a")])
    with pytest.raises(UserError, match="ids cannot serve as ranks"):
        check_merges_are_ranks(ranks, [("b", "a"), ("a", "b")])
    with pytest.raises(UserError, match="not among the merges"):
        check_merges_are_ranks(ranks, [("a", "b")])
    with pytest.raises(UserError, match="no token with a rank"):
        check_merges_are_ranks(ranks, [("a", "b"), ("b", "a"), ("ab", "a")])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=12), st.text("ab", max_size=24))
def test_what_training_makes_is_accepted(words: list[str], text: str) -> None:
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=20, min_frequency=1, initial_alphabet=["a", "b"], show_progress=False
    )
    tokenizer.train_from_iterator(words, trainer)
    ranks = tokenizer.get_vocab()
    merges = merges_of_ranks(ranks)
    check_merges_are_ranks(ranks, merges)
    assert by_merges(text, merges) == by_ranks(text, ranks) == tokenizer.encode(text).tokens


def test_the_heap_joins_as_the_scan_does() -> None:
    random_ = random.Random(5)
    joined = 0
    for seed in range(250):
        ranks = rank_table(seed)
        for length in (1, 2, 3, 9, 40):
            token = "".join(random_.choices("abc", k=length))
            for below in (0, 3, len(ranks)):
                parts = heaped_parts(token, ranks, below)
                assert parts == scanned_parts(token, ranks, below)
                joined += len(token) - len(parts)
    assert joined > 1000


class _CountedRanks(dict[str, int]):
    """Ranks that count the texts looked up."""

    looked_up = 0

    def get(self, text: str, below: int) -> int:  # type: ignore[override]
        self.looked_up += 1
        return super().get(text, below)


def test_a_token_of_sixty_thousand_characters_is_joined_with_few_look_ups() -> None:
    tokens = ["a", "b", *("ab" * 2**power for power in range(16))]
    ranks = _CountedRanks({token: rank for rank, token in enumerate(tokens)})
    half = "ab" * 2**14
    assert heaped_parts(tokens[-1], ranks, len(tokens) - 1) == [half, half]
    assert ranks.looked_up < 100
