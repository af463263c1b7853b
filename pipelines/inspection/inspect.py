"""`inspect`: what lies in a run folder, a step's folder, or one file of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.given_tables import ENCODED_COLUMNS
from corpusmill.pipelines.inspection import file_facts
from corpusmill.pipelines.inspection.found import (
    Found,
    FoundDataset,
    FoundRun,
    FoundScores,
    FoundStep,
    FoundTable,
    FoundUnfinishedStep,
    SourceLine,
    StepLine,
)
from corpusmill.pipelines.inspection.held_out_facts import held_out_facts
from corpusmill.pipelines.inspection.mixture_facts import mixture_facts, packing_facts
from corpusmill.pipelines.inspection.recall import SAMPLE, SAMPLE_BYTES, recall_of
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord, load_record
from corpusmill.pipelines.inspection.score_histograms import score_distributions
from corpusmill.pipelines.inspection.shard_facts import shard_facts
from corpusmill.pipelines.inspection.shard_files import is_shard
from corpusmill.pipelines.inspection.tokenizer_files import looks_like_tokenizer
from corpusmill.pipelines.inspection.window_facts import READ_AT_ONCE, run_windows
from corpusmill.pipelines.recipe.registry import room_command
from corpusmill.pipelines.records.graph import GraphStage
from corpusmill.pipelines.records.manifest import Manifest
from corpusmill.pipelines.records.receipt import SummaryPart
from corpusmill.pipelines.records.summary_table import tables_of
from corpusmill.pipelines.records.tokenizer_figures import InspectedTokenizer
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.storage.clusters import clusters_of
from corpusmill.pipelines.storage.committed import count_committed
from corpusmill.pipelines.storage.not_kept import not_kept
from corpusmill.pipelines.storage.remote.mirrors import location_of
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.verified import verified
from corpusmill.pipelines.storage.versions import version_of

_CURE = (
    "give a run folder, a step's folder, a dataset (.parquet), a token shard or another Arrow file of a run "
    "(.arrow), or a tokenizer"
)


def inspect_recall(path: Path, *, limit: int = 5, sample: int = SAMPLE) -> FoundStep:
    """What `inspect` says of a step's folder, with how well the step finds pairs, on a sample of so many
    documents (`recall`).

    Raises UserError where the folder is not the run's own version of a step that removes duplicates.
    """
    found = inspect(path, limit=limit)
    if not isinstance(found, FoundStep) or found.clusters is None:
        raise UserError(
            f"{location_of(path)}: no complete step that removes duplicates; give the folder of one, such as "
            "RUN/steps/dedup.minhash"
        )
    if found.version != "current":
        raise UserError(
            f"{location_of(path)}: not the run's own version of the step; give the folder above it"
        )
    whole = path.resolve()
    runs = [folder for folder in whole.parents if RunFolder(folder).begun]
    record = load_record(RunFolder(runs[0]))
    measured = recall_of(record, record.steps[found.name], sample, sample * (SAMPLE_BYTES // SAMPLE))
    if measured is None:
        stage = record.steps[found.name].stages[-1].name
        raise UserError(
            f"{location_of(path)}: the stage {stage} has no curve: it finds all that is equal, or does not "
            "tell what it misses"
        )
    return replace(found, recall=measured)


def inspect(path: Path, *, limit: int = 5) -> Found:
    """What `path` holds; at most `limit` rows are shown.

    - run folder: steps, documents by source, mixture and packing statistics, where the shards are, and
      shares of sources by shard and by window of the training order (which reads the shards' pieces).
    - step folder (`<run>/steps/<step>` or one version of it): manifest in brief, ledger, files; of one that
      removes duplicates how large the clusters are, and the largest.
    - dataset (.parquet) and encoded dataset (.arrow): rows, sources, languages, first documents.
    - token shard (.arrow): metadata, counts, first rows, decoded with the run's tokenizer.
    - removed documents (.removed.arrow), parts cut (.edits.arrow): counts by stage and reason, first rows.
    - pairs (.found.arrow) and any other Arrow file: schema, rows.
    - tokenizer (its folder, tokenizer.json, rank file): what `inspect_tokenizer` says of it without texts.

    Of a step and of a step's file, `version` says which one it is: the run's own (`current`), one that no
    longer holds (`stale`), or an `earlier` one; null outside a run. Nothing of an earlier version is
    deleted.

    Reads metadata and the columns it reports, a row group or record batch at a time. Raises UserError
    for anything else, saying what can be given, and IntegrityError where a file of a run is damaged.
    """
    if limit < 0:
        raise UserError(f"limit is {limit}; give 0 or more rows")
    if not path.exists():
        raise UserError(f"{location_of(path)}: does not exist; {_CURE}")
    verified(path)
    if looks_like_tokenizer(path):
        return inspect_tokenizer(path)
    if path.is_dir():
        return _folder(path, limit)
    if path.suffix == ".parquet":
        return _parquet(path, limit)
    if path.suffix == ".arrow":
        return _arrow(path, limit)
    if path.suffix in (".json", ".jsonl"):
        raise UserError(
            f"{path}: not a file of a run to inspect, but JSON (`python -m json.tool` shows it); {_CURE}"
        )
    raise UserError(f"{path}: not a file of a run; {_CURE}")


def inspect_scores(path: Path) -> FoundScores:
    """How scores are distributed, of the run in the folder `path` or of one of its steps.

    Raises UserError for anything else, and for a version of a step that is not the run's own.
    """
    here = path.absolute()
    places = [(here, None), (here.parent.parent, here.name), (here.parent.parent.parent, here.parent.name)]
    run = next(((folder, step) for folder, step in places if RunFolder(folder).begun), None)
    if run is None:
        raise UserError(f"{location_of(path)}: --scores needs a run folder, or one of its `steps`")
    folder, step = run
    record = load_record(RunFolder(folder))
    if step is not None:
        found = record.complete(step)
        if found is None:
            names = ", ".join(name for name, one in record.steps.items() if one.complete)
            raise UserError(f"{location_of(path)}: no complete step of the run; there are {names}")
        if path.name != step and found.data.path.resolve() != path.resolve():
            raise UserError(f"{location_of(path)}: not the version of {step} that the run has now")
    return FoundScores(location_of(path), score_distributions(record, step))


def inspect_tokenizer(
    path: Path,
    against: Sequence[Path] = (),
    references: Mapping[str, Path] | None = None,
    pattern: str | None = None,
) -> InspectedTokenizer:
    """Figures of the tokenizer at `path` on the texts of the files `against`, beside those of `references`.

    `pattern` names the pre-tokenizer of a rank file. Raises UserError for what is no tokenizer, no reference
    or no text.
    """
    found: InspectedTokenizer = room_command("tokenizer", "inspect_tokenizer")(
        path, against, references or {}, pattern
    )
    return found


def _folder(path: Path, limit: int) -> Found:
    if RunFolder(path).begun:
        return _run(load_record(RunFolder(path)))
    if (path / "manifest.json").exists() or any((path / name).is_dir() for name in ("receipts", "units")):
        return _step(StepFolder(path), limit)
    if path.name == "data" and (path.parent / "manifest.json").exists():
        return _step(StepFolder(path.parent), limit)
    if path.parent.name == "steps":
        current = RunFolder(path.parent.parent).current_step(path.name)
        if current is not None:
            return _step(current, limit)
    raise UserError(f"{location_of(path)}: neither a run folder nor a step's; {_CURE}")


def _run(record: RunRecord) -> FoundRun:
    return FoundRun(
        path=record.folder.location,
        name=record.name,
        seed=record.seed,
        steps=tuple(_step_line(step) for step in record.steps.values()),
        sources=_sources(record),
        held_out=held_out_facts(record),
        mixture=mixture_facts(record),
        packing=packing_facts(record),
        windows=run_windows(record, READ_AT_ONCE),
        until=record.until,
        stale=tuple(record.stale),
    )


def _step_line(step: StepRecord) -> StepLine:
    has_output = step.manifest is not None
    return StepLine(
        name=step.name,
        state=step.state,
        operator=step.operator.name or None,
        stages=tuple(stage.name for stage in step.stages),
        units=len(step.units) if has_output else step.receipts,
        rows=step.rows if has_output else None,
        bytes=step.output_bytes if has_output else None,
    )


def _sources(record: RunRecord) -> dict[str, SourceLine]:
    """Documents and bytes read, and left after everything done so far, by source."""
    found = {}
    for source in record.sources:
        read = next((entry for entry in source.steps[0].ledger if entry.stage == "read"), None)
        left = [0, 0]
        for unit in source.last.units:
            for documents, size in unit.sources.values():
                left = [left[0] + documents, left[1] + size]
        taken = record.taken_by_masks.get(source.name, (0, 0)) if source.whole else (0, 0)
        found[source.name] = SourceLine(
            domain=source.domain,
            documents_read=read.documents_in if read is not None else 0,
            bytes_read=read.bytes_in if read is not None else 0,
            documents=left[0] - taken[0],
            bytes=left[1] - taken[1],
        )
    return found


def _version_of_file(path: Path) -> str | None:
    parents = path.resolve().parents
    return version_of(StepFolder(parents[1])) if parents[0].name == "data" and len(parents) > 1 else None


def _step(folder: StepFolder, limit: int) -> FoundStep | FoundUnfinishedStep:
    version = version_of(folder)
    manifest = folder.manifest()
    if manifest is None:
        units = count_committed(folder)
        return FoundUnfinishedStep(folder.location, folder.path.parent.name, "unfinished", version, units)
    left = not_kept(folder.path)
    summaries = [unit.part.summary for unit in manifest.units[:limit] if isinstance(unit.part, SummaryPart)]
    return FoundStep(
        path=folder.location,
        name=manifest.step,
        state="complete",
        version=version,
        operator=manifest.key.operator,
        stages=tuple(GraphStage(stage.name, stage.options) for stage in manifest.key.stages),
        fingerprint=manifest.fingerprint,
        versions=manifest.versions,
        units=len(manifest.units),
        rows=manifest.rows,
        bytes=manifest.bytes,
        files=folder.units.count_files(),
        not_kept=None if left is None else left.keep,
        first_files=tuple(islice(manifest.files, limit)),
        ledger=manifest.ledger,
        summaries=tuple(summaries),
        clusters=clusters_of(folder, limit) if _removes_pairs(manifest) else None,
        tables=tuple(table for one in summaries for table in tables_of(one, folder.location)),
    )


def _removes_pairs(manifest: Manifest) -> bool:
    operator = operator_named(manifest.key.operator)
    return operator.reads == "pairs" and operator.writes == "removals"


def _parquet(path: Path, limit: int) -> FoundTable | FoundDataset:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file_facts.parquet_facts(path, file, limit, _version_of_file(path))
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path}: cannot be read as Parquet ({error}); it is damaged or something else"
        ) from error


def _arrow(path: Path, limit: int) -> Found:
    try:
        with pa.memory_map(str(path)) as source:
            schema = ipc.open_file(source).schema
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path}: cannot be read as an Arrow IPC file ({error}); it is damaged or something else"
        ) from error
    version = _version_of_file(path)
    if is_shard(schema):
        return shard_facts(path, limit, version)
    names = set(schema.names)
    for needed, facts in _ARROW:
        if needed <= names:
            return facts(path, limit, version)
    return file_facts.arrow_facts(path, limit, version)


_ARROW: list[tuple[set[str], Callable[[Path, int, str | None], Found]]] = [
    ({"stage", "kind", "reason", "excerpt"}, file_facts.removed_facts),
    ({"stage", "reason", "start", "end", "excerpt"}, file_facts.cut_facts),
    ({"worse", "better", "similarity"}, file_facts.pair_facts),
    (set(ENCODED_COLUMNS), file_facts.encoded_facts),
]
