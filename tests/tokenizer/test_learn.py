"""Merges learned from counts: against a slow restatement, and against `tokenizers`' own trainer."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpusmill.tokenizer.bpe.learn import Learned, byte_ranks, learn_merges
from corpusmill.tokenizer.kernels.word_segments import SEGMENT
from tests.oracles.tokenizer_merges import BYTE_ORDER, learn_slowly

Words = list[tuple[bytes, int]]

SPECIALS = ["<｜one▁special｜>", "<｜another▁special｜>"]
FEW_LETTERS = st.lists(
    st.tuples(st.text("abc", min_size=1, max_size=24).map(str.encode), st.integers(1, 6)), max_size=8
)
RUNS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "ab", "aab"]), st.integers(1, 90)), min_size=1, max_size=6
        ).map(lambda parts: "".join(piece * times for piece, times in parts).encode()),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=4,
)


def learn(words: Words, entries: int, min_frequency: int = 1, longest: int | None = None) -> Learned:
    data = np.frombuffer(b"".join(word for word, _ in words), np.uint8)
    offsets = np.cumsum([0, *(len(word) for word, _ in words)]).astype(np.int64)
    counts = np.array([count for _, count in words], np.int64)
    return learn_merges(
        offsets, data, counts, entries=entries, min_frequency=min_frequency, max_token_bytes=longest
    )


def as_lists(learned: Learned) -> list[tuple[int, int, int]]:
    return [
        (left, right, result)
        for (left, right), result in zip(learned.pairs.tolist(), learned.results.tolist(), strict=True)
    ]


def by_tokenizers(
    words: Words, entries: int, min_frequency: int, longest: int | None
) -> tuple[list[tuple[int, int]], list[str]]:
    """Merges, by number (bytes from 0), and new entries of a trainer fed each word as often as it counts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIALS) + 256 + entries,
        min_frequency=min_frequency,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=longest,
        show_progress=False,
    )
    tokenizer.train_from_iterator((word.decode() for word, count in words for _ in range(count)), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    number = {token: index - len(SPECIALS) for token, index in model["vocab"].items()}
    new = sorted((token for token in number if number[token] >= 256), key=lambda token: number[token])
    return [(number[left], number[right]) for left, right in model["merges"]], new


def of_model(learned: Learned) -> list[tuple[int, int]]:
    return [(left, right) for left, right in learned.pairs.tolist()]


def shown(tokens: list[bytes]) -> list[str]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    rank = {byte: index for index, byte in enumerate(BYTE_ORDER)}
    return ["".join(letters[rank[byte]] for byte in token) for token in tokens]


def check_all(words: Words, entries: int, min_frequency: int, longest: int | None) -> None:
    learned = learn(words, entries, min_frequency, longest)
    slow = learn_slowly(words, entries, min_frequency, longest)
    assert as_lists(learned) == slow.merges
    assert learned.saved.tolist() == slow.saved
    assert learned.tokens == slow.tokens
    assert not slow.strange
    assert (of_model(learned), shown(learned.tokens)) == by_tokenizers(words, entries, min_frequency, longest)


def test_bytes_are_in_the_order_of_their_characters() -> None:
    assert np.argsort(byte_ranks()).tolist() == BYTE_ORDER
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for byte in range(128):
        assert byte_level.pre_tokenize_str(chr(byte))[0][0] == letters[byte_ranks()[byte]]


def test_a_known_training() -> None:
    words = [(b"roses", 1), (b"are", 2), (b"red", 1), (b"blue", 1), (b"is", 2), (b"big", 1)]
    learned = learn(words, entries=100, min_frequency=2)
    assert learned.tokens == [b"re", b"are", b"is"]
    assert learned.saved.tolist() == [3, 2, 2]


@settings(deadline=None, max_examples=100)
@given(
    FEW_LETTERS,
    st.integers(0, 40),
    st.sampled_from([0, 1, 2, 3, 5]),
    st.sampled_from([None, None, 1, 2, 3, 4, 5, 9]),
)
def test_few_letters(words: Words, entries: int, min_frequency: int, longest: int | None) -> None:
    check_all(words, entries, min_frequency, longest)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.text("a é中文", min_size=1, max_size=20).map(str.encode), st.integers(1, 4))),
    st.integers(0, 60),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([None, 4, 7]),
)
def test_characters_of_several_bytes(
    words: Words, entries: int, min_frequency: int, longest: int | None
) -> None:
    check_all(words, entries, min_frequency, longest)


@settings(deadline=None, max_examples=60)
@given(RUNS, st.integers(0, 60), st.sampled_from([1, 2, 4]), st.sampled_from([None, 3, 7, 40, 200]))
def test_long_runs_that_cross_segments(
    words: Words, entries: int, min_frequency: int, longest: int | None
) -> None:
    check_all(words, entries, min_frequency, longest)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 2**40)), max_size=6),
    st.integers(0, 80),
    st.sampled_from([1, 2, 2**39]),
)
def test_any_bytes_and_counts(words: Words, entries: int, min_frequency: int) -> None:
    learned = learn(words, entries, min_frequency)
    slow = learn_slowly(words, entries, min_frequency, None)
    assert as_lists(learned) == slow.merges
    assert learned.tokens == slow.tokens
    assert learned.saved.tolist() == slow.saved


@settings(deadline=None, max_examples=60)
@given(FEW_LETTERS, st.randoms(use_true_random=False), st.integers(1, 30))
def test_order_and_division_of_the_words_do_not_matter(
    words: Words, order: random.Random, entries: int
) -> None:
    totals = sorted(sum((Counter({word: count}) for word, count in words), Counter()).items())
    shuffled = list(words)
    order.shuffle(shuffled)
    assert as_lists(learn(shuffled, entries)) == as_lists(learn(totals, entries))


@settings(deadline=None, max_examples=40)
@given(FEW_LETTERS, st.integers(1, 30), st.data())
def test_a_smaller_vocabulary_is_a_prefix(words: Words, entries: int, data: st.DataObject) -> None:
    whole = learn(words, entries)
    fewer = data.draw(st.integers(0, len(whole.tokens)))
    part = learn(words, fewer)
    assert part.tokens == whole.tokens[:fewer]
    assert as_lists(part) == as_lists(whole)[: len(part.results)]


def test_no_token_arises_twice_and_no_pair_at_two_times() -> None:
    """What lets the learner do without half of what `tokenizers` provides for (`bpe.learn` has the proof)."""
    draw = random.Random(3)
    for alphabet in ["a", "ab", "abc"] * 50:
        words = [
            ("".join(draw.choices(alphabet, k=draw.randint(2, 60))).encode(), draw.randint(1, 3))
            for _ in range(5)
        ]
        longest = draw.choice([None, None, 2, 3, 5, 8])
        assert not learn_slowly(words, 500, draw.randint(1, 3), longest).strange


@pytest.mark.parametrize("size", [SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 5 * SEGMENT + 3])
def test_words_at_the_bounds_of_segments(size: int) -> None:
    draw = random.Random(size)
    word = "".join(draw.choices("abcd", k=size)).encode()
    check_all([(word, 2), (b"a" * size, 3), (b"ab" * (size // 2), 2)], 200, 2, None)


def test_one_word_of_a_million_bytes_is_many_short_scans() -> None:
    draw = random.Random(1)
    words = draw.choices([b"the", b" quick", b" of", b"\xe4\xb8\xad\xe6\x96\x87", b"==", b" "], k=250_000)
    joined = b"".join(words)[:1_000_000]
    learned = learn([(joined, 1), (b"a" * 1_000_000, 1)], entries=4000)
    assert b"".join(learned.tokens).count(b"a" * 4096) > 0
    assert learned.saved.sum() + 4000 < len(joined) + 1_000_000
    assert len(learned.tokens) == 4000


def test_english_like_words_at_every_frequency() -> None:
    draw = random.Random(7)
    syllables = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(1, 3))) for _ in range(80)]
    tally = Counter(" " + "".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(6000))
    words = sorted((word.encode(), count) for word, count in tally.items())
    for min_frequency, longest in [(1, None), (2, None), (5, None), (2, 6), (1, 12)]:
        learned = learn(words, 3000, min_frequency, longest)
        assert (of_model(learned), shown(learned.tokens)) == by_tokenizers(
            words, 3000, min_frequency, longest
        )
        assert learned.tokens


def test_sorts_of_nothing() -> None:
    for words in ([], [(b"", 3)], [(b"a", 5), (b"b", 1)]):
        learned = learn(words, entries=10)
        assert (len(learned.results), learned.tokens, learned.pairs.shape) == (0, [], (0, 2))
    assert learn([(b"abab", 4)], entries=0).tokens == []


def test_faults_of_the_caller() -> None:
    one = np.frombuffer(b"ab", np.uint8)
    with pytest.raises(ValueError, match="offsets"):
        learn_merges(np.array([0, 1, 2]), one, np.array([1]), entries=1)
    with pytest.raises(ValueError, match="under 1"):
        learn_merges(np.array([0, 2]), one, np.array([0]), entries=1)
    with pytest.raises(ValueError, match="64 bits"):
        learn_merges(np.array([0, 2]), one, np.array([2**62]), entries=1)


@settings(deadline=None, max_examples=30)
@given(FEW_LETTERS)
def test_saved_symbols_are_those_that_are_gone(words: Words) -> None:
    assume(words)
    learned = learn(words, entries=1000)
    total = sum(len(word) * count for word, count in words)
    assert total - int(learned.saved.sum()) == sum(count for _, count in words)  # each word became one token
