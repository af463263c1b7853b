"""`draw`: send the documents of the mixture to their shards, in a seeded global shuffle."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Emitted, Scatter, Sent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.records.mixture_plan import CellPlan, MixturePlan


class Draw(Scatter):
    """Emit each document of the mixture plan once for each epoch it is taken, and held-out ones once.

    The key is a 64-bit draw of the document's id and the epoch, so sorting by it is a random permutation
    of all documents and copies that depends on the seed alone, and copies lie far apart. Documents of one
    `group` (a repository) share the draw of their group and epoch and so stay together for `pack` to
    chain. A group of more than `shard_tokens` bytes of text is divided: its documents with as many times that
    before them in their order (`group_bytes`) share a draw, so that no group makes a shard much larger.
    A part of an epoch is drawn by document, so of a group it may hold some files only.

    Documents held out (column `held_out`) are drawn once and whole, where their source is trained on at all.

    Rows: key, unit, row, epoch (int32, from 0), held_out, cut_to (int64: tokens of its beginning that
    this copy is cut to, -1 for all), cut_from (int64: where it begins, since an earlier phase has the tokens
    before), goes_on (bool: a later phase has those behind), phase (int16) and all columns of the
    encoded document, in the view of this copy.
    Raises IntegrityError for a document of a cell that the plan does not know.
    """

    consumes: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("mixture",)
    address_only: ClassVar[bool] = True

    shard_tokens: int = Field(2**25, ge=1, description="Tokens that should meet in one shard, about.")
    views: list[list[int]] = Field(
        [[0]], description="View of a copy by phase and epoch; the last of a phase stands for later epochs."
    )
    told_by: list[str] = Field(
        default_factory=lambda: ["source"], description="Columns that cells are told apart by."
    )

    _seed: int = PrivateAttr(default=0)
    _plan: MixturePlan | None = PrivateAttr(default=None)
    _cells: dict[tuple[str, ...], CellPlan] = PrivateAttr(default_factory=dict)

    def partitions(self, context: Context) -> int:
        """One for each shard."""
        return sum(_plan(context).partitions(self.shard_tokens))

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        plan = _plan(context)
        ready._seed = plan.seed
        ready._plan = plan
        ready._cells = {one.values: one for one in plan.cells}
        return ready

    def marks(self) -> Marks:
        """How often each document is taken, and what its last copy is cut to: all that is taken from the
        plan, but its seed, which is the recipe's."""
        from corpusmill.pipelines.contract.context import Marks

        options = self.model_dump_json()

        def taken(
            context: Context, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]
        ) -> npt.NDArray[np.int64]:
            import numpy as np

            from corpusmill.mixtures.plan.histogram import held_out

            ready = _prepared(options, context.seed, context.artefacts["mixture"])
            ends = ready._ends(docs, held_out(docs), unit, rows)
            marks = ends.reshape(ends.shape[0] * ends.shape[1], len(docs))
            if len(ends) == 1:
                return marks
            counts = ready._known_plan().partitions(ready.shard_tokens)  # keys follow from them
            return np.concatenate([marks, np.repeat(np.array(counts)[:, None], len(docs), axis=1)])

        return Marks(("mixture",), ("id", "held_out", *self.told_by), taken, addressed=True)

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import numpy as np
        import pyarrow as pa

        from corpusmill.mixtures.plan.copies import copies_of_phase
        from corpusmill.mixtures.plan.histogram import held_out
        from corpusmill.pipelines.contract.encoded_views import in_views
        from corpusmill.pipelines.contract.given_tables import DRAWN_ROWS

        is_held_out = held_out(docs)
        ends = self._ends(docs, is_held_out, unit, rows)
        taken = [copies_of_phase(ends, number, self._view) for number in range(len(ends))]
        index, epochs, starts, stops, goes_on, views = (
            np.concatenate([one[at] for one in taken]) for at in range(6)
        )
        phases = np.repeat(np.arange(len(taken)), [len(one[0]) for one in taken]).astype(np.int16)
        columns = {
            "key": self._keys(docs, index, epochs, phases),
            "unit": np.full(len(index), unit, np.uint32),
            "row": np.asarray(rows, np.uint32)[index],
            "epoch": epochs.astype(np.int32),
            "held_out": is_held_out[index],
            "cut_to": stops,
            "cut_from": starts,
            "goes_on": goes_on,
            "phase": phases,
        }
        table = in_views(docs.drop("held_out"), index, views)
        for name in reversed(columns):
            kind = DRAWN_ROWS.field(name).type if name in DRAWN_ROWS.names else None
            table = table.add_column(0, name, pa.array(columns[name], kind))
        return Emitted(table)

    def sent(self, docs: Documents, rows: npt.NDArray[np.uint32], emitted: Emitted) -> Sent:
        """Documents drawn at least once are sent, a part of one whose only copy is cut (`drawn_in_part`); the
        others are `not_drawn`. The bytes of a part are in proportion to its tokens, rounded down."""
        import numpy as np
        import pyarrow as pa

        drawn = np.isin(rows, emitted.rows.column("row").to_numpy())
        sizes = docs.column("bytes").to_numpy(zero_copy_only=False).astype(np.int64)
        reasons = [None if one else "not_drawn" for one in drawn.tolist()]
        parts = _parts(emitted.rows)
        for at, row in enumerate(rows.tolist()):
            if row in parts:
                tokens, of = parts[row]
                sizes[at] = int(sizes[at]) * tokens // of
                reasons[at] = "drawn_in_part"
        return Sent(drawn, np.where(drawn, sizes, 0), pa.array(reasons, pa.string()))

    def _ends(
        self, docs: Documents, is_held_out: npt.NDArray[np.bool_], unit: int, rows: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.int64]:
        """Where each phase ends for each document, int64[P, 2, n]: how many of its copies are taken up to
        there, and how many tokens of the last of them, -1 where it is whole.

        `is_held_out` (bool[n]) ones are taken once and whole, by the first phase, where their cell is trained
        on at all.
        """
        import numpy as np

        from corpusmill.mixtures.plan.cells import Cells
        from corpusmill.mixtures.plan.edge import copies_before
        from corpusmill.pipelines.contract.errors import IntegrityError
        from corpusmill.pipelines.contract.randomness import draws

        plan = self._known_plan()
        found = np.zeros((len(plan.phases), 2, len(docs)), np.int64)
        codes, values = Cells.of(plan.columns, plan.edges, plan.named).find(docs)
        drawn, ids = draws(docs.column("id"), self._seed, "mixture"), docs.column("id").to_pylist()
        for code, cell in enumerate(values):
            if cell not in self._cells:
                what = f"source {cell[0]}" if len(cell) == 1 else " / ".join(cell)
                raise IntegrityError(f"the mixture plan does not know {what}; plan the mixture anew")
            one = self._cells[cell]
            mine = np.flatnonzero(codes == code)
            names = [ids[at] for at in mine]
            for number, stretch in enumerate(one.phases):
                copies, cut = copies_before(stretch.end, plan.bins, drawn[mine], names, unit, rows[mine])
                aside = is_held_out[mine]
                found[number, 0, mine] = np.where(aside, int(one.wanted), copies)
                found[number, 1, mine] = np.where(aside, -1, cut)
        return found

    def _view(self, phase: int, epochs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The views of copies of these epochs that begin in a phase."""
        import numpy as np

        views = np.array(self.views[min(phase, len(self.views) - 1)], np.int64)
        return np.asarray(views[np.minimum(epochs, len(views) - 1)])

    def _known_plan(self) -> MixturePlan:
        if self._plan is None:
            raise RuntimeError("draw needs the plan of the mixture: call prepare first")
        return self._plan

    def _keys(
        self,
        docs: Documents,
        index: npt.NDArray[np.int64],
        epochs: npt.NDArray[np.int64],
        phases: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.uint64]:
        """The place of each copy in the shuffle, uint64[copies]; copies of one phase lie in partitions of its
        own."""
        import numpy as np

        from corpusmill.pipelines.contract.randomness import draws

        names = docs.column("id").to_pylist()
        if "group" in docs.table.column_names:
            sources, groups = docs.column("source").to_pylist(), docs.column("group").to_pylist()
            parts = [0] * len(names)
            if "group_bytes" in docs.table.column_names:
                parts = [
                    (before or 0) // self.shard_tokens for before in docs.column("group_bytes").to_pylist()
                ]
            names = [
                name if group is None else f"{source}\0{group}" + f"\0{part}" * (part > 0)
                for name, source, group, part in zip(names, sources, groups, parts, strict=True)
            ]
        copies = zip(index.tolist(), epochs.tolist(), strict=True)
        keys = draws([f"{names[row]}\0{epoch}" for row, epoch in copies], self._seed, "shuffle")
        counts = self._known_plan().partitions(self.shard_tokens)
        if len(counts) == 1:
            return keys
        ends = [0, *accumulate(counts)]
        least = [-(-(end << 64) // ends[-1]) for end in ends]  # the least key of each phase's partitions
        widths = [high - low for low, high in pairwise(least)]
        placed = zip(keys.tolist(), phases.tolist(), strict=True)
        return np.array([least[phase] + (key * widths[phase] >> 64) for key, phase in placed], np.uint64)


@lru_cache(maxsize=2)
def _prepared(options: str, seed: int, mixture: Path) -> Draw:
    """`mixture`: the folder of the artefact, whose version stands in its path."""
    return Draw.model_validate_json(options).prepare(Context(seed, {"mixture": mixture}))


def _plan(context: Context) -> MixturePlan:
    from corpusmill.pipelines.records.mixture_plan import FILE, read_plan

    return read_plan(context.artefact("mixture", FILE))


def _parts(emitted: pa.Table) -> dict[int, tuple[int, int]]:
    """Tokens taken and tokens there of the documents, by row, of which no whole copy is drawn, though perhaps
    its parts in several phases."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    start, stop = (emitted.column(name).to_numpy() for name in ("cut_from", "cut_to"))
    cut_rows = np.flatnonzero((stop >= 0) | (start > 0))
    if len(cut_rows) == 0:
        return {}
    rows, epochs = (emitted.column(name).to_numpy() for name in ("row", "epoch"))
    whole = set(np.delete(rows, cut_rows).tolist())
    lengths = pc.list_value_length(emitted.column("tokens").take(pa.array(cut_rows))).to_pylist()
    taken: dict[tuple[int, int], tuple[int, int]] = {}
    for at, of in zip(cut_rows.tolist(), lengths, strict=True):
        copy = int(rows[at]), int(epochs[at])
        tokens = (int(stop[at]) if stop[at] >= 0 else of) - int(start[at])
        taken[copy] = taken.get(copy, (0, 0))[0] + tokens, of
    whole |= {row for (row, _), (tokens, of) in taken.items() if tokens == of}
    return {row: part for (row, _), part in sorted(taken.items()) if row not in whole}
