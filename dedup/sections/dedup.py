"""The section `dedup`: deduplications over all sources, one after the other, and against earlier runs.

It is a list of stages, or a mapping with the list as `steps`, which has room for the options of `Earlier`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from glob import has_magic
from pathlib import Path as FilePath
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.contract.stage import Deduplicate, Exchange
from corpusmill.pipelines.recipe.builder import Builder, incomparable
from corpusmill.pipelines.recipe.entries import stage, stage_list, unknown_keys
from corpusmill.pipelines.recipe.json_schema import Node, Schema, stages_of, summary
from corpusmill.pipelines.recipe.messages import Path, Problem, unknown_key
from corpusmill.pipelines.recipe.options import RunPath, build
from corpusmill.pipelines.recipe.section import Cut, Placed, Reading, Section
from corpusmill.pipelines.storage.earlier_runs import remembered
from corpusmill.pipelines.storage.remote.mirrors import store_of_run

ROOM, STEPS = "dedup", "steps"


class Earlier(BaseModel):
    """What a run takes from earlier ones and leaves to later ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    against: tuple[RunPath, ...] = Field(
        (),
        description="Folders or URLs of earlier runs that remember their documents, earliest first, or "
        "patterns of folders, relative to the recipe: what they have is removed here.",
    )
    remember: bool = Field(
        False, description="Keep what later runs need to compare their documents with those of this run."
    )


class Dedup(Section):
    """Deduplication over all sources together, one after the other."""

    example: ClassVar[str] = "[exact, minhash]"

    entries: tuple[tuple[Path, Exchange], ...]
    earlier: Earlier = Earlier()

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """`priority`, `sources` and `max_removed` of a deduplication name sources."""
        place, steps = _steps(data)
        for index, entry in enumerate(steps if isinstance(steps, list) else []):
            for name, options in entry.items() if isinstance(entry, dict) else ():
                for option in ("priority", "sources") if isinstance(options, dict) else ():
                    named = options.get(option)
                    for at, source in enumerate(named if isinstance(named, list) else []):
                        if source not in recipe["sources"]:
                            message = partial(unknown_key, str(source), recipe["sources"], "source")
                            yield Problem((*place, index, name, option, at), message)
                limits = options.get("max_removed") if isinstance(options, dict) else None
                for source in limits if isinstance(limits, dict) else ():
                    if source not in recipe["sources"]:
                        message = partial(unknown_key, str(source), recipe["sources"], "source")
                        yield Problem((*place, index, name, "max_removed", source), message)

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        def made(name: str, options: Any, path: Path, problems: list[Problem]) -> Exchange | None:
            found: Exchange | None = stage(ROOM, name, options, Exchange, path, problems)
            return found

        problems = reading.problems
        place, steps = _steps(data)
        earlier: Earlier | None = Earlier()
        if isinstance(data, dict):
            known = (*Earlier.model_fields, STEPS)
            of_stages = {key: names for key in data if key not in known and (names := _stages_with(key))}
            unknown_keys(data, (*known, *of_stages), place[:1], problems)
            for key, names in of_stages.items():
                said = f"it is an option of {', '.join(names)}, not of the section; write it at the stage: "
                said += f"`steps: [{{{names[0]}: {{{key}: ...}}}}]`"
                problems.append(Problem((cls.name, key), said))
            if steps is None:
                problems.append(Problem(place[:1], "`steps` is missing; add `steps: [exact, minhash]`"))
            options = {key: value for key, value in data.items() if key in Earlier.model_fields}
            if isinstance(options.get("against"), str):
                options["against"] = [options["against"]]
            earlier = build(Earlier, options, place[:1], problems)
        entries = tuple((path, one) for one, path in stage_list(steps, place, problems, made))
        if earlier is None:
            return None
        problems += _incomparable(entries, earlier)
        return cls(entries=entries, earlier=earlier)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        steps = schema.stage_list(stages_of(ROOM, Exchange))
        keys = schema.fields(Earlier)
        keys["against"]["anyOf"] = [
            {"type": "string"},
            {key: keys["against"].pop(key) for key in ("type", "items")},
        ]
        properties = {STEPS: {"description": "The stages, in order.", **steps}, **keys}
        mapping = {
            "type": "object",
            "required": [STEPS],
            "additionalProperties": False,
            "properties": properties,
        }
        return {"description": summary(cls), "anyOf": [steps, mapping]}

    def stages(self) -> list[Placed]:
        return list(self.entries)

    def input_problems(self, found: Sequence[Problem]) -> Iterator[Problem]:
        """Earlier runs that are not there, or do not remember what the stages are compared by."""
        for at, pattern in enumerate(self.earlier.against):
            place = (self.name, "against", at)
            runs = _matched(pattern)
            if not runs:
                yield Problem(place, _unmatched(pattern))
            for run in runs:
                for _, one in self._compared():
                    try:
                        remembered(run, f"{self.name}.{one.name}")
                    except UserError as error:
                        yield Problem(place, str(error))
                        break

    def cut(self, rounds: int) -> Cut:
        """Without earlier runs, whose documents a cut cannot be taken of."""
        return Cut(self.model_copy(update={"earlier": Earlier(remember=self.earlier.remember)}))

    def graph(self, builder: Builder) -> None:
        found = {pattern: _matched(pattern) for pattern in self.earlier.against}
        if nothing := [pattern for pattern, runs in found.items() if not runs]:
            raise RecipeError(_unmatched(nothing[0]))
        runs = [run for pattern in self.earlier.against for run in found[pattern]]
        compared = {one.name for _, one in self._compared()}
        for _, one in self.entries:
            name = f"{self.name}.{one.name}"
            if one.name in compared:
                builder.exchange(name, one, against=runs, remember=self.earlier.remember)
            else:
                builder.exchange(name, one)

    def _compared(self) -> list[tuple[Path, Exchange]]:
        """Entries that earlier and later runs count for: those that remove whole documents."""
        return [entry for entry in self.entries if isinstance(entry[1], Deduplicate)]


def _stages_with(option: str) -> list[str]:
    """The stages of this section that have an option."""
    return [name for name, kind in stages_of(ROOM, Exchange).items() if option in kind.model_fields]


def _steps(data: Any) -> tuple[Path, Any]:
    """The list of stages in the section's entry, and its place."""
    return ((Dedup.name, STEPS), data.get(STEPS)) if isinstance(data, dict) else ((Dedup.name,), data)


def _incomparable(entries: Sequence[tuple[Path, Exchange]], earlier: Earlier) -> Iterator[Problem]:
    """A problem for each deduplication that cannot do what is asked, and for none that can."""
    asked = " and ".join(f"`{name}`" for name in ("against", "remember") if getattr(earlier, name))
    if not asked:
        return
    whole = [(path, one) for path, one in entries if isinstance(one, Deduplicate)]
    if not whole:
        yield Problem(
            (Dedup.name,), f"{asked}: no stage here removes whole documents; add `exact` or `minhash`"
        )
    for path, one in whole:
        if (why := incomparable(one)) is not None:
            yield Problem(path, f"{why}; leave out {asked}, or measure pairs (`verify: true`)")


def _unmatched(pattern: FilePath) -> str:
    return f"no run matches {pattern}; correct the pattern, or leave it out"


def _matched(pattern: FilePath) -> list[FilePath]:
    """Folders that a pattern stands for, by name; a path without wildcards stands for itself."""
    if not has_magic(str(pattern)) or pattern.is_dir() or store_of_run(pattern) is not None:
        return [pattern]
    found = FilePath(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    return sorted(folder for folder in found if folder.is_dir())


SECTION = Dedup
