"""The pages on models and exports: their commands are there with the options shown, tables are whole."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from corpusmill.pipelines.cli.export_import import _lines
from corpusmill.pipelines.cli.main import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "models.md").read_text("utf-8")
SHARDS_PAGE = (ROOT / "docs" / "shards.md").read_text("utf-8")
DOCUMENTS_PAGE = (ROOT / "docs" / "export_documents.md").read_text("utf-8")
COMMAND = re.compile(r"^(?:\| `)?corpusmill ([^`\n]*)", re.MULTILINE)
COMMANDS = COMMAND.findall(PAGE)


@pytest.mark.parametrize("line", [*COMMANDS, *COMMAND.findall(DOCUMENTS_PAGE)])
def test_every_command_of_the_page_is_understood(line: str) -> None:
    command, *arguments = shlex.split(line)
    known = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    context = known.make_context(command, arguments)
    assert all(value is not None for name, value in context.params.items() if name in ("to", "out", "model"))


def test_the_pages_show_every_command_and_every_option_of_export() -> None:
    assert {line.split()[0] for line in COMMANDS} == {"export", "import", "generate", "curves"}
    export = typer.main.get_command(app).commands["export"]  # type: ignore[attr-defined]
    pages = PAGE + SHARDS_PAGE + DOCUMENTS_PAGE
    options = {option for parameter in export.params for option in parameter.opts if option.startswith("--")}
    assert {option for option in options if option not in pages} == set()


def test_the_extra_of_the_page_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"corpusmill\[(\w+)\]", PAGE)) <= declared.keys()


def test_every_group_of_curves_is_on_the_page() -> None:
    module = (ROOT / "training_hooks" / "curves" / "metrics.py").read_text("utf-8")
    groups = set(re.findall(r"[`\"]((?:loss|held_out|final|experts|optimiser|progress)\w*)/", module))
    assert len(groups) > 5
    shown = {group.removesuffix("/*") for group in re.findall(r"`(\w+/\*)`", PAGE)}
    assert {group for group in groups if group != "experts_"} <= shown


def test_figures_are_told_in_words() -> None:
    found = {"folder": "out", "files": 1800, "checked": True, "logits_differ": 1.5e-7, "parts": ["a", "b"]}
    told = [
        line
        for name, value in {**found, "documents": {"web_1": 2000}}.items()
        for line in _lines(name, value)
    ]
    assert told == [
        "folder: out",
        "files: 1,800",
        "checked: yes",
        "logits differ: 1.5e-07",
        "parts: a, b",
        "documents:",
        "  web_1: 2,000",
    ]
    assert list(_lines("documents", {})) == ["documents: none"]
