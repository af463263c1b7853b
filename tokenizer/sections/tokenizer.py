"""The section `tokenizer`: how the tokenizer is made, the sample it is made from, and what it must achieve.

One of `train`, `sentencepiece` and `load` makes it. `train` and `sentencepiece` take the options of the
trainer and those of the sample in one mapping. `require` and `references` judge whatever was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, cast

from pydantic import Field

from corpusmill.pipelines.contract.given import HELD_OUT, JUDGEMENT, TOKENIZER
from corpusmill.pipelines.contract.stage import Fold, Stage, Task
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import mapping, stage, unknown_keys
from corpusmill.pipelines.recipe.json_schema import NULL, Node, Schema, described, summary
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.names import EVERYTHING, group_problems, mapping_or_empty
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Cut, Placed, Reading, Section

ROOM = "tokenizer"
LOAD = "load"
JUDGES = ("require", "references")
TRAINERS = {"train": "train_bpe", "sentencepiece": "train_sentencepiece"}
MAKERS = (*TRAINERS, LOAD)
SAMPLE, LOADER, JUDGE = "tokenizer_sample", "load_tokenizer", "accept_tokenizer"
BY_GROUP = ("bytes_per_token", "fertility", "continued_words")  # of `require`


class Loader(Protocol):
    """What the section asks of the stage that brings a tokenizer of the user's."""

    def faults(self, needed: Mapping[str, str]) -> list[str]:
        """All that is wrong with it for a run that needs these roles (role -> how to do without)."""


class Tokenizer(Section):
    """Train a tokenizer on the documents, or load one; and what it must achieve."""

    after: ClassVar[tuple[str, ...]] = ("dedup", "decontaminate", "held_out")
    example: ClassVar[str] = "{train: {vocab_size: 8192}}"
    step_roots: ClassVar[tuple[str, ...]] = (SAMPLE, "tokenizer", "acceptance")
    gives: ClassVar[tuple[str, ...]] = (TOKENIZER, JUDGEMENT)

    key: str
    """The one of `MAKERS` that the recipe has."""
    sample: Fold | None = None
    maker: Fold | Task
    judge: Fold | None = None
    roles: dict[str, str] = Field(default_factory=dict)
    """Roles of special tokens that other sections need, and how to do without each."""

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Groups of budgets and requirements are of sources that the recipe has."""
        section, sources = mapping_or_empty(data), recipe["sources"]
        for key in TRAINERS:
            budgets = mapping_or_empty(mapping_or_empty(section.get(key)).get("budgets"))
            yield from group_problems(budgets, (cls.name, key, "budgets"), sources, ())
        required = mapping_or_empty(section.get("require"))
        for key in BY_GROUP:
            groups = mapping_or_empty(required.get(key))
            yield from group_problems(groups, (cls.name, "require", key), sources, (EVERYTHING,))
        for name, groups in mapping_or_empty(required.get("against")).items():
            place: Path = (cls.name, "require", "against", name)
            yield from group_problems(mapping_or_empty(groups), place, sources, (EVERYTHING,))

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        path, problems = (cls.name,), reading.problems
        section = mapping(data, path, problems, cls.example)
        if section is None:
            return None
        unknown_keys(section, (*MAKERS, *JUDGES), path, problems)
        given = [key for key in MAKERS if key in section]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            problems.append(Problem(path, f"expected one of `train`, `sentencepiece` and `load`, got {got}"))
            return None
        (key,) = given
        sample, maker = (
            (None, _load(section[key], problems)) if key == LOAD else _train(key, section[key], problems)
        )
        judged = key != LOAD or any(section.get(name) for name in JUDGES)
        judge = _judge(section, sample, problems) if judged else None
        if maker is None or (key != LOAD and sample is None):
            return None
        return cls(key=key, sample=sample, maker=maker, judge=judge)

    @classmethod
    def beside(cls, made: Self | None, reading: Reading) -> Self | None:
        roles: dict[str, str] = {}
        for asked in reading.asked(cls.name).values():  # each a mapping of roles, whatever its word
            roles |= {role: cure for role, cure in asked.items() if role not in roles}
        return None if made is None else made.model_copy(update={"roles": roles})

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """The makers, the options of sample and trainer in one mapping, and what judges the result."""
        loader, judges = find(ROOM, LOADER), schema.options(find(ROOM, JUDGE))
        loaded = described(summary(loader), {"type": "string"}, schema.stage(loader))
        return {
            "description": summary(cls),
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **{key: _trainer_schema(key, schema) for key in TRAINERS},
                LOAD: loaded,
                **{key: judges[key] for key in JUDGES},
            },
            "oneOf": [{"required": [key]} for key in MAKERS],
        }

    def asks(self) -> Mapping[str, Mapping[str, Any]]:
        return {} if self.sample is None else {"held_out": {"tokenizer": _held_out(self.sample)}}

    def stages(self) -> list[Placed]:
        place = (self.name, self.key)
        found: list[tuple[Path, Stage | None]] = [(place, self.sample), (place, self.maker)]
        return [(path, one) for path, one in [*found, ((self.name,), self.judge)] if one is not None]

    def input_problems(self, found: Sequence[Problem]) -> Iterator[Problem]:
        """What a tokenizer that is loaded lacks of what other sections need."""
        if self.key == LOAD and not any(problem.path[:2] == (self.name, LOAD) for problem in found):
            for fault in cast(Loader, self.maker).faults(self.roles):
                yield Problem((self.name, LOAD), fault)

    def cut(self, rounds: int) -> Cut:
        """The sample, and all that is made from it, grows up to its budget."""
        if self.sample is None:
            return Cut(self)
        most = int(self.sample.model_dump()["sample_bytes"])
        return Cut(self, most_bytes={SAMPLE: most, self.name: most})

    def graph(self, builder: Builder) -> None:
        """The sample, the tokenizer made from it, and its judgement, which whatever uses it waits for."""
        families = builder.offered(HELD_OUT)
        apart = {} if families is None else {"held_out": families}
        if isinstance(self.maker, Fold):
            assert self.sample is not None
            sample = builder.fold(SAMPLE, self.sample, needs=apart)
            made = builder.fold(self.name, self.maker, needs={SAMPLE: sample}, gives=TOKENIZER)
        else:
            made = builder.task(self.name, self.maker, gives=TOKENIZER)
        if self.judge is not None:
            builder.fold("acceptance", self.judge, needs={"tokenizer": made, **apart}, gives=JUDGEMENT)


def _load(options: Any, problems: list[Problem]) -> Task | None:
    options = {"path": options} if isinstance(options, str) else options
    made: Task | None = stage(ROOM, LOADER, options, Task, (Tokenizer.name, LOAD), problems)
    return made


def _train(key: str, options: Any, problems: list[Problem]) -> tuple[Fold | None, Fold | None]:
    """The sample and the trainer of one mapping of options."""
    path: Path = (Tokenizer.name, key)
    given = {} if options is None else mapping(options, path, problems, "{vocab_size: 8192}")
    if given is None:
        return None, None
    kinds = (find(ROOM, SAMPLE), find(ROOM, TRAINERS[key]))
    fields = [set(kind.model_fields) for kind in kinds]
    unknown_keys(given, sorted(fields[0] | fields[1]), path, problems)
    made = [
        stage(ROOM, kind.name, {k: v for k, v in given.items() if k in names}, Fold, path, problems)
        for kind, names in zip(kinds, fields, strict=True)
    ]
    return made[0], made[1]


def _judge(section: dict[str, Any], sample: Fold | None, problems: list[Problem]) -> Fold | None:
    options = {key: section[key] for key in JUDGES if section.get(key) is not None}
    if sample is not None:
        options["held_out"] = _held_out(sample)
    made: Fold | None = stage(ROOM, JUDGE, options, Fold, (Tokenizer.name,), problems)
    return made


def _held_out(sample: Fold) -> float:
    return float(sample.model_dump()["held_out"])


def _trainer_schema(key: str, schema: Schema) -> Node:
    """The options of one trainer, those of its sample included."""
    trainer, options = find(ROOM, TRAINERS[key]), schema.options(find(ROOM, SAMPLE))
    reference = schema.stage(trainer)
    schema.definitions[trainer.name]["properties"] |= options
    return described(summary(trainer), reference, NULL)


SECTION = Tokenizer
