"""`inspect`: what lies in a run folder, a step's folder, or one file of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection import file_facts
from corpusmill.pipelines.inspection.held_out_facts import held_out_facts
from corpusmill.pipelines.inspection.mixture_facts import mixture_facts, packing_facts
from corpusmill.pipelines.inspection.rendering import RENDERERS, version_note
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord, load_record
from corpusmill.pipelines.inspection.shard_files import is_shard, shard_facts
from corpusmill.pipelines.inspection.tokenizer_files import looks_like_tokenizer
from corpusmill.pipelines.recipe.registry import room_command
from corpusmill.pipelines.records.codec import Json, encode
from corpusmill.pipelines.records.receipt import SummaryPart
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.verified import verified
from corpusmill.pipelines.storage.versions import version_of

_CURE = (
    "give a run folder, a step's folder, a dataset (.parquet), a token shard or another Arrow file of a run "
    "(.arrow), or a tokenizer"
)


def inspect(path: Path, *, limit: int = 5) -> Json:
    """What `path` holds, by its `kind`; at most `limit` rows are shown.

    - run folder: steps, documents by source, mixture and packing statistics, where the shards are.
    - step folder (`<run>/steps/<step>` or one version of it): manifest in brief, ledger, files.
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
        raise UserError(f"{path}: does not exist; {_CURE}")
    verified(path)
    if looks_like_tokenizer(path):
        return inspect_tokenizer(path)
    if path.is_dir():
        return _folder(path, limit)
    if path.suffix == ".parquet":
        return {**_parquet(path, limit), "version": _version_of_file(path)}
    if path.suffix == ".arrow":
        return {**_arrow(path, limit), "version": _version_of_file(path)}
    if path.suffix in (".json", ".jsonl"):
        raise UserError(
            f"{path}: not a file of a run to inspect, but JSON (`python -m json.tool` shows it); {_CURE}"
        )
    raise UserError(f"{path}: not a file of a run; {_CURE}")


def inspect_tokenizer(
    path: Path,
    against: Sequence[Path] = (),
    references: Mapping[str, Path] | None = None,
    pattern: str | None = None,
) -> Json:
    """Figures of the tokenizer at `path` on the texts of the files `against`, beside those of `references`.

    `pattern` names the pre-tokenizer of a rank file. Raises UserError for what is no tokenizer, no reference
    or no text.
    """
    found: Json = room_command("tokenizer", "inspect_tokenizer")(path, against, references or {}, pattern)
    return found


def _folder(path: Path, limit: int) -> Json:
    if RunFolder(path).begun:
        return _run(load_record(RunFolder(path)))
    if (path / "manifest.json").exists() or (path / "receipts").is_dir():
        return _step(StepFolder(path), limit)
    if path.name == "data" and (path.parent / "manifest.json").exists():
        return _step(StepFolder(path.parent), limit)
    if path.parent.name == "steps":
        current = RunFolder(path.parent.parent).current_step(path.name)
        if current is not None:
            return _step(current, limit)
    raise UserError(f"{path}: neither a run folder nor a step's; {_CURE}")


def _run(record: RunRecord) -> Json:
    return {
        "kind": "run",
        "path": str(record.folder.path),
        "name": record.name,
        "seed": record.recipe.get("seed", 0),
        "steps": [_step_line(step) for step in record.steps.values()],
        "sources": _sources(record),
        "held_out": held_out_facts(record),
        "mixture": mixture_facts(record),
        "packing": packing_facts(record),
        "until": list(record.until),
        "stale": record.stale,
    }


def _step_line(step: StepRecord) -> Json:
    return {
        "name": step.name,
        "state": step.state,
        "operator": step.operator.name or None,
        "stages": [stage.name for stage in step.stages],
        "units": len(step.units) if step.manifest is not None else step.receipts,
        "rows": step.rows if step.manifest is not None else None,
        "bytes": step.output_bytes if step.manifest is not None else None,
    }


def _sources(record: RunRecord) -> Json:
    """Documents and bytes read, and left after everything done so far, by source."""
    found: Json = {}
    for source in record.sources:
        came = [0, 0]
        for entry in source.steps[0].ledger:
            if entry.stage == "read":
                came = [entry.documents_in, entry.bytes_in]
        left = [0, 0]
        for unit in source.last.units:
            for documents, size in unit.sources.values():
                left = [left[0] + documents, left[1] + size]
        taken = record.taken_by_masks.get(source.name, (0, 0)) if source.whole else (0, 0)
        found[source.name] = {
            "domain": source.domain,
            "documents_read": came[0],
            "bytes_read": came[1],
            "documents": left[0] - taken[0],
            "bytes": left[1] - taken[1],
        }
    return found


def _version_of_file(path: Path) -> str | None:
    parents = path.resolve().parents
    return version_of(StepFolder(parents[1])) if parents[0].name == "data" and len(parents) > 1 else None


def _step(folder: StepFolder, limit: int) -> Json:
    version = version_of(folder)
    manifest = folder.manifest()
    if manifest is None:
        receipts = sorted(path.stem for path in (folder.path / "receipts").glob("*.json"))
        return {
            "kind": "step",
            "path": str(folder.path),
            "name": folder.path.parent.name,
            "state": "unfinished",
            "version": version,
            "units": len(receipts),
        }
    files = manifest.files
    return {
        "kind": "step",
        "path": str(folder.path),
        "name": manifest.step,
        "state": "complete",
        "version": version,
        "operator": manifest.key.operator,
        "stages": [{"name": stage.name, "options": stage.options} for stage in manifest.key.stages],
        "fingerprint": manifest.fingerprint,
        "versions": manifest.versions,
        "units": len(manifest.units),
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "files": len(files),
        "first_files": [encode(file) for file in files[:limit]],
        "ledger": [encode(entry) for entry in manifest.ledger],
        "summaries": [unit.summary for unit in manifest.units[:limit] if isinstance(unit.part, SummaryPart)],
    }


def _parquet(path: Path, limit: int) -> Json:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file_facts.parquet_facts(path, file, limit)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path}: cannot be read as Parquet ({error}); it is damaged or something else"
        ) from error


def _arrow(path: Path, limit: int) -> Json:
    try:
        with pa.memory_map(str(path)) as source:
            schema = ipc.open_file(source).schema
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path}: cannot be read as an Arrow IPC file ({error}); it is damaged or something else"
        ) from error
    if is_shard(schema):
        return shard_facts(path, limit)
    names = set(schema.names)
    for needed, facts in _ARROW:
        if needed <= names:
            return facts(path, limit)
    return file_facts.arrow_facts(path, limit)


_ARROW: list[tuple[set[str], Callable[[Path, int], Json]]] = [
    ({"stage", "kind", "reason", "excerpt"}, file_facts.removed_facts),
    ({"stage", "reason", "start", "end", "excerpt"}, file_facts.cut_facts),
    ({"survivor_unit", "survivor_row", "similarity"}, file_facts.pair_facts),
    ({"id", "source", "bytes", "fim", "tokens", "lang"}, file_facts.encoded_facts),
]


def render_inspection(value: Json) -> str:
    """What `inspect` found, as text for a terminal."""
    render: Callable[[Any], str] = RENDERERS[value["kind"]]
    note = version_note(value)
    return render(value) if note is None else f"{note}\n{render(value)}"
