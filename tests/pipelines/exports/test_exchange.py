"""Exports and imports are found by their names, in rooms and plugins; what is exported is compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.documents import SCHEMA
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.plugins import clear_plugins, use_plugins
from corpusmill.pipelines.exports.find import export_named, export_names, import_named, import_names
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.shard_files import shards_at
from corpusmill.pipelines.storage.run_folder import RunFolder
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
    kinds = {name: export_named(name).of for name in export_names()}
    assert {name for name, of in kinds.items() if of == "shards"} == {
        "datatrove", "litdata", "mds", "megatron", "npy", "token_dataset",
    }  # fmt: skip
    assert {name for name, of in kinds.items() if of == "documents"} == {
        "arrow", "dataset", "jsonl", "parquet",
    }  # fmt: skip
    assert kinds["deepseek_v3"] == import_named("deepseek_v3").of == "a model"
    assert {name for name, of in kinds.items() if of == "a tokenizer"} == {
        "gguf", "huggingface", "sentencepiece", "tiktoken",
    }  # fmt: skip
    assert import_names() == ["deepseek_v3"]


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"'megatrn'; did you mean megatron\?; there are of a model"):
        export_named("megatrn")
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


def test_documents_as_json_lines(finished: Path, tmp_path: Path) -> None:
    found = run("export", finished / "run", tmp_path / "out", "--to", "jsonl")
    counts = found["documents"]
    assert isinstance(counts, dict)
    assert counts["web.jsonl.zst"] + counts["web.test.jsonl.zst"] == 60
    data = (tmp_path / "out" / "web.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(data).decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == counts["web.jsonl.zst"]
    assert all(row["source"] == "web" and row["meta"]["k"] >= 0 and "url" not in row for row in rows)


@pytest.mark.parametrize("name", ["arrow", "parquet"])
def test_documents_as_tables(finished: Path, tmp_path: Path, name: str) -> None:
    found = run("export", finished / "run", tmp_path / "out", "--to", name)
    counts = found["documents"]
    assert isinstance(counts, dict)
    view = load_record(RunFolder(finished / "run")).view()
    kept = {
        row["id"]: row
        for unit in range(len(view))
        for docs, _ in view.batches(unit)
        for row in docs.table.select(SCHEMA.names).to_pylist()
    }
    rows = []
    for path in sorted((tmp_path / "out").iterdir()):
        table = ipc.open_file(path).read_all() if name == "arrow" else pq.read_table(path)
        assert table.schema.names == SCHEMA.names
        assert table.num_rows == counts[path.name]
        rows += table.to_pylist()
    assert {row["id"]: row for row in rows} == kept
    assert len(rows) == 100
    assert set(counts) == {f"{s}.{ending}" for s in ("web", "code") for ending in (name, f"test.{name}")}


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
    assert export_named("lengths").write is print
    other = tmp_path / "other.py"
    said = re.escape(f"'length'; did you mean lengths?; {other}: defines no EXPORT; there are of")
    with pytest.raises(UserError, match=rf"{said} .*of shards: datatrove, lengths, litdata, mds, megatron"):
        export_named("length")
    use_plugins([tmp_path / "wrong.py"])
    with pytest.raises(UserError, match=r"wrong\.py: EXPORT must be an `Export`"):
        export_named("wrong")


def test_a_format_of_a_plugin_does_not_take_the_place_of_one_of_corpusmill(tmp_path: Path) -> None:
    head = "from corpusmill.pipelines.contract.conversion import Export\n"
    (tmp_path / "megatron.py").write_text(f"{head}EXPORT = Export('shards', print)\n")
    use_plugins([tmp_path / "megatron.py"])
    with pytest.raises(UserError, match=r"megatron\.py: corpusmill has a format megatron .*rename the file"):
        export_named("megatron")
