"""`datatrove`: a filter, formatter or extractor of datatrove as a step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import Field, PrivateAttr, model_validator

from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.contract.stage import Context, Edit, Outcome, Seeded

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.sources.datatrove_blocks.kept_state import KeptState


class _Name:
    """`Datatrove.name`: of a step, with its block, so that each has its own entry in the ledger."""

    def __get__(self, step: Datatrove | None, owner: type[Datatrove]) -> str:
        return "datatrove" if step is None else f"datatrove:{step.label or step.block.rpartition('.')[2]}"


class _Consumes:
    def __get__(self, step: Datatrove | None, owner: type[Datatrove]) -> tuple[str, ...]:
        return ("raw", "content_type") if step is not None and step.reads_raw else ("text",)


class _Libraries:
    def __get__(self, step: Datatrove | None, owner: type[Datatrove]) -> tuple[str, ...]:
        if step is None:
            return ("datatrove",)
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import block_class, distributions

        return distributions(block_class(step.block))


class Datatrove(Seeded, Edit):
    """Run a filter, formatter or extractor of datatrove 0.10 (`pip install 'corpusmill[datatrove]'`).

    A document that a filter drops is removed for the reason the filter gives (`dropped` where it gives none),
    one that a block raises on is quarantined. Text and metadata may be changed: metadata are `meta` and the
    columns `url`, `path`, `repo`, `license` and `lang`; ids stay. An extractor reads the column `raw` (bytes
    decoded as by `extract`), or the text with `html: text`; without text the document is removed as `empty`.

    Differences from datatrove's executor: one document at a time, whatever `batch_size` is; an extractor has
    no time limit of its own (its `timeout`, of wall-clock seconds, would let the machine's speed decide what
    is lost; the engine's `document_timeout_s` holds); numbers that a block counts with start anew at each
    document and its random draws follow from the recipe's seed and the document's id, so that the output does
    not depend on how the input is cut. `exclusion_writer` is not needed: removed documents are in the run's
    own record.
    """

    name: ClassVar[str] = cast("str", _Name())
    consumes: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Consumes())
    produces: ClassVar[tuple[str, ...]] = ("text",)
    libraries: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Libraries())

    block: str = Field(
        min_length=3,
        description="Full name of the class, as `datatrove.pipeline.filters.GopherQualityFilter`, "
        "or `STEM.Class` for one in the plugin STEM.py.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the block's constructor, by name."
    )
    paths: dict[str, Path] = Field(
        default_factory=dict,
        description="Arguments of the constructor that are files, relative to the recipe.",
    )
    label: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the step in the ledger, where a block stands twice; null: the class's name.",
    )
    network: bool = Field(
        False, description="Let the block download; without it a block that asks for a host ends the run."
    )
    html: Literal["raw", "text"] = Field(
        "raw", description="Column that an extractor reads: raw (the page's bytes) or text."
    )

    _kind: str = PrivateAttr(default="")
    _built: Any = PrivateAttr(default=None)
    _state: KeptState | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _known(self) -> Self:
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import (
            block_class,
            kind_of_block,
            need_options,
        )

        found = block_class(self.block)
        kind = kind_of_block(found)
        if kind == "reader":
            raise ValueError(f"`{self.block}` is a reader; write it under `read: {{datatrove: ...}}`")
        if kind is None:
            raise ValueError(f"`{self.block}` is no filter, formatter or extractor, which alone may be steps")
        both = sorted(set(self.options) & set(self.paths))
        if both:
            raise ValueError(f"`{both[0]}` stands in `options` and in `paths`; keep one")
        need_options(found, {**self.options, **self.paths})
        self._kind = kind
        return self

    @property
    def reads_raw(self) -> bool:
        return self._kind == "extractor" and self.html == "raw"

    def external_files(self) -> tuple[Path, ...]:
        """The block's files, and the plugin it is defined in."""
        from corpusmill.pipelines.contract.plugins import plugin_file
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import block_class

        plugin = plugin_file(block_class(self.block).__module__)
        return (*self.paths.values(), *(() if plugin is None else (plugin,)))

    def prepare(self, context: Context) -> Self:
        """The block built once, without network."""
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import block_class
        from corpusmill.pipelines.sources.datatrove_blocks.kept_state import KeptState
        from corpusmill.pipelines.sources.datatrove_blocks.offline import offline

        ready = super().prepare(context)
        paths = {name: str(path) for name, path in self.paths.items()}
        try:
            with offline(self.name, allowed=self.network):
                ready._built = block_class(self.block)(**self.options, **paths)
        except ImportError as error:
            raise UserError(f"{self.name}: {error}") from error
        except (TypeError, ValueError, OSError) as error:
            raise UserError(
                f"{self.name} cannot be built: {type(error).__name__}: {error}; correct its options"
            ) from error
        ready._state = KeptState(
            ready._built, context.seed, f"{self.block}\0{sorted(self.options.items())!r}"
        )
        return ready

    def edit(self, docs: Documents) -> Outcome:
        """The documents as the block leaves them, with its reasons."""
        from corpusmill.pipelines.sources.datatrove_blocks.batch import Runner

        if self._built is None or self._state is None:
            raise CorpusmillError(f"{self.name} is not ready: call prepare first")
        runner = Runner(self._built, self._kind, self._state, self.name, network=self.network)
        return runner.run(docs, raw=self.reads_raw)
