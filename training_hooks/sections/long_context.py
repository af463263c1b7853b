"""The section `long_context`: phases, each a packing in longer rows and a training on them.

Options of `extend_context` stand beside `phases`, for all of them, or in one phase. What is left out follows
from `train` and `pack`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, ClassVar, Protocol, Self, cast

from pydantic import ValidationError

from corpusmill.pipelines.contract.given import DRAWN, LONGER_CONTEXT, MIXTURE, MODEL, TOKENIZER
from corpusmill.pipelines.contract.stage import Task, Write
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import mapping, stage, unknown_keys
from corpusmill.pipelines.recipe.json_schema import Node, Schema, or_null, summary
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Cut, Placed, Reading, Section

ROOM, STAGE = "training_hooks", "extend_context"
LENGTH = "sequence_length"
PHASE = "{sequence_length: 4096, steps: 100}"
_OFF = ("needles", "require", "ema")  # options that null switches off


class Trainer(Protocol):
    """What the section asks of the stage `train`."""

    @property
    def start_from(self) -> FilePath | None:
        """Folder of a model, whose context may be longer than what is trained on."""

    def window(self, row: int) -> int:
        """Tokens a sequence from shards whose rows hold `row` tokens."""

    def step_tokens(self, row: int) -> int:
        """Tokens of a full batch."""

    def phase_options(self, row: int, length: int, longest: int) -> dict[str, Any]:
        """Options of a phase of `length` tokens, the last of which has `longest`."""

    def phase_fault(self, phase: Any) -> str | None:
        """Why the ranks of a phase cannot train this model, if so."""


@dataclass(frozen=True)
class Phase:
    """The packing of the recipe's `pack` in longer rows, and the training on them. `step_cost`: tokens of one
    of its steps over those of one of `train`'s."""

    pack: Write
    train: Task
    step_cost: float


class LongContext(Section):
    """Phases of training on longer rows, with positions stretched by YaRN; what is left out follows from
    `train`."""

    after: ClassVar[tuple[str, ...]] = ("train",)
    needs: ClassVar[Mapping[str, str]] = {"train": "it goes on from a trained model"}
    example: ClassVar[str] = f"{{phases: [{PHASE}]}}"
    gives: ClassVar[tuple[str, ...]] = (LONGER_CONTEXT,)

    phases: tuple[Phase, ...]

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        pack, train = reading.stage_of("pack", Write), reading.stage_of("train", Task)
        if pack is None or train is None:
            return None
        found = len(reading.problems)
        phases = _phases(data, reading.problems)
        if len(reading.problems) > found:
            return None
        made = _completed(phases, pack, cast(Trainer, train), reading.problems)
        return None if len(reading.problems) > found else cls(phases=made)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """Phases, and options for all of them beside; every phase names its own length."""
        phase = find(ROOM, STAGE)
        reference = schema.stage(phase)
        options = schema.definitions[phase.name]["properties"]
        length = options.pop(LENGTH)
        options = {name: or_null(option) for name, option in options.items()}
        schema.definitions[phase.name]["properties"] = {LENGTH: length, **options}
        return {
            "description": summary(cls),
            "type": "object",
            "required": ["phases"],
            "additionalProperties": False,
            "properties": {
                "phases": {
                    "description": "Phases in order, each with longer rows than the one before.",
                    "type": "array",
                    "minItems": 1,
                    "items": reference,
                },
                **options,
            },
        }

    def stages(self) -> list[Placed]:
        return [(None, one) for phase in self.phases for one in (phase.pack, phase.train)]

    def cut(self, rounds: int) -> Cut:
        """Nothing is run: a phase packs what was packed before, and a token costs as much as in training."""
        costs: dict[str, float] = {}
        alike: dict[str, str] = {}
        for number, phase in enumerate(self.phases):
            here = self._step(number)
            alike |= {f"{here}.pack": "pack", here: "train"}
            costs[here] = phase.step_cost * int(phase.train.model_dump()["steps"])
        return Cut(None, costs, alike)

    def _step(self, number: int) -> str:
        return f"{self.name}.{number}"

    def graph(self, builder: Builder) -> None:
        """Every phase: what was drawn packed in longer rows, and the model before trained on them."""
        drawn, model, tokenizer = builder.need(DRAWN), builder.need(MODEL), builder.need(TOKENIZER)
        planned = {"tokenizer": tokenizer, "mixture": builder.need(MIXTURE)}
        for number, phase in enumerate(self.phases):
            here = self._step(number)
            packed = builder.write(f"{here}.pack", phase.pack, drawn, needs=planned)
            needs = {"shards": packed, "tokenizer": tokenizer, "model": model}
            model = builder.task(here, phase.train, needs=needs, gives=LONGER_CONTEXT)


def _phases(data: Any, problems: list[Problem]) -> list[Any]:
    """The training of every phase with the options that the recipe gives alone."""
    path: Path = (LongContext.name,)
    section = mapping(data, path, problems, LongContext.example)
    if section is None:
        return []
    options = find(ROOM, STAGE).model_fields
    common = {name: value for name, value in section.items() if name != "phases"}
    unknown_keys(common, [name for name in options if name != LENGTH], path, problems)
    entries = section.get("phases")
    if not isinstance(entries, list) or not entries:
        message = f"expected a list of phases; write `{LongContext.name}: {LongContext.example}`"
        problems.append(Problem((*path, "phases"), message))
        return []
    phases: list[Any] = []
    for k, entry in enumerate(entries):
        here = (*path, "phases", k)
        given = mapping(entry, here, problems, PHASE)
        if given is not None:
            known = {name: value for name, value in common.items() if name in options}
            phases.append(stage(ROOM, STAGE, _chosen(known | given), Task, here, problems))
    return phases


def _completed(phases: list[Any], pack: Write, train: Trainer, problems: list[Problem]) -> tuple[Phase, ...]:
    """The phases with what follows from `pack` and `train`, which must be shorter."""
    path: Path = (LongContext.name, "phases")
    row, found = int(pack.model_dump()[LENGTH]), len(problems)
    before, whose = train.window(row), "`train` has"
    for k, phase in enumerate(phases):
        length = phase.sequence_length
        if length <= before:
            message = f"is {length}, but {whose} {before} tokens already; a phase makes the context longer"
            problems.append(Problem((*path, k, LENGTH), message))
        before, whose = length, "the phase before has"
    if len(problems) > found:
        return ()
    context, longest = train.window(row), phases[-1].sequence_length
    made = []
    for k, phase in enumerate(phases):
        length, factor = phase.sequence_length, phase.factor
        if factor is not None and train.start_from is None and factor * context < length:
            message = f"stretches {context} tokens to {factor * context:g}, but rows have {length}; raise it"
            problems.append(Problem((*path, k, "factor"), message))
        chosen = {name: value for name, value in phase.model_dump().items() if name in phase.model_fields_set}
        follows = train.phase_options(row, length, longest)
        if chosen.get("ranks") == 1 and "parallel" not in chosen:
            follows.pop("parallel", None)  # one process divides nothing, however `train` does
        try:
            whole = type(phase).model_validate(follows | chosen)
        except ValidationError as error:
            problems.extend(Problem((*path, k), one["msg"]) for one in error.errors())
            continue
        fault = train.phase_fault(whole)
        if fault is not None:
            message = f"{whole.ranks} ranks: {fault}; or give a larger `batch_size`, or `ranks: 1`, here"
            problems.append(Problem((*path, k, "ranks"), message))
        cost = whole.batch_size * length / train.step_tokens(row)
        made.append(Phase(pack.model_copy(update={LENGTH: length}), whole, cost))
    return tuple(made)


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, which ask for what follows from `train`, but where null switches something off."""
    return {name: value for name, value in options.items() if value is not None or name in _OFF}


SECTION = LongContext
