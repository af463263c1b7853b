"""docs/shards.md: its code reads a shard, and its tables name all that a shard has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.given_tables import PIECE, SHARD_COLUMNS
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.exports.find import export_names, exports_named
from corpusmill.tokenizer.shards.reader import open_shard
from tests.oracles.concatenated_shards import made_documents, write_concatenated
from tests.tokenizer.test_pack import drawn, packed

PAGE = (Path(__file__).parents[2] / "docs" / "shards.md").read_text("utf-8")


def named(heading: str) -> set[str]:
    """Names in the first column of the tables under a heading."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", part, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_a_shard_is_read_with_pyarrow_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = open_shard(write_concatenated(tmp_path / "shard-00000.arrow", made_documents(30, 5)))
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert "corpusmill" not in code
    found: dict[str, object] = {}
    exec(code, found)
    for name, value in zip(shard.pieces(7)[0]._fields, shard.pieces(7)[0], strict=True):
        piece = found["pieces"][0]  # type: ignore[index]
        wanted = {"source": "ab".index(shard.pieces(7)[0].source), "document": bytes.fromhex(str(value))
                  if name == "document" else None}.get(name, value)  # fmt: skip
        assert piece[name] == wanted
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert [line.split()[:2] for line in lines if not line.startswith(" ")] == [
        [piece.source, piece.document] for piece in shard.pieces(7)
    ]
    assert list(found["tokens"]) == shard.tokens(7).tolist()  # type: ignore[call-overload]


def test_the_page_names_columns_keys_and_counts(context: Context, tmp_path: Path) -> None:
    shard = packed(context, drawn([20, 3]), tmp_path)
    pieces = {f"pieces.{PIECE.field(k).name}" for k in range(PIECE.num_fields)}
    assert named("Columns") == {*SHARD_COLUMNS, *pieces}
    assert named("Metadata") == {*shard.metadata, *shard.metadata["counts"]}


def test_the_page_names_the_exports() -> None:
    formats = {name for name in export_names() if "shards" in exports_named(name)}
    assert named("Exports") == {"--to", *formats}
