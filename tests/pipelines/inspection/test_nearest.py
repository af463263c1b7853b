"""The documents nearest to a text, against Jaccard indices of sets of words."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import NotKeptError, UserError

pl.DataFrame()  # polars sets a variable of its allocator once

RECIPE = """
name: near
output: run
engine: {kind: inline}
sources:
  a: {read: {jsonl: a.jsonl}, steps: []}
  b: {read: {jsonl: b.jsonl}, steps: []}
dedup: [{minhash: {threshold: 0.8}}, url]
"""


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


def jaccard(one: str, other: str) -> float:
    mine, theirs = shingles(one), shingles(other)
    return len(mine & theirs) / len(mine | theirs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of texts that share more and more words with one text; the nearest repeat one another."""
    path = tmp_path_factory.mktemp("near")
    draw = random.Random(9)
    vocabulary = ["".join(draw.choice("abcdefgh") for _ in range(6)) for _ in range(400)]
    base = draw.choices(vocabulary, k=120)

    def row(name: str, shared: int, **more: Any) -> dict[str, Any]:
        return {
            "id": name,
            "text": " ".join([*base[:shared], *draw.choices(vocabulary, k=120 - shared)]),
            **more,
        }

    rows = [row(f"d{shared}", shared) for shared in (0, 5, 20, 40, 60, 80, 100, 116, 118)]
    rows[3] |= {"url": "http://same.example/x"}
    (path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    others = [
        row("e90", 90),
        row("e30", 30, url="http://same.example/x"),
        {"id": "short", "text": "two words"},
    ]
    (path / "b.jsonl").write_text("".join(json.dumps(one) + "\n" for one in others), "utf-8")
    (path / "recipe.yaml").write_text(RECIPE, "utf-8")
    (path / "base.txt").write_text(" ".join(base), "utf-8")
    cm.Recipe.load(path / "recipe.yaml").run()
    return path


def test_they_are_those_of_the_highest_similarity(folder: Path) -> None:
    run, base = cm.open_run(folder / "run"), (folder / "base.txt").read_text("utf-8")
    texts = {}
    for name in ("a", "b"):
        rows = map(json.loads, (folder / f"{name}.jsonl").read_text("utf-8").splitlines())
        texts |= {row["text"]: name for row in rows}
    expected = sorted(((jaccard(base, text), text) for text in texts), reverse=True)
    found = run.nearest(base, 6)
    assert found.compared == len(texts)
    assert [one.similarity for one in found.documents] == pytest.approx([value for value, _ in expected[:6]])
    assert [one.source for one in found.documents] == [texts[text] for _, text in expected[:6]]
    kept = dict(run.documents().select("id", "text").collect().iter_rows())
    for one, (_, text) in zip(found.documents, expected, strict=False):
        assert one.kept == (one.id in kept)
        assert one.text == (text[:400] if one.kept else None)
    removed = dict(run.removed().select("id", "step").collect().iter_rows())
    assert {one.removed_by for one in found.documents if not one.kept} == {"dedup.minhash"}
    everything = run.nearest(base, 99).documents
    assert {one.id: one.removed_by for one in everything if not one.kept} == removed
    assert all(one.similarity > 0 for one in everything)
    assert len(everything) == sum(value > 0 for value, _ in expected)


def test_the_command_and_the_notebook(folder: Path) -> None:
    given = [str(folder / "run"), "--text", str(folder / "base.txt"), "-n", "2"]
    told = CliRunner().invoke(app, ["nearest", *given])
    assert told.exit_code == 0, told.output
    value = json.loads(CliRunner().invoke(app, ["nearest", *given, "--json"]).stdout)
    assert [one["source"] for one in value["documents"]] == ["a", "a"]
    first = value["documents"][0]
    assert f"{first['similarity']:.3f}  {first['id']}  a" in told.stdout
    page = cm.open_run(folder / "run").nearest((folder / "base.txt").read_text("utf-8"), 2)._repr_html_()
    assert first["id"] in page
    piped = CliRunner().invoke(
        app, ["nearest", given[0], "--text", "-"], input=(folder / "base.txt").read_bytes()
    )
    assert first["id"] in piped.stdout


def test_what_cannot_be_compared_is_told(folder: Path, tmp_path: Path) -> None:
    run = cm.open_run(folder / "run")
    with pytest.raises(UserError, match="too short to be compared"):
        run.nearest("")
    assert run.nearest("two words").documents[0].similarity == 1  # a short text is compared as a whole
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    wrong = CliRunner().invoke(app, ["nearest", str(folder / "run"), "--text", str(tmp_path / "latin.txt")])
    assert "is not UTF-8" in str(wrong.exception)
    absent = CliRunner().invoke(app, ["nearest", str(folder / "run"), "--text", str(tmp_path / "none.txt")])
    assert str(absent.exception).startswith(f"--text {tmp_path / 'none.txt'}: no such file; name a file")
    (tmp_path / "else.txt").write_text("zqx wvk jjt qqp rrz xxv kkw")
    unlike = CliRunner().invoke(app, ["nearest", str(folder / "run"), "--text", str(tmp_path / "else.txt")])
    assert unlike.stdout.startswith("none of ")
    assert "a longer text finds more" in unlike.stdout
    shutil.copytree(folder, tmp_path / "copy")
    recipe = cm.Recipe.load(tmp_path / "copy" / "recipe.yaml")
    with pytest.raises(NotKeptError, match="keep"):
        recipe.with_values("keep=needed").run().nearest("two words")
    with pytest.raises(UserError, match="no step of the run measures how alike texts are"):
        recipe.with_values("dedup=[url]").run().nearest("two words")
