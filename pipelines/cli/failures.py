"""From exceptions to messages and exit codes."""

from __future__ import annotations

import os
import re
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import typer

from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, Interrupted, UserError
from corpusmill.pipelines.storage.remote.mirrors import with_urls
from corpusmill.pipelines.system.faults import CURES, chain, describe, no_writing

_INTERRUPTED = 130  # what typer makes of Ctrl-C while no run of ours is listening for it


def run_and_exit(app: typer.Typer, arguments: list[str]) -> NoReturn:
    """Run the command line and leave with its exit code; see `main` for the codes."""
    if any("\0" in argument for argument in arguments):
        _say("error: an argument holds a NUL character, which no path or value may; remove it")
        sys.exit(1)
    try:
        code = app(args=arguments or ["--help"], prog_name="corpusmill", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Exit as error:
        if error.exit_code == _INTERRUPTED:
            _say("interrupted: run the same command to go on")
            sys.exit(2)
        sys.exit(error.exit_code)
    except typer.TyperException as error:  # a mistyped command or option is the user's fault
        _say(f"error: {error.format_message()}\nTry: {_help_of(error)}")
        sys.exit(1)
    except UserError as error:
        _say("\n".join(f"error: {line}" for line in str(error).splitlines()))
        for note in getattr(error, "__notes__", ()):
            _say(note)
        sys.exit(1)
    except (Interrupted, KeyboardInterrupt, typer.Abort) as error:
        _say(f"interrupted: {str(error) or 'run the same command to go on'}")
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except IntegrityError as error:
        _say(f"failed: {with_urls(str(_with_known_command(error)))}")
        sys.exit(2)
    except CorpusmillError as error:
        _say(f"failed: {error}")
        sys.exit(2)
    except Exception as error:  # noqa: BLE001  # a fault of ours must not look like the user's (exit code 1)
        _fault(error)


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


def _fault(error: Exception) -> NoReturn:
    """Leave with what the system refused and the cure, or else after an error nobody foresaw.

    Its traceback is what a report of the fault needs.
    """
    number = error.errno if isinstance(error, OSError) and error.filename is not None else no_writing(error)
    if number in CURES:
        files = (link.filename for link in chain(error) if isinstance(link, OSError))
        place = next((file for file in files if file is not None), None)
        _say(f"error: {describe(number, os.fsdecode(place) if place is not None else 'cannot write')}")
        sys.exit(1)
    if isinstance(error, FileNotFoundError) and error.filename is None and not _here():
        _say("error: the working directory was removed; change to another and run the command again")
        sys.exit(1)
    _say("".join(traceback.format_exception(error)))
    _say(f"failed: a fault of corpusmill's own, not of the recipe: {type(error).__name__}: {error}")
    _say("what is complete is kept; please report the lines above")
    sys.exit(2)


def _help_of(error: typer.TyperException) -> str:
    """The command whose help answers a misuse: the one in use where it is known."""
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context is not None else 'corpusmill'} --help"


def _say(message: str) -> None:
    sys.stderr.write(message.rstrip() + "\n")


def _here() -> bool:
    """Whether the working directory is still there."""
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return False
    return True
