"""What a recipe is once checked: plain settings, and sections as stages ready for the graph.

`Settings` and `Engine` are the sections that are no stages; `Recipe` is the whole, every path resolved and
every stage built. Sections that a recipe leaves out are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.pipelines.contract.stage import Map, Regroup, Stage
from corpusmill.pipelines.recipe.messages import SLUG, InvalidRecipeError, Places, Problem
from corpusmill.pipelines.recipe.messages import Path as KeyPath
from corpusmill.pipelines.recipe.section import Section
from corpusmill.pipelines.sources.reader import Label, Reader
from corpusmill.pipelines.storage.objects.current import use_storage
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import is_url
from corpusmill.pipelines.system.patterns import nothing_matched

ALLOW_LOSS = 0.99


class Engine(BaseModel):
    """How the run's units are worked on. No setting of it changes a byte of the output.

    After each lost worker a unit waits longer, up to 20 s. Twelve in a row while no other unit's is lost are
    its own fault: it is given up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["inline", "process", "ray", "workers"] = Field(
        "process",
        description="In this process, for debugging; in processes of this machine; on a Ray cluster, joined "
        "by `address` or started here; or by `corpusmill worker`.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Workers at once; null: one for each core, each CPU of the cluster, each that is there.",
    )
    memory: int | None = Field(
        None,
        ge=2**20,
        description="Memory the workers may plan with together, such as 4GB; null: what is free.",
    )
    address: str | None = Field(None, description="Ray cluster to join; only with `kind: ray`.")
    unit_timeout_s: float = Field(600, gt=0, description="Seconds after which a unit counts as stuck.")
    document_timeout_s: float = Field(
        60,
        gt=0,
        description="Seconds one document may take when a stuck unit is tried again document by document.",
    )
    retries: int = Field(2, ge=0, description="Further attempts of a unit that failed or was stuck.")
    losses: int = Field(
        30,
        ge=0,
        description="Lost workers a unit may have before it is given up: nodes that fail, evictions, kills.",
    )
    heartbeat_s: float = Field(30, ge=1, description="Seconds of silence after which a worker is lost.")


class Settings(BaseModel):
    """The entries of a recipe that are neither sections of stages nor the engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=SLUG,
        max_length=64,
        description="Name of the recipe: a-z, 0-9, hyphens and underscores.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Everything random follows from this number and document ids.",
    )
    data: str = Field(
        ".",
        min_length=1,
        description="Folder that patterns are relative to, from the recipe's folder.",
    )
    output: str | None = Field(
        None,
        min_length=1,
        description="Folder of the run, relative to the recipe's, or a URL (s3, gs, az); null: runs/<name>.",
    )
    keep: Literal["all", "needed", "results"] = Field(
        "all",
        description="Files to keep: all; needed: no rows, pairs and partial results that no later step "
        "needs; results: nor documents and tokens, once there are shards.",
    )
    plugins: list[str] = Field(
        [], description="Python files, relative to the recipe, whose stages may be used by name."
    )


@dataclass(frozen=True)
class Source:
    """One source: where its documents come from and what is done to each of them.

    `allow_loss`: the share of its records that may be quarantined before the run fails. A source that keeps
    nothing fails it as well, unless `allow_loss` is 1. `keep_texts`: whether its texts are written before its
    first filter, so that a changed filter reads no input again.
    """

    name: str
    domain: str
    reader: Reader
    steps: tuple[Map | Regroup, ...] = ()
    allow_loss: float = ALLOW_LOSS
    keep_texts: bool = False

    @property
    def label(self) -> Label:
        return Label(self.name, self.domain)


@dataclass(frozen=True)
class Recipe:
    """A recipe that holds: all names known, all options valid, all sections in agreement.

    `path`: the file; `folder`: its folder, which `data`, `output` and `plugins` were resolved against;
    `data_folder`, `output_folder`, `plugins`: absolute; of a run on object storage `output_folder` is its
    mirror (`storage/remote/`). `sections`: by name, in the order of their work, those included that follow
    from others. `raw`: the plain data after overrides, as JSON can hold it, with
    `${NAME}` where it is written: what a variable of the environment holds is not for others to read.
    `places`: where everything was written, for later messages.
    """

    path: Path
    name: str
    seed: int
    folder: Path
    data_folder: Path
    output_folder: Path
    plugins: tuple[Path, ...]
    engine: Engine
    sources: tuple[Source, ...]
    sections: Mapping[str, Section]
    raw: Mapping[str, Any] = field(repr=False)
    places: Places = field(repr=False, compare=False)
    storage: ObjectStorage | None = None
    keep: Literal["all", "needed", "results"] = "all"

    def source(self, name: str) -> Source:
        """The source of this name. Raises KeyError naming those there are."""
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(f"no source {name!r}; there are {', '.join(s.name for s in self.sources)}")

    @property
    def sources_beside(self) -> list[tuple[KeyPath, Source]]:
        """What sections read beside the sources, each with its path in the recipe."""
        return [placed for section in self.sections.values() for placed in section.sources()]

    @property
    def placed_sources(self) -> list[tuple[KeyPath, Source]]:
        """Every source and what sections read beside them, each with the path of its reader."""
        own: list[tuple[KeyPath, Source]] = [
            (("sources", source.name, "read", source.reader.name), source) for source in self.sources
        ]
        return own + self.sources_beside

    def stages(self) -> list[Stage]:
        """Every stage of the recipe, in the order of its sections."""
        found: list[Stage] = []
        for source in self.sources:
            found += [source.reader, *source.steps]
        return found + [stage for section in self.sections.values() for _, stage in section.stages()]

    def error(self, path: KeyPath, message: str) -> InvalidRecipeError:
        """An error about something the recipe says, with its file and line, for what is found out later."""
        return self.places.error([Problem(path, message)])

    def check_inputs(self) -> None:
        """Check what the recipe names outside itself; raises InvalidRecipeError with a line for each fault.

        Kept apart from loading, so that a recipe can be checked where its data is not.
        """
        problems = self.input_problems()
        if problems:
            raise self.places.error(problems)

    def input_problems(self) -> list[Problem]:
        """What is wrong with the data folder, patterns, options that are paths, and the first records.

        Warns of what another run made and no longer holds.
        """
        from corpusmill.pipelines.recipe.first_records import source_problems
        from corpusmill.pipelines.recipe.placed import missing_files, note_loaded_versions

        use_storage(self.storage)  # sections look into earlier runs, which may lie there
        problems = list(missing_files(self))
        note_loaded_versions(self)
        for section in self.sections.values():
            problems += list(section.input_problems(problems))
        if not self.data_folder.is_dir():
            sample = f"`corpusmill sample-corpus {self.data_folder}` builds one to try things on"
            message = f"no folder {self.data_folder}; make it, or point `data` elsewhere ({sample})"
            return [*problems, Problem(("data",), message)]
        for path, source in self.placed_sources:
            if any("${" in pattern for pattern in source.reader.files):
                continue  # a variable that is not set, which is told already
            before = len(problems)
            for pattern in source.reader.files:
                if not is_url(pattern) and (fault := nothing_matched(self.data_folder, pattern)):
                    problems.append(Problem(path, fault))
            if len(problems) == before:
                problems += source_problems(self, source, path)
        return problems
