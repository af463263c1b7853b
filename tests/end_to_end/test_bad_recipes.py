"""What people get wrong, through the command line: exit code 1, one readable message each, no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE
from tests.warm import Warm

SOUND = """\
name: sound
output: out
sources:
  code:
    read: {jsonl: data/*.jsonl}
    steps:
      - code_quality: {max_line: 2000}
dedup: [exact]
"""


Command = Callable[..., subprocess.CompletedProcess[str]]


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "corpusmill", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
        env={**os.environ, **environment},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe that holds, beside the data it reads."""
    (tmp_path / "data").mkdir()
    rows = [{"text": f"def f_{n}():\n    return {n}\n" * 5, "path": f"f{n}.py"} for n in range(3)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "data" / "a.jsonl").write_text(text)
    (tmp_path / "recipe.yaml").write_text(SOUND)
    return tmp_path


def test_the_recipe_the_faults_are_made_from_is_sound(folder: Path) -> None:
    done = call(folder, "validate", "recipe.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "recipe.yaml: valid (1 source, 3 stages)\n"


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        pytest.param("sources:", "sorces:", 3, ["unknown key", "did you mean `sources`"], id="mistyped key"),
        pytest.param(
            "max_line:",
            "max_lin:",
            7,
            ["sources.code.steps.0.code_quality.max_lin", "did you mean `max_line`"],
            id="mistyped option",
        ),
        pytest.param("2000", "'long'", 7, ["max_line", "'long' is no whole number"], id="wrong type"),
        pytest.param("name: sound", "name: [a]", 1, ["expected text, got a list"], id="wrong type of name"),
        pytest.param("2000", "-1", 7, ["max_line", "at least 0, got -1"], id="out of bounds"),
        pytest.param("data/*.jsonl", "dta/*.jsonl", 5, ["nothing matches", "`data`"], id="no folder"),
        pytest.param("*.jsonl", "*.json", 5, ["nothing matches", "data holds a.jsonl"], id="missing file"),
        pytest.param("code_quality", "code_qualty", 7, ["unknown step", "`code_quality`"], id="unknown step"),
        pytest.param("[exact]", "[exakt]", 8, ["unknown stage", "`exact`"], id="unknown stage"),
        pytest.param("jsonl: ", "jsnl: ", 5, ["unknown reader", "`jsonl`"], id="unknown reader"),
        pytest.param("dedup:", "name:", 8, ["duplicate key `name`", "keep one"], id="duplicate key"),
        pytest.param("name: sound", "name: &n sound", 1, ["anchor &n", "remove it"], id="anchor"),
        pytest.param("[exact]", "*n", 8, ["alias *n", "write the value out"], id="alias"),
        pytest.param("    steps:", "\tsteps:", 6, ["indented with a tab", "spaces"], id="tab"),
        pytest.param("data/*", "*", 5, ["quotes"], id="pattern without quotes"),
        pytest.param("data/*.jsonl}", "data/*.jsonl", 6, ["{ opened on line 5"], id="brace never closed"),
        pytest.param("    steps:", "   steps:", 6, ["lines up with nothing"], id="wrong indentation"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["validate", "run"])
def test_a_fault_of_the_recipe(
    folder: Path, command: Command, verb: str, old: str, new: str, where: int, words: list[str]
) -> None:
    assert SOUND.count(old) == 1
    (folder / "recipe.yaml").write_text(SOUND.replace(old, new))
    done = command(folder, verb, "recipe.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert re.match(rf"error: recipe\.yaml:{where}:[1-9][0-9]*: ", line)
    for word in words:
        assert word in line
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["recipe.yaml: the recipe is empty", "name"]),
        (b"# nothing\n", ["the recipe is empty"]),
        (b"\x7fELF\x02\x01\0\xff\0", ["recipe.yaml:1", "give a YAML file"]),
        (SOUND.encode("utf-16"), ["recipe.yaml:1", "save the file as UTF-8"]),
        (b"- a\n- b\n", ["recipe.yaml:1", "expected `name`, `sources`"]),
        (b"x: " + b"[" * 100_000, ["recipe.yaml:1", "nested deeper"]),
    ],
)
def test_a_file_that_is_no_recipe(folder: Path, command: Command, content: bytes, words: list[str]) -> None:
    (folder / "recipe.yaml").write_bytes(content)
    done = command(folder, "run", "recipe.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "recipes.yaml"], ["no recipe recipes.yaml", "did you mean `recipe.yaml`"]),
        (["validate", "none/recipe.yaml"], ["there is no folder none"]),
        (["validate", "."], ["it is a folder", "recipe.yaml"]),
        (["run", "recipe.yaml", "--set", "engine.workrs=2"], ["--set engine.workrs", "`workers`"]),
        (["run", "recipe.yaml", "--set", "engine"], ["--set engine", "key=value"]),
        (["run", "recipe.yaml", "--set", "sources.cod.domain=x"], ["unknown source", "`code`"]),
        (["run", "recipe.yaml", "--set", "data=gone"], ["--set data", "no folder", "gone", "make it"]),
        (["run", "recipe.yaml", "--until", "nowhere"], ["nowhere", "dedup.exact"]),
        (["run", "recipe.yaml", "--out", "recipe.yaml"], ["recipe.yaml", "a file stands where a folder"]),
        (["run", "recipe.yaml", "--out", "recipe.yaml/x"], ["recipe.yaml/x", "correct the path"]),
        (["sample-corpus", "/proc/nothing"], ["/proc/nothing", "correct the path"]),
        (["train", "recipe.yaml"], ["no `train` section", "add"]),
        (["inspect", "recipe.yaml"], ["recipe.yaml: not a file of a run", "give"]),
        (["inspect", "data"], ["data: neither a run folder nor", "give"]),
        (["inspect", "none"], ["none: does not exist"]),
        (["report", "data"], ["data: not a run folder"]),
        (["doctor", "none"], ["none: not a run folder"]),
        (["explain", "00", "--run", "data"], ["data: not a run folder"]),
        (["explain", "00"], ["--run", "corpusmill explain --help"]),
        (["vaildate", "recipe.yaml"], ["vaildate", "validate", "corpusmill --help"]),
        (["validate"], ["recipe", "corpusmill validate --help"]),
        (["validate", "recipe.yaml", "--jsn"], ["--jsn", "--json"]),
    ],
)
def test_a_fault_of_the_command(
    folder: Path, command: Command, arguments: list[str], words: list[str]
) -> None:
    done = command(folder, *arguments)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 2
    for word in words:
        assert word in done.stderr


def test_every_fault_comes_at_once_each_on_its_line(folder: Path, command: Command) -> None:
    text = SOUND.replace("2000", "x").replace("exact", "exakt").replace("output", "ouput")
    (folder / "recipe.yaml").write_text(text)
    done = command(folder, "run", "recipe.yaml")
    assert done.returncode == 1
    starts = [line.split(": ", 2)[:2] for line in done.stderr.splitlines()]
    assert starts == [["error", f"recipe.yaml:{place}"] for place in ("2:1", "7:24", "8:9")]


def test_json_tells_every_fault_as_one_object(folder: Path, command: Command) -> None:
    (folder / "recipe.yaml").write_text(SOUND.replace("2000", "x").replace("exact", "exakt"))
    done = command(folder, "run", "recipe.yaml", "--json")
    told = json.loads(done.stdout)
    (further,) = told.pop("further")
    assert done.returncode == told.pop("exit_code") == 1
    assert told.pop("message").startswith(
        "sources.code.steps.0.code_quality.max_line: 'x' is no whole number"
    )
    assert told.pop("cure").startswith("write digits, or a number with K, M, B, T")
    assert told == {"kind": "recipe", "file": "recipe.yaml", "line": 7, "column": 24, "notes": []}
    assert (further["line"], further["column"]) == (8, 9)
    assert done.stderr.splitlines()[1].startswith("error: recipe.yaml:8:9: ")


@pytest.mark.parametrize(
    ("arguments", "kind", "file"),
    [
        (["vaildate", "recipe.yaml"], "command", None),
        (["validate"], "command", None),
        (["validate", "recipes.yaml"], "recipe", None),
        (["plan", "recipe.yaml", "--set", "engine.workrs=2"], "recipe", None),
        (["inspect", "data"], "input", None),
        (["inspect", "data/a.jsonl"], "input", "data/a.jsonl"),
        (["report", "data"], "input", None),
        (["doctor", "none"], "input", None),
        (["explain", "00", "--run", "data"], "input", None),
    ],
)
def test_json_tells_the_kind_of_a_fault(
    folder: Path, command: Command, arguments: list[str], kind: str, file: str | None
) -> None:
    done = command(folder, *arguments, "--json")
    told = json.loads(done.stdout)
    assert (told["kind"], told["file"], told["exit_code"]) == (kind, file, done.returncode)
    assert told["cure"]
    assert told["message"] in done.stderr
    assert command(folder, *arguments).stdout == ""


def test_a_fault_of_our_own_is_not_the_users(folder: Path) -> None:
    code = (
        "import sys, corpusmill.pipelines.recipe.loader as loader\n"
        "def broken(*_): raise KeyError('a wire came loose')\n"
        "loader.load_recipe = broken\n"
        "sys.argv = ['corpusmill', 'validate', 'recipe.yaml']\n"
        "from corpusmill.pipelines.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" in done.stderr
    assert "failed: a fault of corpusmill's own" in done.stderr


def test_a_run_that_fails_half_way_says_where_to_look(folder: Path, warm: Warm) -> None:
    text = SOUND.replace("2000", "1") + "tokenizer: {train: {vocab_size: 512}}\n"
    (folder / "recipe.yaml").write_text(text)
    done = warm.call("run", "recipe.yaml", "--set", "engine.kind=inline", folder=folder)
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-2:]
    assert last[0].startswith(
        "error: recipe.yaml:4:3: sources.code: keeps none of its 3 records: removed code_q"
    )
    assert last[1] == f"what came so far: corpusmill report {folder / 'out'}"
    assert warm.call("report", "out", folder=folder).returncode == 0
    twin = json.loads((folder / "out" / "report" / "report.json").read_text())
    assert twin["totals"]["documents_removed"] == 3


def test_a_run_from_another_folder_means_the_same(folder: Path, warm: Warm) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    inline = ("--set", "engine.kind=inline")
    done = warm.call("run", "../recipe.yaml", "--json", *inline, folder=elsewhere, env={"NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["run"]) == folder / "out"
    assert found["sources"]["code"]["read"] == 3
    again = warm.call("run", "recipe.yaml", *inline, folder=folder)
    assert again.returncode == 0
    assert "0 of " in again.stdout
    assert again.stderr.splitlines() == ["code.index ... dedup.exact: 5 steps unchanged, used as they are"]
