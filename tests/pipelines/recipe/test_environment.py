"""`${NAME}` in paths, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.recipe.environment import expand_environment, expand_patterns
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.models import Recipe

SET = {"A": "x", "EMPTY": "", "B_2": "y"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}/b", "x/b"), ("${A}${B_2}", "xy"), ("${A:-d}", "x"), ("${N:-d}", "d"), ("${N:-}", ""),
        ("${EMPTY}", ""), ("${EMPTY:-d}", "d"), ("${N:-../a:b-c}", "../a:b-c"), ("$A {A} $", "$A {A} $"),
    ],
)  # fmt: skip
def test_forms(text: str, expanded: str) -> None:
    assert expand_environment({"data": text}, SET) == ({"data": expanded}, [])


@pytest.mark.parametrize("text", ["${N}", "${}", "${1A}", "${A", "${A:d}", "${A:-${B_2}}"])
def test_what_cannot_be_expanded_is_a_fault_with_a_cure(text: str) -> None:
    data, (problem,) = expand_environment({"data": text}, SET)
    assert data == {"data": text}
    assert problem.path == ("data",)
    assert "${N" in problem.message


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"output": "${A}"}, ["output"]),
        ({"plugins": ["p", "${A}"]}, ["plugins", 1]),
        ({"engine": {"address": "${A}"}}, ["engine", "address"]),
        ({"sources": {"s": {"read": {"r": "${A}"}}}}, ["sources", "s", "read", "r"]),
        ({"sources": {"s": {"read": {"r": ["${A}"]}}}}, ["sources", "s", "read", "r", 0]),
        ({"sources": {"s": {"read": {"r": {"files": "${A}"}}}}}, ["sources", "s", "read", "r", "files"]),
        ({"sources": {"s": {"read": {"r": {"files": ["${A}"]}}}}}, ["sources", "s", "read", "r", "files", 0]),
    ],
)
def test_paths_are_expanded(data: Any, where: list[str | int]) -> None:
    expanded, problems = expand_environment(data, SET)
    for key in where:
        expanded = expanded[key]
    assert (expanded, problems) == ("x", [])


@pytest.mark.parametrize(
    "data",
    [
        {"name": "${A}"},
        {"engine": {"kind": "${A}"}},
        {"sources": {"s": {"domain": "${A}"}}},
        {"sources": {"s": {"read": {"r": {"text_field": "${A}"}}}}},
        {"sources": {"s": {"steps": [{"judge": {"pattern": "${A}"}}]}}},
        {"decontaminate": {"reason": "${A}"}},
        {"tokenizer": {"train": {"x": "${A}"}}},
        {"sources": {"${A}": {"read": {"r": "a"}}}},
    ],
)
def test_everything_else_stays(data: Any) -> None:
    assert expand_environment(data, SET) == (data, [])


@pytest.mark.parametrize(
    ("against", "where"),
    [
        ("${A}", []),
        (["b", "${A}"], [1]),
        ({"r": "${A}"}, ["r"]),
        ({"r": ["${A}"]}, ["r", 0]),
        ({"r": {"files": ["${A}"], "text_field": "${A}"}}, ["r", "files", 0]),
    ],
)
def test_patterns_of_a_section_are_expanded(
    against: Any, where: list[str | int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[Problem] = []
    monkeypatch.delenv("A", raising=False)
    expand_patterns(against, ("x",), problems)
    assert [problem.path for problem in problems] == [("x", *where)]
    monkeypatch.setenv("A", "in")
    expanded = expand_patterns(against, ("x",), problems)
    if isinstance(against, dict) and isinstance(against["r"], dict):
        assert expanded["r"]["text_field"] == "${A}"
    for key in where:
        expanded = expanded[key]
    assert (expanded, len(problems)) == ("in", 1)


def test_paths_in_sections_are_expanded(
    load: Callable[..., Recipe], faults: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """sources: {a: {read: {lines: a}}}
decontaminate: {against: "${CORPUSMILL_TEST}/b"}
tokenizer: {load: "${CORPUSMILL_TEST}/t.json", references: {r: "${CORPUSMILL_TEST}/r.json"}}
pack: {}
train: {start_from: "${CORPUSMILL_TEST}/m"}
"""
    monkeypatch.setenv("CORPUSMILL_TEST", "in")
    recipe = load(text)
    ((_, benchmarks),) = recipe.sources_beside
    assert benchmarks.reader.files == ["in/b"]
    stages = {stage.name: stage for stage in recipe.stages()}
    assert stages["load_tokenizer"].external_files() == (folder / "in" / "t.json",)
    assert folder / "in" / "r.json" in stages["accept_tokenizer"].external_files()
    assert stages["train"].model_dump()["start_from"] == folder / "in" / "m"
    assert "CORPUSMILL_TEST" in str(recipe.raw)
    monkeypatch.delenv("CORPUSMILL_TEST")
    keys = [line.split(": ")[1] for line in faults(text)]
    assert keys == [
        "decontaminate.against",
        "tokenizer.load.path",
        "tokenizer.references.r",
        "train.start_from",
    ]


def test_in_a_recipe(
    load: Callable[..., Recipe], faults: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSMILL_TEST_DATA", "in")
    monkeypatch.delenv("CORPUSMILL_TEST_NONE", raising=False)
    text = "data: ${CORPUSMILL_TEST_DATA}\nsources: {a: {read: {lines: a}}}"
    assert load(text).data_folder == folder / "in"
    lines = faults(text.replace("DATA", "NONE"))
    assert lines == [
        "recipe.yaml:3: data: the environment variable CORPUSMILL_TEST_NONE is not set; "
        "set it, or write ${CORPUSMILL_TEST_NONE:-default}"
    ]


def test_problems_are_plain_values() -> None:
    assert expand_environment({"data": "${N}"}, {})[1] == expand_environment({"data": "${N}"}, {})[1]
    assert isinstance(expand_environment({"data": "${N}"}, {})[1][0], Problem)
