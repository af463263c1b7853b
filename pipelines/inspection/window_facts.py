"""Shares of sources by shard and by window of the training order, of a run and of one shard, and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.contract.given import MIXTURE, MODEL, SHARDS
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.recipe.registry import room_command
from corpusmill.pipelines.records.mixture_plan import FILE, MixturePlan, read_plan
from corpusmill.pipelines.records.mixture_windows import MixtureWindows, PhaseShares, WindowShares
from corpusmill.pipelines.records.opaque import Summary
from corpusmill.pipelines.storage.not_kept import missing_by_choice

READ_AT_ONCE = 2**22  # rows whose pieces `inspect` reads; of more, the report tells
METHOD = (
    "shares of a window's tokens; at least, at most: Serfling 1974 and Hoeffding 1963 for rows drawn without "
    "replacement, over all windows; one seeded order in a million exceeds them"
)


@dataclass(frozen=True)
class RunWindows:
    """What is measured of a run's shards, or why nothing is."""

    step: str
    measured: MixtureWindows | None
    not_measured: str | None


def run_windows(record: RunRecord, most_rows: int | None = None) -> RunWindows | None:
    """Shares by shard and by window of a run's shards, in the order of its training, or of a loader with its
    seed where it trains no model. None before there are shards; of more than `most_rows` rows none is read.

    Reads the pieces of all shards. Raises IntegrityError for one that is missing or damaged.
    """
    step = record.finished_giving(SHARDS)
    if step is None:
        return None
    if step.data.store is not None:
        return RunWindows(step.name, None, "the shards lie on object storage")
    if most_rows is not None and step.rows > most_rows:
        return RunWindows(step.name, None, f"there are over {most_rows:,} rows; see the report")
    shards: list[Path] = []
    for unit in step.units:
        for file in unit.files:
            if not file.name.endswith(".arrow") or file.name.startswith("heldout-"):
                continue
            path = step.data.data / file.name
            if not path.exists():
                left_out = missing_by_choice(step.data.path, file.name)
                if left_out is None:
                    raise damaged(f"{path}: missing")
                return RunWindows(step.name, None, str(left_out))
            shards.append(path)
    plan, model = record.finished_giving(MIXTURE), record.finished_giving(MODEL)
    asked = {} if plan is None else _asked(read_plan(plan.data.file(FILE)))
    training = None if model is None else model.stages[-1].options
    measured: MixtureWindows = room_command("training_hooks", "mixture_windows")(
        shards, seed=record.seed, training=training, asked=asked
    )
    return RunWindows(step.name, measured, None)


def _asked(plan: MixturePlan) -> dict[int, dict[str, float]]:
    """The shares that each phase asks of sources."""
    found = {}
    for number in range(len(plan.phases)):
        tokens: dict[str, int] = {}
        for cell in plan.cells:
            source = cell.values[0]
            tokens[source] = tokens.get(source, 0) + cell.phases[number].requested_tokens
        total = sum(tokens.values())
        found[number] = {source: count / total for source, count in tokens.items() if total}
    return found


def shard_windows(path: Path, about: Summary) -> MixtureWindows | None:
    """The same of one shard, in the order that its rows are stored in; None of one that is held out.

    Raises IntegrityError where it is damaged."""
    if about.get("split", "train") != "train":
        return None
    found: MixtureWindows = room_command("training_hooks", "mixture_windows")(
        [path], seed=int(about["seed"]), order="stored"
    )
    return found


def broken(windows: MixtureWindows) -> list[str]:
    """A line for each source whose windows lie outside of their bounds."""
    return [
        f"{_of(phase, len(windows.phases))}{text.printable(one.source, 60)} has {_percent(one.least)} to "
        f"{_percent(one.most)} of {size.sequences:,} samples in a row, which a shuffled order keeps within "
        f"{_percent(one.bound_least)} to {_percent(one.bound_most)}; the order, {windows.order}, is not "
        "shuffled"
        for phase in windows.phases
        for size in phase.windows
        for one in size.sources
        if not one.within
    ]


def furthest(windows: MixtureWindows) -> str | None:
    """The shard whose shares are furthest from those of its phase, in a line; None of a single one."""
    told = [one for one in windows.shards if one.source is not None and one.off is not None]
    if len(told) < 2:
        return None
    one = max(told, key=lambda shard: (shard.off or 0.0, shard.shard))
    share = _percent(one.shares.get(one.source or "", 0.0))
    return (
        f"shards: within {100 * (one.off or 0.0):.2f} points of the shares of their phase, "
        f"{one.shard} the furthest ({text.printable(one.source, 60)} {share})"
    )


def render_windows(windows: MixtureWindows) -> list[str]:
    """A table of the sources in windows of every size, what is outside of its bound, and the shards."""
    rows = [row for phase in windows.phases for size in phase.windows for row in _rows(phase, size, windows)]
    lines: list[str] = []
    if rows:
        headers = ("windows", "source", "asked", "share", "at least", "least", "most", "at most")
        lines += ["", f"windows, by the order that is {text.printable(windows.order, 200)}"]
        lines += [text.table(headers, rows), METHOD, *(f"OUTSIDE: {line}" for line in broken(windows))]
    if (line := furthest(windows)) is not None:
        lines.append(line)
    return lines


def render_run_windows(found: RunWindows | None) -> list[str]:
    """The same of a run, or why nothing is measured."""
    if found is None:
        return []
    if found.measured is None:
        return ["", f"shares by window are not measured: {text.printable(found.not_measured, 400)}"]
    return render_windows(found.measured)


def _rows(phase: PhaseShares, size: WindowShares, windows: MixtureWindows) -> list[Sequence[object]]:
    where = f"{_of(phase, len(windows.phases))}{size.windows:,} of {size.sequences:,}"
    return [
        (
            where if number == 0 else "",
            text.printable(one.source, 60),
            text.percent(one.asked, 1),
            *map(_percent, (one.share, one.bound_least, one.least, one.most, one.bound_most)),
        )
        for number, one in enumerate(size.sources)
    ]


def _of(phase: PhaseShares, phases: int) -> str:
    return f"phase {phase.number} {text.printable(phase.name, 60)}: " if phases > 1 else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
