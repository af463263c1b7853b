"""A step of a run as plain data: an operator (how data moves), the stages it applies, and what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.opaque import Options
from corpusmill.pipelines.run.operators.operator import AnyOperator


@dataclass(frozen=True)
class StageSpec:
    """A stage as data: where its class lives and its options. Enough to build it in any worker."""

    module: str
    cls: str
    name: str
    options: Options

    @classmethod
    def of(cls, stage: Stage) -> StageSpec:
        kind = type(stage)
        return cls(kind.__module__, kind.__name__, stage.name, stage.model_dump(mode="json"))

    @property
    def room(self) -> str:
        """`filters`, ...; for a plugin, its module."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "corpusmill" else self.module


@dataclass(frozen=True)
class Step:
    """One named step. `inputs` are datasets read one after the other; `masks` apply to all of them.

    `after`: steps that must be complete first though nothing of them is read (a judgement, for one). `gives`:
    what it leaves to others, a word of `contract.given` or of its section's own. `known`: folders of earlier
    runs whose documents it sees behind its own.
    """

    name: str
    operator: AnyOperator
    stages: tuple[StageSpec, ...] = ()
    inputs: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    artefacts: Mapping[str, str] = field(default_factory=dict)  # artefact name -> step
    options: StepOptions = field(default_factory=StepOptions)
    after: tuple[str, ...] = ()
    gives: str = ""
    known: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Every step that must be complete before this one, without repeats, in order."""
        return tuple(dict.fromkeys([*self.inputs, *self.masks, *self.artefacts.values(), *self.after]))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The inputs that hold the documents of the step's view."""
        return self.inputs[self.operator.datasets_from :]
