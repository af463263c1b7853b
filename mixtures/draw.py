"""`draw`: send the documents of the mixture to their shards, in a seeded global shuffle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Emitted, Scatter, Sent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.records.mixture_plan import MixturePlan


class Draw(Scatter):
    """Emit each document of the mixture plan once for each epoch it is taken, and held-out ones once.

    The key is a 64-bit draw of the document's id and the epoch, so sorting by it is a random permutation
    of all documents and copies that depends on the seed alone, and copies lie far apart. Documents of one
    `group` (a repository) share the draw of their group and epoch and so stay together for `pack` to
    chain. A part of an epoch is drawn by document, so of a group it may hold some files only.

    Documents held out (column `held_out`) are drawn once and whole, where their source is trained on at all.

    Rows: key, unit, row, epoch (int32, from 0), held_out, cut_to (int64: tokens of its beginning that
    this copy is cut to, -1 for all) and all columns of the encoded document, in the view of this copy.
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

    def partitions(self, context: Context) -> int:
        """One for each shard."""
        return -(-_plan(context).tokens // self.shard_tokens)

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        plan = _plan(context)
        ready._seed = plan.seed
        ready._plan = plan
        return ready

    def marks(self) -> Marks:
        """How often each document is taken, and what its last copy is cut to: all that is taken from the
        plan, but its seed, which is the recipe's."""
        from corpusmill.pipelines.contract.context import Marks

        return Marks(("mixture",), ("id", "held_out", *self.told_by), _taken, addressed=True)

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import numpy as np
        import pyarrow as pa

        from corpusmill.mixtures.plan.histogram import held_out
        from corpusmill.pipelines.contract.encoded_views import in_views
        from corpusmill.pipelines.contract.given_tables import DRAWN_ROWS

        is_held_out = held_out(docs)
        copies, cut = self._copies(docs, is_held_out, unit, rows)
        index = np.repeat(np.arange(len(docs)), copies)
        firsts = np.repeat(np.cumsum(copies) - copies, copies)
        epochs = (np.arange(len(index)) - firsts).astype(np.int32)
        columns = {
            "key": self._keys(docs, index, epochs),
            "unit": np.full(len(index), unit, np.uint32),
            "row": np.asarray(rows, np.uint32)[index],
            "epoch": epochs,
            "held_out": is_held_out[index],
            "cut_to": np.where(epochs == copies[index] - 1, cut[index], -1),
        }
        views = np.array(self.views[0], np.int64)
        table = in_views(docs.drop("held_out"), index, views[np.minimum(epochs, len(views) - 1)])
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

    def _copies(
        self, docs: Documents, is_held_out: npt.NDArray[np.bool_], unit: int, rows: npt.NDArray[np.uint32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """How often each document is taken, int64[n], and what its last copy is cut to, int64[n], -1 for
        whole.

        `is_held_out` (bool[n]) ones are taken once and whole, where their cell is trained on at all.
        """
        import numpy as np

        from corpusmill.mixtures.plan.cells import Cells
        from corpusmill.mixtures.plan.edge import copies_before
        from corpusmill.pipelines.contract.errors import IntegrityError
        from corpusmill.pipelines.contract.randomness import draws

        plan = self._known_plan()
        copies, cut = np.zeros(len(docs), np.int64), np.full(len(docs), -1, np.int64)
        codes, values = Cells.of(plan.columns, plan.edges, plan.named).find(docs)
        planned = {one.values: one for one in plan.cells}
        drawn, ids = draws(docs.column("id"), self._seed, "mixture"), docs.column("id").to_pylist()
        for code, cell in enumerate(values):
            if cell not in planned:
                what = f"source {cell[0]}" if len(cell) == 1 else " / ".join(cell)
                raise IntegrityError(f"the mixture plan does not know {what}; plan the mixture anew")
            one = planned[cell]
            mine = np.flatnonzero(codes == code)
            place = one.phases[-1].end
            taken, ends = copies_before(
                place, plan.bins, drawn[mine], [ids[at] for at in mine], unit, rows[mine]
            )
            aside = is_held_out[mine]
            copies[mine] = np.where(aside, int(one.wanted), taken)
            cut[mine] = np.where(aside, -1, ends)
        return copies, cut

    def _known_plan(self) -> MixturePlan:
        if self._plan is None:
            raise RuntimeError("draw needs the plan of the mixture: call prepare first")
        return self._plan

    def _keys(
        self, docs: Documents, index: npt.NDArray[np.int64], epochs: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.uint64]:
        """The place of each copy in the shuffle, uint64[copies]."""
        from corpusmill.pipelines.contract.randomness import draws

        names = docs.column("id").to_pylist()
        if "group" in docs.table.column_names:
            sources, groups = docs.column("source").to_pylist(), docs.column("group").to_pylist()
            names = [
                name if group is None else f"{source}\0{group}"
                for name, source, group in zip(names, sources, groups, strict=True)
            ]
        copies = zip(index.tolist(), epochs.tolist(), strict=True)
        return draws([f"{names[row]}\0{epoch}" for row, epoch in copies], self._seed, "shuffle")


def _taken(
    context: Context, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """`Draw._copies`, int64[2, n]."""
    import numpy as np

    from corpusmill.mixtures.plan.histogram import held_out

    return np.stack(Draw().prepare(context)._copies(docs, held_out(docs), unit, rows))


def _plan(context: Context) -> MixturePlan:
    from corpusmill.pipelines.records.mixture_plan import FILE, read_plan

    return read_plan(context.artefact("mixture", FILE))


def _parts(emitted: pa.Table) -> dict[int, tuple[int, int]]:
    """Tokens taken and tokens there of the documents, by row, of which no whole copy is drawn."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cut = emitted.column("cut_to").to_numpy()
    cut_rows = np.flatnonzero(cut >= 0)
    if len(cut_rows) == 0:
        return {}
    rows = emitted.column("row").to_numpy()
    whole = set(rows[cut < 0].tolist())
    lengths = pc.list_value_length(emitted.column("tokens").take(pa.array(cut_rows))).to_pylist()
    return {
        int(rows[at]): (int(cut[at]), int(of))
        for at, of in zip(cut_rows, lengths, strict=True)
        if int(rows[at]) not in whole
    }
