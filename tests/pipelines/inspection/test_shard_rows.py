"""Rows of shards as text, where their documents are from, and documents by URL and path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection import shard_rows as module
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.provenance import places_in, render_places
from corpusmill.pipelines.inspection.row_rendering import render_rows
from corpusmill.pipelines.inspection.shard_rows import row_range, shard_rows
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.tokenizer.shards.reader import open_shard
from tests.oracles.concatenated_shards import EOS, PAD, Ids, made_documents, write_concatenated

ROLES = {"bos": 0, "eos": EOS, "pad": PAD, "fim_begin": 3, "fim_hole": 4, "fim_end": 5}


class Letters:
    """A tokenizer whose id n is the n-th letter, and some harmful ones."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert not skip_special_tokens
        return "".join({30: "\x1b", 31: "\n", 32: "\u202e"}.get(one, chr(ord("a") + one)) for one in ids)


def ids(*values: int) -> Ids:
    import numpy as np

    return np.array(values, np.int64)


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Documents 0 and 3 are framed (PSM, SPM); rows of 12 in the order of the documents."""
    monkeypatch.setattr(module, "shard_tokenizer", lambda path, about: (Letters(), "letters"))
    documents = [ids(3, 10, 11, 4, 12, 5, 13, EOS), ids(14, 30, 31, 32, 15, EOS), ids(16, EOS)]
    documents.append(ids(3, 4, 17, 5, 18, EOS))
    path = tmp_path / "s.arrow"
    return write_concatenated(path, documents, length=12, seed=1, special_tokens=ROLES, cut=[])


def kinds(piece: Any) -> list[tuple[str, str | None]]:
    return [(part.kind, part.text) for part in piece.parts if part.kind != "control"]


def test_parts_boundaries_and_controls(shard: Path) -> None:
    rows = {row.pieces[0].document[-1]: row for row in shard_rows(shard, ":").rows}
    first, second = rows["0"], rows["1"]
    framed, plain = first.pieces
    assert kinds(framed) == [("prefix", "kl"), ("suffix", "m"), ("middle", "n")]
    assert [part.text for part in framed.parts if part.kind == "control"] == [
        "fim_begin", "fim_hole", "fim_end", "eos",
    ]  # fmt: skip
    assert (framed.begins, framed.ends, framed.offset) == (True, True, 0)
    assert (plain.begins, plain.ends) == (True, None)
    rest, short, spm = second.pieces
    assert (rest.begins, rest.offset, rest.ends, short.begins, short.ends) == (False, 4, True, True, True)
    assert kinds(spm) == [("suffix", "r"), ("prefix and middle", "s")]
    assert second.padding == 2
    for row in (first, second):
        for piece in row.pieces:
            assert sum(part.length for part in piece.parts) == piece.length
            assert piece.parts[0].start == piece.start


def test_parts_of_a_piece_that_begins_within_a_frame() -> None:
    names = {number: role for role, number in ROLES.items()}
    for tokens, wanted in (
        ([10, 4, 11], ["prefix", "suffix"]),
        ([10, 5, 11, EOS], ["suffix", "middle"]),
        ([10, EOS], ["middle"]),
        ([10, 11], ["part of a framed document"]),
    ):
        parts = module._parts(tokens, 0, True, False, names, Letters())
        assert [part.kind for part in parts if part.kind != "control"] == wanted


def test_what_is_shown_is_harmless_and_coloured(shard: Path) -> None:
    text = render_rows(shard_rows(shard, ":"))
    assert "\x1b" not in text.plain
    assert "\u202e" not in text.plain
    assert "  | o\\u001b\n  | \\u202e\n" in text.plain
    styles = {str(span.style) for span in text.spans}
    assert "cyan bold reverse" in styles  # the middle, of the first source
    assert any(style.startswith("green") for style in styles)
    assert "[prefix] kl" in text.plain
    assert "<fim_hole>" in text.plain


def test_which_rows() -> None:
    assert row_range("7", 9) == range(7, 8)
    assert (row_range("2:", 9), row_range(":2", 9), row_range("1:3", 9)) == (
        range(2, 9), range(2), range(1, 3),
    )  # fmt: skip
    for wrong in ("9", "3:3", "-1", "x", "4:99", "x:"):
        with pytest.raises(UserError, match=r"rows 0 to 8|give a row"):
            row_range(wrong, 9)
    with pytest.raises(UserError, match="the shard has no rows"):
        row_range("0", 0)


def test_rows_of_later_batches_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpusmill.tokenizer.shards import format as form

    monkeypatch.setattr(form, "BATCH_BYTES", 64)
    path = write_concatenated(tmp_path / "s.arrow", made_documents(30, 5))
    whole = open_shard(path)
    assert whole.metadata["rows_per_batch"] == 4
    (row,) = shard_rows(path, "13").rows
    assert [(p.start, p.length, p.document, p.offset) for p in row.pieces] == [
        (p.start, p.length, p.document, p.offset) for p in whole.pieces(13)
    ]
    assert {part.text for piece in row.pieces for part in piece.parts} == {None}  # no tokenizer at hand


def shards_of(run: RunFolder) -> list[Path]:
    step = run.current_step("pack")
    assert step is not None
    return sorted(step.data.glob("shard-*.arrow"))


def test_every_place_leads_to_its_document_and_back(run: RunFolder) -> None:
    path = shards_of(run)[0]
    shard = open_shard(path)
    for row in (0, shard.rows // 2, shard.rows - 1):
        found = places_in(path, str(row))
        assert [piece.id for piece in found.pieces] == [piece.document for piece in shard.pieces(row)]
        for place, piece in zip(found.pieces, shard.pieces(row), strict=True):
            assert (place.first, place.last) == (piece.offset, piece.offset + piece.length)
            assert place.document is not None
            name = place.document.url if piece.source == "web" else place.document.path
            assert name is not None
            assert name in render_places(found)
            story = explain(run, name)
            assert story.id == piece.document
            back = [
                (one.shard, one.row, one.start)
                for instance in story.instances
                for one in instance.pieces or ()
            ]
            assert (path.name, row, piece.start) in back
    last = shard.pieces(0)[-1]
    one = places_in(path, f"0:{last.start + 1}")
    assert [(p.first, p.last) for p in one.pieces] == [(last.offset + 1, last.offset + 2)]


def test_places_that_there_are_not(run: RunFolder, tmp_path: Path) -> None:
    path = shards_of(run)[0]
    for wrong in ("x", "0:128", "0:-1", "0:", str(open_shard(path).rows)):
        with pytest.raises(UserError, match="--at"):
            places_in(path, wrong)
    alone = write_concatenated(tmp_path / "s.arrow", made_documents(3, 5))
    found = places_in(alone, "0")
    assert found.pieces[0].document is None
    assert "give the shard's path there" in render_places(found)
    shard = open_shard(alone)
    padded = next(r for r in range(shard.rows) if sum(p.length for p in shard.pieces(r)) < 8)
    assert "padding" in render_places(places_in(alone, f"{padded}:7"))


def test_names_that_no_document_has(run: RunFolder) -> None:
    with pytest.raises(UserError, match="nor the URL or path of a document"):
        explain(run, "http://nowhere.example/")


def test_the_command(run: RunFolder) -> None:
    path = str(shards_of(run)[0])
    runner = CliRunner()
    shown = runner.invoke(app, ["inspect", path, "--rows", "0:2"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "row 1: " in shown.stdout
    assert "\x1b" not in shown.stdout
    for option in ("--rows", "--at"):
        told = runner.invoke(app, ["inspect", path, option, "0", "--json"], catch_exceptions=False)
        assert json.loads(told.stdout)["path"] == path
    with pytest.raises(UserError, match="no other option but --json"):
        runner.invoke(app, ["inspect", path, "--at", "0", "--rows", "0"], catch_exceptions=False)
