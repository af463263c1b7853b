"""`corpusmill experts`: how evenly devices that serve a model share the load of experts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import UserError

if TYPE_CHECKING:
    from corpusmill.training_hooks.inference.expert_pools import PoolFigures
    from corpusmill.training_hooks.model.transformer import Transformer


@dataclass(frozen=True)
class LayerSpread:
    """Of one layer, all as the busiest device over the mean; `without` redundant experts for the same tokens.
    `by_pass` and `without_by_pass`: every pass waits for its busiest device; `by_window`: of the tokens
    between two plans; `promised`: of the plans, on the loads that they were made from. `nodes`: that a token
    reaches. `replicas` of each expert in the last plan, shared experts behind, and the `loads` it was made
    from, in tokens."""

    layer: int
    by_pass: float
    without_by_pass: float
    by_window: float
    without_by_window: float
    promised: float
    nodes: float
    without_nodes: float
    moved: int
    replicas: tuple[int, ...]
    loads: tuple[int, ...]


@dataclass(frozen=True)
class PoolSpread:
    """A pool, and its layers together: sums of the busiest devices over those of the means. `tokens` were
    measured, after the first plan; `plans` are of each layer; `moved` replicas were loaded in all of them."""

    pool: str
    devices: int
    slots: int
    nodes: int
    whole_groups: bool
    shared_placed: bool
    every: int
    tokens: int
    plans: int
    moved: int
    by_pass: float
    without_by_pass: float
    by_window: float
    without_by_window: float
    promised: float
    nodes_reached: float
    without_nodes_reached: float
    layers: tuple[LayerSpread, ...]


@dataclass(frozen=True)
class ServedExperts:
    """`checked`: new tokens of the first batch, all equal to those of the model without pools."""

    model: str
    experts: int
    shared: int
    active: int
    requests: int
    prompt_tokens: int
    new_tokens: int
    checked: int
    pools: tuple[PoolSpread, ...]


def experts(
    model: Path,
    *,
    shards: Sequence[Path] = (),
    file: Path | None = None,
    devices: int = 8,
    slots: int | None = None,
    nodes: int = 2,
    every: int = 2048,
    requests: int = 64,
    prompt: int = 64,
    new: int = 32,
    batch: int = 16,
    temperature: float = 1.0,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[ServedExperts, str]:
    """Serve `requests` prompts of `prompt` tokens, from held-out `shards` or the text in `file`, and tell how
    evenly devices are loaded; the same in words.

    `slots`: experts that a device has room for in a layer; null for one more than an even share. Raises
    UserError for sizes that do not fit, too little text, and too few tokens for a plan.
    """
    from corpusmill.training_hooks.trainer.require_torch import require_torch

    require_torch()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from corpusmill.training_hooks.inference.expert_pools import serve
    from corpusmill.training_hooks.inference.generation import generate
    from corpusmill.training_hooks.inference.locate import locate
    from corpusmill.training_hooks.inference.open_model import open_model
    from corpusmill.training_hooks.inference.placed_experts import Pool
    from corpusmill.training_hooks.inference.sampling import Sampling

    found = locate(model)
    opened = open_model(found.weights, mtp=False)
    config = opened.config
    if threads is not None:
        torch.set_num_threads(threads)
    prompts = _prompts(opened, model, shards, file, requests, prompt)
    more = config.n_shared_experts
    shares = [-(-size // devices) + 1 for size in (config.n_routed_experts, config.n_routed_experts + more)]
    rooms = shares if slots is None else [slots, slots]
    whole_groups = nodes > 1 and config.n_group % nodes == 0
    reading = Pool(devices, rooms[0], nodes, config.n_group if whole_groups else 1, False, every)
    writing = Pool(devices, rooms[1], nodes, 1, more > 0, every)
    sampling = Sampling(temperature, None, None, seed)
    try:
        served = serve(
            opened,
            prompts,
            prefill=reading,
            decode=writing,
            batch=batch,
            max_new_tokens=new,
            sampling=sampling,
        )
    except ValueError as error:
        raise UserError(f"{error}; correct --devices, --slots or --nodes") from None
    plain, _ = generate(opened, prompts[:batch], max_new_tokens=new, sampling=sampling)
    for number, one in enumerate(plain):
        if served.tokens[number] != tuple(one.tokens):
            raise UserError(
                f"request {number}: the pools gave other tokens than the model alone; two of them tie within "
                "the rounding of sums, or this is a defect: try another --seed, and tell if it stays"
            )
    result = ServedExperts(
        model=str(found.weights),
        experts=config.n_routed_experts,
        shared=more,
        active=config.num_experts_per_tok,
        requests=len(prompts),
        prompt_tokens=sum(map(len, prompts)),
        new_tokens=sum(map(len, served.tokens)),
        checked=sum(len(one.tokens) for one in plain),
        pools=(
            _pool("prefill", served.prefill, whole_groups),
            _pool("decode", served.decode, False),
        ),
    )
    return result, render(result)


def _prompts(
    model: Transformer, at: Path, shards: Sequence[Path], file: Path | None, requests: int, length: int
) -> list[list[int]]:
    """`requests` prompts of `length` tokens each: pieces of the text in order, from its beginning."""
    import numpy as np

    from corpusmill.tokenizer.shards.reader import open_shard
    from corpusmill.training_hooks.inference.locate import choose_tokenizer, locate
    from corpusmill.training_hooks.inference.text_tokens import TextTokens

    if file is not None:
        found = locate(at)
        text = TextTokens(choose_tokenizer(at, found.tokenizer, None), model.config.vocab_size, found.framing)
        try:
            tokens = text.encode(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {file}: {error}") from error
    else:
        tokens = []
        for shard in map(open_shard, shards):
            for row in range(shard.rows):
                size = sum(piece.length for piece in shard.pieces(row))
                tokens += shard.tokens(row)[:size].astype(np.int64).tolist()
            if len(tokens) >= requests * length:
                break
    if len(tokens) < requests * length:
        said = str(file) if file is not None else f"the held-out documents of {at}"
        raise UserError(
            f"{said}: {len(tokens):,} tokens, but {requests} requests of {length} take "
            f"{requests * length:,}; give more text with --file, or fewer --requests"
        )
    return [tokens[start * length : (start + 1) * length] for start in range(requests)]


def _pool(name: str, figures: PoolFigures, whole_groups: bool) -> PoolSpread:
    layers = figures.layers
    pool = figures.pool
    plans = {one.plans for one in layers.values()}
    if min(plans) < 1 or not min(one.tokens for one in layers.values()):
        raise UserError(
            f"the {name} pool saw too few tokens for a plan every {pool.every:,} and some after it; give "
            "more --requests or a smaller --every"
        )
    told = tuple(
        LayerSpread(
            layer=number,
            by_pass=_need(one.passes.ratio),
            without_by_pass=_need(one.passes_without.ratio),
            by_window=_need(one.windows.ratio),
            without_by_window=_need(one.windows_without.ratio),
            promised=sum(one.promised) / len(one.promised),
            nodes=one.nodes / one.tokens,
            without_nodes=one.nodes_without / one.tokens,
            moved=one.moved,
            replicas=one.replicas,
            loads=one.loads,
        )
        for number, one in layers.items()
    )
    every = list(layers.values())

    def together(kind: str) -> float:
        sums = [getattr(one, kind) for one in every]
        return float(sum(one.most for one in sums) / sum(one.mean for one in sums))

    tokens = sum(one.tokens for one in every)
    return PoolSpread(
        pool=name,
        devices=pool.devices,
        slots=pool.slots,
        nodes=pool.nodes,
        whole_groups=whole_groups,
        shared_placed=pool.shared,
        every=pool.every,
        tokens=every[0].tokens,
        plans=every[0].plans,
        moved=sum(one.moved for one in every),
        by_pass=together("passes"),
        without_by_pass=together("passes_without"),
        by_window=together("windows"),
        without_by_window=together("windows_without"),
        promised=sum(one.promised for one in told) / len(told),
        nodes_reached=sum(one.nodes for one in every) / tokens,
        without_nodes_reached=sum(one.nodes_without for one in every) / tokens,
        layers=told,
    )


def _need(ratio: float | None) -> float:
    assert ratio is not None
    return ratio


def render(found: ServedExperts) -> str:
    """Both pools in a table, and their layers."""
    shared = f" and {found.shared} shared" if found.shared else ""
    lines = [
        f"{found.experts} experts{shared}, {found.active} a token, in {len(found.pools[0].layers)} layers; "
        f"{found.requests:,} requests of {found.prompt_tokens // found.requests:,} tokens, "
        f"{found.new_tokens:,} new tokens",
        "",
    ]
    rows = [("load of the busiest device over the mean", *(one.pool for one in found.pools))]

    def row(name: str, *cells: str) -> None:
        rows.append((name, *cells))

    pools = found.pools
    row("every pass, without redundant experts", *(f"{one.without_by_pass:.3f}" for one in pools))
    row("every pass, with them", *(f"{one.by_pass:.3f}" for one in pools))
    row("between plans, without", *(f"{one.without_by_window:.3f}" for one in pools))
    row("between plans, with", *(f"{one.by_window:.3f}" for one in pools))
    row("as the plans promised", *(f"{one.promised:.3f}" for one in pools))
    row(
        "nodes that a token reaches, without and with",
        *(f"{one.without_nodes_reached:.2f}, {one.nodes_reached:.2f}" for one in pools),
    )
    row("devices x experts on each", *(f"{one.devices} x {one.slots}" for one in pools))
    row("placed", *("groups on nodes" if one.whole_groups else "anywhere" for one in pools))
    row("shared expert", *("placed as one more" if one.shared_placed else "on all" for one in pools))
    row("plans of a layer", *(f"{one.plans}, every {one.every:,} tokens" for one in pools))
    row("replicas moved", *(f"{one.moved:,}" for one in pools))
    row("tokens measured", *(f"{one.tokens:,}" for one in pools))
    lines += _table(rows)
    rows = [("layer", "pool", "pass, without", "with", "replicas of each expert in the last plan")]
    for pool in pools:
        for one in pool.layers:
            replicas = " ".join(map(str, one.replicas))
            rows.append(
                (str(one.layer), pool.pool, f"{one.without_by_pass:.3f}", f"{one.by_pass:.3f}", replicas)
            )
    return "\n".join([*lines, "", *_table(rows), "", f"{found.checked} new tokens equal the model's own"])


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
