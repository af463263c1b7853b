"""What a shell is answered at the tab key, and that the scripts ask for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from corpusmill.pipelines.cli.completion import SCRIPTS, answers
from corpusmill.pipelines.cli.failures import failure_of
from corpusmill.pipelines.cli.main import app

RECIPE = "name: t\nsources:\n  web: {read: {jsonl: a.jsonl}}\ndedup: [exact]\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)


def values(*words: str) -> list[str]:
    return [value for value, _ in answers(typer.main.get_command(app), words)]


def test_commands_and_what_they_do() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert values("") == sorted(name for name, command in known.items() if not command.hidden)
    assert values("va") == ["validate"]
    (found,) = answers(typer.main.get_command(app), ["va"])
    assert found[1].startswith("Check a recipe")
    assert values("nothing", "") == []


def test_options_that_may_still_be_given() -> None:
    assert values("validate", "r.yaml", "--s") == ["--set"]
    assert values("validate", "r.yaml", "--set", "a=1", "--s") == ["--set"]  # may be given again
    assert "--out" in values("run", "--")
    assert "--out" not in values("run", "--out", "x", "--")
    assert "--out" not in values("run", "--out=x", "--")
    assert "--help" in values("run", "--")
    assert values("run", "--", "--o") == []
    assert "--answer" not in values("completion", "--")


def test_every_option_of_every_command_is_offered() -> None:
    def walk(command: object, words: list[str]) -> None:
        below = getattr(command, "commands", {})
        for name, inner in below.items():
            walk(inner, [*words, name])
        if not below:
            options = {
                option
                for param in command.params  # type: ignore[attr-defined]
                if param.param_type_name == "option" and not param.hidden
                for option in param.opts
                if option.startswith("--")
            }
            assert options <= set(values(*words, "--")), words

    walk(typer.main.get_command(app), [])


def test_steps_of_the_recipe_that_the_line_names() -> None:
    steps = ["web.index", "web", "dedup.exact.scatter", "dedup.exact.gather", "dedup.exact"]
    assert sorted(values("run", "r.yaml", "--until", "")) == sorted(steps)
    assert values("run", "r.yaml", "--until=web.") == ["--until=web.index"]
    assert values("run", "r.yaml", "--until", "=", "web.") == ["web.index"]  # as bash divides it
    assert values("run", "--until", "") == []
    Path("r.yaml").write_text("name: [\n")
    assert values("run", "r.yaml", "--until", "") == []


def test_runs_steps_and_choices() -> None:
    run = Path("runs/t")
    run.mkdir(parents=True)
    (run / "current.json").write_text("{}")
    assert values("report", "") == ["runs/t"]
    assert values("explain", "x", "--run", "r") == ["runs/t"]
    assert values("completion", "") == ["bash", "zsh", "fish"]
    assert "jsonl" in values("export", "runs/t", "out", "--to", "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_ask_the_command(shell: str, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["completion", shell]).stdout
    assert f"corpusmill completion {shell} --answer -- " in printed
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed, so it cannot read the script")
    script = tmp_path / "script"
    for content, sound in ((printed, True), (f"{printed}\nif (", False)):
        script.write_text(content)
        done = subprocess.run([program, "-n", str(script)], capture_output=True, check=False)
        assert (done.returncode == 0) is sound


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "corpusmill").write_text(f'#!/bin/sh\nexec {sys.executable} -m corpusmill "$@"\n')
    (bin_ / "corpusmill").chmod(0o755)
    ask = (
        'eval "$(corpusmill completion bash)"\n'
        "COMP_WORDS=(corpusmill run r.yaml --until web.); COMP_CWORD=4; _corpusmill\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
        "COMP_WORDS=(corpusmill repo); COMP_CWORD=1; _corpusmill\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", ask],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{bin_}:/usr/bin:/bin"},
    )
    assert done.stdout.split() == ["web.index", "report"]


def test_a_shell_that_is_not_known_is_told_in_plain_words() -> None:
    with pytest.raises(typer.TyperException) as caught:
        app(["completion", "ksh"], standalone_mode=False)
    said = failure_of(caught.value).said
    assert said.startswith("error: Invalid value for 'SHELL': 'ksh' is not one of 'bash', 'zsh', 'fish'.")
