"""The classifier of one round of a recall loop, and how good it is on examples that are held out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusmill.filters.rules.examples import EXAMPLES, read_examples
from corpusmill.filters.rules.word_model import WordModel
from corpusmill.filters.rules.word_training import FEWEST_TO_LEARN_FROM, Training, too_few, train
from corpusmill.pipelines.contract.documents import Documents, buffers
from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.contract.randomness import is_held_out
from corpusmill.pipelines.records.codec import decode_file, encode_file

Flags = npt.NDArray[np.bool_]
_SEED, _FOUND, _OTHERS = range(3)  # kinds of examples


@dataclass(frozen=True)
class Trained:
    """A classifier's examples and, of those held out, precision, recall and the recall of the seed's at the
    score of a hit, null where undefined; `held_out_*`: how many these are."""

    RECORD: ClassVar[str] = "training of a recall loop"
    VERSION: ClassVar[int] = 1
    FILE: ClassVar[str] = "trained.json"

    digest: str
    positives: int
    negatives: int
    held_out_positives: int
    held_out_negatives: int
    precision: float | None
    recall: float | None
    seed_recall: float | None
    losses: tuple[float, ...]

    def write(self, folder: Path) -> None:
        """Write trained.json."""
        (folder / self.FILE).write_text(json.dumps(encode_file(self), indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """That of a trained.json. Raises IntegrityError where it is damaged."""
        return decode_file(cls, json.loads(path.read_text("utf-8")), str(path))


def train_round(
    seed: Path, found: Sequence[Path], others: Path, training: Training, hit: float
) -> tuple[WordModel, Trained]:
    """The classifier of a round, and figures of the examples held out, at a score of `hit`.

    Files of `examples.EXAMPLES`: the seed's, pages found, and other pages. A text counts once, as the first
    of the three that it stands in. Raises DataError where a side has under `FEWEST_TO_LEARN_FROM`.
    """
    examples = distinct(seed, found, others)
    positive = examples.column("kind").to_numpy() < _OTHERS
    of_seed = examples.column("kind").to_numpy() == _SEED
    apart = is_held_out(examples.column("id"), training.seed, training.held_out)
    learnt = examples.filter(pa.array(~apart)).append_column("positive", pa.array(positive[~apart]))
    for name, side in (("positive", positive), ("negative", ~positive)):
        if (many := int((side & ~apart).sum())) < FEWEST_TO_LEARN_FROM:
            raise DataError(
                f"recall_loop: there are {too_few(many)} {name} examples to learn from "
                f"({int(side.sum())} different "
                "texts); give `seed` more documents, or `pool` more sources"
            )
    model, losses = train(learnt, training)
    judged = examples.filter(pa.array(apart))
    taken = np.zeros(len(apart), np.bool_)
    taken[apart] = _chances(model, judged) >= hit
    return model, Trained(
        digest=model.digest(),
        positives=int((positive & ~apart).sum()),
        negatives=int((~positive & ~apart).sum()),
        held_out_positives=int((positive & apart).sum()),
        held_out_negatives=int((~positive & apart).sum()),
        precision=_share(taken & positive, taken),
        recall=_share(taken & positive, apart & positive),
        seed_recall=_share(taken & of_seed, apart & of_seed),
        losses=tuple(losses),
    )


def distinct(seed: Path, found: Sequence[Path], others: Path) -> pa.Table:
    """All examples as one table with the column `kind`, uint8: each text once, as the first of its kinds."""
    tables = []
    for kind, files in ((_SEED, (seed,)), (_FOUND, found), (_OTHERS, (others,))):
        for file in files:
            rows = read_examples(file)
            tables.append(rows.append_column("kind", pa.array(np.full(rows.num_rows, kind, np.uint8))))
    whole = pa.concat_tables(tables).combine_chunks()
    offsets, data = buffers(Documents(whole).text)
    seen: set[bytes] = set()
    first = np.zeros(whole.num_rows, np.bool_)
    for row in range(whole.num_rows):
        digest = xxhash.xxh3_128_digest(data[offsets[row] : offsets[row + 1]].tobytes())
        first[row] = digest not in seen
        seen.add(digest)
    return whole.filter(pa.array(first)).select([*EXAMPLES.names, "kind"])


def _chances(model: WordModel, rows: pa.Table) -> npt.NDArray[np.float64]:
    from corpusmill.filters.kernels.word_weights import weight_means

    means, _ = weight_means(*Documents(rows).utf8(), model.weights, model.ngrams, model.bits)
    return model.chances(means)


def _share(part: Flags, whole: Flags) -> float | None:
    return round(int(part.sum()) / int(whole.sum()), 4) if whole.any() else None
