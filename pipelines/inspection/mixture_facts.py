"""What the mixture planned and what the shards hold, source by source, from plan.json and receipts."""

from __future__ import annotations

from corpusmill.pipelines.contract.given import MIXTURE, SHARDS
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.shard_files import combined
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.sealed import read_json

_PLANNED = {
    "available_tokens": "available_tokens",
    "available_documents": "available_documents",
    "requested_share": "requested_share",
    "requested_tokens": "requested_tokens",
    "tokens": "achieved_tokens",
    "share": "achieved_share",
    "documents": "achieved_documents",
    "epochs": "epochs",
    "shortfall": "shortfall",
    "cause": "cause",
}


def mixture_facts(record: RunRecord) -> Json | None:
    """Requested against achieved, in all and by source; None before the mixture is planned.

    Achieved figures count every copy of a document; `epochs` is achieved tokens / available tokens, null
    where there are none; `achieved_share` is null where nothing is drawn of any source. `cut`:
    the document of which a copy is cut to its first tokens, so that a source's share is exact; null where
    none is.
    """
    step = record.finished_giving(MIXTURE)
    if step is None:
        return None
    plan = read_json(step.data.file("plan.json"))
    return {
        "step": step.name,
        "requested_tokens": plan["requested_tokens"],
        "achieved_tokens": plan["tokens"],
        "documents": plan["documents"],
        "max_epochs": plan["max_epochs"],
        "held_out": plan["held_out"],
        "sources": {
            source: {name: held[key] for key, name in _PLANNED.items()} | {"cut": _cut(held["last"])}
            for source, held in sorted(plan["sources"].items())
        },
    }


def _cut(last: Json | None) -> Json | None:
    """Id of the document that is cut, tokens taken and tokens of the whole."""
    if last is None or last["tokens"] == 0:
        return None
    return {name: last[name] for name in ("document", "tokens", "of")}


def missed(mixture: Json) -> list[str]:
    """A line for each share that is missed: what was asked, what is drawn, and why."""
    return [
        f"{name}: {text.printable(held['shortfall'], 400)}"
        for name, held in mixture["sources"].items()
        if held["shortfall"]
    ]


def packing_facts(record: RunRecord) -> Json | None:
    """Counts of all shards together, and where they lie; None before there are shards."""
    step = record.finished_giving(SHARDS)
    if step is None:
        return None
    options = step.stages[-1].options
    files = [file.name for unit in step.units for file in unit.files if file.name.endswith(".arrow")]
    return {
        "step": step.name,
        **combined([unit.summary for unit in step.units]),
        "sequence_length": options.get("sequence_length"),
        "method": options.get("method"),
        "folder": str(step.data.data.relative_to(record.folder.path)),
        "files": files,
    }
