"""Names of sources, domains and groups that options use: each must be one the recipe has.

`data` is the recipe as plain data; what has not even the right shape is left to those who build it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from corpusmill.pipelines.contract.closest import closest, listed
from corpusmill.pipelines.recipe.messages import Path, Problem

_TRAINERS = ("train", "sentencepiece")
_BY_GROUP = ("bytes_per_token", "fertility", "continued_words")
# Names that steps of sections begin with, in the order of their work; steps of sources, named like them, come
# before all of these.
SECTION_STEPS = (
    "dedup",
    "benchmarks",
    "benchmark_grams",
    "decontaminate",
    "held_out",
    "tokenizer_sample",
    "tokenizer",
    "acceptance",
    "encode",
    "mixture_sums",
    "mixture",
    "pack",
    "train",
    "long_context",
)
EVERYTHING = "*"  # the group of all sources


def name_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """A problem for every name that stands for nothing: it would be met only after hours of work."""
    sources = _mapping(data.get("sources"))
    if not sources:
        return
    tokenizer = _mapping(data.get("tokenizer"))
    for key in _TRAINERS:
        budgets = _mapping(_mapping(tokenizer.get(key)).get("budgets"))
        yield from _groups(budgets, ("tokenizer", key, "budgets"), sources, ())
    required = _mapping(tokenizer.get("require"))
    for key in _BY_GROUP:
        yield from _groups(_mapping(required.get(key)), ("tokenizer", "require", key), sources, (EVERYTHING,))
    for name, groups in _mapping(required.get("against")).items():
        place: Path = ("tokenizer", "require", "against", name)
        yield from _groups(_mapping(groups), place, sources, (EVERYTHING,))
    domains = {str(_mapping(source).get("domain") or name) for name, source in sources.items()}
    wanted = _mapping(_mapping(data.get("pack")).get("fim")).get("domains")
    for index, name in enumerate(wanted if isinstance(wanted, list) else []):
        if name not in domains:
            yield Problem(("pack", "fim", "domains", index), _unknown("domain", name, domains))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _groups(
    groups: Iterable[str], place: Path, sources: Iterable[str], others: tuple[str, ...]
) -> Iterator[Problem]:
    """Groups are `SOURCE` or `SOURCE/LANGUAGE`; `others` may stand for the source."""
    valid = [*others, *sources]
    for group in groups:
        source = group.split("/", 1)[0]
        if source not in valid:
            yield Problem((*place, group), _unknown("source", source, valid))


def _unknown(what: str, name: Any, valid: Iterable[str]) -> str:
    names = sorted(valid)
    near = closest(str(name), names)
    hint = f"did you mean `{near}`? " if near else ""
    return f"no {what} of the recipe is called {str(name)!r}; {hint}there are: {listed(names)}"
