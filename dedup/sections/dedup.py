"""The section `dedup`: deduplications over all sources, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.stage import Exchange
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import stage, stage_list
from corpusmill.pipelines.recipe.json_schema import Node, Schema, stages_of, summary
from corpusmill.pipelines.recipe.messages import Path, Problem, unknown_key
from corpusmill.pipelines.recipe.section import Placed, Reading, Section

ROOM = "dedup"


class Dedup(Section):
    """Deduplication over all sources together, one after the other."""

    example: ClassVar[str] = "[exact, minhash]"

    entries: tuple[tuple[Path, Exchange], ...]

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """`priority` and `sources` of a deduplication name sources."""
        for index, entry in enumerate(data if isinstance(data, list) else []):
            for name, options in entry.items() if isinstance(entry, dict) else ():
                for option in ("priority", "sources") if isinstance(options, dict) else ():
                    named = options.get(option)
                    for at, source in enumerate(named if isinstance(named, list) else []):
                        if source not in recipe["sources"]:
                            message = partial(unknown_key, str(source), recipe["sources"], "source")
                            yield Problem((cls.name, index, name, option, at), message)

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        def made(name: str, options: Any, path: Path, problems: list[Problem]) -> Exchange | None:
            found: Exchange | None = stage(ROOM, name, options, Exchange, path, problems)
            return found

        entries = stage_list(data, (cls.name,), reading.problems, made)
        return cls(entries=tuple((path, one) for one, path in entries))

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        return {"description": summary(cls), **schema.stage_list(stages_of(ROOM, Exchange))}

    def stages(self) -> list[Placed]:
        return list(self.entries)

    def graph(self, builder: Builder) -> None:
        for _, one in self.entries:
            builder.exchange(f"{self.name}.{one.name}", one)


SECTION = Dedup
