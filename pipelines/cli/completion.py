"""`corpusmill completion SHELL`: what makes a shell complete commands, options, recipe steps and runs.

The script that it prints asks `corpusmill completion SHELL --answer -- WORDS` at every press of the tab key,
where WORDS are those after `corpusmill` up to the cursor, the last one begun or empty. No answer means that
the shell completes names of files. What there is to answer comes from the commands themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_BASH = r"""
_corpusmill() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$(printf %q "$line")")
    done < <(corpusmill completion bash --answer -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _corpusmill corpusmill
"""
_ZSH = r"""
#compdef corpusmill
_corpusmill() {
    local -a found
    local line
    while IFS= read -r line; do
        found+=("$line")
    done < <(corpusmill completion zsh --answer -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then _describe -V corpusmill found; else _files; fi
}
if [ "$funcstack[1]" = _corpusmill ]; then _corpusmill "$@"; else compdef _corpusmill corpusmill; fi
"""
_FISH = r"""
function __corpusmill_answer
    set -l words (commandline -opc) (commandline -ct)
    set -l found (corpusmill completion fish --answer -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c corpusmill -f -a '(__corpusmill_answer)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

Shell = Literal["bash", "zsh", "fish"]
Answer = tuple[str, str]  # what may stand there, and what it is, in a few words or none


@dataclass
class Line:
    """The words of a command line before the one at the cursor: values by the name of their parameter."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> Path | None:
        """The first value of a parameter as a path; None where the line has none."""
        given = self.values.get(name)
        return Path(given[0]) if given else None


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    words: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    answer: Annotated[bool, typer.Option("--answer", hidden=True)] = False,
) -> None:
    """Print what makes a shell complete commands, options, recipe steps and runs.

    Write it to ~/.local/share/bash-completion/completions/corpusmill for bash, as _corpusmill into a folder
    of fpath for zsh, and to ~/.config/fish/completions/corpusmill.fish for fish.
    """
    if not answer:
        typer.echo(SCRIPTS[shell].strip())
        return
    from corpusmill.pipelines.cli.main import app

    for value, about in answers(typer.main.get_command(app), words or []):
        typer.echo(_form(shell, value, about))


def _form(shell: Shell, value: str, about: str) -> str:
    if shell == "zsh":
        value = value.replace("\\", "\\\\").replace(":", "\\:")
        return f"{value}:{about}" if about else value
    return f"{value}\t{about}" if shell == "fish" and about else value


def answers(command: Any, words: Sequence[str]) -> list[Answer]:
    """What may stand at the last of `words`, a command line without its program, and begins as it does.

    `command`: of typer, with `params` and, where it has others below it, `commands`. Empty where only names
    of files may stand there.
    """
    *before, begun = words or [""]
    before = [word for word in before if word != "="]  # bash divides --until=web in three
    begun = "" if begun == "=" else begun
    while (below := getattr(command, "commands", None)) is not None:
        name = next((word for word in before if not word.startswith("-")), None)
        if name is None:
            found = [(each, summary(below[each])) for each in sorted(below) if not below[each].hidden]
            return _beginning(begun, _options(command, before) if begun.startswith("-") else found)
        if name not in below:
            return []
        before = before[before.index(name) + 1 :]
        command = below[name]
    line, wanted, only_values = _read(command, before)
    if wanted is not None:
        return _beginning(begun, _values(wanted, line))
    if begun.startswith("-") and not only_values:
        option, equals, value = begun.partition("=")
        if not equals:
            return _beginning(begun, _options(command, before))
        named = next((param for param in command.params if option in param.opts), None)
        found = [] if named is None else _values(named, line)
        return [(f"{option}={each}", about) for each, about in _beginning(value, found)]
    positional = _positional(command, line)
    return [] if positional is None else _beginning(begun, _values(positional, line))


def summary(command: Any) -> str:
    """The first sentence of a command's help, on one line."""
    return " ".join((command.help or "").split()).split(". ")[0].removesuffix(".")


def _beginning(begun: str, found: Iterable[Answer]) -> list[Answer]:
    return [(value, about) for value, about in found if value.startswith(begun)]


def _read(command: Any, before: Sequence[str]) -> tuple[Line, Any, bool]:
    """The values among the words before, the option whose value comes next or None, and whether `--` was."""
    line, wanted, only_values = Line(), None, False
    by_option = {option: param for param in command.params for option in param.opts if option.startswith("-")}
    for word in before:
        option, equals, value = word.partition("=")
        if wanted is not None:
            line.values.setdefault(wanted.name, []).append(word)
            wanted = None
        elif only_values or not word.startswith("-"):
            positional = _positional(command, line)
            if positional is not None:
                line.values.setdefault(positional.name, []).append(word)
        elif word == "--":
            only_values = True
        elif (param := by_option.get(option)) is not None:
            if equals:
                line.values.setdefault(param.name, []).append(value)
            elif getattr(param, "is_flag", False):
                line.values.setdefault(param.name, []).append(word)
            else:
                wanted = param
    return line, wanted, only_values


def _positional(command: Any, line: Line) -> Any:
    """The argument that the next word without a dash is; None where there is none left."""
    for param in command.params:
        if param.param_type_name == "argument" and (param.nargs == -1 or param.name not in line.values):
            return param
    return None


def _options(command: Any, before: Sequence[str]) -> list[Answer]:
    """Options that may still be given."""
    found = []
    for param in command.params:
        given = any(word.split("=")[0] in param.opts for word in before)
        if param.param_type_name == "option" and not param.hidden and (param.multiple or not given):
            found += [(option, param.help or "") for option in [*param.opts, *param.secondary_opts]]
    return [*found, ("--help", "Show this message and exit.")] if found else found


def _values(param: Any, line: Line) -> list[Answer]:
    """What a parameter may be: one of its choices, or what is found by its name."""
    described = getattr(param, "type_descriptor", None)
    if described is not None and described.is_choice:
        return [(str(choice), "") for choice in described.choices]
    for name in (param.name, (param.metavar or "").strip("[]")):
        if name in _FOUND:
            return _FOUND[name](line)
    return []


def _runs(line: Line) -> list[Answer]:
    from corpusmill.pipelines.inspection.at_hand import runs_at_hand

    here = Path.cwd()
    return [(str(run.relative_to(here)), "a run") for run in runs_at_hand(here) if run != here]


def _steps_of_recipe(line: Line) -> list[Answer]:
    from corpusmill.pipelines.contract.errors import CorpusmillError
    from corpusmill.pipelines.recipe.loader import load_recipe
    from corpusmill.pipelines.run.graph import build_graph

    recipe = line.first("recipe")
    if recipe is None:
        return []
    try:
        graph = build_graph(load_recipe(recipe))
    except CorpusmillError:  # the command itself tells what is wrong
        return []
    return [(step.name, ", ".join(spec.name for spec in step.stages)) for step in graph]


def _places(line: Line) -> list[Answer]:
    """Runs, and the steps of the one that the line names, or else of those around."""
    from corpusmill.pipelines.contract.errors import CorpusmillError
    from corpusmill.pipelines.inspection.at_hand import runs_at_hand, steps_of

    named = line.first("run_folder")
    steps: set[str] = set()
    for run in [named] if named is not None else runs_at_hand(Path.cwd()):
        try:
            steps.update(steps_of(run))
        except CorpusmillError:  # a damaged run has no names to offer; the command tells what is wrong
            continue
    return [*(() if named is not None else _runs(line)), *((step, "a step") for step in sorted(steps))]


def _exports(line: Line) -> list[Answer]:
    from corpusmill.pipelines.exports.find import export_names

    return [(name, "") for name in export_names()]


# By the name of a parameter or its metavar.
_FOUND: dict[str, Callable[[Line], list[Answer]]] = {
    "RUN": _runs,
    "RUN2": _runs,
    "WHAT": _runs,
    "PATH": _places,
    "until": _steps_of_recipe,
    "to": _exports,
}


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command()(completion)
