"""`corpusmill init` finds columns and dates of records, and reads data sets and repositories as a whole."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from dulwich import porcelain
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.models import Recipe
from tests.filters.folders_of_data import HAFEN, SEA, parquet, rows, some


@pytest.mark.parametrize(
    ("records", "fields"),
    [
        ([{"text": SEA, "link": "https://a.example/1"}], {"url": "link"}),
        ([{"text": SEA, "url": "https://a.example/1", "link": "https://b.example"}], {}),
        ([{"post": {"permalink": "https://a.example/1", "body": SEA}}], {"url": "post.permalink"}),
        ([{"text": SEA, "metadata": {"page": {"href": "https://a.example"}}}], {"url": "metadata.page.href"}),
        ([{"text": SEA, "metadata": {"uri": "https://a.example"}}], {"url": "uri"}),
        ([{"text": SEA, "link": "see below"}], {}),
        ([{"text": SEA, "licence": "CC0-1.0", "file_name": "a.txt"}], {"license": "licence"}),
        (
            [{"code": "x = 1", "file_name": "a/b.py", "repo_name": "a", "language": "Python"}],
            {"path": "file_name", "repo": "repo_name", "code_language": "language"},
        ),
    ],
)  # fmt: skip
def test_fields_that_are_columns_are_found(
    init: Callable[..., Recipe], records: list[object], fields: dict[str, str]
) -> None:
    source = init({"a.jsonl": rows(*records)}).sources[0]
    assert source.reader.model_dump()["fields"] == fields
    assert source.domain == ("code" if "code_language" in fields else "text")


@pytest.mark.parametrize(
    ("values", "condition", "dates"),
    [
        (
            ["2025-03-01T10:00:00Z", "2024-12-31"],
            'meta("crawled.day") >= "2024-12-31"',
            "2025-03-01T10:00:00Z",
        ),
        ([1700000000, 1600000000], 'number(meta("crawled.day")) >= 1600000000', "1700000000"),
        (["soon", "2024-12-31"], None, None),
        (["2024-12-31", 1600000000], None, None),
    ],
)
def test_dates_become_a_condition_that_keeps_what_was_seen(
    init: Callable[..., Recipe],
    tmp_path: Path,
    values: list[object],
    condition: str | None,
    dates: str | None,
) -> None:
    init({"a.jsonl": rows(*({"text": SEA, "crawled": {"day": value}} for value in values))})
    text = (tmp_path / "r.yaml").read_text()
    assert re.findall(r"recent: '(.*)'}}   # dates to (.*)", text) == (
        [] if condition is None else [(condition, dates)]
    )


def test_columns_of_parquet_are_found_within_others(init: Callable[..., Recipe], tmp_path: Path) -> None:
    page = {"content": SEA, "link": "https://a.example/1", "published": datetime.datetime(2026, 1, 2, 3)}
    source = init({"a.parquet": parquet(page=[page], raw=[b"\0"])}).sources[0]
    told = source.reader.model_dump()
    assert (told["text_field"], told["fields"]) == ("page.content", {"url": "page.link"})
    text = (tmp_path / "r.yaml").read_text()
    assert 'meta("page.published") >= "2026-01-02"' in text
    assert "en 100% of the 1 text looked at" in text


def card(configs: str = "") -> str:
    return f"---\nlicense: mit\n{configs}---\n# A set\n"


def test_a_data_set_of_the_hub_is_read_without_its_test_split(
    init: Callable[..., Recipe], tmp_path: Path
) -> None:
    files = {
        "set/README.md": card(),
        "set/data/train-00000-of-00001.parquet": parquet(body=[SEA], url=["https://a.example"]),
        "set/data/test-00000-of-00001.parquet": parquet(body=[HAFEN], url=["https://a.example"]),
        "other/README.md": "# Not a card",
        "other/a.jsonl": some(SEA),
    }
    recipe = init(files)
    assert {source.name: source.reader.name for source in recipe.sources} == {
        "set": "hugging_face",
        "other-jsonl": "jsonl",
        "other-text": "text",
    }
    told = recipe.source("set").reader.model_dump()
    assert (told["files"], told["split"], told["text_field"]) == (["set"], "train", "body")
    assert "# other splits, not read: test" in (tmp_path / "r.yaml").read_text()


def test_every_config_of_a_data_set_is_a_source(init: Callable[..., Recipe]) -> None:
    configs = "configs:\n- config_name: de\n  data_files: de.csv\n- config_name: en\n  data_files: en.jsonl\n"
    files = {"README.md": card(configs), "de.csv": f"text;n\n{HAFEN};1\n", "en.jsonl": some(SEA)}
    recipe = init(files)
    assert {source.name: source.reader.model_dump()["config"] for source in recipe.sources} == {
        "de": "de",
        "en": "en",
    }
    assert all(source.reader.files == ["."] for source in recipe.sources)


def test_repositories_are_read_as_such(init: Callable[..., Recipe], tmp_path: Path) -> None:
    for name in ("data/g/work", "whole"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("x = 1\n")
        (folder / "README.md").write_text(SEA)
        (folder / "LICENSE").write_text("MIT License")
        commit(folder)
    porcelain.clone(str(tmp_path / "whole"), str(tmp_path / "data/g/bare.git"), bare=True).close()
    recipe = init({"new/a.py": "x = 1\n", "new/.git/HEAD": "ref: refs/heads/main\n"})
    found = {source.name: (source.reader.name, source.reader.files) for source in recipe.sources}
    assert found == {"g": ("git", ["g"]), "new": ("tree", ["new"])}
    assert "# 2 repositories; " in (tmp_path / "r.yaml").read_text()
    assert "LICENSE" not in (tmp_path / "r.yaml").read_text()
    done = CliRunner().invoke(app, ["init", "whole", "--output", "w.yaml"], catch_exceptions=False)
    assert done.stdout.startswith("git: git, 1 repository, ")
    assert load_recipe(tmp_path / "w.yaml", inputs=True).sources[0].reader.files == ["."]


def commit(folder: Path) -> None:
    with porcelain.init(str(folder)) as repository:
        porcelain.add(repository, [str(folder / "a.py")])
        porcelain.commit(repository, message=b"one", author=b"a <a@a.example>", committer=b"a <a@a.example>")
