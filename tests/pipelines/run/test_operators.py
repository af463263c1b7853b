"""Operators: one a module, found by its name, and asked instead of compared."""

from __future__ import annotations

import ast
import pkgutil
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.run import operators
from corpusmill.pipelines.run.operators.operator import UNKNOWN, Operator, operator_named

PIPELINES = Path(operators.__file__).parents[1]
NAMES = sorted(
    module.name
    for module in pkgutil.iter_modules(operators.__path__)
    if "OPERATOR = Operator(" in (PIPELINES / "operators" / f"{module.name}.py").read_text("utf-8")
)


def test_each_is_found_by_the_name_of_its_module() -> None:
    assert len(NAMES) == 18
    assert [operator_named(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize("name", ["settle", "", "operator", "job", "os", "..errors", "read.units"])
def test_a_name_of_another_version_is_told_with_its_cure(name: str) -> None:
    with pytest.raises(IntegrityError, match="another version of corpusmill; cure: run its recipe again"):
        operator_named(name)


def test_what_they_say_of_themselves_fits_together() -> None:
    for operator in map(operator_named, NAMES):
        assert operator.reads != operator.writes or operator.reads in (
            "documents",
            "rows",
            "pairs",
            "partials",
            "artefact",
        )
        assert (operator.balances == "documents") <= (operator.writes in ("documents", "encoded", "removals"))
        assert operator.writes_dataset <= (operator.lists_removed != "never")
        assert operator.exclusive <= (not operator.isolates)
    assert (UNKNOWN.name, UNKNOWN.writes) == ("", "nothing")


def test_nobody_compares_names_of_operators() -> None:
    """Neither by `==` nor by `in`: no comparison of `....operator` or `operator.name` with text."""
    found = []
    for path in sorted(PIPELINES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            names = {ast.unparse(side) for side in sides if isinstance(side, ast.Attribute)}
            if any(name.endswith((".operator", "operator.name")) for name in names) and any(
                isinstance(part, ast.Constant) and isinstance(part.value, str)
                for side in sides
                for part in ast.walk(side)
            ):
                found.append(f"{path.relative_to(PIPELINES)}:{node.lineno}")
    assert found == []


def test_an_operator_is_a_value() -> None:
    assert isinstance(operator_named("map"), Operator)
    with pytest.raises(FrozenInstanceError):
        object.__getattribute__(operator_named("map"), "__setattr__")("name", "other")
