"""`mixture`: plan how many tokens of each source are trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from corpusmill.pipelines.contract.stage import Context, Fold, Seeded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.mixtures.plan.selection import Want
    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.records.mixture_plan import HeldOutPlan


class Mixture(Seeded, Fold):
    """Plan a mixture by tokens: a budget, the share of each source, and at most `max_epochs` of any.

    Weights add up to 1 within 1e-6 or are scaled with `normalize: true`. Without weights, shares follow the
    tokens available to the power 1/`temperature`. So no options at all means everything once.

    Every source gives what its share asks, exact to the token; shares are rounded so that they add up to
    `tokens` (`selection.divided`). One wanted more than once is repeated whole;
    of the part of an epoch that is left, documents are taken in the order of a draw of their ids, and the
    last one is cut: its beginning is taken (`pack` says how), in this epoch only. What is planned is exactly
    what is drawn. A source wanted more than `max_epochs` times gives that much. Every share that is missed is
    said with its cause (`max_epochs`, `empty`, `held_out`: nothing else is there, `rounding`: less than one
    token is asked), and with `on_shortfall: fail` stops the run. Other sources do not fill the gap. Weights
    count tokens, never documents.

    Documents held out are left out of all the figures above and below, and counted beside them: of every
    source with a share in the mixture they are drawn once, to be judged on.

    Artefact: plan.json, by source what is available, requested, achieved and held out. Memory: the sums, and
    of each source the lengths and ids of the documents of one of 65,536 bins. Raises UserError for weights
    that do not fit the sources, and where there are no tokens at all.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    consumes: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("mixture_sums",)
    addressed: ClassVar[bool] = True

    tokens: int | None = Field(
        None, ge=1, description="Tokens of the mixture; null: as many as the sources with a share hold."
    )
    weights: dict[str, float] | None = Field(
        None, description="Share of the tokens by source, for every source; 0 leaves one out."
    )
    normalize: bool = Field(False, description="Scale weights that do not add up to 1.")
    temperature: float = Field(
        1.0, ge=1.0, description="Without weights: 1 takes shares as they come, larger makes them more even."
    )
    max_epochs: float = Field(
        4.0, gt=0.0, le=1000.0, description="Most times that the tokens of a source are taken."
    )
    on_shortfall: Literal["report", "fail"] = Field(
        "report", description="Report sources that give less than their share, or fail the run."
    )
    held_out: float = Field(
        0.0, ge=0.0, le=0.5, description="Share of documents held out from training; set it in `pack`."
    )

    views: list[list[int]] = Field(
        [[0]], description="View of a copy by phase and epoch (`contract.encoded_views`); set by `pack`."
    )

    _sums: pa.Table | None = PrivateAttr(default=None)
    _budget: int = PrivateAttr(default=0)
    _wanted: dict[str, Want] = PrivateAttr(default_factory=dict)

    def most_copies(self) -> int:
        """How often a document may be taken at most."""
        once = self.tokens is None and self.weights is None and self.temperature == 1.0
        return 1 if once else math.ceil(self.max_epochs)

    @model_validator(mode="after")
    def _weights_are_shares(self) -> Self:
        if self.weights is None:
            return self
        if self.temperature != 1.0:
            raise ValueError("give either weights or temperature, not both")
        for source, weight in self.weights.items():
            if weight < 0:
                raise ValueError(f"weight of {source} is {weight}; it must be 0 or more")
        total = math.fsum(self.weights.values())
        if total == 0 or (abs(total - 1.0) > 1e-6 and not self.normalize):
            raise ValueError(f"weights add up to {total:g}, not 1; correct them or set normalize: true")
        return self

    def prepare(self, context: Context) -> Self:
        """With the sums, and what they make of the shares. Raises UserError."""
        import pyarrow.ipc as ipc

        from corpusmill.mixtures.mixture_sums import FILE
        from corpusmill.mixtures.plan.histogram import by_source
        from corpusmill.mixtures.plan.selection import wants
        from corpusmill.pipelines.contract.errors import UserError

        ready = super().prepare(context)
        with ipc.open_file(context.artefact("mixture_sums", FILE)) as file:
            ready._sums = file.read_all()
        count = max([0, *ready._sums.column("view").unique().to_pylist()]) + 1
        by_view = [by_source(ready._sums, view=view) for view in range(count)]
        sums = by_view[0]
        shares = self._shares({source: int(sum_MB[0].sum()) for source, sum_MB in sums.items()})
        present = sum(int(sum_MB[0].sum()) for source, sum_MB in sums.items() if shares[source] > 0)
        if present == 0:
            raise UserError("the mixture has no tokens: every source is empty after its steps")
        ready._budget = present if self.tokens is None else self.tokens
        ready._wanted = wants(by_view, shares, ready._budget, self.max_epochs, self.views[0])
        return ready

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The documents among which the parts of epochs end, as `selection.EDGE`."""
        from corpusmill.mixtures.plan.edge import edge_rows

        return edge_rows(batches, self.known_seed(), self._bins(), self._views())

    def marks(self) -> Marks:
        """Which documents are among those in which parts of epochs end, and in which view they are counted:
        0, or one more than the number of the view."""
        from corpusmill.pipelines.contract.context import Marks

        options = self.model_dump_json()

        def on_edge(context: Context, docs: Documents) -> npt.NDArray[np.int64]:
            import numpy as np

            from corpusmill.mixtures.plan import edge
            from corpusmill.pipelines.contract.randomness import draws

            ready = _prepared(options, context.seed, context.artefacts["mixture_sums"])
            inside = edge.on_edge(docs, draws(docs.column("id"), context.seed, "mixture"), ready._bins())
            views = ready._views()
            view_d = [views.get(source, 0) for source in docs.column("source").to_pylist()]
            return np.where(inside, np.array(view_d, np.int64) + 1, 0)

        return Marks(("mixture_sums",), ("id", "source", "held_out"), on_edge)

    def _bins(self) -> dict[str, int]:
        return {source: want.threshold for source, want in self._wanted.items() if want.tokens}

    def _views(self) -> dict[str, int]:
        return {source: want.view for source, want in self._wanted.items() if want.tokens}

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        return pa.concat_tables(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write plan.json into `folder`; returns what it says."""
        from corpusmill.mixtures.plan.histogram import BINS, by_source
        from corpusmill.mixtures.plan.selection import select
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.pipelines.records.codec import encode
        from corpusmill.pipelines.records.mixture_plan import FILE, MixturePlan, write_plan

        if self._sums is None:
            raise RuntimeError("mixture needs the sums of its sources: call prepare first")
        held_sums = by_source(self._sums, apart=True)
        held_documents = {source: int(sum_MB[1].sum()) for source, sum_MB in held_sums.items()}
        chosen = select(self._wanted, part, held_documents, self.max_epochs, self._budget)
        short = {source: one.shortfall for source, one in chosen.items() if one.shortfall is not None}
        if short and self.on_shortfall == "fail":
            raise UserError("mixture: " + "; ".join(f"{source}: {why}" for source, why in short.items()))
        shares = {source: want.requested_share for source, want in self._wanted.items()}
        plan = MixturePlan(
            seed=self.known_seed(),
            bins=BINS,
            requested_tokens=self.tokens,
            tokens=sum(one.tokens for one in chosen.values()),
            documents=sum(one.documents for one in chosen.values()),
            bytes=sum(one.bytes for one in chosen.values()),
            max_epochs=self.max_epochs,
            sources=chosen,
            held_out=self._held_out(held_sums, shares),
        )
        write_plan(folder / FILE, plan)
        return encode(plan)

    def _held_out(self, sums: dict[str, npt.NDArray[np.int64]], shares: dict[str, float]) -> HeldOutPlan:
        """What is drawn once to be judged on: of the sources that are trained on."""
        from corpusmill.mixtures.plan.histogram import MEASURES
        from corpusmill.pipelines.records.mixture_plan import HeldOutOfSource, HeldOutPlan

        sources = {
            source: HeldOutOfSource(**dict(zip(MEASURES, sum_MB.sum(axis=1).tolist(), strict=True)))
            for source, sum_MB in sorted(sums.items())
            if shares.get(source, 0.0) > 0
        }
        return HeldOutPlan(
            bytes=sum(one.bytes for one in sources.values()),
            documents=sum(one.documents for one in sources.values()),
            share=self.held_out,
            sources=sources,
            tokens=sum(one.tokens for one in sources.values()),
        )

    def _shares(self, available: dict[str, int]) -> dict[str, float]:
        """Share of each source; they add up to 1."""
        from corpusmill.pipelines.contract.errors import UserError

        if self.weights is None:
            powers = {source: count ** (1 / self.temperature) for source, count in available.items()}
            total = math.fsum(powers.values()) or 1.0
            return {source: power / total for source, power in powers.items()}
        unweighted = sorted(set(available) - set(self.weights))
        if unweighted:
            raise UserError(
                f"source {unweighted[0]} has no weight in the mixture; give it one (0 leaves it out)"
            )
        total = math.fsum(self.weights.values())
        return {source: weight / total for source, weight in self.weights.items()}


@lru_cache(maxsize=2)
def _prepared(options: str, seed: int, sums: Path) -> Mixture:
    """`sums`: the folder of the artefact, whose version stands in its path."""
    return Mixture.model_validate_json(options).prepare(Context(seed, {"mixture_sums": sums}))
