"""From exceptions to messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from corpusmill.pipelines.errors import CorpusmillError, Interrupted, UserError


def run_and_exit(app: typer.Typer, arguments: list[str]) -> NoReturn:
    """Run the command line and leave with its exit code; see `main` for the codes."""
    try:
        code = app(args=arguments or ["--help"], standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except typer.TyperException as error:  # a mistyped command or option is the user's fault
        _say(f"error: {error.format_message()}\nTry: corpusmill --help")
        sys.exit(1)
    except UserError as error:
        _say(f"error: {error}")
        sys.exit(1)
    except (Interrupted, KeyboardInterrupt, typer.Abort) as error:
        _say(f"interrupted: {error or 'run the same command to go on'}")
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except CorpusmillError as error:
        _say(f"failed: {error}")
        sys.exit(2)


def _say(message: str) -> None:
    sys.stderr.write(message.rstrip() + "\n")
