"""What a run prints at its end, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpusmill.pipelines.contract.given import DRAWN, LONGER_CONTEXT, MODEL, SHARDS, TOKENIZER
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.held_out_facts import HeldOutFacts, sentence
from corpusmill.pipelines.recipe.environment import hide_values
from corpusmill.pipelines.records.codec import Json, decode
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.runner import RunResult
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.sealed import read_json

_TOLD = {TOKENIZER: "tokenizer", MODEL: "train"}  # what a step gives -> the key of its facts
_REASONS = 3
_WARNINGS = 8
_STALE = 6


def summary(result: RunResult, report: Path, twin: Path) -> Json:
    """Steps, ledger totals by source, mixture, shards, training, findings and the report's place.

    `report`, `twin`: the page and its JSON, just written, which the mixture and the findings are taken from.
    """
    figures = read_json(twin)
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
        "held_out": figures["held_out"],
        "mixture": figures["mixture"],
        "stale": figures["stale"],
        "findings": figures["findings"],
    }
    found["beside"] = [name for name in found["sources"] if name not in figures["recipe"]["sources"]]
    if found["mixture"] is not None and found["mixture"]["step"] in figures["stale"]:
        found["mixture"] = None
    if result.repairs is not None:
        found["repaired"] = {"faults": result.repairs.faults, "differing": result.repairs.differing}
    for state in result.steps:
        if state.folder is None:
            continue
        units = state.folder.need_manifest().units
        if state.step.gives == SHARDS:
            found["shards"] = _shards(state.folder, units)
        elif state.step.gives in _TOLD:
            one = {"folder": str(state.folder.data), **(units[0].summary if units else {})}
            found[_TOLD[state.step.gives]] = one
        elif state.step.gives == LONGER_CONTEXT:
            one = {"step": state.step.name, "folder": str(state.folder.data), **units[0].summary}
            found.setdefault("long_context", []).append(one)
    return found


def _shards(folder: StepFolder, units: Sequence[Receipt]) -> Json:
    """Files and counts of the shards, those that are held out apart."""
    summaries = [unit.summary for unit in units]
    files = [str(folder.data / file.name) for unit in units for file in unit.files]
    apart = [summary["held_out"] for summary in summaries if "held_out" in summary]
    return {
        "files": [file for file in files if not _is_held_out(file)],
        "held_out": {
            "files": [file for file in files if _is_held_out(file)],
            **{key: sum(s[key] for s in apart) for key in ("documents", "tokens")},
        },
        **{key: sum(s.get(key, 0) for s in summaries) for key in ("documents", "tokens", "padding", "rows")},
    }


def _is_held_out(file: str) -> bool:
    """Whether a shard is one that nothing is trained on, by its name."""
    return Path(file).name.startswith("heldout-")


def _sources(result: RunResult) -> Json:
    """Per source: documents read, removed and quarantined by reason, and left before the mixture; bytes cut
    by reason."""
    sources: Json = {}
    for state in result.steps:
        drawing = state.step.gives in (DRAWN, SHARDS)  # what is left out here is not lost
        if state.folder is None or drawing or state.step.operator.leaves_in_place:
            continue
        for entry in state.folder.need_manifest().ledger:
            none: Json = {"read": 0, "left": 0, "removed": {}, "quarantined": {}, "cut": {}}
            row = sources.setdefault(entry.source, none)
            if entry.stage == "read":
                row["read"] += entry.documents_in
            for kind, tallies in (("removed", entry.removed), ("quarantined", entry.quarantined)):
                for reason, (documents, _) in tallies.items():
                    key = f"{entry.stage}.{reason}"
                    row[kind][key] = row[kind].get(key, 0) + documents
            for reason, size in entry.cut.items():
                key = f"{entry.stage}.{reason}"
                row["cut"][key] = row["cut"].get(key, 0) + size
    for row in sources.values():
        row["left"] = row["read"] - sum(row["removed"].values()) - sum(row["quarantined"].values())
    return sources


def render_summary(found: Json) -> str:
    """A page of text for a terminal."""
    blocks = [_source_table(found["sources"], found["beside"])]
    if found["held_out"] is not None:
        blocks.append(sentence(decode(HeldOutFacts, found["held_out"], "report.json")))
    if found["mixture"] is not None:
        blocks.append(_mixture_table(found["mixture"]))
    made = []
    if "shards" in found:
        shards = found["shards"]
        files = f"{len(shards['files']):,} file{'s' * (len(shards['files']) != 1)}"
        made += [
            f"shards    {files}, {shards['rows']:,} rows, {shards['tokens']:,} tokens of "
            f"{shards['documents']:,} documents, {shards['padding']:,} padding",
            f"          in {shown_path(Path(shards['files'][0]).parent)}" if shards["files"] else "",
        ]
        if (apart := shards["held_out"])["files"]:
            tokens, documents = apart["tokens"], apart["documents"]
            made.append(f"          {tokens:,} tokens of {documents:,} documents held out beside them")
    if "train" in found:
        train = found["train"]
        made.append(
            f"training  {_losses(train)} nats a token after {train['steps']:,} steps (unigram entropy of the "
            f"shards {text.fixed(train['unigram_entropy'], 3)}, ln(vocabulary) {train['ln_vocab']:.3f})"
        )
    made += [
        f"context   {phase['context']:,} tokens after {phase['steps']:,} more steps (YaRN factor "
        f"{phase['factor']:g}): {_losses(phase)}"
        for phase in found.get("long_context", [])
    ]
    if made:
        blocks.append("\n".join(made))
    if notes := _notes(found["findings"]):
        blocks.append(notes)
    if "repaired" in found:
        blocks.append(_repaired(found["repaired"]))
    if stale := found["stale"]:
        names = ", ".join(stale[:_STALE]) + (
            f" and {len(stale) - _STALE} more" if len(stale) > _STALE else ""
        )
        blocks.append(f"stale     {names}: kept as they were; run without --until to make them again")
    done = sum(step["done_now"] for step in found["steps"])
    total = sum(step["units"] for step in found["steps"])
    blocks.append(
        f"{done:,} of {total:,} units done now in {text.duration(found['seconds'])}\n"
        f"run       {shown_path(Path(found['run']))}\n"
        f"report    {shown_path(Path(found['report']))}"
    )
    return "\n" + "\n\n".join(blocks)


def _repaired(repaired: Json) -> str:
    """What `--repair` found."""
    faults, differing = len(repaired["faults"]), len(repaired["differing"])
    if not faults:
        return "repaired  nothing: every file is what its step wrote"
    words = f"repaired  {faults:,} fault{'s' * (faults != 1)}, told above"
    return words + (f"; {differing:,} files came out other than they were" if differing else "")


def _losses(training: Json) -> str:
    return f"loss {text.fixed(training['first_loss'], 3)} -> {text.fixed(training['last_loss'], 3)}"


def _source_table(sources: Json, beside: Sequence[str]) -> str:
    """A row a source, and under it the reasons that took most of its documents, and most bytes of others; in
    brackets what is read `beside` the recipe's sources."""
    rows = [
        (
            f"({name})" if name in beside else name,
            row["read"],
            sum(row["removed"].values()),
            sum(row["quarantined"].values()),
            row["left"],
            text.percent(row["left"], row["read"]),
        )
        for name, row in sources.items()
    ]
    table = text.table(("source", "read", "removed", "quarantined", "left", "of read"), rows).splitlines()
    lines = table[:2]
    for line, row in zip(table[2:], sources.values(), strict=True):
        lines.append(line)
        lost = {**row["removed"], **{f"{key} (quarantined)": n for key, n in row["quarantined"].items()}}
        top = sorted(lost.items(), key=lambda item: (-item[1], item[0]))
        if top:
            more = f", {len(top) - _REASONS} more" if len(top) > _REASONS else ""
            reasons = ", ".join(f"{text.printable(key, 60)} {n:,}" for key, n in top[:_REASONS])
            lines.append(f"    {reasons}{more}")
        cut = sorted(row["cut"].items(), key=lambda item: (-item[1], item[0]))[:_REASONS]
        if cut:
            parts = ", ".join(f"{text.printable(key, 60)} {text.size(size)}" for key, size in cut)
            lines.append(f"    cut from documents left: {parts}")
    return "\n".join(lines)


def _mixture_table(mixture: Json) -> str:
    """Requested against achieved shares of tokens."""
    rows = [
        (
            name,
            held["available_tokens"],
            held["achieved_tokens"],
            text.percent(held["requested_share"], 1),
            text.percent(held["achieved_share"], 1),
            text.fixed(held["epochs"], 2),
        )
        for name, held in mixture["sources"].items()
    ]
    missed = [
        f"{name}: {text.printable(held['shortfall'], 400)}"
        for name, held in mixture["sources"].items()
        if held["shortfall"]
    ]
    headers = ("mixture", "tokens there", "tokens drawn", "share asked", "share got", "epochs")
    return "\n".join([text.table(headers, rows), *missed])


def _notes(findings: list[Json]) -> str:
    """What the report warns of, faults first; notes are left to the report, and shares that are missed stand
    below the table of the mixture."""
    loud = [f for f in findings if f["level"] != "note" and not f["about"].startswith("mixture: ")]
    lines = [f"{f['level']}: {f['about']}: {text.printable(f['text'], 160)}" for f in loud[:_WARNINGS]]
    if len(loud) > _WARNINGS:
        lines.append(f"and {len(loud) - _WARNINGS} more warnings in the report")
    return "\n".join(lines)


def shown_path(path: Path) -> str:
    """A path as short as it can be said: relative to the working folder where it lies below it.

    One that a variable of the recipe holds is whole, so that what the variable holds is hidden as a whole.
    """
    if hide_values(str(path)) != str(path):
        return str(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
