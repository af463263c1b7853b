"""Token shards as the run wrote them: metadata, counts, rows, and rows as text again.

A shard is an Arrow IPC file with columns `tokens` (fixed_size_list of uint16 or uint32) and `pieces`, whose
schema metadata holds one JSON value a key, `counts` among them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.errors import IntegrityError, UserError, damaged
from corpusmill.pipelines.contract.given import SHARDS, TOKENIZER
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.records.opaque import Summary
from corpusmill.pipelines.storage.graph_file import step_giving
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import sha256_file

TOTALS = ("rows", "tokens", "padding", "documents", "fim_documents", "pieces")
_TEXT = 400  # characters of a row shown as text


def is_shard(schema: pa.Schema) -> bool:
    return {"tokens", "pieces"} <= set(schema.names) and b"sequence_length" in (schema.metadata or {})


def metadata(path: Path) -> Json:
    """The shard's metadata. Raises IntegrityError naming a file that is no shard."""
    try:
        with pa.memory_map(str(path)) as source:
            schema = ipc.open_file(source).schema
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error
    if not is_shard(schema):
        raise IntegrityError(f"{path}: not a token shard")
    return {key.decode(): json.loads(value) for key, value in schema.metadata.items()}


def combined(counts: Sequence[Summary]) -> Json:
    """Counts of shards added up, with the shares people ask for.

    `padding_share` is of all places, `fim_rate` of documents, source shares of tokens without padding; a
    share of nothing is None. `held_out`: the same totals of what lies in shards of its own, to be judged on.
    """
    totals: Json = {name: sum(int(c.get(name, 0)) for c in counts) for name in TOTALS}
    sources: dict[str, Json] = {}
    for one in counts:
        documents = one.get("documents_by_source", {})
        for source, tokens in one.get("tokens_by_source", {}).items():
            held = sources.setdefault(source, {"tokens": 0, "documents": 0})
            held["tokens"] += tokens
            held["documents"] += documents.get(source, 0)
    places = totals["tokens"] + totals["padding"]
    for held in sources.values():
        held["share"] = held["tokens"] / totals["tokens"] if totals["tokens"] else None
    return {
        "shards": len(counts),
        **totals,
        "padding_share": totals["padding"] / places if places else None,
        "fim_rate": totals["fim_documents"] / totals["documents"] if totals["documents"] else None,
        "pieces_per_row": totals["pieces"] / totals["rows"] if totals["rows"] else None,
        "held_out": {
            name: sum(int(c["held_out"].get(name, 0)) for c in counts if "held_out" in c) for name in TOTALS
        },
        "sources": dict(sorted(sources.items())),
    }


def shard_facts(path: Path, limit: int) -> Json:
    """Metadata, counts and the first `limit` rows of a shard, decoded where its tokenizer is at hand.

    `decoded` says which tokenizer was used, or why none.
    """
    about = metadata(path)
    tokenizer, said = _tokenizer(path, about)
    rows: list[Json] = []
    for batch in arrow_batches(path, ["tokens", "pieces"]):
        for at in range(min(batch.num_rows, limit - len(rows))):
            ids = batch.column("tokens")[at].as_py()
            rows.append(_row(len(rows), ids, batch.column("pieces")[at].as_py(), about, tokenizer))
        if len(rows) >= limit:
            break
    counts = about.get("counts", {})
    return {
        "kind": "token shard",
        "path": str(path),
        "bytes": path.stat().st_size,
        "metadata": {key: value for key, value in about.items() if key != "counts"},
        "counts": counts,
        "statistics": {k: v for k, v in combined([counts]).items() if k != "shards"},
        "decoded": said,
        "first_rows": rows,
    }


def _row(number: int, ids: list[int], pieces: list[Json], about: Json, tokenizer: Any) -> Json:
    sources = about.get("sources", [])
    shown = []
    for piece in pieces:
        span = ids[piece["start"] : piece["start"] + piece["length"]]
        held: Json = {
            key: piece[key] for key in ("start", "length", "offset", "fim", "epoch") if key in piece
        }
        held["document"] = piece["document"].hex()
        held["source"] = sources[piece["source"]] if piece["source"] < len(sources) else None
        if tokenizer is not None:
            held["text"] = tokenizer.decode(span[:_TEXT], skip_special_tokens=False)[:_TEXT]
        shown.append(held)
    used = sum(piece["length"] for piece in pieces)
    return {"row": number, "first_tokens": ids[:16], "padding": len(ids) - used, "pieces": shown}


def _tokenizer(path: Path, about: Json) -> tuple[Any, str]:
    """The tokenizer the shard was made with, and which it is; or None, and why."""
    parents = path.resolve().parents
    if len(parents) < 5 or parents[3].name != "steps":
        return None, "not decoded: the shard lies outside a run folder, so its tokenizer is not at hand"
    step = step_giving(RunFolder(parents[4]), TOKENIZER)
    if step is None or step.manifest() is None or "tokenizer.json" not in step.files():
        return None, "not decoded: the run has no complete tokenizer step"
    file = step.file("tokenizer.json")
    if sha256_file(file) != about.get("tokenizer"):
        return None, f"not decoded: {file} is not the tokenizer the shard was made with"
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file)), str(file)


def shards_at(what: Path) -> dict[str, list[Path]]:
    """Token shards by what they are for, `train` and `held_out`: of a run, its step, a folder, or one file.

    Raises UserError where there are none.
    """
    from corpusmill.pipelines.inspection.run_record import load_record

    run = RunFolder(what)
    if what.is_dir() and run.begun:
        step = load_record(run).complete_giving(SHARDS)
        if step is None:
            raise UserError(f"{what}: the run has no shards yet; run its recipe further")
        files = sorted(step.data.verified().glob("*.arrow"))
    elif (what / "manifest.json").is_file():
        files = sorted(StepFolder(what).verified().glob("*.arrow"))
    else:
        files = sorted(what.glob("*.arrow")) if what.is_dir() else [what] if what.is_file() else []
    found = {
        "train": [file for file in files if not file.name.startswith("heldout-")],
        "held_out": [file for file in files if file.name.startswith("heldout-")],
    }
    if not files:
        raise UserError(
            f"{what}: no token shards (*.arrow); give a run, its step that packs, a folder or a shard"
        )
    return found
