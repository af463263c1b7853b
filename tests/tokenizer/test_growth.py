"""What a prefix of the merges would give is what a tokenizer cut down to them gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from corpusmill.tokenizer.evaluation.growth import growth, replay
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary, vocabulary_of
from corpusmill.tokenizer.kernels.replay_merges import replay_merges
from tests.oracles.released_tokenizers import released
from tests.oracles.tokenizer_evaluation import trained
from tests.oracles.tokenizer_growth import cut_down, merge_word, token_count
from tests.oracles.tokenizer_texts import made_texts


def _counts(definition: dict[str, object], vocabulary: Vocabulary, texts: list[str]) -> np.ndarray:
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    ids = [i for text in texts for i in tokenizer.encode(text, add_special_tokens=False).ids]
    return np.bincount(np.array(ids, np.int64), minlength=vocabulary.size)


@st.composite
def _lists_and_words(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[str]]:
    """Merges over two letters, of which several may make one string, and words."""
    known = ["a", "b"]
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 14))):
        pair = (draw(st.sampled_from(known)), draw(st.sampled_from(known)))
        if pair in merges or len("".join(pair)) > 9:
            continue
        merges.append(pair)
        if "".join(pair) not in known:
            known.append("".join(pair))
    return merges, draw(st.lists(st.text("ab", min_size=1, max_size=24), min_size=1, max_size=6))


@given(_lists_and_words())
@settings(deadline=None, max_examples=100)
def test_every_prefix_of_any_list_at_once(given: tuple[list[tuple[str, str]], list[str]]) -> None:
    """Also where merges make one string in several ways, and then apply out of their order."""
    merges, words = given
    ids = {"a": 97, "b": 98}
    for left, right in merges:
        ids.setdefault(left + right, 256 + len(ids))
    keys = np.array([(ids[a] << 32) | ids[b] for a, b in merges], np.uint64)
    results = np.array([ids[a + b] for a, b in merges], np.int64)
    order = np.argsort(keys, kind="stable").astype(np.int64)
    data = np.frombuffer("".join(words).encode(), np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words])]).astype(np.int64)
    steps, pieces = np.empty(len(data), np.int64), np.empty(len(words), np.int64)
    first = np.arange(256, dtype=np.int64)
    replay_merges(offsets, data, first, keys[order], order, results[order], steps, pieces)
    for number, word in enumerate(words):
        held = steps[offsets[number] : offsets[number + 1]]
        assert pieces[number] == len(merge_word(word, merges))
        for prefix in range(len(merges) + 1):
            made = int(((held >= 0) & (held < prefix)).sum())
            assert len(word) - made == len(merge_word(word, merges[:prefix]))


def test_merges_that_wait_for_a_later_one() -> None:
    """`abc` made two ways: `abcd` stands between them, and can only be made after the second on `a|bc|d`."""
    merges = [("b", "c"), ("a", "b"), ("ab", "c"), ("abc", "d"), ("a", "bc")]
    assert [len(merge_word("abcd", merges[:k])) for k in range(6)] == [4, 3, 3, 3, 3, 1]
    ids = {c: ord(c) for c in "abcd"} | {"bc": 256, "ab": 257, "abc": 258, "abcd": 259}
    keys = np.array([(ids[a] << 32) | ids[b] for a, b in merges], np.uint64)
    order = np.argsort(keys).astype(np.int64)
    results = np.array([ids[a + b] for a, b in merges], np.int64)
    steps, pieces = np.empty(4, np.int64), np.empty(1, np.int64)
    data = np.frombuffer(b"abcd", np.uint8)
    first = np.arange(256, dtype=np.int64)
    replay_merges(np.array([0, 4]), data, first, keys[order], order, results[order], steps, pieces)
    assert (steps.tolist(), pieces.tolist()) == ([0, 4, 4, -1], [1])


@pytest.mark.parametrize("pattern", ["deepseek_v3", "gpt2"])
def test_growth_is_what_cut_down_tokenizers_give(pattern: str) -> None:
    definition = trained(made_texts(200), 600, pattern)
    vocabulary = vocabulary_of(definition, "made")
    texts = made_texts(60, seed=9)
    counts = _counts(definition, vocabulary, texts)
    tokens = replay(vocabulary).tokens(counts)
    merges = len(definition["model"]["merges"])
    assert len(tokens) == merges + 1
    for prefix in (0, 1, 2, 10, 50, 100, 200, merges - 1, merges):
        assert tokens[prefix] == token_count(cut_down(definition, prefix), texts)
    size = sum(len(text.encode()) for text in texts)
    told = growth(vocabulary, {"x": counts}, {"x": size})
    assert told.why_not is None
    assert told.vocabulary[-1] == vocabulary.size
    assert told.groups["x"][-1] == pytest.approx(size / counts.sum(), abs=1e-6)
    assert list(told.groups["x"]) == sorted(told.groups["x"])
    for ids, value in zip(told.vocabulary, told.groups["x"], strict=True):
        made = ids - (vocabulary.size - merges)
        assert value == pytest.approx(size / tokens[made], abs=1e-6)


def test_counts_may_be_weighted() -> None:
    definition = trained(made_texts(100), 400)
    vocabulary = vocabulary_of(definition, "made")
    one, two = made_texts(10, seed=2), made_texts(25, seed=3)
    one_and_two: dict[str, np.ndarray] = {
        "one": _counts(definition, vocabulary, one),
        "two": _counts(definition, vocabulary, two),
    }
    sizes = {"one": sum(len(t.encode()) for t in one), "two": sum(len(t.encode()) for t in two)}
    counts = {**one_and_two, "*": 2.5 * one_and_two["one"] + one_and_two["two"]}
    told = growth(vocabulary, counts, {**sizes, "*": 2.5 * sizes["one"] + sizes["two"]}).groups
    tokens = {name: sizes[name] / told[name][-1] for name in sizes}
    expected = (2.5 * sizes["one"] + sizes["two"]) / (2.5 * tokens["one"] + tokens["two"])
    assert told["*"][-1] == pytest.approx(expected, rel=1e-5)


def test_an_entry_that_no_merge_makes() -> None:
    definition = trained(made_texts(50), 300)
    definition["model"]["vocab"]["qqq"] = 300
    vocabulary = vocabulary_of(definition, "made")
    counts = np.zeros(vocabulary.size, np.int64)
    assert growth(vocabulary, {"x": counts}, {"x": 0}).groups == {}
    counts[300] = 1
    why_not = growth(vocabulary, {"x": counts}, {"x": 3}).why_not
    assert why_not is not None
    assert "not made by merges" in why_not


def test_entries_taken_whole() -> None:
    """With `ignore_merges`, a word that is an entry is one token though its merges lead elsewhere."""
    definition = trained([], 257)
    model = definition["model"]
    for entry in ("bc", "abc", "ab"):
        model["vocab"][entry] = len(model["vocab"])
    model["merges"] = [["b", "c"], ["a", "b"], ["ab", "c"]]
    model["ignore_merges"] = True
    vocabulary = vocabulary_of(definition, "made")
    texts = ["abc", "abc bc", "ab"]
    tokens = replay(vocabulary).tokens(_counts(definition, vocabulary, texts))
    expected = [token_count(cut_down(definition, prefix), texts) for prefix in range(4)]
    assert tokens.tolist() == expected


def test_a_released_tokenizer() -> None:
    whole = released("deepseek_v3")
    definition, vocabulary = {**whole, "added_tokens": []}, vocabulary_of(whole, "deepseek_v3")
    texts = made_texts(30)
    counts = _counts(definition, vocabulary, texts)
    tokens = replay(vocabulary).tokens(counts)
    assert len(tokens) == len(whole["model"]["merges"]) + 1
    assert tokens[-1] == counts.sum()
    for prefix in (1_000, 8_000):
        assert tokens[prefix] == token_count(cut_down(definition, prefix), texts)
