"""The section `tokenizer`: how the tokenizer is made, the sample it is made from, and what it must achieve.

One of `train`, `sentencepiece` and `load` makes it. `train` and `sentencepiece` take the options of the
trainer and those of the sample in one mapping. `require` and `references` judge whatever was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.contract.stage import Fold, Stage, Task
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.sections import Problems, mapping, stage, unknown_keys

MAKERS = ("train", "sentencepiece", "load")
JUDGES = ("require", "references")
TRAINERS = {"train": "train_bpe", "sentencepiece": "train_sentencepiece"}
SAMPLE, JUDGE = "tokenizer_sample", "accept_tokenizer"


@dataclass(frozen=True)
class TokenizerSection:
    """`sample` is None for a tokenizer that is loaded; `judge` is None where nothing is to be judged."""

    sample: Fold | None = None
    maker: Fold | Task | None = None
    judge: Fold | None = None


def tokenizer(data: Any, problems: Problems) -> TokenizerSection:
    """The section as stages."""
    path: Path = ("tokenizer",)
    section = mapping(data, path, problems, "{train: {vocab_size: 8192}}")
    if section is None:
        return TokenizerSection()
    unknown_keys(section, (*MAKERS, *JUDGES), path, problems)
    given = [key for key in MAKERS if key in section]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        problems.append(Problem(path, f"expected one of `train`, `sentencepiece` and `load`, got {got}"))
        return TokenizerSection()
    (key,) = given
    sample, maker = (
        (None, _load(section["load"], problems)) if key == "load" else _train(key, section[key], problems)
    )
    judged = key != "load" or any(section.get(name) for name in JUDGES)
    return TokenizerSection(sample, maker, _judge(section, sample, problems) if judged else None)


def _load(options: Any, problems: Problems) -> Task | None:
    options = {"path": options} if isinstance(options, str) else options
    made: Task | None = stage("tokenizer", "load_tokenizer", options, Task, ("tokenizer", "load"), problems)
    return made


def _train(key: str, options: Any, problems: Problems) -> tuple[Fold | None, Fold | None]:
    """The sample and the trainer of one mapping of options."""
    path: Path = ("tokenizer", key)
    given = {} if options is None else mapping(options, path, problems, "{vocab_size: 8192}")
    if given is None:
        return None, None
    kinds = sample_and_trainer(key)
    fields = [set(kind.model_fields) for kind in kinds]
    unknown_keys(given, sorted(fields[0] | fields[1]), path, problems)
    made = [
        stage("tokenizer", kind.name, {k: v for k, v in given.items() if k in names}, Fold, path, problems)
        for kind, names in zip(kinds, fields, strict=True)
    ]
    return made[0], made[1]


def sample_and_trainer(key: str) -> tuple[type[Stage], type[Stage]]:
    """The two stages whose options stand under `train` or `sentencepiece`."""
    return registry.find("tokenizer", SAMPLE), registry.find("tokenizer", TRAINERS[key])


def _judge(section: dict[str, Any], sample: Fold | None, problems: Problems) -> Fold | None:
    options = {key: section[key] for key in JUDGES if section.get(key) is not None}
    if sample is not None:
        options["held_out"] = sample.model_dump()["held_out"]
    made: Fold | None = stage("tokenizer", JUDGE, options, Fold, ("tokenizer",), problems)
    return made
