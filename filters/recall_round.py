"""`recall_round`: what a classifier finds in the pool, by site, and what the next one is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from corpusmill.filters.rules.limits import Share
from corpusmill.pipelines.contract.stage import Context, Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.filters.rules.recall_rounds import Finder, Rounds
    from corpusmill.filters.rules.recall_training import Trained
    from corpusmill.pipelines.contract.documents import Documents


class RecallRound(Seeded, Fold):
    """Score the pool, count hits by site, let sites with many join, and choose the next round's examples.

    A page is a hit where it scores `hit_at_least`. A site, which is the host of an address without `www.`,
    joins where at least `site_hits` of its pages and a `site_share` of them are hits; there pages of
    `hit_in_sites_at_least` count as found too (DeepSeekMath, Shao et al. 2024, arXiv 2402.03300, section
    2.1: "domains" of which over 10% was collected, whose other addresses people then looked at). Positives of
    the next round are pages found, negatives the others, at most `examples` of each by draws of their ids.
    Where the round gains less than `stop_gain` the loop ends, and later rounds hand on what this one left.

    What comes out depends neither on the order of pages nor on how they are divided. Time: linear, two
    scorings a page from the second round on. Memory: 100 bytes and its name for every site, and twice the
    texts of three times `examples`. Artefacts: rounds.json, positives.arrow, negatives.arrow.
    """

    columns: ClassVar[tuple[str, ...] | None] = ("id", "text", "source", "lang", "url")
    artefacts: ClassVar[tuple[str, ...]] = ("classifier",)

    from_sources: tuple[str, ...] = Field(description="Sources that are the pool.")
    hit_at_least: Share = Field(
        0.5, description="Least score of a page that a round finds by itself, 0 to 1."
    )
    hit_in_sites_at_least: Share = Field(
        0.2, description="Least score of a page of a joined site that a round finds, 0 to 1."
    )
    site_share: Share = Field(
        0.1, description="Share of a site's pages that are hits, for it to join (DeepSeekMath: 0.1)."
    )
    site_hits: int = Field(10, ge=1, description="Hits in a site, for it to join.")
    stop_gain: Share = Field(
        0.02,
        description="Share of new pages among those found, below which the loop ends (DeepSeekMath: 0.02).",
    )
    examples: int = Field(20_000, ge=10, le=10_000_000, description="Most examples of each side.")
    example_bytes: int = Field(
        2**14, ge=2**6, le=2**20, description="Bytes at the start of an example that are used."
    )

    _now: Finder | None = PrivateAttr(default=None)
    _then: Finder | None = PrivateAttr(default=None)
    _before: Rounds | None = PrivateAttr(default=None)
    _trained: Trained | None = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.hit_in_sites_at_least > self.hit_at_least:
            raise ValueError("`hit_in_sites_at_least` is more than `hit_at_least`; it must not be")
        return self

    def prepare(self, context: Context) -> Self:
        from corpusmill.filters.rules.recall_rounds import FILE, Finder, Rounds
        from corpusmill.filters.rules.recall_training import Trained

        ready = super().prepare(context)
        ready._now = Finder.of(context, "classifier", None)
        ready._trained = Trained.read(context.artefact("classifier", Trained.FILE))
        if "before" in context.artefacts:
            path = context.artefact("before", FILE)
            ready._folder, ready._before = path.parent, Rounds.read(path)
            ready._then = Finder.of(context, "earlier", "before")
        return ready

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The pages of one unit (`rules.recall_counts.PARTIAL`); none once the loop has ended."""
        import numpy as np

        from corpusmill.filters.rules.recall_counts import HIT, NEAR, OTHER, Pages
        from corpusmill.filters.rules.sites import of_sources, sites_of

        if self._now is None:
            raise RuntimeError("recall_round needs its classifier: call prepare first")
        found = Pages(self.known_seed(), self.examples, self.example_bytes)
        hit, near = self.hit_at_least, self.hit_in_sites_at_least
        if self._before is None or not self._before.stopped:
            for whole in batches:
                docs = whole.keep(of_sources(whole, self.from_sources))
                hosts, scores = sites_of(docs), self._now.scores(docs)
                strata = np.where(scores >= hit, HIT, np.where(scores >= near, NEAR, OTHER)).astype(np.uint8)
                before = np.zeros(len(docs), np.bool_)
                if self._then is not None:
                    before = self._then.finds(docs, hosts, hit, near)
                found.add(docs, hosts, strata, before)
        return found.partial()

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Counts summed, samples of smallest draws."""
        from corpusmill.filters.rules.recall_counts import merged

        return merged(parts, self.examples)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Let sites join, write the artefacts; returns the figures of this round."""
        import shutil

        from corpusmill.filters.rules.recall_joining import examples_of_next, round_of
        from corpusmill.filters.rules.recall_rounds import NEGATIVES, POSITIVES, Rounds
        from corpusmill.pipelines.records.codec import encode

        earlier = self._before.rounds if self._before is not None else ()
        if self._before is not None and self._before.stopped:
            assert self._folder is not None
            for name in (POSITIVES, NEGATIVES):
                shutil.copyfile(self._folder / name, folder / name)
            self._before.write(folder)
            return {"ended_in_round": len(earlier)}
        assert self._trained is not None
        figures, joined = round_of(part, len(earlier) + 1, self._trained, self.site_share, self.site_hits)
        stopped = len(earlier) > 0 and figures.gain < self.stop_gain
        Rounds((*earlier, figures), joined, stopped).write(folder)
        examples_of_next(part, joined, self.examples, folder)
        return {**encode(figures), "stopped": stopped}
