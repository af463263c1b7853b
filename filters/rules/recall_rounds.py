"""What a round of a recall loop leaves to the next: figures, joined sites, and how both judge pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.filters.rules.word_model import HEADER, WordModel, read_word_model
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.records.codec import decode_file, encode_file

FILE = "rounds.json"
POSITIVES, NEGATIVES = "positives.arrow", "negatives.arrow"  # of the next round, `examples.EXAMPLES`
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JoinedSite:
    """A site whose pages of `near` and higher scores count as found: its pages, and hits among them."""

    site: str
    pages: int
    hits: int
    near: int


@dataclass(frozen=True)
class RoundFigures:
    """What one round did.

    `positives` and `negatives`: examples trained on. `precision` and `recall`: of the examples held out, at
    the score of a hit; `seed_recall`: of those that are the seed's. `digest`: the classifier's. `pages` and
    `sites` of the pool; `hits`: pages that score as high as a hit; `joined`: sites; `in_sites`: pages
    found in these below the score of a hit; `found`: both kinds; `new`: those that the round before had not
    found; `gain`: `new` / `found`, 0 where nothing is found."""

    round: int
    positives: int
    negatives: int
    precision: float | None
    recall: float | None
    seed_recall: float | None
    digest: str
    pages: int
    sites: int
    hits: int
    joined: int
    in_sites: int
    found: int
    new: int
    gain: float


@dataclass(frozen=True)
class Rounds:
    """Every round so far, the sites that the last one joined, and whether it gained so little that the loop
    ends with it."""

    RECORD: ClassVar[str] = "rounds of a recall loop"
    VERSION: ClassVar[int] = 1

    rounds: tuple[RoundFigures, ...]
    joined: tuple[JoinedSite, ...]
    stopped: bool

    def write(self, folder: Path) -> None:
        """Write rounds.json."""
        (folder / FILE).write_text(json.dumps(encode_file(self), indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Those of a rounds.json. Raises IntegrityError where it is damaged, OtherVersionError where another
        version wrote it."""
        return decode_file(cls, json.loads(path.read_text("utf-8")), str(path))


@dataclass(frozen=True)
class Finder:
    """A classifier and joined sites: which pages one round finds."""

    model: WordModel
    joined: pa.Array  # string[k]

    @classmethod
    def of(cls, context: Context, classifier: str, rounds: str | None) -> Self:
        """From the artefacts of these names; without `rounds` no site is joined yet."""
        model = read_word_model(context.artefact(classifier, HEADER).parent)
        known = () if rounds is None else Rounds.read(context.artefact(rounds, FILE)).joined
        return cls(model, pa.array([one.site for one in known], pa.string()))

    def scores(self, docs: Documents) -> Floats:
        """float64[n], 0 to 1; of a text without words 0."""
        from corpusmill.filters.kernels.word_weights import weight_means

        means, words = weight_means(*docs.utf8(), self.model.weights, self.model.ngrams, self.model.bits)
        return np.where(words > 0, self.model.chances(means), 0.0)

    def in_joined(self, hosts: pa.Array) -> Flags:
        """bool[n]: pages of joined sites."""
        return np.asarray(pc.is_in(hosts, self.joined).to_numpy(zero_copy_only=False), np.bool_)

    def finds(self, docs: Documents, hosts: pa.Array, hit: float, near: float) -> Flags:
        """bool[n]: pages that score `hit`, or in a joined site `near`."""
        scores = self.scores(docs)
        return np.asarray((scores >= hit) | (self.in_joined(hosts) & (scores >= near)))
