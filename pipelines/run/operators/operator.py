"""An operator: how the data of one kind of step moves, as a typed value that everyone asks.

Each operator has a module of its name, which holds it as `OPERATOR`. `units` lists a step's units of work as
JSON, in the runner, once its inputs are complete; `work` does one unit in a worker, writes files through the
attempt and returns the receipt's body. Nothing else passes between runner and workers: specifications in,
receipts out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from corpusmill.pipelines.contract.errors import IntegrityError

if TYPE_CHECKING:
    from corpusmill.pipelines.run.operators.job import Job, Preparation
    from corpusmill.pipelines.storage.run_folder import Attempt, Json

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


def _no_bytes(preparation: Preparation, unit: Json) -> int:
    return 0


def _no_paths(unit: Json) -> list[str]:
    return []


@dataclass(frozen=True)
class Operator:
    """See the module's description. Attributes say what the spine and those who look at a run ask."""

    name: str
    reads: Kind
    writes: Kind
    units: Callable[[Preparation], list[Json]]
    work: Callable[[Job, Attempt], Json]
    weigh: Callable[[Preparation, Json], int] = _no_bytes
    """Bytes that a unit reads, for the order of units and the memory they need; 0 where that is not known."""
    paths: Callable[[Json], list[str]] = _no_paths
    """The user's files that a unit reads."""
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
    judges: bool = True
    """Whether its stages are there to remove documents."""

    @property
    def of_files(self) -> bool:
        """Whether its units are cut by the size of the user's files."""
        return self.reads in ("files", "splits")

    @property
    def writes_dataset(self) -> bool:
        """Whether it writes documents, as they are or as tokens: its stages lead from one to the next."""
        return self.writes in ("documents", "encoded")


def _none(preparation: Preparation) -> list[Json]:
    return []


def _nothing(job: Job, attempt: Attempt) -> Json:
    return {}


UNKNOWN = Operator("", "nothing", "nothing", _none, _nothing)
"""Of a step that has not run: its record does not say how it will."""


def weigh_documents(preparation: Preparation, unit: Json) -> int:
    """Bytes of the unit of the view that a unit reads."""
    return preparation.view.input_bytes(unit["reads"])


@cache
def operator_named(name: str) -> Operator:
    """The operator of this name. Raises IntegrityError where this version has none."""
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
    raise IntegrityError(
        f"there is no operator {name!r}: the run was written by another version of corpusmill; "
        "run its recipe again with this one"
    )
