"""The page of the documentation that has every option of every command, made from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def command_page(command: Any) -> str:
    """Markdown: for every command its help, arguments and options. `command`: of typer, with all below it."""
    about = "Made from the commands themselves; [commands](commands.md) tells what they are for."
    lines = ["# Options of commands", "", about]
    for words, one in _commands(command, ["corpusmill"]):
        lines += ["", f"## {' '.join(words)}", "", *_help(one), ""]
        rows = [row for param in one.params if (row := _row(param)) is not None]
        if rows:
            lines += ["| argument or option | meaning | default |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _commands(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    for name, one in sorted(command.commands.items()):
        if one.hidden:
            continue
        if hasattr(one, "commands"):
            yield from _commands(one, [*words, name])
        else:
            yield [*words, name], one


def _help(command: Any) -> list[str]:
    """The help in paragraphs, each on one line."""
    found: list[str] = []
    for part in (command.help or "").split("\n\n"):
        found += ["", _cell(" ".join(part.split()))] if found else [_cell(" ".join(part.split()))]
    return found


def _row(param: Any) -> str | None:
    if getattr(param, "hidden", False):
        return None
    if param.param_type_name == "argument":
        named, about = f"`{param.metavar or param.name.upper()}`", getattr(param, "help", None)
    else:
        flag = getattr(param, "is_flag", False)
        value = "" if flag or not param.metavar else f" {param.metavar}"
        named = ", ".join(f"`{option}{value}`" for option in [*param.opts, *param.secondary_opts])
        about = param.help
    default = param.default
    plain = default is not None and not callable(default) and default not in (False, (), [], "")
    return f"| {_cell(named)} | {_cell(about or '')} | {_cell(f'`{default}`') if plain else ''} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
