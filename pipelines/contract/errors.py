"""The exception tree.

Everything corpusmill raises on purpose descends from `CorpusmillError`. `UserError` is the fault of
the recipe, the command or the data and makes the command line exit with 1; anything else, damage to what a
run wrote among it, exits with 2. A message names the file, the position where one is known, the cause and the
cure.
"""

from __future__ import annotations

# The cure of any damage to what a run wrote; RECIPE stands where the recipe is not known.
REPAIR = "corpusmill run RECIPE --repair"
PROGRAM = "recipe.run()"  # in place of a command, where a program runs a recipe given as a mapping
_CURE = "; cure: "


def repairing(command: str) -> str:
    """What repairs a run that `command` made."""
    return f"{PROGRAM[:-1]}repair=True)" if command == PROGRAM else f"{command} --repair"


class CorpusmillError(Exception):
    """Base of every deliberate error."""


class UserError(CorpusmillError):
    """The recipe, the command or the data is at fault, and the user can mend it (exit code 1)."""


class RecipeError(UserError):
    """A recipe that cannot be loaded, validated or planned."""


class DataError(UserError):
    """Input that is truncated, corrupt or not of the format its reader expects."""


class NotKeptError(UserError):
    """A file of a run that was removed after use, as its recipe says; a run that keeps all makes it again."""


class IntegrityError(CorpusmillError):
    """A file the run itself wrote is missing, changed or does not match its manifest."""

    @property
    def fault(self) -> str:
        """What is wrong, without the cure."""
        return str(self).split(_CURE, 1)[0]

    @property
    def cure(self) -> str:
        """What to do, without the fault."""
        return str(self).partition(_CURE)[2]

    def with_command(self, command: str) -> IntegrityError:
        """The same error with `command` in place of `REPAIR`."""
        return type(self)(str(self).replace(REPAIR, command))


class OtherVersionError(IntegrityError):
    """A file of a run is whole, but another version of corpusmill wrote it."""


def damaged(fault: str) -> IntegrityError:
    """The error for a damaged file of a run: `fault` names the file, the cure follows."""
    return IntegrityError(f"{fault}{_CURE}`{REPAIR}` makes it again and keeps what is sound")


def of_other_version(fault: str) -> OtherVersionError:
    """The error for a file of a run that another version wrote: `fault` names the file, the cure follows."""
    return OtherVersionError(f"{fault}{_CURE}run its recipe again with this version")


class LedgerError(CorpusmillError):
    """Documents or bytes in differ from kept + removed + quarantined."""


class UnitFailed(CorpusmillError):  # noqa: N818  # named for what happened
    """A unit of work failed on every attempt."""


class Interrupted(CorpusmillError):  # noqa: N818
    """The user or the system asked the run to stop; what was committed stays valid (exit code 2)."""
