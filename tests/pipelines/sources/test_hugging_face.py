"""Folders in the layout of the Hub: which files belong to a config and split, and how each is read."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.sources.hugging_face import HuggingFace
from corpusmill.pipelines.sources.looking.hub_layout import split_of
from tests.oracles.sources_archives import read_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "data/train-00000-of-00002",
        "data/train-00001-of-00002",
        "data/test-00000-of-00001",
        "extra/b",
    ):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"text": [name]}), path)
    return tmp_path


def readme(folder: Path, head: str) -> None:
    (folder / "README.md").write_text(f"---\n{dedent(head)}---\n# A card\n")


def names(folder: Path, **options: object) -> list[str]:
    reader = HuggingFace.model_validate({"files": ["x"], **options})
    return [file.relative_to(folder).as_posix().removesuffix(".parquet") for file in reader.expand(folder)]


def test_names_of_files_tell_the_split(folder: Path) -> None:
    assert names(folder, split="train") == [
        "data/train-00000-of-00002",
        "data/train-00001-of-00002",
        "extra/b",
    ]
    assert names(folder, split=["test"]) == ["data/test-00000-of-00001"]
    with pytest.raises(RecipeError, match=r"choose a split with `split: NAME`.*there are: test, train"):
        names(folder)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "train.parquet").write_bytes(b"")
    assert len(names(folder, split="train")) == 3


@pytest.mark.parametrize(
    "name, split",
    [
        ("data/odd name-00000-of-00002.parquet", "odd name"),
        ("train-00000-of-00001-abc123.parquet", "train"),
        ("sub/dev.jsonl.gz", "validation"),
        ("testing/a.csv", "test"),
        ("contest.csv", "train"),
        ("my_eval_set.jsonl", "test"),
    ],
)
def test_the_split_of_a_name(name: str, split: str) -> None:
    assert split_of(name) == split


def test_configs_of_the_readme(folder: Path) -> None:
    readme(
        folder,
        """
        license: mit
        configs:
        - config_name: more
          data_files: extra/*.parquet
        - config_name: main
          default: true
          data_files:
          - {split: train, path: data/train-*.parquet}
          - split: held
            path: [data/test-*.parquet, extra/b.parquet]
        - config_name: mapped
          data_files: {one: data/train-00001*, two: extra/*}
        - config_name: within
          data_dir: data
        """,
    )
    assert names(folder, split="train") == ["data/train-00000-of-00002", "data/train-00001-of-00002"]
    assert names(folder, config="main", split="held") == ["data/test-00000-of-00001", "extra/b"]
    assert names(folder, config="more") == ["extra/b"]
    assert names(folder, config="mapped", split=["two", "one"]) == ["data/train-00001-of-00002", "extra/b"]
    assert names(folder, config="within", split="test") == ["data/test-00000-of-00001"]
    with pytest.raises(RecipeError, match="no config is called 'other'; there are: "):
        names(folder, config="other")


def test_a_config_must_be_chosen_where_none_is_the_default(folder: Path) -> None:
    readme(
        folder, "configs:\n- {config_name: a, data_files: extra/*}\n- {config_name: b, data_files: extra/*}\n"
    )
    with pytest.raises(RecipeError, match=r"choose a config with `config: NAME`.*there are: a, b"):
        names(folder)


@pytest.mark.parametrize(
    "head, words",
    [
        ("configs: [{config_name: a, data_files: ../*.parquet}]\n", "leaves the folder"),
        ("configs: [{config_name: a, data_files: /etc/*.csv}]\n", "leaves the folder"),
        ("configs: [{config_name: a, data_files: 'hf://datasets/x/y'}]\n", "leaves the folder"),
        ("configs: [{config_name: a, data_files: gone-*.parquet}]\n", "no file matches 'gone-"),
        ("configs: [{config_name: a, data_files: [{path: {}}]}]\n", "cannot be read"),
        ("configs: [a]\n", "no list of mappings"),
        ("configs: [{config_name: a}, {config_name: a}]\n", "stands twice"),
        ("configs: [{config_name: a, data_dir: gone}]\n", "the config 'a' has no data files in "),
        ("configs: [\n", "its YAML cannot be read"),
        ("configs: !!python/object:os.system x\n", "its YAML cannot be read"),
    ],
)
def test_a_readme_that_is_not_sound_is_told(folder: Path, head: str, words: str) -> None:
    readme(folder, head)
    with pytest.raises(RecipeError, match=words):
        names(folder)


def test_aliases_do_not_fill_the_message(folder: Path) -> None:
    """Each level stands ten times in the next: written out, the name would have 10**9 characters."""
    levels = "".join(f"- &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))
    for config in (
        "config_name: *a9",
        "config_name: a, data_files: {x: *a9}",
        "config_name: a, data_dir: *a9",
    ):
        readme(folder, f"x:\n- &a0 x\n{levels}configs: [{{{config}}}]\n")
        with pytest.raises(RecipeError) as caught:
            names(folder)
        assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("first", "text"), [("n;text", "1;a, b"), ("n|text", "1|a, b"), ("n\ttext", "1\ta, b"), ("text", "a")]
)
def test_what_stands_between_fields_is_told_by_the_first_line(tmp_path: Path, first: str, text: str) -> None:
    (tmp_path / "train.csv").write_text(f"{first}\n{text}\n")
    reader = HuggingFace(files=["x"])
    (file,) = reader.expand(tmp_path)
    assert reader.look(file).sound
    assert read_all(reader, file).texts == [text[-4:] if len(text) > 1 else text]


def test_every_format_is_told_by_its_bytes(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"]})
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(table, data / "a.parquet")
    with ipc.new_stream(data / "b.arrow", table.schema) as writer:
        writer.write_table(table)
    (data / "c.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in "ab"))
    (data / "d.csv").write_text("text,n\na,1\nb,2\n")
    (data / "e.tsv").write_text("n\ttext\n1\ta\n2\tb\n")
    (data / "notes.md").write_text("no data")
    reader = HuggingFace(files=["x"])
    files = reader.expand(tmp_path)
    assert [file.name for file in files] == ["a.parquet", "b.arrow", "c.jsonl", "d.csv", "e.tsv"]
    for file in files:
        blob = tmp_path / f"blob{files.index(file)}"  # as in the Hub's cache, where the name tells nothing
        blob.write_bytes(file.read_bytes())
        found = read_all(reader, blob)
        assert found.texts == ["a", "b"]
        assert reader.look(blob).sound
        assert [part for split in found.splits for part in reader.divide(split)]
        (lost,) = [lost for split in found.splits for lost in reader.lose(blob, "x", split, "died")]
        assert lost[0].detail == "died"
