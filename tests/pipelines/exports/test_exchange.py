"""Exports and imports are found by their names, in rooms and plugins; what is exported is compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.plugins import clear_plugins, use_plugins
from corpusmill.pipelines.exports.find import export_names, exports_named, import_named, import_names
from corpusmill.pipelines.inspection.shard_files import shards_at
from corpusmill.tokenizer.shards.reader import open_shard
from tests.tokenizer.test_shards import made_shard

PAGE = Path(__file__).parents[3] / "docs" / "add_an_export.md"


@pytest.fixture(autouse=True)
def _no_plugins_left() -> Iterator[None]:
    yield
    clear_plugins()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, rows in (("shard-00000", 40), ("shard-00001", 3), ("heldout-00000", 5)):
        made_shard(folder / f"{name}.arrow", rows=rows)
    return folder


def run(*arguments: str | Path) -> dict[str, object]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_every_name_leads_to_a_value() -> None:
    kinds = {(name, of) for name in export_names() for of in exports_named(name)}
    assert {name for name, of in kinds if of == "shards"} == {
        "datatrove", "litdata", "mds", "megatron", "npy", "token_dataset",
    }  # fmt: skip
    assert {name for name, of in kinds if of == "documents"} == {
        "arrow", "huggingface", "jsonl", "parquet",
    }  # fmt: skip
    assert {*exports_named("deepseek_v3")} == {import_named("deepseek_v3").of} == {"a model"}
    assert {name for name, of in kinds if of == "a tokenizer"} == {
        "gguf", "huggingface", "sentencepiece", "tiktoken",
    }  # fmt: skip
    assert import_names() == ["deepseek_v3"]


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"'megatrn'; did you mean megatron\?; there are of a model"):
        exports_named("megatrn")
    with pytest.raises(UserError, match="no import format 'x'; there are deepseek_v3"):
        import_named("x")


@pytest.mark.parametrize(
    ("name", "endings"),
    [("megatron", {".bin", ".idx"}), ("datatrove", {".ds", ".index", ".metadata"})],
)
def test_shards_are_exported_and_compared(shards: Path, tmp_path: Path, name: str, endings: set[str]) -> None:
    found = run("export", shards, tmp_path / "out", "--to", name)
    tokens = sum(int(open_shard(path).row_lengths().sum()) for path in shards.glob("*.arrow"))
    assert (found["shards"], found["tokens"]) == ({"train": 2, "held_out": 1}, tokens)
    written = sorted((tmp_path / "out").glob("*/*"))
    assert {path.suffix for path in written} == endings
    assert {path.parent.name for path in written} == {"train", "held_out"}
    one = run("export", shards / "shard-00001.arrow", tmp_path / "one", "--to", name)
    assert one["shards"] == {"train": 1}
    with pytest.raises(UserError, match="already there"):
        run("export", shards, tmp_path / "out", "--to", name)


def test_sequences_are_chosen_of_shards_alone(shards: Path, tmp_path: Path) -> None:
    rows = run("export", shards, tmp_path / "rows", "--to", "megatron", "--sequences", "rows")
    assert rows["of"] == "rows"
    with pytest.raises(UserError, match=r"--sequences is for --to datatrove, .*, not for --to jsonl"):
        run("export", shards, tmp_path / "out", "--to", "jsonl", "--sequences", "rows")


def test_where_no_shards_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no token shards \(\*\.arrow\)"):
        shards_at(tmp_path)


def test_the_format_of_the_page_is_found_in_its_file(shards: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    plugin = tmp_path / "shard_lengths.py"
    plugin.write_text(code, "utf-8")
    found = run("export", shards, tmp_path / "out", "--to", "shard_lengths", "--plugin", plugin)
    assert found["rows"] == 43
    lengths = open_shard(shards / "shard-00001.arrow").row_lengths().tolist()
    assert (tmp_path / "out" / "shard-00001.txt").read_text().split() == list(map(str, lengths))


def test_formats_of_plugins_are_listed_and_faulty_ones_are_told(tmp_path: Path) -> None:
    head = "from corpusmill.pipelines.contract.conversion import Export, Import\n"
    texts = {
        "lengths": "EXPORT = Export('shards', print)",
        "other": "IMPORT = Import('a model', print)",
        "wrong": "EXPORT = Import('a model', print)",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(f"{head}{text}\n")
    use_plugins([tmp_path / "lengths.py", tmp_path / "other.py"])
    assert exports_named("lengths")["shards"].write is print
    other = tmp_path / "other.py"
    said = re.escape(f"'length'; did you mean lengths?; {other}: defines no EXPORT; there are of")
    with pytest.raises(UserError, match=rf"{said} .*of shards: datatrove, lengths, litdata, mds, megatron"):
        exports_named("length")
    use_plugins([tmp_path / "wrong.py"])
    with pytest.raises(UserError, match=r"wrong\.py: EXPORT must be an `Export`"):
        exports_named("wrong")


def test_a_format_of_a_plugin_does_not_take_the_place_of_one_of_corpusmill(tmp_path: Path) -> None:
    head = "from corpusmill.pipelines.contract.conversion import Export\n"
    (tmp_path / "megatron.py").write_text(f"{head}EXPORT = Export('shards', print)\n")
    use_plugins([tmp_path / "megatron.py"])
    with pytest.raises(UserError, match=r"megatron\.py: corpusmill has a format megatron .*rename the file"):
        exports_named("megatron")
