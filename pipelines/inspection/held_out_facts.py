"""What is held out: how much was asked and reached, what was removed for it, and the overlap that is left."""

from __future__ import annotations

from corpusmill.pipelines.contract.given import OVERLAP, SEPARATION
from corpusmill.pipelines.contract.held_out import USES
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.sealed import read_json


def held_out_facts(record: RunRecord) -> Json | None:
    """Figures of the documents held out; None where none are, or before they are compared.

    `tokenizer` and `model`: the share `asked`, `documents`, `bytes` and the `rate` reached, of all documents
    and by source (under `sources`, with `documents` there and those `in_large_families`); a rate of no
    documents is null. `removed`:
    documents removed by why (`dedup.hold_out`). `highest_overlap`, `highest_jaccard`: the most that any
    held-out document shares with a document that is learnt from; `overlap`: the share that is not reached.
    """
    step = record.complete_giving(OVERLAP)
    if step is None or record.complete_giving(SEPARATION) is None:
        return None
    found = read_json(step.data.file("overlap.json"))
    total = sum(one["documents"] for one in found["sources"].values())
    whole: Json = {"documents": total}
    for use, asked in found.pop("shares").items():
        held = {name: sum(s[use][name] for s in found["sources"].values()) for name in ("documents", "bytes")}
        whole[use] = {"asked": asked, **held, "rate": held["documents"] / total if total else None}
        for one in found["sources"].values():
            one[use]["rate"] = one[use]["documents"] / one["documents"] if one["documents"] else None
    return {**found, **whole}


def _reached(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2%}"


def sentence(held: Json) -> str:
    """The facts in brief, for a terminal."""
    uses = [
        f"{_reached(held[use]['rate'])} of the documents from the {use} ({held[use]['asked']:.2%} asked)"
        for use in USES
        if held[use]["asked"]
    ]
    removed = held["removed"]
    return (
        f"held out: {', '.join(uses)}; removed: {removed['held_out']:,} that stand in others, "
        f"{removed['learnt']:,} others that stand in them, {removed['common']:,} of common text; "
        f"highest overlap left {held['highest_overlap']:.2f}, Jaccard {held['highest_jaccard']:.2f}"
    )


def render_held_out(held: Json) -> str:
    """A table by source, and the sentence."""
    rows = [
        (
            name,
            one["documents"],
            one["in_large_families"],
            *(shown for use in USES for shown in (one[use]["documents"], text.percent(one[use]["rate"], 1))),
        )
        for name, one in held["sources"].items()
    ]
    from_uses = (header for use in USES for header in (f"from {use}", "rate"))
    headers = ("held out", "documents", "in large families", *from_uses)
    return text.table(headers, rows) + "\n" + sentence(held)
