"""What a run prints at its end, and the same as JSON."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.ledger import Entry
from corpusmill.pipelines.runner import RunResult
from corpusmill.pipelines.storage import Json


def summary(result: RunResult, report: Path) -> Json:
    """Steps, ledger totals by source, shards, training and the report's place."""
    steps = [
        {
            "name": state.step.name,
            "units": state.total,
            "done_now": state.redone,
            "reused": state.reused,
            "seconds": round(state.seconds, 3),
        }
        for state in result.steps
    ]
    found: Json = {
        "run": str(result.folder.path),
        "report": str(report),
        "seconds": round(result.seconds, 2),
        "steps": steps,
        "sources": _sources(result),
    }
    for state in result.steps:
        if state.step.name in {"pack", "train", "tokenizer"} and state.folder is not None:
            units = state.folder.need_manifest()["units"]
            summaries = [unit.get("summary", {}) for unit in units]
            if state.step.name == "pack":
                found["shards"] = {
                    "files": [str(state.folder.data / f["name"]) for unit in units for f in unit["files"]],
                    **{
                        key: sum(s.get(key, 0) for s in summaries)
                        for key in ("documents", "tokens", "padding", "rows")
                    },
                }
            else:
                found[state.step.name] = {
                    "folder": str(state.folder.data),
                    **(summaries[0] if summaries else {}),
                }
    return found


def _sources(result: RunResult) -> Json:
    """Per source: documents read, removed and quarantined by reason, and left before the mixture."""
    sources: Json = {}
    for state in result.steps:
        if state.folder is None or state.step.name.startswith("pack"):
            continue
        for value in state.folder.need_manifest()["ledger"]:
            entry = Entry.from_json(value)
            row = sources.setdefault(entry.source, {"read": 0, "left": 0, "removed": {}, "quarantined": {}})
            if entry.stage == "read":
                row["read"] += entry.documents_in
            for kind, tallies in (("removed", entry.removed), ("quarantined", entry.quarantined)):
                for reason, (documents, _) in tallies.items():
                    key = f"{entry.stage}.{reason}"
                    row[kind][key] = row[kind].get(key, 0) + documents
    for row in sources.values():
        row["left"] = row["read"] - sum(row["removed"].values()) - sum(row["quarantined"].values())
    return sources


def render_summary(found: Json) -> str:
    """A page of text for a terminal."""
    lines = ["", f"{'source':<14}{'read':>10}{'removed':>10}{'quarantined':>13}{'left':>10}"]
    for name, row in found["sources"].items():
        removed, quarantined = sum(row["removed"].values()), sum(row["quarantined"].values())
        lines.append(f"{name:<14}{row['read']:>10,}{removed:>10,}{quarantined:>13,}{row['left']:>10,}")
    if "shards" in found:
        shards = found["shards"]
        lines += [
            "",
            f"shards: {len(shards['files'])} files, {shards['rows']:,} rows, {shards['tokens']:,} tokens of "
            f"{shards['documents']:,} documents, {shards['padding']:,} padding",
            f"        {Path(shards['files'][0]).parent if shards['files'] else ''}",
        ]
    if "train" in found:
        train = found["train"]
        lines += [
            "",
            f"training: loss {train['first_loss']:.3f} -> {train['last_loss']:.3f} nats/token after "
            f"{train['steps']:,} steps; unigram entropy of the shards {train['unigram_entropy']:.3f}, "
            f"ln(vocabulary) {train['ln_vocab']:.3f}",
        ]
    done = sum(step["done_now"] for step in found["steps"])
    total = sum(step["units"] for step in found["steps"])
    lines += [
        "",
        f"{done:,} of {total:,} units done now in {found['seconds']:.1f} s",
        f"report: {found['report']}",
    ]
    return "\n".join(lines)
