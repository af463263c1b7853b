"""A step of a run as plain data: an operator (how data moves), the stages it applies, and what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.run.operators.operator import Operator

Json = dict[str, Any]


@dataclass(frozen=True)
class StageSpec:
    """A stage as data: where its class lives and its options. Enough to build it in any worker."""

    module: str
    cls: str
    name: str
    options: Json

    @classmethod
    def of(cls, stage: Stage) -> StageSpec:
        kind = type(stage)
        return cls(kind.__module__, kind.__name__, stage.name, stage.model_dump(mode="json"))

    def as_json(self) -> Json:
        return {"module": self.module, "cls": self.cls, "name": self.name, "options": self.options}

    @property
    def room(self) -> str:
        """`filters`, ...; for a plugin, its module."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "corpusmill" else self.module


@dataclass(frozen=True)
class Step:
    """One named step. `inputs` are datasets read one after the other; `masks` apply to all of them.

    `after`: steps that must be complete first though nothing of them is read (a judgement, for one). `gives`:
    what it leaves to others, a word of `contract.given` or of its section's own.
    """

    name: str
    operator: Operator
    stages: tuple[StageSpec, ...] = ()
    inputs: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    artefacts: Mapping[str, str] = field(default_factory=dict)  # artefact name -> step
    options: Json = field(default_factory=dict)
    after: tuple[str, ...] = ()
    gives: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Every step that must be complete before this one, without repeats, in order."""
        return tuple(dict.fromkeys([*self.inputs, *self.masks, *self.artefacts.values(), *self.after]))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The inputs that hold the documents of the step's view."""
        return self.inputs[self.operator.datasets_from :]
