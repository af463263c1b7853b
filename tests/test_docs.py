"""The documentation's code runs and its recipes load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.cli.command_page import command_page
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.json_schema import recipe_schema
from corpusmill.pipelines.recipe.loader import load_recipe, recipe_keys
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.models import Engine
from corpusmill.pipelines.recipe.quantities import parse_quantity
from corpusmill.pipelines.recipe.schema_page import schema_page
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.tokenizer.shards.reader import Piece
from tests.oracles.training_shards import write_rows

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
README_PAGE = README.read_text("utf-8")
COMMANDS_PAGE = (DOCS / "commands.md").read_text("utf-8")
OWN_DATA_PAGE = (DOCS / "own_data.md").read_text("utf-8")
TREE_PAGE = (DOCS / "tree.md").read_text("utf-8")
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
FILTER_PAGE = (DOCS / "add_a_filter.md").read_text("utf-8")
RECIPE_PAGE = (DOCS / "recipe.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def documents(texts: list[str | None]) -> Documents:
    n = len(texts)
    columns = {
        "id": [f"{i:032x}" for i in range(n)],
        "text": texts,
        "source": ["s"] * n,
        "domain": ["web"] * n,
        "meta": ["{}"] * n,
    }
    arrays = [pa.array(columns.get(field.name, [None] * n), field.type) for field in SCHEMA]
    return Documents(pa.table(arrays, schema=SCHEMA))


@pytest.fixture(scope="module")
def page_filter(tmp_path_factory: pytest.TempPathFactory) -> type[Filter]:
    """The filter of the page, loaded as a plugin from the very text of the page."""
    (code,) = blocks(FILTER_PAGE, "python")
    path = tmp_path_factory.mktemp("plugin") / "min_words.py"
    path.write_text(code, "utf-8")
    plugins.use_plugins([path])
    stage = registry.find_step("min_words")
    plugins.clear_plugins()
    assert issubclass(stage, Filter)
    return stage


def test_the_filter_of_the_page_counts_and_judges(page_filter: type[Filter]) -> None:
    texts = ["one two three", "one two", "", "  \n\t ", "我爱数学", "数学 is fun", "a\u3000b\u00a0c", None]
    docs = documents(texts)
    outcome = page_filter(at_least=3).apply(docs)  # type: ignore[call-arg]
    assert outcome.documents.column("min_words.words").to_pylist() == [3, 2, 0, 0, 4, 4, 3, 0]
    short = "too_few_words"
    assert outcome.reasons.to_pylist() == [None, short, short, short, None, None, None, short]
    assert outcome.faults.null_count == len(texts)
    assert outcome.documents.table.select(SCHEMA.names).equals(docs.table)


def test_its_default_and_bounds(page_filter: type[Filter]) -> None:
    judge = page_filter()
    texts = ["w " * 49, "w " * 50]
    assert judge.apply(documents(texts)).reasons.to_pylist() == ["too_few_words", None]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at_least"):
        page_filter(at_least=0)  # type: ignore[call-arg]


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(0, 8))
def test_it_keeps_the_law_of_maps(page_filter: type[Filter], texts: list[str], cut: int) -> None:
    stage = page_filter(at_least=2)  # type: ignore[call-arg]
    whole = stage.apply(documents(texts))  # type: ignore[arg-type]
    parts = [stage.apply(documents(part)) for part in (texts[:cut], texts[cut:])]  # type: ignore[arg-type]
    assert whole.reasons.to_pylist() == [reason for part in parts for reason in part.reasons.to_pylist()]
    words = [part.documents.column("min_words.words").to_pylist() for part in parts]
    assert whole.documents.column("min_words.words").to_pylist() == words[0] + words[1]


def test_the_recipe_of_the_page_uses_the_filter(tmp_path: Path) -> None:
    (tmp_path / "min_words.py").write_text(blocks(FILTER_PAGE, "python")[0], "utf-8")
    (text,) = blocks(FILTER_PAGE, "yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text(text, "utf-8")
    (step,) = load_recipe(path).source("code").steps
    assert step.model_dump() == {"at_least": 20}
    path.write_text(text.replace("at_least", "at_lest"), "utf-8")
    with pytest.raises(InvalidRecipeError, match="did you mean `at_least`"):
        load_recipe(path)


def test_the_recipe_page_shows_a_recipe_that_loads_and_every_section(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(blocks(RECIPE_PAGE, "yaml")[0], "utf-8")
    recipe = load_recipe(path)
    assert "train" in recipe.sections
    for key in recipe_keys():
        assert f"| `{key}` |" in RECIPE_PAGE
    for option in Engine.model_fields:
        assert f"`{option}`" in RECIPE_PAGE


def test_the_overrides_of_the_recipe_page_work(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(blocks(RECIPE_PAGE, "yaml")[0], "utf-8")
    (shell,) = blocks(RECIPE_PAGE, "sh")
    overrides = re.findall(r"--set (\S+)", shell)
    assert len(overrides) == 3
    for override in overrides:
        assert load_recipe(path, [override]) != load_recipe(path)


def test_the_recipe_of_the_packing_page_loads_and_its_code_runs(tmp_path: Path) -> None:
    page = (DOCS / "packing.md").read_text("utf-8")
    path = tmp_path / "recipe.yaml"
    (text,) = blocks(page, "yaml")
    path.write_text(text, "utf-8")
    assert {"encode", "pack"} <= load_recipe(path).sections.keys()
    names: dict[str, Any] = {}
    for code in blocks(page, "python"):
        exec(code, names)
    pieces = [Piece(0, 2, "a", False, "0" * 32, 0, 0), Piece(2, 1, "a", False, "1" * 32, 5, 0)]
    assert names["segments"](pieces, 4).tolist() == [0, 0, 1, -1]
    seen = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert names["mask"](pieces, 4).astype(int).tolist() == seen


def test_numbers_of_the_recipe_page_are_read() -> None:
    (line,) = [
        line for line in RECIPE_PAGE.splitlines() if line.startswith("Where a whole number is expected")
    ]
    quoted = re.findall(r"`([0-9][^`]*)`", line)
    assert [parse_quantity(text) for text in quoted] == [
        4 * 10**6,
        1_500_000_000,
        64_000,
        4 * 10**9,
        512 * 2**20,
    ]


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_links_within_the_readme_have_a_heading() -> None:
    headings = {line.lstrip("# ").lower() for line in README_PAGE.splitlines() if line.startswith("#")}
    for anchor in re.findall(r"\]\(#([^)]*)\)", README_PAGE):
        assert anchor.replace("-", " ") in headings


def commands_below(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words, groups left out."""
    for name, one in command.commands.items():
        if hasattr(one, "commands"):
            yield from commands_below(one, (*words, name))
        elif not one.hidden:
            yield (*words, name), one


COMMANDS = dict(commands_below(typer.main.get_command(app)))


def test_the_page_of_commands_names_every_command() -> None:
    page = " ".join(COMMANDS_PAGE.split())  # a line may end within a command
    for words in COMMANDS:
        named = re.search(rf"(?:`|\$ )corpusmill {' '.join(words)}\b", page)
        assert named, f"docs/commands.md does not tell of `corpusmill {' '.join(words)}`"


def test_the_pages_name_no_command_or_option_that_is_not_there() -> None:
    roots = {words[0] for words in COMMANDS}
    for page in (README, DOCS / "commands.md", DOCS / "start.md", DOCS / "own_data.md"):
        for name, line in re.findall(
            r"(?:`|\$ |^)corpusmill ([a-z][a-z-]*)([^`\n#]*)", page.read_text("utf-8"), re.MULTILINE
        ):
            assert name in roots, f"{page.name}: corpusmill {name}"
            params = [p for words, one in COMMANDS.items() if words[0] == name for p in one.params]
            options = {option for param in params for option in (*param.opts, *param.secondary_opts)}
            assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= options | {"--help"}, f"{page.name}: {line}"


def test_the_page_of_options_has_every_option_of_every_command() -> None:
    page = command_page(typer.main.get_command(app))
    sections = dict(re.findall(r"^## (corpusmill [^\n]*)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert sections.keys() == {f"corpusmill {' '.join(words)}" for words in COMMANDS}
    for words, one in COMMANDS.items():
        for param in one.params:
            if param.param_type_name == "option" and not param.hidden:
                section = sections[f"corpusmill {' '.join(words)}"]
                assert all(f"`{option}" in section for option in param.opts), (words, param.opts)


def test_the_page_of_recipes_has_every_option() -> None:
    schema = recipe_schema()
    page = schema_page(schema)
    for node in (schema, *schema["definitions"].values()):
        for name, option in node.get("properties", {}).items():
            about = option.get("description", "").replace("|", "\\|").replace("<", "&lt;")
            assert f"| `{name}` | {about} |" in page


def test_the_readme_is_short_and_its_picture_is_there() -> None:
    assert README_PAGE.count("\n") < 150
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README_PAGE)
    assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    written = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    written = {name.replace("README.html", "index.html") for name in written}
    assert pages >= written | {"index.html", "options_of_commands.html", "options_of_recipes.html"}
    for path in (tmp_path / "site").rglob("*.html"):
        page = path.read_text("utf-8")
        fetched = re.findall(r"<(?:script|img|iframe)[^>]*\bsrc=\"?(https?:[^\" >]+)", page)
        fetched += re.findall(r"<link[^>]*\bhref=\"?(https?:[^\" >]+)", page)
        assert fetched == [], path.name
    for path in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:", path.read_text("utf-8")), path.name


def test_every_make_target_the_readme_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`?make ([a-z]+)", README_PAGE + (DOCS / "start.md").read_text("utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_page_of_the_tree_is_the_tree() -> None:
    tree = TREE_PAGE.split("```")[1]
    named = re.findall(r"^([a-z_]+)/ ", tree, re.MULTILINE)
    made = {"build", "dist", "runs"}  # by commands, and ignored by git
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert sorted(named) == sorted(there - made)
    below = re.findall(r"^  ((?:[a-z_]+/ )+)", tree, re.MULTILINE)
    held = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert {name.rstrip("/") for group in below for name in group.split()} == held


def test_the_recipes_of_the_readme_load_and_its_error_is_real(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    (whole,), (mine,) = blocks(README_PAGE, "yaml"), blocks(OWN_DATA_PAGE, "yaml")
    for text in (mine, whole):
        path.write_text(text, "utf-8")
        load_recipe(path)
    path.write_text(whole.replace("min_alphabetic_words", "min_alphabetic"), "utf-8")
    with pytest.raises(InvalidRecipeError) as caught:
        load_recipe(path)
    (line,) = caught.value.lines
    start = line.replace(f"{tmp_path}/", "").split(" valid: ")[0]
    assert f"error: {start} valid: ..." in README_PAGE
    code = whole.splitlines().index("    read: {jsonl: code/*.jsonl.zst}") + 1
    assert f"error: tiny.yaml:{code}:12: sources.code.read.jsonl: nothing matches" in README_PAGE


def test_what_the_page_of_the_architecture_names_is_there() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    files = set(re.findall(r"`([a-z_/]+\.py)`", page))
    missing = {
        name for name in files if not any((ROOT / folder / name).is_file() for folder in ("", "pipelines"))
    }
    assert (len(files) > 12, missing) == (True, set())
    named = {
        name
        for names in re.findall(r"\(operators? ((?:`\w+`(?:, )?)+)\)", page)
        for name in re.findall(r"\w+", names)
    }
    assert {operator_named(name).name for name in named} == named
    assert {"read", "match", "apply_removals", "encode", "write"} <= named


def test_the_glossary_says_each_word_once() -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \| (.+) \|$", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    words = [word for names, _ in rows[1:] for word in names.split(", ")]
    assert len(words) == len(set(words)) > 20


def test_the_page_on_loading_runs_on_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(1)
    shards = [
        write_rows(tmp_path / f"{i}.arrow", rng.integers(8, 64, (600, 16)), [[5, 7, 4]] * 600)
        for i in range(2)
    ]
    names: dict[str, object] = {"shards": shards}
    for block in blocks((DOCS / "loading.md").read_text("utf-8"), "python"):
        exec(compile(block, "docs/loading.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "torch.Size([8, 16]) torch.Size([8, 16])"
    assert printed[1] == "8 True"
    assert "'attention_mask': (8, 1, 16, 16)" in printed[2]
    assert printed[3].startswith("(8, 17) True [Window(shard=")
