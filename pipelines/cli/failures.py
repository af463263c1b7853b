"""From exceptions to messages and exit codes; with `--json` also to one object on standard output."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import typer

from corpusmill.pipelines.cli.error_object import Kind, error_object, kind_of_error
from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, Interrupted, UserError
from corpusmill.pipelines.recipe.environment import hide_values
from corpusmill.pipelines.storage.remote.mirrors import with_urls
from corpusmill.pipelines.system.faults import CURES, chain, describe, no_writing

_INTERRUPTED = 130  # what typer makes of Ctrl-C while no run of ours is listening for it


@dataclass(frozen=True)
class Failure:
    """How a command that failed ends: what standard error says, the exit code, and what the object says."""

    said: str
    code: int
    kind: Kind
    text: str
    notes: tuple[str, ...] = ()


def run_and_exit(app: typer.Typer, arguments: list[str]) -> NoReturn:
    """Run the command line and leave with its exit code; see `main` for the codes."""
    if any("\0" in argument for argument in arguments):
        words = "an argument holds a NUL character, which no path or value may; remove it"
        _leave(Failure(f"error: {words}", 1, "command", words), arguments)
    try:
        code = app(args=arguments or ["--help"], prog_name="corpusmill", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Exit as error:
        if error.exit_code == _INTERRUPTED:
            _leave(_interrupted(""), arguments)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # of every kind, each with its words
        _leave(failure_of(error), arguments)


def failure_of(error: BaseException) -> Failure:
    """What to say of an exception, and the exit code."""
    if isinstance(error, typer.TyperException):  # a mistyped command or option is the user's fault
        words = error.format_message().replace(": Value error, ", ": ")  # pydantic's prefix
        help_ = f"Try: {_help_of(error)}"
        return Failure(f"error: {words}\n{help_}", 1, "command", words, (help_,))
    if isinstance(error, UserError):
        notes = tuple(getattr(error, "__notes__", ()))
        said = "\n".join([*(f"error: {line}" for line in str(error).splitlines()), *notes])
        return Failure(said, 1, kind_of_error(error), str(error), notes)
    if isinstance(error, (Interrupted, KeyboardInterrupt, typer.Abort)):
        return _interrupted(str(error))
    if isinstance(error, IntegrityError):
        words = with_urls(str(_with_known_command(error)))
        return Failure(f"failed: {words}", 2, kind_of_error(error), words)
    if isinstance(error, CorpusmillError):
        return Failure(f"failed: {error}", 2, kind_of_error(error), str(error))
    return _fault(error)


def _interrupted(words: str) -> Failure:
    words = words or "run the same command to go on"
    return Failure(f"interrupted: {words}", 2, "interrupted", words)


def _leave(failure: Failure, arguments: Sequence[str]) -> NoReturn:
    """Say what failed, as an object too where JSON was asked for, and leave."""
    if _asks_for_json(arguments):
        notes = [hide_values(note) for note in failure.notes]
        told = error_object(failure.kind, failure.code, hide_values(failure.text), notes)
        sys.stdout.write(json.dumps(asdict(told), indent=1, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    sys.stderr.write(failure.said.rstrip() + "\n")
    sys.exit(failure.code)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line has the option `--json`; what follows `--` are no options."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _with_known_command(error: IntegrityError) -> IntegrityError:
    """The error with the command that made the run it is about, where its log tells; else as it is.

    The fault begins with the path of the damaged file.
    """
    from corpusmill.pipelines.inspection.run_log import repair_command

    path = Path(re.split(r"(?:, batch \d+)?: ", error.fault, maxsplit=1)[0])
    for folder in path.absolute().parents:
        command = repair_command(folder)
        if command is not None:
            return error.with_command(command)
    return error


def _fault(error: BaseException) -> Failure:
    """What the system refused and the cure, or else an error nobody foresaw.

    Its traceback is what a report of the fault needs.
    """
    number = error.errno if isinstance(error, OSError) and error.filename is not None else no_writing(error)
    if number in CURES:
        files = (link.filename for link in chain(error) if isinstance(link, OSError))
        place = next((file for file in files if file is not None), None)
        words = describe(number, os.fsdecode(place) if place is not None else "cannot write")
        return Failure(f"error: {words}", 1, "machine", words)
    if isinstance(error, FileNotFoundError) and error.filename is None and not _here():
        words = "the working directory was removed; change to another and run the command again"
        return Failure(f"error: {words}", 1, "machine", words)
    words = f"a fault of corpusmill's own, not of the recipe: {type(error).__name__}: {error}"
    end = "what is complete is kept; please report the lines above"
    trace = "".join(traceback.format_exception(error)).rstrip()
    return Failure(f"{trace}\nfailed: {words}\n{end}", 2, "internal", words, (trace,))


def _help_of(error: typer.TyperException) -> str:
    """The command whose help answers a misuse: the one in use where it is known."""
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context is not None else 'corpusmill'} --help"


def _here() -> bool:
    """Whether the working directory is still there."""
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return False
    return True
