"""How evenly token shards hold their mixture, in the order that a loader gives their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.randomness import seed_of
from corpusmill.pipelines.records.mixture_windows import (
    MixtureWindows,
    PhaseShares,
    ShardShares,
    SourceShares,
    WindowShares,
)
from corpusmill.tokenizer.shards.reader import Shard, open_shard
from corpusmill.training_hooks.kernels.sequences import permuted_all
from corpusmill.training_hooks.loading.phases import by_phase, refuse_strangers
from corpusmill.training_hooks.loading.stream import Order, PhaseWindows, Run, Stream
from corpusmill.training_hooks.loading.window_bounds import bounds
from corpusmill.training_hooks.loading.window_shares import extremes, source_tokens
from corpusmill.training_hooks.train import CONTEXT

if TYPE_CHECKING:
    from corpusmill.tokenizer.shards.format import Phase

SEQUENCES = 256  # of a window, beside the batch of the recipe's training
CHANCE = 1e-6  # that an order of a phase has a window of one size outside of its bounds
_SHARDS = 64  # told one by one


def mixture_windows(
    shards: Sequence[Path],
    *,
    seed: int,
    order: Order = "shuffled",
    training: Mapping[str, Any] | None = None,
    asked: Mapping[int, Mapping[str, float]] | None = None,
) -> MixtureWindows:
    """Shares of sources in `shards`, of every one and of all windows of samples in the order of the first
    epoch, with their bounds (`loading.window_bounds`).

    `training`: options of the recipe's `train`; with them samples, their order and a window of one batch are
    those of this training, else samples are rows in the order of a loader with the recipe's `seed`. `asked`:
    the shares that the mixture asks, by number of phase and source. Reads the pieces, not the tokens. Raises
    IntegrityError for damaged shards, and those that do not belong together.
    """
    opened = [open_shard(path) for path in shards]
    refuse_strangers(opened)
    if not opened:
        return MixtureWindows("no shards", (), (), 0)
    context, sizes, said = None, [SEQUENCES], f"a loader's, of rows, with the seed {seed}"
    if order == "stored":
        said = "that of the rows as they are stored"
    elif training is not None:
        shortest = min(shard.sequence_length for shard in opened)
        context = int(training.get("context") or min(CONTEXT, shortest))
        sizes = sorted({SEQUENCES, int(training.get("batch_size") or SEQUENCES)})
        seed, said = seed_of(seed, "training order"), f"the training's, of windows of {context} tokens"
    groups = [(phase, [opened[place] for place in places]) for phase, places in by_phase(opened)]
    groups = [(phase, members) for phase, members in groups if any(shard.rows for shard in members)]
    stream = _stream(groups, seed, order, context)
    phases = []
    for run, (phase, members) in zip(stream.runs(0, stream.windows), groups, strict=True):
        length = stream.phases[run.phase].context
        phases.append(_phase(phase, members, length, run, sizes, (asked or {}).get(phase.number, {})))
    told = [
        _of_shard(shard, whole) for _, members in groups for whole in [_tokens(members)] for shard in members
    ]
    told = sorted(told, key=lambda one: one.shard)
    if len(told) > _SHARDS:
        worst = sorted(told, key=lambda one: (-(one.off or 0.0), one.shard))
        return MixtureWindows(said, tuple(phases), tuple(worst[:_SHARDS]), len(told) - _SHARDS)
    return MixtureWindows(said, tuple(phases), tuple(told), 0)


def _stream(
    groups: Sequence[tuple[Phase, Sequence[Shard]]], seed: int, order: Order, context: int | None
) -> Stream:
    """The loader's stream over these shards."""
    phases = []
    for phase, members in groups:
        length = members[0].sequence_length
        window = length if context is None else context
        samples = sum(shard.rows for shard in members) * -(-length // window)
        phases.append(PhaseWindows(phase.number, phase.name, samples, window))
    return Stream(phases, seed, order)


def _tokens(shards: Sequence[Shard]) -> dict[str, int]:
    """Tokens by source, as the shards count them; of sources that have some."""
    sums: dict[str, int] = {}
    for shard in shards:
        for name, tokens in shard.metadata["counts"]["tokens_by_source"].items():
            sums[name] = sums.get(name, 0) + tokens
    return {name: tokens for name, tokens in sorted(sums.items()) if tokens}


def _phase(
    phase: Phase,
    shards: Sequence[Shard],
    context: int,
    run: Run,
    sizes: Sequence[int],
    asked: Mapping[str, float],
) -> PhaseShares:
    tokens = _tokens(shards)
    total, places = sum(tokens.values()), sum(shard.rows * shard.sequence_length for shard in shards)
    sizes = [size for size in sizes if size <= run.n]
    windows: list[WindowShares] = []
    fill = total / (run.n * context)
    if sizes and len(tokens) > 1:
        names = sorted({name for shard in shards for name in shard.metadata["sources"]})
        table_NS = source_tokens(shards, context, names)
        found = extremes(table_NS, lambda at: permuted_all(at, run.n, run.half, run.keys), sizes)
        for size in sizes:
            count = run.n - size + 1
            chance = CHANCE / (2 * len(tokens) * count)
            extreme = found[size]
            sources = []
            for name, held in tokens.items():
                code = names.index(name)
                low, high = bounds(held / total, fill, size, run.n, chance)
                sources.append(
                    SourceShares(
                        name, asked.get(name), held / total, low, float(extreme.least[code]),
                        int(extreme.least_at[code]), float(extreme.most[code]),
                        int(extreme.most_at[code]), high,
                    )
                )  # fmt: skip
            windows.append(WindowShares(size, count, CHANCE, tuple(sources)))
    return PhaseShares(phase.number, phase.name, run.n, context, total / places, tuple(windows))


def _of_shard(shard: Shard, theirs: Mapping[str, int]) -> ShardShares:
    """Its shares beside those of its phase, which holds `theirs`, tokens by source."""
    ours = _tokens([shard])
    held, total = sum(ours.values()), sum(theirs.values())
    off = {name: abs(ours.get(name, 0) / held - tokens / total) for name, tokens in theirs.items() if held}
    furthest = max(off, key=lambda name: (off[name], name)) if off else None
    return ShardShares(
        shard=shard.path.name,
        phase=shard.phase.number,
        tokens=held,
        shares={name: tokens / held for name, tokens in ours.items()},
        source=furthest,
        off=off[furthest] if furthest is not None else None,
    )
