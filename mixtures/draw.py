"""`draw`: send the documents of the mixture to their shards, in a seeded global shuffle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Emitted, Scatter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from corpusmill.pipelines.contract.documents import Documents


class Draw(Scatter):
    """Emit each document of the mixture plan once for each epoch it is taken, and held-out ones once.

    The key is a 64-bit draw of the document's id and the epoch, so sorting by it is a random permutation
    of all documents and copies that depends on the seed alone, and copies lie far apart. Documents of one
    `group` (a repository) share the draw of their group and epoch and so stay together for `pack` to
    chain. A part of an epoch is drawn by document, so of a group it may hold some files only.

    Documents held out (column `held_out`) are drawn once and whole, where their source is trained on at all.

    Rows: key, unit, row, epoch (int32, from 0), held_out, cut_to (int64: tokens of its beginning that
    this copy is cut to, -1 for all) and all columns of the encoded document.
    Raises IntegrityError for a source that the plan does not know.
    """

    consumes: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("mixture",)

    _seed: int = PrivateAttr(default=0)
    _sources: dict[str, Any] = PrivateAttr(default_factory=dict)

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        plan = json.loads(context.artefact("mixture", "plan.json").read_text(encoding="utf-8"))
        ready._seed = plan["seed"]
        ready._sources = plan["sources"]
        return ready

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import numpy as np
        import pyarrow as pa

        from corpusmill.mixtures.plan.histogram import held_out

        held = held_out(docs)
        copies, cut = self._copies(docs, held, unit, rows)
        index = np.repeat(np.arange(len(docs)), copies)
        firsts = np.repeat(np.cumsum(copies) - copies, copies)
        epochs = (np.arange(len(index)) - firsts).astype(np.int32)
        columns = {
            "key": self._keys(docs, index, epochs),
            "unit": np.full(len(index), unit, np.uint32),
            "row": np.asarray(rows, np.uint32)[index],
            "epoch": epochs,
            "held_out": held[index],
            "cut_to": np.where(epochs == copies[index] - 1, cut[index], -1),
        }
        table = docs.drop("held_out").table.take(pa.array(index))
        for name in reversed(columns):
            table = table.add_column(0, name, pa.array(columns[name]))
        return Emitted(table)

    def _copies(
        self, docs: Documents, held: npt.NDArray[np.bool_], unit: int, rows: npt.NDArray[np.uint32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """How often each document is taken, int64[n], and what its last copy is cut to, int64[n], -1 for
        whole.

        `held` (bool[n]) ones are taken once and whole, where their source is trained on at all.
        """
        import numpy as np

        from corpusmill.mixtures.plan.edge import part_of_epoch
        from corpusmill.pipelines.contract.errors import IntegrityError
        from corpusmill.pipelines.contract.randomness import draws

        copies, cut = np.zeros(len(docs), np.int64), np.full(len(docs), -1, np.int64)
        sources = np.asarray(docs.column("source").to_pylist(), object)
        drawn, ids = draws(docs.column("id"), self._seed, "mixture"), docs.column("id").to_pylist()
        for source in sorted(set(sources.tolist())):
            if source not in self._sources:
                raise IntegrityError(f"the mixture plan does not know source {source}; plan the mixture anew")
            one = self._sources[source]
            mine = np.flatnonzero(sources == source)
            part, ends = part_of_epoch(one, drawn[mine], [ids[at] for at in mine], unit, rows[mine])
            aside = held[mine]
            copies[mine] = np.where(aside, int(one["requested_share"] > 0), one["full_epochs"] + part)
            cut[mine] = np.where(aside, -1, ends)
        return copies, cut

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
