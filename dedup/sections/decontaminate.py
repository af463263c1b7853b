"""The section `decontaminate`: benchmarks, what is kept of them, and the filter that compares with it.

Options of both stages stand beside `against`, which says what the benchmarks are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.given import BENCHMARKS, CONTAMINATION
from corpusmill.pipelines.contract.stage import Filter, Fold
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import mapping, stage, text_reader, unknown_keys
from corpusmill.pipelines.recipe.json_schema import PATTERNS, Node, Schema, described, summary
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Source
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Placed, Reading, Section
from corpusmill.pipelines.sources.reader import Reader

ROOM, AGAINST = "dedup", "against"
CHOICES = ("choices", "options")
GRAMS, JUDGE = "benchmark_grams", "decontaminate"


class Decontaminate(Section):
    """Keep documents that hold benchmark material from the model."""

    after: ClassVar[tuple[str, ...]] = ("dedup",)
    gives: ClassVar[tuple[str, ...]] = (BENCHMARKS, CONTAMINATION)
    example: ClassVar[str] = "{against: benchmarks/*.jsonl.zst}"
    step_roots: ClassVar[tuple[str, ...]] = ("benchmarks", GRAMS, "decontaminate")

    benchmarks: Source
    grams: Fold
    judge: Filter

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        path, problems = (cls.name,), reading.problems
        section = mapping(data, path, problems, cls.example)
        if section is None:
            return None
        grams, judge = find(ROOM, GRAMS), find(ROOM, JUDGE)
        valid = (AGAINST, *dict.fromkeys([*judge.model_fields, *grams.model_fields]))
        unknown_keys(section, valid, path, problems)
        if AGAINST not in section:
            message = "`against` is missing; add `against: benchmarks/*.jsonl.zst`"
            problems.append(Problem(path, message))
            made_reader = None
        else:
            made_reader = text_reader(section[AGAINST], (*path, AGAINST), problems, "benchmarks")
        ours = [{k: v for k, v in section.items() if k in found.model_fields} for found in (grams, judge)]
        made_grams = stage(ROOM, GRAMS, ours[0], Fold, path, problems)
        made_judge = stage(ROOM, JUDGE, ours[1], Filter, path, problems)
        if made_reader is None or made_grams is None or made_judge is None:
            return None
        problems += _window_too_small(section, made_judge.window, made_grams.n)
        made_reader = _with_parts_of_items(made_reader, made_grams)
        benchmarks = Source("benchmarks", "benchmark", made_reader)
        return cls(benchmarks=benchmarks, grams=made_grams, judge=made_judge)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """Options of two stages and `against` in one mapping."""
        words = "The benchmark files: patterns (JSON lines), or a reader and its files."
        properties: Node = {AGAINST: described(words, PATTERNS, schema.readers())}
        grams, judge = find(ROOM, GRAMS), find(ROOM, JUDGE)
        properties |= schema.options(grams) | schema.options(judge)
        return {
            "description": summary(judge),
            "type": "object",
            "required": [AGAINST],
            "additionalProperties": False,
            "properties": properties,
        }

    def stages(self) -> list[Placed]:
        place = (self.name,)
        return [(None, self.benchmarks.reader), (place, self.grams), (place, self.judge)]

    def sources(self) -> Sequence[tuple[Path, Source]]:
        return [((self.name, AGAINST), self.benchmarks)]

    def graph(self, builder: Builder) -> None:
        grams = builder.fold(GRAMS, self.grams, builder.read(self.benchmarks), gives=BENCHMARKS)
        builder.mask(self.name, self.judge, needs={"benchmarks": grams}, gives=CONTAMINATION)


def _with_parts_of_items(made: Reader, grams: Fold) -> Reader:
    """The reader, which makes the text of items that have none of their question, choices and solutions,
    unless its options say what to make it of."""
    if "text_from" not in type(made).model_fields or "text_from" in made.model_fields_set:
        return made
    options = grams.model_dump()
    fields = [*options["question_fields"], *CHOICES, *options["solution_fields"]]
    return made.model_copy(update={"text_from": list(dict.fromkeys(fields))})


def _window_too_small(section: Any, window: int, n: int) -> list[Problem]:
    """A problem where the window of words does not hold two n-grams, by the option that the recipe has."""
    if window >= 2 * n:
        return []
    message = (
        f"the window is {window} words, less than twice n = {n}; set `window` to {2 * n} or more, or `n` to "
        f"{window // 2} or less"
    )
    return [Problem(("decontaminate", "window" if "window" in section else "n"), message)]


SECTION = Decontaminate
