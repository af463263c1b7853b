"""Names that options use are checked against what the recipe has; limits against one another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from corpusmill.pipelines.recipe.models import Recipe

HEAD = "name: t\n"
SOURCES = "sources: {news: {read: {jsonl: a}, domain: web}, code: {read: {jsonl: b}}}\n"
TRAINED = SOURCES + "tokenizer: {train: {vocab_size: 1K}SAMPLE}REQUIRE}\n"
SOUND = """\
tokenizer:
  train: {vocab_size: 1K, budgets: {news: 1M, code/en: 1M}}
  require: {bytes_per_token: {"*": 2, news: 2, "*/en": 2}, fertility: {code/Python: 9}}
pack: {fim: {domains: [web, code]}}
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("news: 1M", "nws: 1M", "tokenizer.train.budgets.nws", "no source of the recipe is called 'nws'"),
        ("code/en: 1M", "web/en: 1M", "tokenizer.train.budgets.web/en", "there are: code, news"),
        ("news: 2,", "new: 2,", "tokenizer.require.bytes_per_token.new", "did you mean `news`?"),
        ("code/Python", "cod/Python", "tokenizer.require.fertility.cod/Python", "did you mean `code`?"),
        ("[web, code]", "[web, news]", "pack.fim.domains.1", "no domain of the recipe is called 'news'"),
    ],
)  # fmt: skip
def test_unknown_names(faults: Callable[..., list[str]], old: str, new: str, place: str, words: str) -> None:
    (line,) = faults(SOURCES + SOUND.replace(old, new), head=HEAD)
    assert f": {place}: " in line
    assert words in line


def test_known_names(load: Callable[..., Recipe]) -> None:
    assert load(SOURCES + SOUND, head=HEAD).sections["pack"]


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("{gopher_quality: {min_words: 10, max_words: 5}}", "min_words: is 10, above its max_words of 5"),
        ("{kenlm_perplexity: {models: {en: a}, at_least: 3, at_most: 2}}", "is 3, above its at_most of 2"),
        ("{gopher_quality: {max_words: 5}}", "gopher_quality.min_words: is 50"),
        ("{gopher_quality: {by_language: {de: {min_words: 9, max_words: 8}}}}", "de.min_words: is 9"),
        ("{code_quality: {min_data_characters: 6K}}", "code_quality.min_data_characters: is 6000"),
    ],
)  # fmt: skip
def test_limits_that_nothing_keeps(faults: Callable[..., list[str]], step: str, place: str) -> None:
    (line,) = faults(f"sources: {{a: {{read: {{jsonl: a}}, steps: [{step}]}}}}\n", head=HEAD)
    assert place in line


def test_limits_switched_off_contradict_nothing(load: Callable[..., Recipe]) -> None:
    step = "{gopher_quality: {min_words: null, max_words: 5, by_language: {}}}"
    assert load(f"sources: {{a: {{read: {{jsonl: a}}, steps: [{step}]}}}}\n", head=HEAD).sources
