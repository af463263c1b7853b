"""`hold_out`: documents removed so that nothing held out is learnt from."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Filter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Columns, Documents
    from corpusmill.pipelines.contract.held_out import HeldOut


class HoldOut(Filter):
    """Remove what `held_out_overlap` found, of each pair the document that stands in the other.

    Reasons: `held_out_elsewhere`, a held-out document most of which one document to learn from has, or a
    near- duplicate; `in_held_out`, a document to learn from, most of which one held-out document has;
    `common_text`, of which nearly all is common to many held-out documents. Scores: `level` (0: learnt from;
    1: held out from the tokenizer; 2: from the tokenizer and the model), and of removed ones `role` (1, 2 or
    3 for the reasons in this order, else 0), `overlap` and `jaccard` with the document it is removed for.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    artefacts: ClassVar[tuple[str, ...]] = ("held_out", "held_out_overlap")

    _held: HeldOut | None = PrivateAttr(default=None)
    _removals: dict[tuple[str, int], dict[str, Any]] = PrivateAttr(default_factory=dict)

    def prepare(self, context: Context) -> Self:
        import pyarrow.ipc as ipc

        from corpusmill.dedup.held_out_overlap import REMOVALS
        from corpusmill.pipelines.contract.held_out import ARTEFACT, FILE, read_held_out

        ready = self.model_copy()
        ready._held = read_held_out(context.artefact(ARTEFACT, FILE))
        with ipc.open_file(context.artefact("held_out_overlap", REMOVALS)) as file:
            ready._removals = {(row["id"], row["level"]): row for row in file.read_all().to_pylist()}
        return ready

    def marks(self) -> Marks:
        """The scores: all that is taken from the artefacts."""
        from corpusmill.pipelines.contract.context import Marks
        from corpusmill.pipelines.contract.held_out import COLUMNS

        return Marks(self.artefacts, COLUMNS, _scores)

    def score(self, docs: Documents) -> Columns:
        import numpy as np

        if self._held is None:
            raise RuntimeError("hold_out needs what is held out: call prepare first")
        level = self._held.levels(docs)
        role, overlap, jaccard = np.zeros(len(docs), np.int8), np.zeros(len(docs)), np.zeros(len(docs))
        for at, key in enumerate(zip(docs.column("id").to_pylist(), level.tolist(), strict=True)):
            found = self._removals.get(key)
            if found is not None:
                role[at], overlap[at], jaccard[at] = found["role"], found["overlap"], found["jaccard"]
        return {"level": level, "role": role, "overlap": overlap, "jaccard": jaccard}

    def judge(self, scores: Columns) -> pa.Array:
        import numpy as np

        from corpusmill.pipelines.contract.documents import reason_where

        role = np.asarray(scores["role"])
        return reason_where(
            (role == 1, "held_out_elsewhere"), (role == 2, "in_held_out"), (role == 3, "common_text")
        )


def _scores(context: Context, docs: Documents) -> npt.NDArray[np.float64]:
    """`HoldOut.score` of n documents, float64[4, n]."""
    import numpy as np

    scores = _prepared(*(context.artefacts[name] for name in HoldOut.artefacts)).score(docs)
    return np.stack([np.asarray(column, np.float64) for column in scores.values()])


@lru_cache(maxsize=2)
def _prepared(*folders: Path) -> HoldOut:
    """`folders`: of the artefacts, whose versions stand in their paths."""
    return HoldOut().prepare(Context(0, dict(zip(HoldOut.artefacts, folders, strict=True))))
