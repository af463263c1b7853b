"""`inspect` of a tokenizer and `export`, as the command line calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.inspection.tokenizer_files import looks_like_tokenizer, tokenizer_file
from corpusmill.pipelines.recipe.registry import room_command
from tests.oracles.tokenizer_evaluation import trained
from tests.oracles.tokenizer_texts import made_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made")
    (path / "tokenizer.json").write_text(json.dumps(trained(made_texts(100), 500)), encoding="utf-8")
    (path / "a.txt").write_text("".join(made_texts(20, seed=2)), encoding="utf-8")
    (path / "b.txt").write_text("".join(made_texts(20, seed=3)), encoding="utf-8")
    return path


def _run(*arguments: str | Path) -> str:
    """What a command prints; its errors are raised."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_inspect_against_files(folder: Path) -> None:
    file = folder / "tokenizer.json"
    given = [
        "inspect",
        folder,
        "--reference",
        f"same={file}",
        "--against",
        folder / "a.txt",
        folder / "b.txt",
    ]
    found = json.loads(_run(*given, "--json"))
    assert found["kind"] == "tokenizer"
    assert found["files"] == [str(folder / "a.txt"), str(folder / "b.txt")]
    assert {group["group"] for group in found["groups"]} >= {"*", "a", "b"}
    assert all(group["against"] == {"same": 1.0} for group in found["groups"])
    shown = _run(*given)
    assert "bytes per token" in shown
    assert "same" in shown


def test_inspect_without_texts(folder: Path) -> None:
    for path in (folder, folder / "tokenizer.json"):
        found = json.loads(_run("inspect", path, "--json"))
        (figures,) = found["tokenizers"].values()
        assert figures["round_trip"]["lossless"]
        assert found["groups"] == []
    assert "1234567 is cut" in _run("inspect", folder)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["more.txt"], r"more\.txt: does not exist"),
        (["more.txt", "--pattern", "gpt2"], "follow --against"),
        (["--reference", "x"], "expected NAME=FILE"),
        (["--reference", "x=a.json", "--reference", "x=b.json"], "a reference x already"),
        (["--reference", "x", "--reference", "=b"], r"(?s)--reference x: expected.*--reference =b: expected"),
        (["--reference", "x=nowhere.json"], r"nowhere\.json: does not exist"),
        (["--against", "nowhere.txt"], r"nowhere\.txt: does not exist"),
    ],
)
def test_misuse_of_inspect(folder: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        _run("inspect", folder, *arguments)


def test_what_is_exported_of_a_tokenizer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[Path, Path]] = []

    def write(what: Path, out: Path) -> dict[str, Any]:
        called.append((what, out))
        return {"format": "x", "files": ["x"]}

    made = Export("a tokenizer", write)
    monkeypatch.setattr("corpusmill.pipelines.exports.perform.exports_named", lambda name: {made.of: made})
    shown = _run("export", folder, "--to", "tiktoken", tmp_path / "out")
    assert called == [(folder, tmp_path / "out")]
    assert shown.splitlines() == ["format: x", "files: x"]
    _run("export", folder / "tokenizer.json", "--to", "gguf", tmp_path / "out")
    assert called[1:] == [(folder / "tokenizer.json", tmp_path / "out")]
    with pytest.raises(UserError, match="nowhere: does not exist"):
        _run("export", tmp_path / "nowhere", "--to", "tiktoken", tmp_path / "out")
    with pytest.raises(UserError, match="no tokenizer in this folder"):
        _run("export", tmp_path, "--to", "tiktoken", tmp_path / "out")


def test_commands_of_a_room() -> None:
    assert room_command("tokenizer", "inspect_tokenizer").__name__ == "inspect_tokenizer"
    with pytest.raises(CorpusmillError, match="has no command nothing"):
        room_command("tokenizer", "nothing")
    with pytest.raises(CorpusmillError, match="no room"):
        room_command("kitchen", "inspect_tokenizer")


def test_where_a_tokenizer_lies(folder: Path, tmp_path: Path) -> None:
    assert tokenizer_file(folder) == folder / "tokenizer.json"
    assert tokenizer_file(folder / "tokenizer.json") == folder / "tokenizer.json"
    assert tokenizer_file(tmp_path) is None
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert tokenizer_file(tmp_path) == tmp_path / "data" / "tokenizer.json"
    assert looks_like_tokenizer(tmp_path / "data")
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    assert not looks_like_tokenizer(tmp_path / "data")  # a step's folder is shown as a step
    names = {"x.tokenizer.json.zst": True, "cl100k.tiktoken": True, "gpt2_merges.txt": True, "a.json": False}
    assert {name: looks_like_tokenizer(tmp_path / name) for name in names} == names
