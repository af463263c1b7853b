"""The card of an export: figures of the run, and nothing of the machine or of secrets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

import corpusmill
from corpusmill.pipelines.exports.card import _features
from corpusmill.pipelines.exports.card_recipe import LEFT_OUT, shown, shown_recipe
from corpusmill.pipelines.exports.card_tables import markdown, most_first


@pytest.fixture(scope="module")
def page(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("card") / "out"
    corpusmill.open_run(finished / "run").export("huggingface", out)
    return (out / "README.md").read_text("utf-8")


def front(page: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(page.split("---")[1])
    return found


def test_the_front_matter_counts_what_is_there(finished: Path, page: str) -> None:
    head = front(page)
    frame = corpusmill.open_run(finished / "run").documents().collect()
    assert [one["config_name"] for one in head["configs"]] == ["default", "code", "web"]
    assert head["configs"][2]["data_files"] == [
        {"split": "train", "path": "data/web/train-*.parquet"},
        {"split": "test", "path": "data/web/test-*.parquet"},
    ]
    for info in head["dataset_info"]:
        mine = frame.filter(frame["source"] == info["config_name"])
        mine = frame if info["config_name"] == "default" else mine
        counts = {split["name"]: split["num_examples"] for split in info["splits"]}
        train = mine["held_out"].null_count()
        assert counts == {"train": train, "test": len(mine) - train}
        assert sum(split["num_bytes"] for split in info["splits"]) == mine["bytes"].sum()
    assert head["language"] == ["en"]
    assert head["size_categories"] == ["n<1K"]


def test_steps_sources_and_recipe_are_told(finished: Path, page: str) -> None:
    entries = corpusmill.open_run(finished / "run").funnel().to_dicts()
    (removed,) = [
        one["documents"]
        for one in entries
        if one["source"] == "web" and one["reason"] == "exact_duplicate" and one["outcome"] == "removed"
    ]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| web | dedup.exact")]
    assert rows[0][3:7] == ["61", str(removed), "0", str(61 - removed)]
    frame = corpusmill.open_run(finished / "run").documents(source="web").collect()
    counts = dict(frame.group_by("license").len().iter_rows())
    assert f"CC-BY-4.0 {counts['CC-BY-4.0']}" in page
    assert f"not stated {counts[None]}" in page
    assert "seed of everything random is 4" in page
    recipe = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    assert recipe["seed"] == 4
    assert recipe["sources"]["web"]["steps"][1] == {"gopher_quality": {"min_words": 5, "min_stop_words": 0}}
    assert recipe["sources"]["web"]["read"] == {"jsonl": {"files": ".../web.jsonl"}}
    assert "engine" not in recipe
    assert re.search(r"Versions: .*pyarrow \d+", page)


def test_nothing_of_the_machine_is_told(finished: Path, page: str) -> None:
    for part in (str(finished), str(Path.home()), str(Path.cwd()), finished.name):
        assert part not in page


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data/private/crawl/*.warc.gz", ".../*.warc.gz"),
        ("~/corpus/a.jsonl", ".../a.jsonl"),
        ("C:\\corpus\\mine\\a.jsonl", ".../a.jsonl"),
        ("../../other/a.jsonl", ".../a.jsonl"),
        ("data/a.jsonl", "data/a.jsonl"),
        ("/tag/", "/tag/"),
        ("^/(tag|category)/.*$", "^/(tag|category)/.*$"),
        ("s3://user:key@bucket/a/*.gz?X-Amz-Signature=1#x", "s3://bucket/a/*.gz"),
        ("https://example.org/a.parquet", "https://example.org/a.parquet"),
        ("hf_" + "a" * 30, LEFT_OUT),
        ("AKIA" + "A" * 16, LEFT_OUT),
        ({"access_key_id": "x", "region": "y"}, {"access_key_id": LEFT_OUT, "region": "y"}),
        ({"hf_token": "x", "tokens": "10B"}, {"hf_token": LEFT_OUT, "tokens": "10B"}),
        ({"special_tokens": {"eos": "<s>"}}, {"special_tokens": {"eos": "<s>"}}),
        (["/a/b/c", 3, None, True], [".../c", 3, None, True]),
    ],
)
def test_secrets_and_places_are_not_shown(value: Any, expected: Any) -> None:
    assert shown(value) == expected


def test_sections_of_the_machine_are_left_out() -> None:
    recipe = {"name": "a", "output": "/x/y", "engine": {"address": "ray://head"}, "storage": {"k": "v"}}
    assert shown_recipe(recipe) == {"name": "a"}


def test_features_are_those_of_datasets() -> None:
    schema = pa.schema(
        {
            "text": pa.large_string(),
            "n": pa.float64(),
            "s": pa.struct({"a": pa.bool_(), "b": pa.list_(pa.int32())}),
            "l": pa.list_(pa.struct({"x": pa.string()})),
        }
    )
    assert _features(schema) == [
        {"name": "text", "dtype": "large_string"},
        {"name": "n", "dtype": "float64"},
        {"name": "s", "struct": [{"name": "a", "dtype": "bool"}, {"name": "b", "list": "int32"}]},
        {"name": "l", "list": [{"name": "x", "dtype": "string"}]},
    ]
    assert _features(pa.schema({"t": pa.timestamp("s")})) is None


def test_cells_and_counts() -> None:
    assert markdown(("a", "b"), [("x|y\nz", 1)]) == "| a | b |\n|---|---|\n| x\\|y z | 1 |\n"
    counts = {f"l{n:02d}": n for n in range(20)}
    told = most_first(counts, "none")
    assert told.startswith("l19 19, l18 18, ")
    assert told.endswith(f"8 more {sum(range(8)):,}")
    assert most_first({"": 3}, "not stated") == "not stated 3"


@pytest.mark.parametrize("form", ["huggingface", "jsonl", "arrow"])
def test_datasets_loads_it(finished: Path, tmp_path: Path, form: str) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    corpusmill.open_run(finished / "run").export(form, tmp_path / "out", file_bytes=2000)
    cache = str(tmp_path / "cache")
    whole = datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)
    expected = {
        row["id"]: row for row in corpusmill.open_run(finished / "run").documents().collect().to_dicts()
    }
    rows = [row for split in ("train", "test") for row in whole[split]]
    assert {row["id"]: row["text"] for row in rows} == {key: one["text"] for key, one in expected.items()}
    web = datasets.load_dataset(str(tmp_path / "out"), "web", split="train", cache_dir=cache)
    assert set(web["source"]) == {"web"}
    assert all(json.loads(row["meta"])["k"]["n"] >= 0 and row["scores"]["c4_lines"] > 0 for row in web)
    stream = datasets.load_dataset(str(tmp_path / "out"), "code", split="test", streaming=True)
    assert {row["source"] for row in stream} == {"code"}
