"""An operator: how the data of one kind of step moves, as a typed value that everyone asks.

Each operator has a module of its name, which holds it as `OPERATOR`. `units` lists a step's units of work as
specifications, in the runner, once its inputs are complete; `work` does one unit in a worker, writes files
through the attempt and returns what the receipt says of it. Nothing else passes between runner and workers:
specifications in, receipts out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from corpusmill.pipelines.contract.errors import of_other_version
from corpusmill.pipelines.records.receipt import Part, UnitResult

if TYPE_CHECKING:
    from corpusmill.pipelines.run.operators.job import Done, Job, Preparation, ViewUnit
    from corpusmill.pipelines.storage.run_folder import Attempt

# What a step is made from, and what it leaves.
Kind = Literal[
    "nothing",
    "files",  # of the user
    "splits",  # ranges of files at which records begin
    "documents",
    "encoded",  # documents as tokens
    "removals",  # rows of documents to remove, applied by whoever reads these next
    "rows",  # keyed, by partition
    "pairs",  # of a document and the survivor it repeats
    "partials",  # of an artefact
    "artefact",
    "shards",  # final files
]


U = TypeVar("U")  # the specification of a unit of work: a frozen dataclass of the operator's module


def _no_more(preparation: Preparation, done: Done) -> Sequence[Any]:
    return ()


def _none_later(preparation: Preparation, first: int) -> int | None:
    return 0


def _no_content(given: object, unit: object) -> object:
    return None


def _as_it_is(unit: object, part: Part | None) -> Part | None:
    return part


def _no_bytes(preparation: Preparation, unit: object) -> int:
    return 0


def _no_paths(unit: object) -> list[str]:
    return []


def no_kernels() -> None:
    """Of an operator that has no kernels of its own to compile."""


@dataclass(frozen=True)
class Operator(Generic[U]):
    """See the module's description. Attributes say what the spine and those who look at a run ask."""

    name: str
    reads: Kind
    writes: Kind
    unit: type[U]
    """The class of a unit's specification."""
    units: Callable[[Preparation], Sequence[U]]
    """Asked in the runner; a sequence that makes a unit when it is asked for serves as well."""
    work: Callable[[Job[U], Attempt], UnitResult]
    then: Callable[[Preparation, Done], Sequence[U]] = _no_more
    """The units of the next level, once all units so far are committed; none where the step is done."""
    later: Callable[[Preparation, int], int | None] = _none_later
    """How many units all levels after the first have, which has so many; None where that follows from what
    these give."""
    content: Callable[[Preparation | Job[U], U], object] = _no_content
    """What a unit reads by content, ready for JSON, of an operator whose units depend on that, their step's
    options and code, and the seed alone; None of any other. See `run/reuse.py`."""
    placed: Callable[[U, Part | None], Part | None] = _as_it_is
    """The part of the receipt of a unit with the same content as this one, which stood elsewhere among the
    units, as it is for this one."""
    weigh: Callable[[Preparation, U], int] = _no_bytes
    """Bytes that a unit reads, for the order of units and the memory they need; 0 where that is not known."""
    paths: Callable[[U], list[str]] = _no_paths
    """The user's files that a unit reads."""
    warm: Callable[[], None] = no_kernels
    """Compiles the operator's own kernels, in the process that compiles ahead."""
    exclusive: bool = False
    """Whether the step is a single unit."""
    isolates: bool = False
    """Whether it can name what kills its worker in the job's marker, and go on without what the job's poison
    names."""
    balances: Literal["documents", "rows"] | None = None
    """What is proved of a whole step: that its first stage saw every document of the view, or that every row
    sent to its partitions arrived."""
    datasets_from: int = 0
    """The step's inputs from this one on are the datasets of its view."""
    lists_removed: Literal["always", "where any", "never"] = "never"
    """Whether each unit, or each that lost documents, has a file of removed documents."""
    leaves_in_place: bool = False
    """Whether documents it loses stay in their dataset, and only its artefact is without them."""
    rejudges: bool = False
    """Whether its filters take scores from an earlier version of the step; see `run/rejudging.py`."""
    judges: bool = True
    """Whether its stages are there to remove documents."""

    @property
    def has_levels(self) -> bool:
        """Whether units of a step may read what earlier units of it have written."""
        return self.then is not _no_more

    @property
    def of_files(self) -> bool:
        """Whether its units are cut by the size of the user's files."""
        return self.reads in ("files", "splits")

    @property
    def writes_dataset(self) -> bool:
        """Whether it writes documents, as they are or as tokens: its stages lead from one to the next."""
        return self.writes in ("documents", "encoded")


AnyOperator = Operator[Any]


def _none(preparation: Preparation) -> list[None]:
    return []


def _nothing(job: Job[None], attempt: Attempt) -> UnitResult:
    return UnitResult(0)


UNKNOWN: AnyOperator = Operator("", "nothing", "nothing", type(None), _none, _nothing)
"""Of a step that has not run: its record does not say how it will."""


def weigh_documents(preparation: Preparation, unit: ViewUnit) -> int:
    """Bytes of the unit of the view that a unit reads."""
    return preparation.view.input_bytes(unit.reads)


@cache
def operator_named(name: str) -> AnyOperator:
    """The operator of this name. Raises OtherVersionError where this version has none."""
    if name.isidentifier():
        try:
            module = importlib.import_module(f"{__package__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__package__}.{name}":
                raise
        else:
            found = getattr(module, "OPERATOR", None)
            if isinstance(found, Operator):
                return found
    raise of_other_version(
        f"there is no operator {name!r}: the run was written by another version of corpusmill"
    )
