"""The section `pack`: what the mixture draws, as rows of tokens in shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import ValidationError

from corpusmill.pipelines.contract.given import DRAWN, MIXTURE, SHARDS, TOKENIZER
from corpusmill.pipelines.contract.stage import Write
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import stage
from corpusmill.pipelines.recipe.json_schema import Node, Schema
from corpusmill.pipelines.recipe.messages import Path, Problem, unknown_keys
from corpusmill.pipelines.recipe.names import domains, mapping_or_empty, unknown_name
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Placed, Reading, Section
from corpusmill.tokenizer.fim.options import Fim

if TYPE_CHECKING:
    from corpusmill.tokenizer.pack import Pack as Packing


class Pack(Section):
    """Rows of tokens. It asks other sections to encode, to draw the mixture and to hold documents out."""

    after: ClassVar[tuple[str, ...]] = ("encode", "mixture")
    needs: ClassVar[Mapping[str, str]] = {"tokenizer": "it packs tokens"}
    example: ClassVar[str] = "{sequence_length: 1024}"
    gives: ClassVar[tuple[str, ...]] = (SHARDS,)

    packing: Write
    phases_frame: bool = False
    """Whether a phase of the mixture asks for fill-in-the-middle."""

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Domains and sources of fill-in-the-middle, in phases too, are some that the recipe has."""
        yield from _of_fim(mapping_or_empty(data).get("fim"), recipe["sources"], (cls.name, "fim"))
        phases = mapping_or_empty(recipe.get("mixture")).get("phases")
        for at, phase in enumerate(phases if isinstance(phases, list) else []):
            path = ("mixture", "phases", at, "fim")
            yield from _of_fim(mapping_or_empty(phase).get("fim"), recipe["sources"], path)

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        packing = stage("tokenizer", "pack", data, Write, (cls.name,), reading.problems)
        if packing is None:
            return None
        return cls(packing=packing, phases_frame=_phases_frame(cast("Packing", packing).fim, reading.data))

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        return schema.section_of(find("tokenizer", "pack"))

    def asks(self) -> Mapping[str, Mapping[str, Any]]:
        options = cast("Packing", self.packing)
        return {
            "held_out": {"model": options.held_out},
            "tokenizer": {"roles": options.roles_needed(self.phases_frame)},
            "encode": options.encode_options(),
            "mixture": options.mixture_options(),
        }

    def stages(self) -> list[Placed]:
        return [((self.name,), self.packing)]

    def graph(self, builder: Builder) -> None:
        needs = {"tokenizer": builder.need(TOKENIZER), "mixture": builder.need(MIXTURE)}
        builder.write(self.name, self.packing, builder.need(DRAWN), needs=needs, gives=SHARDS)


def _phases_frame(fim: Fim, recipe: Mapping[str, Any]) -> bool:
    """Whether the options of any phase, over those of `pack`, ask for fill-in-the-middle."""
    phases = mapping_or_empty(recipe.get("mixture")).get("phases")
    for phase in phases if isinstance(phases, list) else []:
        own = mapping_or_empty(phase).get("fim")
        try:
            if own and Fim.model_validate({**fim.model_dump(), **mapping_or_empty(own)}).asked():
                return True
        except ValidationError:
            continue  # the section of the mixture tells it, with its place
    return False


def _of_fim(data: Any, sources: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Names in options of fill-in-the-middle that the recipe does not have."""
    known, fim = domains(sources), mapping_or_empty(data)
    for key in ("rates", "splits"):
        yield from unknown_keys(mapping_or_empty(fim.get(key)), sources, (*path, key), "source")
    wanted = fim.get("domains")
    for index, name in enumerate(wanted if isinstance(wanted, list) else []):
        if name not in known:
            yield Problem((*path, "domains", index), unknown_name("domain", name, known))


SECTION = Pack
