"""Where code is imported from: never the working directory, nor the folder of the script that was started.

A file beside the data, such as `yaml.py` or `psutil.py`, must never be executed because a command was started
there. The command line takes both folders out of its own `sys.path` before it imports anything, and every
Python process started from here gets the remaining entries and no others. What stays: the environment that
corpusmill is installed in (virtual environment, user site, editable installs) and absolute entries of
PYTHONPATH. A folder stays as well where corpusmill itself is imported from it: without it nothing would run.

Imports nothing but `os`, `sys` and the package itself, which no file beside the data can take the place of.
So it may come first.
"""

# pathlib is not loaded yet, and would be looked for in the working directory.
# ruff: noqa: PTH100, PTH109, PTH117, PTH118, PTH120

import os
import sys

import corpusmill

_Environment = os._Environ[str] | dict[str, str]

HOME = os.path.dirname(os.path.dirname(os.path.abspath(corpusmill.__file__)))
try:
    _START = os.getcwd()  # where the process was started: a later change of folder changes nothing
except FileNotFoundError:
    _START = ""  # a folder that is no longer there holds no code
_PROLOGUE = (
    "import sys; n = 2 + int(sys.argv[1]); sys.path[:] = sys.argv[n:]; sys.argv[:] = ['-c', *sys.argv[2:n]]; "
)
_WORKER = "from corpusmill.pipelines.run.engines.worker import main; main(int(sys.argv[1]))"
# Variables that make Python run or wait for something that no task asked for.
_DROPPED = ("PYTHONSTARTUP", "PYTHONINSPECT")


def _barred() -> set[str]:
    """Real paths of the folders that no code comes from."""
    if not _START:
        return set()
    script = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else _START
    listed = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    relative = [os.path.join(_START, entry) for entry in listed if not os.path.isabs(entry)]
    return {os.path.realpath(folder) for folder in (_START, script, *relative)}


def import_path() -> list[str]:
    """`sys.path` without the working directory and the script's folder."""
    barred = _barred()
    return [
        entry
        for entry in sys.path
        if _is_home(entry) or (os.path.isabs(entry) and os.path.realpath(entry) not in barred)
    ]


def _is_home(entry: str) -> bool:
    return os.path.isabs(entry) and os.path.realpath(entry) == os.path.realpath(HOME)


def home_needs_naming() -> bool:
    """Whether corpusmill is imported from a folder that only the start of this process put on the path."""
    return os.path.realpath(HOME) in _barred()


def leave_working_directory() -> None:
    """Take the working directory and the script's folder out of this process's `sys.path`, and out of what
    the processes inherit that libraries start. May be called again."""
    sys.path[:] = import_path()
    for name in (*_DROPPED, "PYTHONPATH"):
        value = child_environment(os.environ).get(name)
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.environ["PYTHONSAFEPATH"] = "1"


def child_environment(environment: _Environment) -> dict[str, str]:
    """`environment` for a Python process: PYTHONPATH holds absolute folders other than the working directory,
    and `-c` and `-m` put no folder first."""
    kept = {name: value for name, value in environment.items() if name not in (*_DROPPED, "PYTHONPATH")}
    barred = _barred()
    entries = [
        os.path.join(_START, entry)
        for entry in environment.get("PYTHONPATH", "").split(os.pathsep)
        if _is_home(os.path.join(_START, entry))
        or (os.path.isabs(entry) and os.path.realpath(entry) not in barred)
    ]
    return {**kept, "PYTHONSAFEPATH": "1", **({"PYTHONPATH": os.pathsep.join(entries)} if entries else {})}


def python_command(code: str, *arguments: str) -> list[str]:
    """The command of a Python process that imports from `import_path()` alone and executes `code`.

    The code finds `sys` imported and `arguments` from `sys.argv[1]` on. Give the process `child_environment`.
    """
    return [sys.executable, "-P", "-c", _PROLOGUE + code, str(len(arguments)), *arguments, *import_path()]


def worker_command(descriptor: int) -> list[str]:
    """The command that starts a worker which answers on `descriptor`."""
    return python_command(_WORKER, str(descriptor))
