"""From a stage that trains to the part of one rank in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from corpusmill.training_hooks.distributed.group import joined, require_own_gpu
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.node_groups import flat_hop, most_nodes, node_hops
from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.passes import Passes, PlainPasses
from corpusmill.training_hooks.distributed.pipelined import PipelinedPasses
from corpusmill.training_hooks.distributed.stages import pipeline_of
from corpusmill.training_hooks.distributed.together import Together
from corpusmill.training_hooks.distributed.two_level import TwoLevel
from corpusmill.training_hooks.distributed.ways import Flat, Way
from corpusmill.training_hooks.distributed.wire import AS_THEY_ARE, LOW
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.checkpoint import Checkpoints
from corpusmill.training_hooks.trainer.device import device_of_rank, identity, require_device
from corpusmill.training_hooks.trainer.loop import Run
from corpusmill.training_hooks.trainer.options import Parallel

if TYPE_CHECKING:
    from corpusmill.training_hooks.launch.work import Meeting

Dispatch = Literal["exact", "fp8"]


@contextmanager
def meeting_of(meeting: Meeting, parallel: Parallel, kind: Literal["cpu", "cuda"]) -> Iterator[Groups]:
    """The groups of this rank with the others that meet there, and its device of this kind. Raises UserError
    for a number of ranks that `parallel` does not divide, and where there are not as many GPUs."""
    layout = Layout.of(meeting.ranks, pipeline=parallel.pipeline, experts=parallel.experts)
    device = require_device(kind)
    if kind == "cuda":
        device = device_of_rank(meeting.local, meeting.beside, torch.cuda.device_count())
    with joined(meeting.url, meeting.rank, meeting.ranks, meeting.seconds, device):
        if kind == "cuda":
            require_own_gpu(identity(device))
        yield Groups(layout, meeting.seconds, device)


def passes_of(
    model: Transformer,
    groups: Groups,
    parallel: Parallel,
    dispatch: Dispatch,
    batch: int,
    micro_batch: int,
    ready: Callable[[Part], Part],
) -> Passes:
    """How this rank's rows of a full batch of `batch`, `micro_batch` at once, come through its part of
    `model`, which is used up. `ready` brings a part to its device and precision. Raises UserError for a model
    that does not divide so, and for too few rows to fill a pipeline."""
    layout, config = groups.layout, model.config
    pipeline = pipeline_of(config, layout, parallel.schedule, batch, micro_batch)
    if pipeline is None:
        return PlainPasses(model, groups.experts, way_of(config, groups, parallel, dispatch))
    part = Part(config, pipeline.of_rank(groups.place.pipeline))
    weights = model.state_dict()
    part.load_state_dict({name: weights[name] for name in part.state_dict()})
    del weights
    model.to("meta")  # the memory of what others have
    experts, way = groups.experts, way_of(config, groups, parallel, dispatch)
    return PipelinedPasses(ready(part), pipeline, groups.channels, experts, way=way)


def way_of(config: ModelConfig, groups: Groups, parallel: Parallel, dispatch: Dispatch) -> Way | None:
    """How rows reach the ranks of their experts; None where experts are not spread. Every rank calls it."""
    if groups.layout.experts == 1:
        return None
    wire = LOW if dispatch == "fp8" else AS_THEY_ARE
    if parallel.nodes == 1:
        return Flat(flat_hop(groups.experts, backward=groups.experts_back), wire)
    apart = groups.layout.pipeline > 1  # passes run side by side
    hops = node_hops(
        groups.sharers, parallel.nodes, seconds=groups.seconds, apart=apart, device=groups.device
    )
    return TwoLevel(hops, wire, most_nodes(config, parallel.nodes))


def together(
    model: Transformer,
    groups: Groups,
    loader: ShardLoader,
    run: Run,
    parallel: Parallel,
    *,
    dispatch: Dispatch,
    batch: int,
    blank: Callable[[], Transformer],
    ready: Callable[[Part], Part],
    checkpoints: Callable[[], Checkpoints] | None,
) -> Together:
    """This rank at work on its part of `model`; `batch`: sequences of a full batch. `checkpoints` opens those
    of the run, on rank 0."""
    config = model.config
    return Together(
        config,
        passes_of(model, groups, parallel, dispatch, batch, run.micro_batch, ready),
        groups,
        loader,
        blank,
        moments=run.moments,
        ema_decay=run.ema_decay,
        checkpoints=checkpoints() if checkpoints is not None and groups.rank == 0 else None,
        keeps=checkpoints is not None,
    )
