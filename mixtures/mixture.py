"""`mixture`: plan how many tokens of each source, or of any other group of documents, are trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from corpusmill.mixtures.plan.cells import KNOWN, Cells, rising
from corpusmill.mixtures.plan.groups import Group
from corpusmill.mixtures.plan.phase_options import PhaseOptions
from corpusmill.mixtures.plan.phases import Phase, cells_of, problems
from corpusmill.pipelines.contract.option_paths import OptionPath, WrongOptionError
from corpusmill.pipelines.contract.stage import Context, Fold, Seeded, Stage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.mixtures.plan.edge import Edges
    from corpusmill.mixtures.plan.planning import Planned
    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents


class Mixture(Group, Seeded, Fold):
    """Plan a mixture by tokens: a budget, the share of each source or other group, and at most `max_epochs`
    of any.

    Weights add up to 1 within 1e-6 or are scaled with `normalize: true`. Without weights, shares follow the
    tokens available to the power 1/`temperature`. So no options at all means everything once.

    Every group gives what its share asks, exact to the token; shares are rounded so that they add up to
    `tokens` (`division.divided`). One wanted more than once is repeated whole;
    of the part of an epoch that is left, documents are taken in the order of a draw of their ids, and the
    last one is cut: its beginning is taken (`pack` says how), in this epoch only. What is planned is exactly
    what is drawn. A group wanted more than `max_epochs` times gives that much. Every share that is missed is
    said with its cause (`max_epochs`, `empty`, `absent`: no document has the value, `held_out`: nothing else
    is there, `rounding`: less than one token is asked), the nearest mixture that can be had is written beside
    it, and with `on_shortfall: fail` it stops the run. Other groups do not fill the gap. Weights count
    tokens, never documents.

    With `phases`, each takes its tokens by groups of its own, one after the other: copies of a cell go on
    where the phase before left off, so no document comes again before its cell is used up, and a document
    that a phase ends in is taken up where it was left.

    Documents held out are left out of all the figures above and below, and counted beside them: of every
    cell with a share in the mixture they are drawn once, to be judged on.

    Artefact: plan.json (`records.mixture_plan`). Memory: the sums (`mixture_sums`), and of each cell the
    lengths and ids of the documents of the bin that it ends in. Raises UserError for weights that do not fit
    the documents, and where there are no tokens at all.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    consumes: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("mixture_sums",)
    addressed: ClassVar[bool] = True

    tokens: int | None = Field(
        None, ge=1, description="Tokens of the mixture; null: as many as the groups with a share hold."
    )
    at: dict[str, Annotated[list[int | float], AfterValidator(rising)]] = Field(
        default_factory=dict,
        description="Edges that divide a column of numbers (`tokens`, a score) into buckets.",
    )
    max_epochs: float = Field(
        4.0, gt=0.0, le=1000.0, description="Most times that the tokens of a group are taken."
    )
    phases: list[PhaseOptions] = Field(
        default_factory=list, description="Stretches of the training in order, each with shares of its own."
    )
    on_shortfall: Literal["report", "fail"] = Field(
        "report", description="Report groups that give less than their share, or fail the run."
    )
    held_out: float = Field(
        0.0, ge=0.0, le=0.5, description="Share of documents held out from training; set it in `pack`."
    )

    views: list[list[int]] = Field(
        [[0]], description="View of a copy by phase and epoch (`contract.encoded_views`); set by `pack`."
    )

    _sums: pa.Table | None = PrivateAttr(default=None)
    _planned: Planned | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _phases_fit_together(self) -> Self:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            twice = next(at for at, name in enumerate(names) if name in names[:at])
            words = f"phases need names of their own, got {', '.join(names)}; rename one"
            raise WrongOptionError(("phases", twice, "name"), words)
        for at, words in problems(self.schedule(), self.tokens) if self.phases else ():
            raise WrongOptionError(("phases", at), f"phase {names[at]}: {words}")
        return self

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[OptionPath, str]]:
        """Columns that no step before gives: all documents would be `unknown` there."""
        given = {column for stage in before for column in stage.produces}
        wrong: list[tuple[OptionPath, str]] = []
        for path, column in self.columns_named():
            if column not in KNOWN and column not in given:
                words = f"no step of the sources gives the column `{column}`; write one that does, or "
                wrong.append((path, words + f"one of {', '.join(KNOWN)}"))
        return wrong

    def columns_named(self) -> Iterator[tuple[OptionPath, str]]:
        """Every column that its options name, with the path of the option that does."""
        for path, group in self.placed():
            yield (*path, "by"), group.by
        for number, phase in enumerate(self.phases):
            for path, group in phase.placed():
                yield ("phases", number, *path, "by"), group.by
            for column in phase.only:
                yield ("phases", number, "only", column), column

    def most_copies(self) -> int:
        """How often a document may be taken at most."""
        every = [group for phase in self.schedule() for group in phase.group.every()]
        once = self.tokens is None and not self.phases and all(group.way == "proportional" for group in every)
        most = [self.max_epochs, *(one.max_epochs for one in every if one.max_epochs is not None)]
        return 1 if once else math.ceil(max(most))

    def schedule(self) -> list[Phase]:
        """Its phases in order."""
        return [one.phase(self) for one in self.phases] or [Phase("", self)]

    def cells(self) -> Cells:
        """How it tells documents apart."""
        return cells_of(self.schedule(), self.at)

    def prepare(self, context: Context) -> Self:
        """With the sums, and what they make of the shares. Raises UserError."""
        import pyarrow.ipc as ipc

        from corpusmill.mixtures.mixture_sums import FILE
        from corpusmill.mixtures.plan.histogram import by_cell
        from corpusmill.mixtures.plan.planning import planned

        ready = super().prepare(context)
        with ipc.open_file(context.artefact("mixture_sums", FILE)) as file:
            ready._sums = file.read_all()
        sums = by_cell(ready._sums)
        ready._planned = planned(
            self.cells(), self.schedule(), sums, self.tokens, self.max_epochs, self.views
        )
        return ready

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The documents among which the parts of epochs end, as `selection.EDGE`."""
        return self._edges().rows(batches, self.known_seed())

    def marks(self) -> Marks:
        """Which documents are among those in which parts of epochs end."""
        from corpusmill.pipelines.contract.context import Marks

        options = self.model_dump_json()

        def on_edge(context: Context, docs: Documents) -> npt.NDArray[np.bool_]:
            from corpusmill.pipelines.contract.randomness import draws

            ready = _prepared(options, context.seed, context.artefacts["mixture_sums"])
            return ready._edges().among(docs, draws(docs.column("id"), context.seed, "mixture"))

        return Marks(("mixture_sums",), ("id", "held_out", *self.cells().names), on_edge)

    def _edges(self) -> Edges:
        from corpusmill.mixtures.plan.edge import Edges
        from corpusmill.mixtures.plan.histogram import bins_of

        sums, plan = self._known()
        wanted = {
            cell: set(walk.sums.bins[sorted(walk.bins)].tolist())
            for cell, walk in plan.walks.items()
            if walk.bins
        }
        return Edges(plan.cells, bins_of(sums), wanted)

    def _known(self) -> tuple[pa.Table, Planned]:
        if self._sums is None or self._planned is None:
            raise RuntimeError("mixture needs the sums of its sources: call prepare first")
        return self._sums, self._planned

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        return pa.concat_tables(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write plan.json into `folder`; returns what it says, but for its cells, which may be many."""
        from corpusmill.mixtures.plan.histogram import bins_of
        from corpusmill.mixtures.plan.made_plan import made_plan
        from corpusmill.mixtures.plan.shortfalls import failure
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.pipelines.records.codec import encode
        from corpusmill.pipelines.records.mixture_plan import FILE, write_plan

        sums, planned = self._known()
        plan = made_plan(planned, sums, part, self.known_seed(), bins_of(sums), self)
        if self.on_shortfall == "fail" and (words := failure(plan.phases)):
            raise UserError(words)
        write_plan(folder / FILE, plan)
        return {key: value for key, value in encode(plan).items() if key != "cells"}


@lru_cache(maxsize=2)
def _prepared(options: str, seed: int, sums: Path) -> Mixture:
    """`sums`: the folder of the artefact, whose version stands in its path."""
    return Mixture.model_validate_json(options).prepare(Context(seed, {"mixture_sums": sums}))
