"""The section `long_context`: phases, each a packing in longer rows and a training on them.

Options of `extend_context` stand beside `phases`, for all of them, or in one phase. What is left out follows
from `train` and `pack`.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any, Protocol

from corpusmill.pipelines.contract.stage import Stage, Task, Write
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import LongContextPhase
from corpusmill.pipelines.recipe.sections import Problems, mapping, stage, unknown_keys

STAGE = "extend_context"
LENGTH = "sequence_length"
EXAMPLE = "{phases: [{sequence_length: 4096, steps: 100}]}"


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


def stage_class() -> type[Stage]:
    """The stage whose options stand under `long_context`."""
    return registry.find("training_hooks", STAGE)


def long_context(data: Any, pack: Write, train: Trainer, problems: Problems) -> tuple[LongContextPhase, ...]:
    """The section as phases; `pack` and `train` are the recipe's."""
    path: Path = ("long_context",)
    section = mapping(data, path, problems, EXAMPLE)
    if section is None:
        return ()
    options = stage_class().model_fields
    common = {name: value for name, value in section.items() if name != "phases"}
    unknown_keys(common, [name for name in options if name != LENGTH], path, problems)
    entries = section.get("phases")
    if not isinstance(entries, list) or not entries:
        message = f"expected a list of phases; write `long_context: {EXAMPLE}`"
        problems.append(Problem((*path, "phases"), message))
        return ()
    found = len(problems)
    phases: list[Any] = []
    for k, entry in enumerate(entries):
        here = (*path, "phases", k)
        given = mapping(entry, here, problems, EXAMPLE[10:-2])
        if given is not None:
            known = {name: value for name, value in common.items() if name in options}
            phases.append(stage("training_hooks", STAGE, _chosen(known | given), Task, here, problems))
    if len(problems) > found:
        return ()
    row, made = int(pack.model_dump()[LENGTH]), []
    before, whose = train.window(row), "`train` has"
    for k, phase in enumerate(phases):
        length = phase.sequence_length
        if length <= before:
            message = f"is {length}, but {whose} {before} tokens already; a phase makes the context longer"
            problems.append(Problem((*path, "phases", k, LENGTH), message))
        before, whose = length, "the phase before has"
    if len(problems) > found:
        return ()
    context, longest = train.window(row), phases[-1].sequence_length
    for k, phase in enumerate(phases):
        length, factor = phase.sequence_length, phase.factor
        if factor is not None and train.start_from is None and factor * context < length:
            message = f"stretches {context} tokens to {factor * context:g}, but rows have {length}; raise it"
            problems.append(Problem((*path, "phases", k, "factor"), message))
        chosen = {name: value for name, value in phase.model_dump().items() if name in phase.model_fields_set}
        follows = train.phase_options(row, length, longest)
        whole = type(phase).model_validate(follows | chosen)
        cost = whole.batch_size * length / train.step_tokens(row)
        made.append(LongContextPhase(pack.model_copy(update={LENGTH: length}), whole, cost))
    return tuple(made)


_OFF = ("needles", "require", "ema")


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, which ask for what follows from `train`, but where null switches something off."""
    return {name: value for name, value in options.items() if value is not None or name in _OFF}
