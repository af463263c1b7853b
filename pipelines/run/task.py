"""What a worker is given and what it answers: a task and its outcome, as records that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.storage.objects.named import Named, at_hand

# A unit's specification, encoded: its class is known to the step's operator (`Operator.unit`).
EncodedUnit = Mapping[str, Any]


@dataclass(frozen=True)
class TaskStep:
    """A step as data."""

    name: str
    operator: str
    stages: tuple[StageSpec, ...]
    inputs: tuple[str, ...]
    masks: tuple[str, ...]
    artefacts: Mapping[str, str]
    options: StepOptions
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, step: Step) -> TaskStep:
        return cls(
            step.name,
            step.operator.name,
            step.stages,
            step.inputs,
            step.masks,
            dict(step.artefacts),
            step.options,
            step.known,
        )

    def step(self, named: Named) -> Step:
        """The step, with this machine's files of the objects that its stages' options name.

        Raises IntegrityError where this version has no such operator, and as `at_hand`.
        """
        stages = self.stages
        if named:
            stages = tuple(replace(one, options=at_hand(one.options, named)) for one in stages)
        return Step(
            self.name,
            operator_named(self.operator),
            stages,
            self.inputs,
            self.masks,
            self.artefacts,
            self.options,
            known=self.known,
        )


@dataclass(frozen=True)
class Task:
    """One attempt at one unit.

    `folder`: of the step, a path or a URL; `inputs`: folders of the steps it reads, by name; `plugins`:
    digests of plugins by path; `base`: digest of what all units of the step depend on (`run/reuse.py`);
    `limit`: documents to read of the unit, of a cut; `stamps`: size, modification time and
    `Reader.state` that the input files of the unit had, by path. `careful`: note the document in hand;
    `alone`: an ordinal, to work on that document and commit nothing; `poison`: ordinals of documents to
    quarantine unseen, with stage and cause (see `operators/marker.py`). `storage`: the recipe's settings of
    that name, empty where it may reach nothing remote; `named`: objects whose files stand in options of
    stages (`storage/objects/named.py`); `scores`: folder of the version of the step whose scores hold for
    this one, if there is one.
    """

    step: TaskStep
    folder: str
    number: int
    unit: EncodedUnit
    seed: int
    inputs: Mapping[str, str]
    plugins: Mapping[str, str]
    base: str | None = None
    limit: int | None = None
    stamps: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    attempt: int = 1
    careful: bool = False
    alone: int | None = None
    poison: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=dict)
    named: Named = field(default_factory=dict)
    scores: str | None = None


@dataclass(frozen=True)
class Executed:
    """What came of a task: the receipt of the unit (None where nothing was to be committed), the seconds it
    took, and the worker's resident memory in bytes (0 where that is not known); the requests it sent to
    object stores, and the bytes that it fetched from them."""

    receipt: Receipt | None
    seconds: float
    rss: int = 0
    requests: int = 0
    fetched: int = 0
