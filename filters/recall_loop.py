"""`recall_loop`: pages of the pool that the last round of a recall loop finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from corpusmill.filters.rules.limits import Share
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import under
from corpusmill.pipelines.contract.stage import Context, Filter

if TYPE_CHECKING:
    from corpusmill.filters.rules.recall_rounds import Finder

MOST_ROUNDS = 10


class RecallLoop(Filter):
    """Keep what a recall loop finds in the pool, by the classifier and the sites of its last round.

    A page is kept where it scores `at_least`, or, in a site that joined, `in_sites_at_least`. Documents
    of other sources are kept and have no scores. Scores: `score`, 0 to 1, of a page outside joined sites,
    `score_in_site` of one inside, `site`, the host of its address without `www.`, and `round`, the first
    in which the loop found it, null where none did. A text without words scores 0. Reasons: `low_score`,
    `low_score_in_site`. Memory: 4 bytes a weight and round. Time: linear, a scoring a round.
    """

    rules = (
        under("score", "at_least", "low_score"),
        under("score_in_site", "in_sites_at_least", "low_score_in_site"),
    )
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"recall_loop.{score}" for score in ("score", "score_in_site", "site", "round")
    )
    consumes: ClassVar[tuple[str, ...]] = ("text", "url")
    artefacts: ClassVar[tuple[str, ...]] = ("classifier_1", "round_1")

    from_sources: tuple[str, ...] = Field(description="Sources that are the pool.")
    rounds: int = Field(
        4,
        ge=1,
        le=MOST_ROUNDS,
        description="Most rounds of the loop (DeepSeekMath: 4), which may end before.",
    )
    hit_at_least: Share = Field(0.5, description="Least score of a page that a round finds by itself.")
    hit_in_sites_at_least: Share = Field(
        0.2, description="Least score of a page of a joined site that a round finds."
    )
    at_least: Share = Field(0.5, description="Least score of a page that is kept, 0 to 1.")
    in_sites_at_least: Share = Field(
        0.2, description="Least score of a page of a joined site that is kept, 0 to 1."
    )

    _finders: tuple[Finder, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.in_sites_at_least > self.at_least:
            raise ValueError(
                "`in_sites_at_least` is more than `at_least`; pages of joined sites need no more than others"
            )
        return self

    def prepare(self, context: Context) -> Self:
        """With the classifiers of all rounds until the loop ended. Raises DataError for a damaged one."""
        from corpusmill.filters.rules.recall_rounds import FILE, Finder, Rounds

        ready = self.model_copy()
        last = Rounds.read(context.artefact(f"round_{self.rounds}", FILE))
        ready._finders = tuple(
            Finder.of(context, f"classifier_{one.round}", f"round_{one.round}") for one in last.rounds
        )
        return ready

    def score(self, docs: Documents) -> Columns:
        """The columns above, n rows each, null for documents that are not of the pool."""
        from corpusmill.filters.rules.sites import of_sources, sites_of

        if not self._finders:
            raise RuntimeError("recall_loop needs prepare(context) before it can score")
        inside = of_sources(docs, self.from_sources)
        pool, places = docs.keep(inside), np.flatnonzero(inside)
        hosts = sites_of(pool)
        first = np.zeros(len(pool), np.int64)
        for number, finder in enumerate(self._finders, 1):
            scores = finder.scores(pool)
            joined = finder.in_joined(hosts)
            found = (scores >= self.hit_at_least) | (joined & (scores >= self.hit_in_sites_at_least))
            first[found & (first == 0)] = number
        n = len(docs)
        whole = np.zeros(n, np.int64)
        whole[places] = np.arange(len(pool))
        rows = pa.array(whole, mask=~inside)
        return {
            "score": pa.array(scores, mask=joined).take(rows),
            "score_in_site": pa.array(scores, mask=~joined).take(rows),
            "site": hosts.take(rows),
            "round": pa.array(first, mask=first == 0).take(rows),
        }
