"""A plan in words."""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.training_hooks.planning.layout import Stage
from corpusmill.training_hooks.planning.memory import Memory
from corpusmill.training_hooks.planning.plan import TrainingPlan


def render(plan: TrainingPlan) -> str:
    """Tables for people; every figure is in the plan's JSON too."""
    layout, work, counts = plan.layout, plan.work, plan.counts
    total, active = _short(counts.total), _short(counts.active)
    copies = sum(len(one.stages) for one in plan.memory) // len(plan.stages)
    lines = [
        f"{plan.preset}: {total} parameters, {active} of them active, and {_short(counts.mtp_unique)} of MTP",
        f"{layout.nodes:,} node{'s' * (layout.nodes != 1)} x {layout.per_node} = {layout.devices:,} "
        f"device{'s' * (layout.devices != 1)}: pipeline of {layout.pipeline} "
        f"({layout.method}, each stage on {copies} rank{'s' * (copies > 1)}) x {layout.data_parallel}, "
        f"experts of a layer on {layout.expert_parallel}",
        f"a step: {work.batch:,} sequences of {work.context:,} tokens, {plan.chunks:,} chunks a pipeline; "
        f"{work.precision}, products at {work.efficiency:.0%} of the peak",
        "",
        *_memory_table(plan),
        "",
        *_time_table(plan),
    ]
    if plan.report:
        lines += ["", "the report (arXiv 2412.19437), beside what follows:"]
        for one in plan.report:
            states = f"{one.states}; follows: {one.follows}" if one.states else one.follows
            lines += [f"- {one.name}: {states}", f"  rests on: {one.rests_on}"]
        found = plan.efficiency_of_report
        lines.append(
            "at no efficiency does this model give the report's GPU hours"
            if found is None
            else f"this model gives the report's GPU hours where products run at {found:.1%} of the peak"
        )
    return "\n".join(lines)


def _memory_table(plan: TrainingPlan) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("rank", "stages", "layers", "weights", "gradients", "optimizer", "activations", "buffers", "GB")
    ]
    for one in plan.memory:
        parts = (one.weights, one.gradients, one.optimiser, one.activations, one.buffers, one.total)
        stages = " and ".join(_layers(plan.stages[number]) for number in one.stages)
        rows.append(
            (f"{one.rank}", "+".join(map(str, one.stages)), stages, *(f"{part / 1e9:.1f}" for part in parts))
        )
    worst = max(plan.memory, key=lambda one: one.total)
    room = f"of {plan.hardware.memory / 1e9:.0f} GB: {'fits' if plan.fits else 'does NOT fit'}"
    return [
        "memory of one device, GB",
        *_table(_folded(rows, plan.memory)),
        f"most: {worst.total / 1e9:.1f} GB on rank {worst.rank}, {room}",
    ]


def _folded(rows: list[tuple[str, ...]], memories: Sequence[Memory]) -> list[tuple[str, ...]]:
    """Ranks with the same figures in one row."""
    made, first = [rows[0]], 0
    for number in range(1, len(rows)):
        following = rows[number + 1][2:] if number + 1 < len(rows) else None
        if following != rows[number][2:]:
            name, stages = rows[number][:2]
            if first < number - 1:
                name = f"{memories[first].rank}-{name}"
                before = rows[first + 1][1]
                stages = stages if before == stages else f"{before} to {stages}"
            made.append((name, stages, *rows[number][2:]))
            first = number
    return made


def _layers(stage: Stage) -> str:
    parts = ["embedding"] * stage.embedding
    if stage.dense:
        parts.append(f"{stage.dense} dense")
    if stage.mixture:
        parts.append(f"{stage.mixture} MoE")
    parts += ["head"] * stage.head
    if stage.mtp:
        parts.append(f"{stage.mtp} MTP")
    return ", ".join(parts) or "none"


def _time_table(plan: TrainingPlan) -> list[str]:
    sent, step = plan.traffic, plan.pipeline_seconds + plan.exchange_seconds
    passed = plan.layout.devices
    rows = [
        ("tokens/s", f"{plan.tokens_per_second:,.0f}", f"{plan.tokens_per_second / passed:,.0f} a device"),
        (
            "a step",
            f"{step:.2f} s",
            f"pipeline {plan.pipeline_seconds:.2f} s, gradients and weights {plan.exchange_seconds:.2f} s",
        ),
        ("bubble", f"{plan.bubble:.1%}", "mean share of the pipeline's time in which a rank waits"),
        (
            "utilisation",
            f"{plan.utilisation:.1%}",
            f"of the BF16 peak, {plan.operations / 1e9:.1f}G operations a token, recomputing not counted",
        ),
        ("GPU hours", f"{plan.hours_per_trillion:,.0f}", "per trillion tokens"),
        (
            "all-to-all",
            f"{plan.all_to_all_across / 1e9:.1f} GB",
            f"of a device in a step to other nodes, {plan.all_to_all_within / 1e9:.1f} GB within its own",
        ),
        (
            "nodes",
            f"{sent.nodes:.2f}",
            f"that a token reaches a layer, at most {sent.most_nodes}; "
            f"{sent.across / 1e3:.1f} kB to other nodes, {sent.within / 1e3:.1f} kB within, forward",
        ),
    ]
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _short(count: float) -> str:
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= limit:
            return f"{count / limit:.1f}{unit}"
    return f"{count:.0f}"
