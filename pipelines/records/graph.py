"""The graph of a run, `graph.json`: its steps and what each reads, so that reading a run guesses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from corpusmill.pipelines.records.opaque import Options


@dataclass(frozen=True)
class StepOptions:
    """Options of a step itself, beside those of its stages: the source and domain of the documents that it
    reads or writes, and which round of its exchange it is, from 1. Of what is remembered for later runs the
    name of this one, `run`, and the version of its form, `remembers`."""

    source: str | None = None
    domain: str | None = None
    round: int | None = None
    run: str | None = None
    remembers: str | None = None

    @property
    def need_source(self) -> str:
        """The source of a step that reads or writes documents of one."""
        assert self.source is not None
        return self.source

    @property
    def need_domain(self) -> str:
        """What such a source holds."""
        assert self.domain is not None
        return self.domain


@dataclass(frozen=True)
class GraphStage:
    """A stage of a step: its name and options, but those that change no byte and places of files."""

    name: str
    options: Options


@dataclass(frozen=True)
class GraphStep:
    """A step as its recipe has it: its operator by name, the stages it applies, and the steps it reads.

    `inputs` are read one after the other, with `masks` applied; `artefacts`: names of artefacts to the steps
    that make them; `after`: steps that must be complete first though nothing of them is read; `gives`: what
    the step leaves to others, a word of `contract.given` or of its section's own.
    """

    name: str
    operator: str
    stages: tuple[GraphStage, ...] = ()
    inputs: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    artefacts: Mapping[str, str] = field(default_factory=dict)
    options: StepOptions = field(default_factory=StepOptions)
    after: tuple[str, ...] = ()
    gives: str = ""


@dataclass(frozen=True)
class Graph:
    """All steps of a run's recipe, each after what it needs, with the recipe's name and seed."""

    RECORD: ClassVar[str] = "graph"
    VERSION: ClassVar[int] = 1

    recipe: str
    seed: int
    steps: tuple[GraphStep, ...]
