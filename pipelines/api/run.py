"""A run in a program: its tables, questions about documents, figures and shards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from corpusmill.pipelines.api.recipe import Recipe
    from corpusmill.pipelines.api.shards import Shards
    from corpusmill.pipelines.contract.conversion import Kind
    from corpusmill.pipelines.inspection.mixture_statistics import MixtureStatistics
    from corpusmill.pipelines.inspection.nearest import Nearest
    from corpusmill.pipelines.inspection.run_diff.difference import RunDifference
    from corpusmill.pipelines.inspection.run_record import RunRecord
    from corpusmill.pipelines.inspection.sampling import SampledDocument
    from corpusmill.pipelines.inspection.story import Story
    from corpusmill.pipelines.inspection.tables.table import Table
    from corpusmill.pipelines.storage.run_folder import RunFolder


def open_run(path: Path | str) -> Run:
    """The run in a folder, or at a URL. Raises UserError where there is none."""
    from corpusmill.pipelines.api.places import place
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.storage.run_folder import RunFolder

    folder = RunFolder(place(str(path)))
    if not folder.begun:
        raise UserError(f"{folder.location}: not a run folder (no current.json); give the recipe's output")
    return Run(folder)


class Run:
    """A run as it lay in its folder when it was opened; `open_run` again sees what came since.

    Tables are lazy polars frames: nothing is read before `collect`, and then only the columns that are used.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self._folder.path

    @cached_property
    def _record(self) -> RunRecord:
        from corpusmill.pipelines.inspection.run_record import load_record

        return load_record(self._folder)

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """All tables, by name, with their columns and what these mean."""
        from corpusmill.pipelines.inspection.tables.catalogue import tables_of

        return tables_of(self._record)

    @cached_property
    def _absent(self) -> Mapping[str, str]:
        from corpusmill.pipelines.inspection.tables.catalogue import absent_tables

        return absent_tables(self._record)

    def table(self, name: str) -> pl.LazyFrame:
        """A table as a lazy frame. Raises UserError for one that the run has not, or not any more."""
        from corpusmill.pipelines.contract.closest import nearest
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.pipelines.inspection.query import lazy

        if name not in self.tables:
            why = self._absent.get(name) or nearest(name, list(self.tables))
            raise UserError(f"the run has no table {name!r}; {why}")
        return lazy(self.tables[name])

    def documents(self, *, source: str | None = None, lang: str | None = None) -> pl.LazyFrame:
        """Documents that are kept, with their texts. Raises UserError for a source that the run has not."""
        self._check_source(source)
        return _where(self.table("documents"), source=source, lang=lang)

    def removed(
        self, *, source: str | None = None, reason: str | None = None, stage: str | None = None
    ) -> pl.LazyFrame:
        """Documents that were removed or quarantined, and why. Raises UserError for a source that the run has
        not."""
        self._check_source(source, beside=True)
        return _where(self.table("removed"), source=source, reason=reason, stage=stage)

    def _check_source(self, source: str | None, *, beside: bool = False) -> None:
        """Raise UserError for a source that the run has not; `beside`: those of benchmarks count too."""
        from corpusmill.pipelines.contract.closest import nearest
        from corpusmill.pipelines.contract.errors import UserError

        known = [*self._record.sources, *(self._record.beside if beside else ())]
        names = [one.name for one in known]
        if source is not None and source not in names:
            raise UserError(f"the run has no source {source}; {nearest(source, names)}")

    def duplicates(self) -> pl.LazyFrame:
        """Documents removed in favour of another, and of which."""
        return self.table("duplicates")

    def scores(self, stage: str | None = None) -> pl.LazyFrame:
        """Scores of all documents that came to a filter; of `stage` alone where it is given.

        Raises UserError for a stage of which no score is stored."""
        from corpusmill.pipelines.contract.errors import UserError

        frame = self.table("scores")
        if stage is None:
            return frame
        names = [column.name for column in self.tables["scores"].columns]
        fixed = [
            name for name in names if name in ("id", "source", "lang", "bytes", "kept", "stage", "reason")
        ]
        scores = [name for name in names if name.startswith(f"{stage}_")]
        if not scores:
            known = ", ".join(name for name in names if name not in fixed)
            raise UserError(f"the run stores no score of stage {stage}; its scores: {known or 'none'}")
        return frame.select([*fixed, *scores])

    def tokens(self) -> pl.LazyFrame:
        """Documents with their tokens, before the mixture."""
        return self.table("tokens")

    def mixture(self) -> pl.DataFrame:
        """The mixture, asked and drawn, by source. Raises UserError where it is not planned, or stale."""
        return self.table("mixture").collect()

    def mixture_statistics(self, top: int = 10) -> MixtureStatistics:
        """What the mixture is made of: by source and group what is asked and drawn, unique and repeated, and
        why a share is missed; by language, licence and domain (the `top` values of each, the others summed);
        lengths of documents. `pl.DataFrame(found.sources)` is a frame of its rows, so of `groups`.

        Raises UserError before a mixture is planned.
        """
        from corpusmill.pipelines.inspection.mixture_statistics import mixture_statistics

        return mixture_statistics(self._record, top)

    def funnel(self) -> pl.DataFrame:
        """What came to each stage and what became of it, in the order of the steps."""
        return self.table("ledger").collect()

    def query(self, sql: str) -> pl.DataFrame:
        """The answer to a SELECT over the tables: `run.query("select source, count(*) from documents group by
        source")`. Raises UserError for anything else."""
        from corpusmill.pipelines.inspection.query import query

        return query(self.tables, sql, absent=self._absent)

    def diff(self, other: Run, examples: int = 10) -> RunDifference:
        """What came and went from this run to `other`, by source and reason, matched by id; which options and
        shares changed; and so many documents of either direction. Raises NotKeptError where documents were
        not kept."""
        from corpusmill.pipelines.inspection.run_diff.diff import difference

        return difference(self._record, other._record, examples)

    def explain(self, document: str) -> Story:
        """The whole story of a document, by its id or the start of one. Raises UserError for none."""
        from corpusmill.pipelines.inspection.explain import explain

        return explain(self._folder, document)

    def nearest(self, text: str, count: int = 10) -> Nearest:
        """Documents that came to the run's deduplication and are most like a text, kept or removed.

        Raises UserError without a stage that measures (`dedup: [minhash]`), NotKeptError where the run did
        not keep what it measures by."""
        from corpusmill.pipelines.inspection.nearest import nearest_documents

        return nearest_documents(self._record, text, count)

    def sample(
        self,
        count: int = 20,
        *,
        seed: int = 0,
        source: str | None = None,
        lang: str | None = None,
        removed: bool = False,
        reason: str | None = None,
        stage: str | None = None,
        recipe: Recipe | None = None,
    ) -> list[SampledDocument]:
        """Documents drawn at random with their whole texts; see `inspection.sampling`.

        `recipe` tells where the sources of removed documents lie."""
        from corpusmill.pipelines.inspection.sampling import sample

        return sample(
            self._record,
            count=count,
            seed=seed,
            source=source,
            lang=lang,
            removed=removed,
            reason=reason,
            stage=stage,
            recipe=None if recipe is None else recipe._loaded,
        )

    def serve(self, *, port: int = 0, browser: bool = True) -> None:
        """Show the run in the browser, on this machine alone, until the process is interrupted; see
        `corpusmill serve`. Raises UserError where the port cannot be had."""
        from corpusmill.pipelines.serve.serving import serve_run

        serve_run(self._folder, port=port, browser=browser)

    def shards(self) -> Shards:
        """The token shards. Raises UserError before there are any."""
        from corpusmill.pipelines.api.shards import Shards
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.pipelines.inspection.mixture_facts import packing_facts

        facts = packing_facts(self._record)
        if facts is None:
            raise UserError(f"{self.path} has no token shards yet; run its recipe to the end")
        folder = self.path / facts.folder
        return Shards(tuple(folder / name for name in facts.files))

    def export(
        self,
        to: str,
        folder: Path | str,
        *,
        of: Kind | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Write the run's documents, shards, tokenizer or model for other libraries, as `corpusmill export`:
        `run.export("parquet", "out", source=["web"], columns=["id", "text"])`.

        `folder`: a new folder, or a URL; `of`: what is meant where formats share a name, by default the
        documents. Options are those of the format (docs/export_documents.md, docs/shards.md, docs/models.md).
        Returns what was written. Raises UserError as the command does.
        """
        from corpusmill.pipelines.exports.perform import perform
        from corpusmill.pipelines.storage.remote.exported import written_to

        with written_to(str(folder)) as made:
            found = perform(self.path, made, to, of, options)
        return {name: str(folder) if value == str(made) else value for name, value in found.items()}

    def __repr__(self) -> str:
        record = self._record
        done = sum(step.complete for step in record.steps.values())
        return f"Run({record.name!r}, {done} of {len(record.steps)} steps, {str(self.path)!r})"

    def _repr_html_(self) -> str:
        frame = self.table("steps").collect()
        head = "".join(f"<th>{escape(name)}</th>" for name in frame.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape('' if one is None else str(one))}</td>" for one in row) + "</tr>"
            for row in frame.iter_rows()
        )
        return f"<b>{escape(repr(self))}</b><table><tr>{head}</tr>{body}</table>"


def _where(frame: pl.LazyFrame, **asked: str | None) -> pl.LazyFrame:
    import polars as pl

    for name, value in asked.items():
        if value is not None:
            frame = frame.filter(pl.col(name) == value)
    return frame
