"""The summary of a run as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from corpusmill.pipelines.cli.summary import Repaired, RunSummary, ShardsMade, SourceDone, StepMade
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.held_out_facts import in_brief
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, missed
from corpusmill.pipelines.inspection.mixture_rendering import render_groups_briefly
from corpusmill.pipelines.recipe.environment import hide_values
from corpusmill.pipelines.records.training_files import TrainingSummary
from corpusmill.pipelines.report.figures import Finding
from corpusmill.pipelines.storage.objects.urls import is_url

_REASONS = 3
_WARNINGS = 8
_STALE = 6


def render_summary(found: RunSummary) -> str:
    """A page of text for a terminal."""
    blocks = [_source_table(found.sources, found.beside)]
    if found.held_out is not None:
        blocks.append(in_brief(found.held_out))
    if found.mixture is not None:
        blocks.append(_mixture_table(found.mixture, found.run))
    made = [*_shard_lines(found.shards), *_training_lines(found.train, found.long_context)]
    if made:
        blocks.append("\n".join(made))
    if notes := _notes(found.findings):
        blocks.append(notes)
    if found.repaired is not None:
        blocks.append(_render_repaired(found.repaired))
    if stale := found.stale:
        more = f" and {len(stale) - _STALE} more" if len(stale) > _STALE else ""
        names = ", ".join(stale[:_STALE]) + more
        blocks.append(f"stale     {names}: kept as they were; run without --until to make them again")
    done = sum(step.done_now for step in found.steps)
    total = sum(step.units for step in found.steps)
    blocks.append(
        f"{done:,} of {total:,} units done now in {text.duration(found.seconds)}\n"
        f"run       {shown_path(found.run)}\n"
        f"report    {shown_path(found.report)}"
    )
    return "\n" + "\n\n".join(blocks)


def _shard_lines(shards: ShardsMade | None) -> list[str]:
    if shards is None:
        return []
    files = f"{len(shards.files):,} file{'s' * (len(shards.files) != 1)}"
    lines = [
        f"shards    {files}, {shards.rows:,} rows, {shards.tokens:,} tokens of "
        f"{shards.documents:,} documents, {shards.padding:,} padding",
        f"          in {shown_path(shards.files[0].rpartition('/')[0])}" if shards.files else "",
    ]
    if (apart := shards.held_out).files:
        lines.append(
            f"          {apart.tokens:,} tokens of {apart.documents:,} documents held out beside them"
        )
    return lines


def _training_lines(train: StepMade | None, phases: Sequence[StepMade]) -> list[str]:
    lines = []
    if train is not None:
        done = train.training
        lines.append(
            f"training  {_losses(done)} nats a token after {done.steps:,} steps (unigram entropy of the "
            f"shards {text.fixed(done.unigram_entropy, 3)}, ln(vocabulary) {done.ln_vocab:.3f})"
        )
    for phase in phases:
        done = phase.training
        lines.append(
            f"context   {text.count(done.context)} tokens after {done.steps:,} more steps (YaRN factor "
            f"{done.factor:g}): {_losses(done)}"
        )
    return lines


def _render_repaired(repaired: Repaired) -> str:
    """What `--repair` found."""
    faults, differing = len(repaired.faults), len(repaired.differing)
    if not faults:
        return "repaired  nothing: every file is what its step wrote"
    words = f"repaired  {faults:,} fault{'s' * (faults != 1)}, told above"
    return words + (f"; {differing:,} files came out other than they were" if differing else "")


def _losses(training: TrainingSummary) -> str:
    return f"loss {text.fixed(training.first_loss, 3)} -> {text.fixed(training.last_loss, 3)}"


def _source_table(sources: Mapping[str, SourceDone], beside: Sequence[str]) -> str:
    """A row a source, and under it the reasons that took most of its documents, and most bytes of others; in
    brackets what is read `beside` the recipe's sources."""
    rows = [
        (
            f"({name})" if name in beside else name,
            source.read,
            sum(source.removed.values()),
            sum(source.quarantined.values()),
            source.left,
            text.percent(source.left, source.read),
        )
        for name, source in sources.items()
    ]
    table = text.table(("source", "read", "removed", "quarantined", "left", "of read"), rows).splitlines()
    lines = table[:2]
    for line, source in zip(table[2:], sources.values(), strict=True):
        lines.append(line)
        lost = {**source.removed, **{f"{key} (quarantined)": n for key, n in source.quarantined.items()}}
        if top := _most(lost):
            more = f", {len(lost) - len(top)} more" if len(lost) > len(top) else ""
            lines.append("    " + ", ".join(f"{text.printable(key, 60)} {n:,}" for key, n in top) + more)
        if cut := _most(source.cut):
            parts = ", ".join(f"{text.printable(key, 60)} {text.size(size)}" for key, size in cut)
            lines.append(f"    cut from documents left: {parts}")
    return "\n".join(lines)


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ranked if len(ranked) == _REASONS + 1 else ranked[:_REASONS]  # "1 more" is as long as its name


def _mixture_table(mixture: MixtureFacts, run: str) -> str:
    """Requested against achieved shares of tokens, by source, then by the groups of each phase."""
    rows = [
        (
            name,
            source.available_tokens,
            source.achieved_tokens,
            text.percent(source.requested_share, 1),
            text.percent(source.achieved_share, 1),
            text.fixed(source.epochs, 2),
        )
        for name, source in mixture.sources.items()
    ]
    headers = ("mixture", "tokens there", "tokens drawn", "share asked", "share got", "epochs")
    groups = render_groups_briefly(mixture, f"corpusmill inspect mixture {shown_path(run)}")
    return "\n".join([text.table(headers, rows), *missed(mixture), *groups])


def _notes(findings: Sequence[Finding]) -> str:
    """What the report warns of, faults first; notes are left to the report, and shares that are missed stand
    below the table of the mixture."""
    loud = [f for f in findings if f.level != "note" and not f.about.startswith("mixture: ")]
    lines = [f"{f.level}: {f.about}: {text.printable(f.text, 400)}" for f in loud[:_WARNINGS]]
    if len(loud) > _WARNINGS:
        lines.append(f"and {len(loud) - _WARNINGS} more warnings in the report")
    return "\n".join(lines)


def shown_path(place: str) -> str:
    """A path as short as it can be said: relative to the working folder where it lies below it. A URL as it
    is.

    One that a variable of the recipe holds is whole, so that what the variable holds is hidden as a whole.
    """
    path = Path(place)
    if is_url(place) or hide_values(str(path)) != str(path):
        return place
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
