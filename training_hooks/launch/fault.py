"""Why a rank failed, as data that travels as JSON, and as the error that ends the training.

The error of a rank is raised again as what it was where that decides what becomes of the run: a deliberate
error by its class, one of the system by its number and file. Anything else is a `RankError` that names the
rank. A rank that fails because another is lost is marked, so that the other's own end is told instead.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.pipelines.contract import errors
from corpusmill.pipelines.contract.errors import CorpusmillError, Interrupted
from corpusmill.pipelines.system.faults import chain, no_writing

# Words of gloo and of torch's stores where another process has ended or does not answer.
_OF_PEERS = ("gloo/", "onnection closed by peer", "onnection reset by peer", "roken pipe", "imed out waiting")


class RankError(CorpusmillError):
    """A rank of a training failed, was killed or gave no sign of life."""


@dataclass(frozen=True)
class Fault:
    """What a rank raised. `number` and `file`: of what the system refused; `of_peers`: whether all that it
    tells is that another rank is lost."""

    name: str
    message: str
    trace: str
    number: int | None = None
    file: str | None = None
    of_peers: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether the rank was asked to stop, and did."""
        return self.name == Interrupted.__name__

    def error(self, who: str) -> Exception:
        """The exception to raise in the rank's place; `who`: which rank that was."""
        kind = getattr(errors, self.name, None)
        if isinstance(kind, type) and issubclass(kind, CorpusmillError):
            return kind(self.message)
        found: Exception
        if self.number is not None:
            found = OSError(self.number, os.strerror(self.number), self.file)
        else:
            found = RankError(f"{who}: {self.name}: {self.message}")
        found.add_note(f"{who}:\n{self.trace.rstrip()}")
        return found


def fault_of(error: BaseException) -> Fault:
    """What is to be told of an exception of this process."""
    links = list(chain(error))
    system = next((link for link in links if isinstance(link, OSError) and link.errno is not None), None)
    number = no_writing(error) or (error.errno if isinstance(error, PermissionError) else None)
    file = None if system is None or system.filename is None else os.fsdecode(system.filename)
    return Fault(
        type(error).__name__,
        str(error),
        "".join(traceback.format_exception(error)),
        number,
        file,
        of_peers=any(_of_peers(link) for link in links),
    )


def _of_peers(error: BaseException) -> bool:
    if isinstance(error, ConnectionError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    kinds = sys.modules.get("torch.distributed")
    if kinds is not None and isinstance(error, kinds.DistError):
        return True
    return any(words in str(error) for words in _OF_PEERS)


@dataclass(frozen=True)
class End:
    """How a rank ended: with a `fault`, with an exit code (negative: a signal) and nothing told, or as one
    that gave no sign of life for `silent` seconds; none of these: it did its work."""

    rank: int
    fault: Fault | None = None
    code: int | None = None
    silent: float | None = None
    told: str = ""  # instead of a code, by whoever watched it

    @property
    def well(self) -> bool:
        return self.fault is None and self.code is None and self.silent is None and not self.told

    @property
    def telling(self) -> int:
        """How much it says of why the training failed, 0 most: its own death or error, then being stopped,
        then the loss of another."""
        if self.fault is None:
            return 0
        return 2 if self.fault.of_peers else 1 if self.fault.interrupted else 0

    def error(self, ranks: int) -> Exception:
        """The exception that tells of it, of a training on `ranks`."""
        who = f"rank {self.rank} of {ranks}"
        if self.fault is not None:
            return self.fault.error(who)
        if self.silent is not None:
            return RankError(f"{who} gave no sign of life for {self.silent:g} s and was ended")
        return RankError(f"{who} {self.told or ended_with(self.code or 0)}")


def ended_with(code: int) -> str:
    """An exit code of a process that was to tell its end, in words."""
    if code >= 0:
        return f"ended with exit code {code} before its work was done"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"was killed by signal {-code}{name}"


def cause(ends: Sequence[End], ranks: int, *, stopped: bool) -> Exception | None:
    """The exception to raise for how the ranks ended; None where all did their work.

    `ends`: in the order in which they ended. `stopped`: whether the training was asked to stop: a rank that
    SIGTERM ended then had nothing to keep yet.
    """
    bad = [end for end in ends if not end.well]
    if stopped and bad and all(end.telling or end.code == -signal.SIGTERM for end in bad):
        kept = next((end for end in bad if end.fault is not None and end.fault.interrupted), None)
        if kept is not None:
            return kept.error(ranks)
        return Interrupted("training was stopped between its steps: run the same command to go on")
    first = min(bad, key=lambda end: end.telling, default=None)
    return None if first is None else first.error(ranks)
