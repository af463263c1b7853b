"""The groups and phases of a mixture as text for a terminal: what each was asked for and what it gives."""

from __future__ import annotations

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts
from corpusmill.pipelines.records.mixture_plan import PhasePlan

_GROUPS = 60  # of a phase that are shown
_FEW = 12  # of a phase, where they are told in brief


def render_groups(mixture: MixtureFacts) -> list[str]:
    """A table of each phase's groups, and under it how many are left out; nothing where the sources are all
    there is to tell."""
    lines: list[str] = []
    for number, phase in enumerate(mixture.phases):
        lines += ["", _title(number, phase, len(mixture.phases)), _table(phase)]
        if (more := len(phase.groups) - _GROUPS) > 0:
            lines.append(f"and {more:,} more groups in plan.json")
    return lines


def render_groups_briefly(mixture: MixtureFacts, more_at: str) -> list[str]:
    """A line a group, of the first groups of each phase; `more_at`: the command that shows all."""
    lines: list[str] = []
    for phase in mixture.phases:
        rows = [
            (
                text.printable(group.name, 60),
                group.tokens,
                text.percent(group.requested_share, 1),
                text.percent(group.share, 1),
                text.fixed(group.epochs, 2),
            )
            for group in phase.groups[:_FEW]
        ]
        head = f"phase {text.printable(phase.name, 60)}" if len(mixture.phases) > 1 else "groups"
        headers = (head, "tokens drawn", "share asked", "share got", "epochs")
        lines += ["", text.table(headers, rows)]
        if (more := len(phase.groups) - _FEW) > 0:
            lines.append(f"and {more:,} more groups: {more_at}")
    return lines


def _title(number: int, phase: PhasePlan, phases: int) -> str:
    name = f"phase {number} {text.printable(phase.name, 60)}: " if phases > 1 else ""
    asked = "" if phase.requested_tokens is None else f" of {phase.requested_tokens:,} asked"
    return f"{name}{phase.tokens:,} tokens{asked}, {phase.documents:,} documents"


def _table(phase: PhasePlan) -> str:
    rows = [
        (
            text.printable(group.name, 80),
            group.by[-1],
            group.available_tokens,
            group.requested_tokens,
            group.tokens,
            text.percent(group.requested_share, 1),
            text.percent(group.share, 1),
            text.fixed(group.epochs, 3),
        )
        for group in phase.groups[:_GROUPS]
    ]
    headers = ("group", "by", "available", "requested", "achieved", "share asked", "share got", "epochs")
    return text.table(headers, rows)
