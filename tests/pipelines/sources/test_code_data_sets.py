"""Rows of the well-known data sets of source code, in Parquet and JSON Lines, by a preset or by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from corpusmill.pipelines.contract.documents import document_id
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import Read, read_all

CODE = "def f(x):\n    return 2 * x\n"
STACK = {
    "hexsha": "0123456789abcdef0123456789abcdef01234567",
    "size": 29,
    "ext": "py",
    "lang": "Python",
    "max_stars_repo_path": "src/f.py",
    "max_stars_repo_name": "org/proj",
    "max_stars_repo_head_hexsha": "f" * 40,
    "max_stars_repo_licenses": ["MIT", "Apache-2.0", "MIT"],
    "max_stars_count": 7,
    "content": CODE,
    "avg_line_length": 14.5,
}
EXPECTED = {"text": CODE, "path": "src/f.py", "repo": "org/proj", "lang": None}
RECORDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the_stack": (STACK, {"license": "MIT AND Apache-2.0", "code_language": "python"}),
    "the_stack_v2": (
        {
            "blob_id": "a" * 40,
            "path": "src/f.py",
            "repo_name": "org/proj",
            "detected_licenses": ["MIT OR Apache-2.0", "ISC"],
            "license_type": "permissive",
            "language": "Python",
            "content": CODE,
        },
        {"license": "(MIT OR Apache-2.0) AND ISC", "code_language": "python"},
    ),
    "starcoderdata": (
        {
            "max_stars_repo_path": "src/f.py",
            "max_stars_repo_name": "org/proj",
            "max_stars_count": 1,
            "id": "17",
            "content": CODE,
        },
        {"license": None, "code_language": "python"},
    ),
    "github_code": (
        {
            "code": CODE,
            "repo_name": "org/proj",
            "path": "src/f.py",
            "language": "C++",
            "license": "mit",
            "size": 29,
        },
        {"license": "mit", "code_language": "c++"},
    ),
}


def read(tmp_path: Path, kind: str, records: list[dict[str, Any]], **options: Any) -> Read:
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
        return read_all(Parquet(files=["x"], **options), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_all(Jsonl(files=["x"], **options), tmp_path / "a.jsonl")


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("preset", RECORDS)
def test_presets(tmp_path: Path, preset: str, kind: str) -> None:
    record, expected = RECORDS[preset]
    (row,) = read(tmp_path, kind, [record], preset=preset).rows
    meta = json.loads(row["meta"])
    assert {name: row[name] for name in EXPECTED} == EXPECTED
    assert (row["license"], meta["code_language"]) == (expected["license"], expected["code_language"])
    assert row["id"] == document_id("17" if preset == "starcoderdata" else "org/proj/src/f.py", CODE.encode())
    gone = {"content", "code", "path", "repo_name", "max_stars_repo_path", "license", "language"}
    assert not gone & set(meta)
    kept = {"hexsha", "size", "ext", "max_stars_count", "blob_id", "license_type", "id"} & set(record)
    assert {name: meta[name] for name in kept} == {name: record[name] for name in kept}


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_the_mapping_by_hand(tmp_path: Path, kind: str) -> None:
    fields = {
        "path": "max_stars_repo_path",
        "repo": "max_stars_repo_name",
        "license": "max_stars_repo_licenses",
        "code_language": "lang",
    }
    by_hand = read(tmp_path, kind, [STACK], text_field="content", fields=fields)
    assert by_hand.rows == read(tmp_path, kind, [STACK], preset="the_stack").rows
    own = read(tmp_path, kind, [STACK], preset="the_stack", fields={"license": None, "repo": "ext"})
    assert (own.rows[0]["license"], own.rows[0]["repo"], own.texts) == (None, "py", [CODE])


@pytest.mark.parametrize("licenses", [[], [""], None, ["MIT", None]])
def test_licences_that_are_none(tmp_path: Path, licenses: Any) -> None:
    record = {**STACK, "max_stars_repo_licenses": licenses}
    (row,) = read(tmp_path, "jsonl", [record], preset="the_stack").rows
    assert row["license"] is None
    assert json.loads(row["meta"])["max_stars_repo_licenses"] == licenses


def test_a_preset_survives_being_written_out_and_an_unknown_one_is_refused() -> None:
    reader = Jsonl(files=["x"], preset="the_stack", fields={"repo": "ext"})
    assert Jsonl.model_validate(reader.model_dump()) == reader
    with pytest.raises(ValidationError, match="preset"):
        Jsonl.model_validate({"files": ["x"], "preset": "the_heap"})
    with pytest.raises(ValidationError, match="no column 'language'"):
        Jsonl.model_validate({"files": ["x"], "fields": {"language": "lang"}})
    with pytest.raises(ValidationError, match="fields"):
        Jsonl.model_validate({"files": ["x"], "preset": "the_stack", "fields": "lang"})
