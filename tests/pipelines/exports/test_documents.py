"""A run's documents as files of bounded size: what is in them, and back as a source of corpusmill."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

import corpusmill
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.documents import SCHEMA
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.exports.documents import export_documents
from corpusmill.pipelines.exports.parquet import FORM
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.sources.arrow import Arrow
from corpusmill.pipelines.sources.hugging_face import HuggingFace
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import read_all

READERS = {"parquet": Parquet, "huggingface": Parquet, "arrow": Arrow, "jsonl": Jsonl}
Rows = dict[str, dict[str, Any]]


def run(*arguments: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    if path.suffix == ".arrow":
        return list(ipc.open_file(path).read_all().to_pylist())
    with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
        return [json.loads(line) for line in io.TextIOWrapper(stream, "utf-8")]


def kept(folder: Path) -> Rows:
    """What the library says that the run keeps."""
    frame = corpusmill.open_run(folder / "run").documents().collect()
    return {row["id"]: row for row in frame.to_dicts()}


@pytest.mark.parametrize("form", sorted(READERS))
def test_what_is_written_is_what_the_run_keeps_and_reads_back(
    finished: Path, tmp_path: Path, form: str
) -> None:
    found = run("export", finished / "run", tmp_path / "out", "--to", form)
    expected = kept(finished)
    assert sum(found["documents"].values()) == len(expected) > 90
    assert set(found["documents"]) == {f"{s}/{split}" for s in ("web", "code") for split in ("train", "test")}
    files = sorted((tmp_path / "out" / "data").rglob("*.*"))
    assert len(files) == found["files"] == 4
    rows = {row["id"]: (path, row) for path in files for row in rows_of(path)}
    assert set(rows) == set(expected)
    for identity, (path, row) in rows.items():
        same = expected[identity]
        assert {name: row[name] for name in (*SCHEMA.names, "site")} == {
            name: same[name] for name in (*SCHEMA.names, "site")
        }
        assert path.parent.name == row["source"]
        assert path.name.startswith("train" if same["held_out"] is None else "test")
    back: Rows = {}
    for path in files:
        read = read_all(READERS[form](files=["x"]), path)
        assert read.quarantined == []
        back |= {row["id"]: row for row in read.rows}
    assert set(back) == set(expected)
    for identity, row in back.items():
        same = expected[identity]
        told = ("text", "url", "path", "repo", "license", "lang", "meta")
        assert {name: row[name] for name in told} == {name: same[name] for name in told}


def test_scores_are_those_of_the_table(finished: Path, tmp_path: Path) -> None:
    run("export", finished / "run", tmp_path / "out", "--to", "parquet")
    scores = corpusmill.open_run(finished / "run").scores().filter(pl.col("kept")).collect()
    names = [name for name in scores.columns if name.startswith(("c4_", "gopher_", "hold_out_"))]
    assert len(names) > 8
    expected = {row["id"]: {name: row[name] for name in names} for row in scores.to_dicts()}
    rows = [row for path in (tmp_path / "out").rglob("*.parquet") for row in rows_of(path)]
    assert {row["id"]: row["scores"] for row in rows} == expected
    assert {row["scores"]["gopher_quality_words"] for row in rows if row["source"] == "code"} == {None}
    assert all(row["scores"]["gopher_quality_words"] > 0 for row in rows if row["source"] == "web")


def test_late_cuts_are_applied(finished: Path, tmp_path: Path) -> None:
    run("export", finished / "run", tmp_path / "out", "--to", "parquet")
    texts = [row["text"] for path in (tmp_path / "out").rglob("*.parquet") for row in rows_of(path)]
    assert sum("This long line stands" in text for text in texts) == 1


def test_an_export_is_a_source_of_the_same_documents(finished: Path, tmp_path: Path) -> None:
    """Through a whole run, packed again by another tool's names and row groups."""
    run("export", finished / "run", tmp_path / "out", "--to", "huggingface", "--file-bytes", "1KB")
    (tmp_path / "r.yaml").write_text(
        "name: again\noutput: run\nengine: {kind: inline}\nsources:\n"
        "  old: {domain: web, read: {hugging_face: {files: out, split: [train, test]}}}\n"
    )
    run_recipe(load_recipe(tmp_path / "r.yaml"))
    again, expected = kept(tmp_path), kept(finished)
    assert {key: (row["text"], row["meta"], row["license"]) for key, row in again.items()} == {
        key: (row["text"], row["meta"], row["license"]) for key, row in expected.items()
    }


def test_polars_reads_all_files_at_once(finished: Path, tmp_path: Path) -> None:
    run("export", finished / "run", tmp_path / "out", "--to", "parquet", "--file-bytes", "1KB")
    frame = pl.scan_parquet(tmp_path / "out" / "data" / "**" / "*.parquet")
    words = frame.select("source", pl.col("scores").struct.field("gopher_quality_words")).collect()
    counts = dict(words.group_by("source").len().iter_rows())
    assert sum(counts.values()) == len(kept(finished))
    assert words.filter(pl.col("source") == "code")["gopher_quality_words"].null_count() == counts["code"]
    assert words.filter(pl.col("source") == "web")["gopher_quality_words"].null_count() == 0


def test_sources_and_columns_are_chosen(finished: Path, tmp_path: Path) -> None:
    columns = "--columns", "text,id,bytes,scores.gopher_quality_words"
    found = run("export", finished / "run", tmp_path / "out", "--to", "jsonl", "--source", "web", *columns)
    assert {name.split("/")[0] for name in found["documents"]} == {"web"}
    rows = [row for path in (tmp_path / "out").rglob("*.zst") for row in rows_of(path)]
    assert {row["id"] for row in rows} == {k for k, row in kept(finished).items() if row["source"] == "web"}
    for row in rows:
        assert list(row) == ["text", "id", "bytes", "scores"]
        assert row["bytes"] == len(row["text"].encode())
        assert list(row["scores"]) == ["gopher_quality_words"]
    made = corpusmill.open_run(finished / "run").export(
        "parquet", tmp_path / "ids", source=["code"], columns=["id"]
    )
    assert sum(made["documents"].values()) == sum(r["source"] == "code" for r in kept(finished).values())
    (first, *_) = sorted((tmp_path / "ids").rglob("*.parquet"))
    assert pq.read_schema(first).names == ["id"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--source", "wed"), "no source 'wed'; did you mean `web`"),
        (("--columns", "id,txt"), "no column 'txt'; did you mean `text`"),
        (("--columns", "id,scores.c4"), "no column 'scores.c4'"),
        (("--columns", "id,,text"), "a name is empty"),
        (("--file-bytes", "many"), "--file-bytes: 'many' is no whole number"),
        (("--file-bytes", "0"), "at least one byte"),
        (("--of", "shards"), "--to parquet is of documents, not of shards; of shards there are datatrove"),
        (("--ema",), "--ema is for --to deepseek_v3, not for --to parquet"),
        (("--sequences", "rows"), "--sequences is for --to datatrove"),
    ],
)
def test_misuse_is_told(finished: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        run("export", finished / "run", tmp_path / "out", "--to", "parquet", *options)
    assert list(tmp_path.iterdir()) == []


def test_places_that_are_taken_or_in_a_run_are_refused(finished: Path, tmp_path: Path) -> None:
    run("export", finished / "run", tmp_path / "out", "--to", "huggingface")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    with pytest.raises(UserError, match="already there; remove it or name another folder"):
        run("export", finished / "run", tmp_path / "out", "--to", "huggingface")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="link is already there"):
        run("export", finished / "run", tmp_path / "link", "--to", "huggingface")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    for place in (finished / "run" / "out", finished / "run", finished / "run" / "steps" / "new"):
        with pytest.raises(UserError, match=r"lies in the run .*; name a folder outside of runs"):
            run("export", finished / "run", place, "--to", "parquet")
    (tmp_path / "inside").symlink_to(finished / "run" / "steps")
    with pytest.raises(UserError, match="lies in the run"):
        run("export", finished / "run", tmp_path / "inside" / "out", "--to", "parquet")
    assert not (finished / "run" / "out").exists()


def test_a_name_of_two_formats_is_of_what_is_there(finished: Path, tmp_path: Path) -> None:
    tokenizer = next((finished / "run" / "steps" / "tokenizer").glob("*"))
    assert run("export", tokenizer, tmp_path / "a", "--to", "huggingface")["format"] == "huggingface"
    made = run("export", finished / "run", tmp_path / "b", "--to", "huggingface", "--of", "tokenizer")
    assert "tokenizer.json" in made["files"]
    assert "documents" in run("export", finished / "run", tmp_path / "c", "--to", "huggingface")


def test_what_is_no_finished_run_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        export_documents(tmp_path, tmp_path / "out", FORM)
    other = load_recipe(finished / "r.yaml", [f"output={tmp_path / 'part'}"])
    run_recipe(other, until=["web"])
    with pytest.raises(UserError, match="step code is not complete"):
        export_documents(tmp_path / "part", tmp_path / "out", FORM)
    assert not (tmp_path / "out").exists()


def test_a_data_set_of_others_keeps_its_own_reading(tmp_path: Path) -> None:
    """Records that are like an export but for one thing are mapped as any others are."""
    exported = dict.fromkeys(SCHEMA.names) | {"text": "a", "source": "s", "domain": "d"}
    exported |= {"id": "0" * 32, "meta": '{"k":1}', "site": None, "scores": {"x": 1.0}}
    others = [
        exported | {"id": "0" * 31},
        exported | {"meta": {"k": 1}},
        exported | {"meta": "no object"},
        exported | {"author": "me"},
        {name: value for name, value in exported.items() if name != "repo"},
        exported | {"url": 3},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (exported, *others)))
    rows = read_all(Jsonl(files=["x"]), path).rows
    assert rows[0]["id"] == "0" * 32
    assert rows[0]["meta"] == '{"k":1}'
    assert all(row["id"] != "0" * 32 and json.loads(row["meta"])["source"] == "s" for row in rows[1:])
    renamed = read_all(Jsonl(files=["x"], fields={"url": "link"}), path).rows
    assert all(json.loads(row["meta"])["source"] == "s" for row in renamed)
    assert len(renamed) == 7


def test_files_are_named_by_the_readme(finished: Path, tmp_path: Path) -> None:
    run("export", finished / "run", tmp_path / "out", "--to", "huggingface")
    for config, there in (("web", {"web"}), (None, {"web", "code"})):
        files = HuggingFace(files=["x"], config=config, split="train").expand(tmp_path / "out")
        assert {file.parent.name for file in files} == there
        assert {file.name for file in files} == {"train-00000-of-00001.parquet"}
