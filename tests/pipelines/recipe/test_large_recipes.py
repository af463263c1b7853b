"""Recipes and overrides of very many wrong parts: the first are told and the others counted, at once."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.closest import closest, listed
from corpusmill.pipelines.recipe.messages import MOST_LINES, Path, Places
from corpusmill.pipelines.recipe.overrides import _note

Faults = Callable[..., list[str]]

SOURCES = "sources: {a: {read: {lines: a}}}\n"


def test_sixty_thousand_unknown_keys(faults: Faults) -> None:
    lines = faults(SOURCES + "".join(f"xq{n}: 1\n" for n in range(60_000)))
    assert len(lines) == MOST_LINES + 1
    assert ": xq0: unknown key; valid: name, seed" in lines[0]
    assert lines[-1].endswith("59,900 more faults; mend these first")


@pytest.mark.parametrize(
    "text",
    [
        "engine: {" + ", ".join(f"key{n}: 1" for n in range(20_000)) + "}\n" + SOURCES,
        "sources: {a: {read: {lines: a}, steps: [" + ", ".join(f"step{n}" for n in range(20_000)) + "]}}\n",
        "sources: {" + ", ".join(f"a{n}: {{read: {{line: a}}}}" for n in range(6_000)) + "}\n",
        "sources: {" + ", ".join(f"a{n}: {{read: {{lines: a}}, x: 1}}" for n in range(6_000)) + "}\n",
        SOURCES + "dedup: [" + ", ".join(f"step{n}" for n in range(20_000)) + "]\n",
        SOURCES + "dedup: [{same: {priority: [" + ", ".join(f"b{n}" for n in range(20_000)) + "]}}]\n",
    ],
)
def test_tens_of_thousands_of_faults_of_one_kind(faults: Faults, text: str) -> None:
    lines = faults(text)
    assert MOST_LINES <= len(lines) <= MOST_LINES + 1
    assert "more faults; mend these first" in lines[-1]


def test_very_many_sources_and_weights(faults: Faults) -> None:
    sources = ", ".join(f"s{n}: {{read: {{lines: a}}}}" for n in range(6_000))
    weights = ", ".join(f"t{n}: 1" for n in range(6_000))
    lines = faults(f"sources: {{{sources}}}\nmixture: {{weights: {{{weights}}}}}\n")
    assert any("did you mean `s0`?" in line and "and 5,961 more" in line for line in lines)
    assert max(map(len, lines)) < 2000


def test_a_key_of_a_hundred_thousand_parts(faults: Faults) -> None:
    (line,) = faults(SOURCES, "a" + ".a" * 100_000 + "=1")
    assert "a key of 100,001 parts; a recipe is nested at most 32 levels" in line
    assert len(line) < 200
    (line,) = faults(SOURCES, "." * 100_000 + "=1")
    assert "write `--set key=value`" in line
    assert len(line) < 200


def test_very_many_overrides(faults: Faults) -> None:
    (line,) = faults(SOURCES, *(f"engine.x{n}=1" for n in range(1001)))
    assert line == "--set: 1,001 values are set, more than 1,000; write them into the recipe"


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple)


@settings(deadline=None, max_examples=400)
@given(st.dictionaries(paths, st.just((1, 1)), max_size=8), st.lists(paths, max_size=6))
def test_notes_of_many_overrides_are_those_of_one_after_the_other(
    lines: dict[Path, tuple[int, int]], written: list[Path]
) -> None:
    lines = {path[:end]: (1, 1) for path in lines for end in range(1, len(path) + 1)}
    named = [(path, f"{n}") for n, path in enumerate(written)]
    places = Places("x", dict(lines))
    _note(places, named)
    plain = Places("x", dict(lines))
    for path, key in named:
        plain.lines = {known: at for known, at in plain.lines.items() if known[: len(path)] != path}
        plain.overrides = {known: by for known, by in plain.overrides.items() if known[: len(path)] != path}
        plain.overrides[path] = key
        for end in range(len(path) - 1, 0, -1):
            if path[:end] in plain.lines or any(
                path[:above] in plain.overrides for above in range(1, end + 1)
            ):
                break
            plain.overrides[path[:end]] = key
    assert places == plain


@settings(deadline=None, max_examples=300)
@given(st.text("abcd_", max_size=12), st.lists(st.text("abcd_", max_size=40), max_size=8))
def test_the_closest_name_is_difflibs(name: str, names: list[str]) -> None:
    found = get_close_matches(name, names, n=1, cutoff=0.5)
    assert closest(name, names) == (found[0] if found else None)


def test_bounds_of_the_closest_name() -> None:
    assert closest("a" * 65, ["a" * 65]) is None
    assert closest("a" * 64, ["a" * 65, "b"]) is None
    assert closest("needle", [*(f"x{n:05}" for n in range(256)), "needle"]) is None
    assert closest("needle", [*("x" * 20 for n in range(10_000)), "needles"]) == "needles"
    assert listed(map(str, range(41))) == ", ".join(map(str, range(40))) + " and 1 more"
