"""`graph.json`: the steps of a run's recipe in the order of their work, and what each reads and gives."""

from __future__ import annotations

from corpusmill.pipelines.records.graph import Graph
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import read_sealed, sealed_bytes

_PLACE = "graph"


def write_graph(folder: RunFolder, graph: Graph) -> None:
    """Keep the steps of the recipe that is run."""
    folder.write(folder.path / "graph.json", sealed_bytes(graph, _PLACE))


def read_graph(folder: RunFolder) -> Graph:
    """The steps of the recipe that was run last. Raises IntegrityError where it is missing or damaged."""
    _ = folder.store  # which fetches it
    return read_sealed(Graph, folder.path / "graph.json", _PLACE)


def step_giving(run: RunFolder, what: str) -> StepFolder | None:
    """The folder of the first step that gives this word of `contract.given`; None where no step gives it, or
    the run has not got so far. Raises IntegrityError on damage."""
    named = (step.name for step in read_graph(run).steps if step.gives == what)
    return next((step for name in named if (step := run.current_step(name)) is not None), None)
