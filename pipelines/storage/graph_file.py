"""`graph.json`: the steps of a run's recipe in the order of their work, and what each gives.

Who looks at a run finds steps by it, without the code of sections or stages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder, read_sealed, write_sealed

_PLACE = "graph"


@dataclass(frozen=True)
class GraphStep:
    """A step: its name, its operator's, and the word of what it gives (`contract.given`), or nothing."""

    name: str
    operator: str
    gives: str = ""


@dataclass(frozen=True)
class Graph:
    """All steps of a recipe, each after what it needs."""

    steps: tuple[GraphStep, ...]


def write_graph(folder: RunFolder, steps: Iterable[GraphStep]) -> None:
    """Keep the steps of the recipe that is run."""
    value = {"steps": [asdict(step) for step in steps]}
    write_sealed(folder.path / "graph.json", value, _PLACE)


def read_graph(folder: RunFolder) -> Graph:
    """The steps of the recipe that was run last. Raises IntegrityError where it is missing or damaged."""
    value = read_sealed(folder.path / "graph.json", _PLACE)
    return Graph(tuple(GraphStep(**step) for step in value["steps"]))


def step_giving(run: RunFolder, what: str) -> StepFolder | None:
    """The folder of the first step that gives this word of `contract.given`; None where no step gives it, or
    the run has not got so far. Raises IntegrityError on damage."""
    named = (step.name for step in read_graph(run).steps if step.gives == what)
    return next((step for name in named if (step := run.current_step(name)) is not None), None)
