"""What a reader of the report should not miss, in words: what went wrong, and what looks wrong."""

from __future__ import annotations

import pyarrow.parquet as pq

from corpusmill.pipelines.contract.given import (
    JUDGEMENT,
    MIXTURE,
    MODEL,
    SHARDS,
    TOKENIZER,
)
from corpusmill.pipelines.contract.held_out import USES
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.datasets import unit_file

HEAVY_REMOVAL = 0.9  # of a source's documents by one stage
HEAVY_PADDING = 0.1
TELLING = 20  # documents; that a stage removes nothing of fewer is no surprise
# Parts of the report, and what gives them: stale with any of these steps.
PARTS = {
    "mixture": {MIXTURE},
    "tokenizer": {TOKENIZER, JUDGEMENT},
    "packing": {SHARDS},
    "training": {MODEL},
}
MANY_EPOCHS = 4.0  # beyond this, repeated tokens teach measurably less (Muennighoff et al. 2023)
FAR_FROM_ASKED = 2.0  # times the share of documents asked to be held out, or its inverse


def findings(record: RunRecord, figures: Json) -> list[Json]:
    """`[{"level": "fault" | "warning" | "note", "about", "text"}]`, faults first."""
    found = [*_run(figures), *_funnel(record, figures), *_families(figures)]
    figures = _holding(record, figures)
    found += [*_mixture(figures), *_languages(figures), *_tokenizer(figures), *_training(figures)]
    for phase in figures["long_context"]:
        found += _targets(phase["summary"], phase["step"])
    order = {"fault": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding["level"]])


def _holding(record: RunRecord, figures: Json) -> Json:
    """`figures` without those of stale steps: what they showed was said when they were made."""
    stale = set(figures["stale"])
    old = {step.gives for step in record.graph.steps if step.name in stale}
    left_out: Json = {part: None for part, words in PARTS.items() if part in figures and old & words}
    if TOKENIZER in old:
        left_out["tokenizer_parts"] = {}
    phases = [phase for phase in figures["long_context"] if phase["step"] not in stale]
    return {**figures, **left_out, "long_context": phases}


def _finding(level: str, about: str, text: str) -> Json:
    return {"level": level, "about": about, "text": text}


def _run(figures: Json) -> list[Json]:
    found = [_finding("fault", "ledger", fault) for fault in figures["ledger"]["faults"]]
    for step in figures["steps"]:
        if step["state"] in ("outdated", "unfinished"):
            found.append(_finding("warning", f"step {step['name']}", step["meaning"]))
        elif step["repeated_units"]:
            text = f"{step['repeated_units']:,} unit(s) needed more than one attempt; see log/workers.log"
            found.append(_finding("note", f"step {step['name']}", text))
    stale = [step["name"] for step in figures["steps"] if step["state"] == "stale"]
    if stale:
        text = (
            f"made from other inputs or options than the run now has, and not asked for (--until "
            f"{' '.join(figures['head']['until'])}): {', '.join(stale)}; run the recipe without --until to "
            "make them again"
        )
        found.append(_finding("note", "stale steps", text))
    waiting = [step["name"] for step in figures["steps"] if step["state"] == "not_reached"]
    if waiting:
        text = f"not begun, though the recipe asks for them: {', '.join(waiting)}; run the recipe again"
        found.append(_finding("warning", "steps", text))
    return found


def _funnel(record: RunRecord, figures: Json) -> list[Json]:
    found: list[Json] = []
    seen: dict[tuple[str, str], list[int]] = {}
    for source, rows in figures["funnel"].items():
        for row in rows:
            where = f"{source}: {row['stage']}"
            removed = sum(reason["documents"] for reason in row["removed"])
            lost = sum(reason["documents"] for reason in row["quarantined"])
            if lost:
                names = ", ".join(reason["reason"] for reason in row["quarantined"][:4])
                found.append(_finding("warning", where, f"{lost:,} quarantined ({names})"))
            if not row["drawing"] and row["documents_in"] and removed / row["documents_in"] > HEAVY_REMOVAL:
                text = f"removed {removed / row['documents_in']:.1%} of {row['documents_in']:,} documents"
                found.append(_finding("warning", where, text))
            if not row["drawing"] and row["bytes_cut"] > HEAVY_REMOVAL * row["bytes_in"]:
                text = f"cut {row['bytes_cut'] / row['bytes_in']:.1%} of {row['bytes_in']:,} bytes"
                found.append(_finding("warning", where, text))
            # A stage that changed texts did something, whether or not it removed any.
            if row["judges"] and row["bytes_out"] == row["bytes_kept"]:
                held = seen.setdefault((row["step"], row["stage"]), [0, 0])
                held[0] += row["documents_in"]
                held[1] += removed + lost + row["bytes_cut"]
    judging = _judging(record)
    for (step, stage), (came, taken) in seen.items():
        if came and not taken and (step, stage) in judging:
            text = f"removed nothing of {came:,} document{'s' * (came != 1)}; is it set up as you meant?"
            level = "warning" if came >= TELLING else "note"
            found.append(_finding(level, f"step {step}: {stage}", text))
    return found


def _judging(record: RunRecord) -> set[tuple[str, str]]:
    """Steps and stages that judge: deduplication, masks, and stages that left scores in their dataset."""
    found = {(step.name, step.stages[-1].name) for step in record.masks}
    for source in record.sources:
        scored = _scored(source)
        found |= {
            (step.name, stage.name) for step in source.steps for stage in step.stages if stage.name in scored
        }
    return found


def _scored(source: SourceRecord) -> set[str]:
    if not source.last.units:
        return set()
    path = unit_file(source.last.data, source.last.units[0].unit)
    return {name.split(".")[0] for name in pq.read_schema(path).names if "." in name}


def _mixture(figures: Json) -> list[Json]:
    found = []
    if figures["mixture"] is not None:
        for source, held in figures["mixture"]["sources"].items():
            if held["shortfall"]:
                found.append(_finding("warning", f"mixture: {source}", held["shortfall"]))
            if (held["epochs"] or 0) > MANY_EPOCHS:  # null: there is nothing to read
                text = f"read {held['epochs']:.1f} times over; beyond four epochs repeated tokens teach less"
                found.append(_finding("note", f"mixture: {source}", text))
    packing = figures["packing"]
    if packing is not None and (packing["padding_share"] or 0.0) > HEAVY_PADDING:
        text = f"{packing['padding_share']:.1%} of all places are padding; shorten `sequence_length`"
        found.append(_finding("warning", packing["step"], text))
    return found


def _families(figures: Json) -> list[Json]:
    """Where families are too large to be held out as one, and shares held out far from what was asked."""
    held = figures["held_out"]
    if held is None:
        return []
    found = []
    for use in USES:
        asked, rate = held[use]["asked"], held[use]["rate"]
        if asked and rate is not None and not asked / FAR_FROM_ASKED <= rate <= asked * FAR_FROM_ASKED:
            text = f"{rate:.2%} of the documents are held out from the {use}, {asked:.2%} asked"
            found.append(_finding("note", "held out", text))
    for source, one in held["sources"].items():
        if one["in_large_families"]:
            text = (
                f"{one['in_large_families']:,} of {one['documents']:,} documents are of repositories or "
                "sites too large to be held out whole; of these, documents are held out one by one"
            )
            found.append(_finding("note", f"held out: {source}", text))
    return found


def _languages(figures: Json) -> list[Json]:
    found: list[Json] = []
    without: list[str] = []
    for source, held in figures["distributions"].items():
        if held["documents"] and held["unknown_language"] == held["documents"]:
            without.append(source)
        elif held["unknown_language"]:
            text = f"{held['unknown_language']:,} of {held['documents']:,} documents have no language"
            found.append(_finding("note", source, text))
    if without:
        steps = "` or `".join(registry.steps_filling("lang"))
        text = f"no document has a language in {', '.join(without)}; the step `{steps}` identifies it"
        found.append(_finding("note", "languages", text))
    return found


def _tokenizer(figures: Json) -> list[Json]:
    found = []
    for name, parts in figures["tokenizer_parts"].items():
        about = "tokenizer" if name == "tokenizer" else f"tokenizer: reference {name}"
        found += [_finding("warning", about, f"not used: {part}") for part in parts["dropped"]]
        found += [_finding("warning", about, f"changes texts: {part}") for part in parts["lossy"]]
    held = figures["tokenizer"]
    if held is None:
        return found
    if held["verdict"]["documents"] == 0:
        text = "no document was held out, so it was judged without text; raise `held_out`"
        return [*found, _finding("warning", "tokenizer", text)]
    traces = held["suspicious"]["traces"]
    if traces["count"]:
        kinds = ", ".join(f"{kind} {count}" for kind, count in traces["kinds"].items())
        text = f"{traces['count']:,} entries look like traces of persons or secrets ({kinds})"
        found.append(_finding("warning", "tokenizer", text))
    unreachable = held["suspicious"]["unreachable"]["count"]
    if unreachable:
        text = f"{unreachable:,} entries are never what encoding their own text gives"
        found.append(_finding("note", "tokenizer", text))
    return found


def _training(figures: Json) -> list[Json]:
    training = figures["training"]
    if training is None:
        return []
    summary, evaluation = training["summary"], training["evaluation"]
    found = _targets(summary, training["step"])
    last, entropy = summary["last_loss"], summary["unigram_entropy"]
    if last is not None and entropy is not None and last >= entropy:
        text = (
            f"the last loss, {summary['last_loss']:.3f}, is not below the unigram entropy, "
            f"{summary['unigram_entropy']:.3f}: the model uses no context yet; train longer"
        )
        found.append(_finding("warning", training["step"], text))
    if evaluation is None:
        return found
    for fault in evaluation["faults"]:
        text = f"{fault['shard']}: {fault['kind']}: {fault['detail']}"
        found.append(_finding("warning", "token shards", text))
    return [*found, *_held_out(training["step"], evaluation["scores"], figures["packing"])]


def _targets(summary: Json, about: str) -> list[Json]:
    """Steps of a training that had nothing to predict."""
    without = summary.get("steps_without_targets", 0)
    if not without:
        return []
    text = (
        f"{without:,} of {summary['steps']:,} steps had no target: their windows are padding alone, so they "
        "have no loss and teach nothing; pack rows fuller, raise `batch_size`, or raise `context`"
    )
    return [_finding("warning", about, text)]


def _held_out(step: str, scores: Json | None, packing: Json | None) -> list[Json]:
    """Where the model knows held-out documents no better than a baseline, and sources without any."""
    if scores is None:
        return [_finding("note", step, "no document was held out, so the model is judged on none")]
    found = []
    for bar in ("unigram", "bigram"):
        behind = [
            source
            for source, score in scores["model"].items()
            if source != "*"
            and score["bytes"]
            and score["bits_per_byte"] >= scores[bar][source]["bits_per_byte"]
        ]
        if behind:
            where = ", ".join(behind)
            text = f"the model does not beat the {bar} on held-out documents of {where}; train longer"
            found.append(_finding("warning" if bar == "unigram" else "note", step, text))
    trained = packing["sources"] if packing is not None else {}
    without = [name for name, held in trained.items() if held["tokens"] and name not in scores["model"]]
    if without:
        text = f"no document of {', '.join(without)} was held out; raise `held_out`"
        found.append(_finding("note", step, text))
    return found
